//! Who asks: the session and the currency, which are kept in cookies.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use cookie::{Cookie, SameSite};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{failure::Failure, storefront::Storefront};

const SESSION_COOKIE: &str = "shop_session-id";
const CURRENCY_COOKIE: &str = "shop_currency";
const COOKIE_LIFE: Duration = Duration::hours(48);

/// The session of everyone, where the shop is set to have only one.
const SHARED_SESSION: &str = "12345678-1234-1234-1234-123456789123";

/// One request, and the shopper who made it.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    /// Whose cart is meant. Whatever the cookie says is taken as it is.
    pub(super) session_id: String,
    /// The currency in which prices are shown.
    pub(super) currency: String,
    /// A UUID for this request alone.
    pub(super) request_id: String,
    /// The names of all cookies that came.
    pub(super) cookies: Vec<String>,
    is_new: bool,
}

impl Visit {
    fn of(headers: &HeaderMap, shared_session: bool) -> Self {
        let mut session = None;
        let mut currency = None;
        let mut cookies = Vec::new();
        for cookie in cookies_of(headers) {
            // Of two cookies with one name the first counts.
            match cookie.name() {
                SESSION_COOKIE if session.is_none() => session = Some(cookie.value().to_owned()),
                CURRENCY_COOKIE if currency.is_none() => currency = Some(cookie.value().to_owned()),
                _ => {}
            }
            cookies.push(cookie.name().to_owned());
        }
        let is_new = session.is_none();
        Self {
            session_id: session.unwrap_or_else(|| match shared_session {
                true => SHARED_SESSION.to_owned(),
                false => Uuid::new_v4().to_string(),
            }),
            currency: currency.unwrap_or_else(|| "USD".to_owned()),
            request_id: Uuid::new_v4().to_string(),
            cookies,
            is_new,
        }
    }
}

fn cookies_of(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
}

/// Finds out who asks, makes a session for who has none, and turns failures into pages.
pub(super) async fn accompany(
    State(storefront): State<Arc<Storefront>>,
    mut request: Request,
    next: Next,
) -> Response {
    let shared_session = storefront.config.enable_single_shared_session;
    let visit = Visit::of(request.headers(), shared_session);
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = failure.page(&storefront, &visit);
    }
    let headers = response.headers_mut();
    if visit.is_new {
        set(headers, SESSION_COOKIE, &visit.session_id);
    }
    // Nothing on a page comes from elsewhere, and browsers hold the shop to it.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Sets the cookie that keeps the visitor's currency.
pub(super) fn remember_currency(headers: &mut HeaderMap, code: &str) {
    set(headers, CURRENCY_COOKIE, code);
}

/// Tells the browser to forget the cookie `name`.
pub(super) fn forget(headers: &mut HeaderMap, name: &str) {
    let mut cookie = cookie(name, "");
    cookie.set_max_age(Duration::ZERO);
    cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
    append(headers, &cookie);
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    let mut cookie = cookie(name, value);
    cookie.set_max_age(COOKIE_LIFE);
    append(headers, &cookie);
}

/// With `Path=/`, or a first visit to a product would make a session for products alone.
fn cookie<'a>(name: &'a str, value: impl Into<Cow<'a, str>>) -> Cookie<'a> {
    Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .build()
}

fn append(headers: &mut HeaderMap, cookie: &Cookie<'_>) {
    // A name that came in from outside may be one that cannot be sent back; then there is nothing to
    // forget either.
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        headers.append(header::SET_COOKIE, value);
    }
}
