//! What a visitor chooses for all pages: the currency, and to be forgotten.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use super::{
    failure::Failure,
    form::Form,
    storefront::Storefront,
    validation::chosen_currency,
    visit::{Visit, forget, remember_currency},
};

/// `POST /setCurrency`
pub(super) async fn set_currency(
    State(shop): State<Arc<Storefront>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let code = chosen_currency(&form)?;
    let target = page_before(&shop, &headers);
    let mut response = redirect(target.as_deref().unwrap_or(&shop.path("/")));
    remember_currency(response.headers_mut(), &code);
    Ok(response)
}

/// `GET /logout`
pub(super) async fn log_out(
    State(shop): State<Arc<Storefront>>,
    Extension(visit): Extension<Visit>,
) -> Response {
    let mut response = redirect(&shop.path("/"));
    for name in &visit.cookies {
        forget(response.headers_mut(), name);
    }
    response
}

/// A redirection that is followed with GET.
pub(super) fn redirect(target: &str) -> Response {
    match HeaderValue::from_str(target) {
        Ok(target) => (StatusCode::FOUND, [(header::LOCATION, target)]).into_response(),
        Err(_) => Failure::new(StatusCode::BAD_REQUEST, "there is no such page").into_response(),
    }
}

/// The page that the visitor came from, if it is one of this shop's that can be shown again.
fn page_before(shop: &Storefront, headers: &HeaderMap) -> Option<String> {
    let referer = headers.get(header::REFERER)?.to_str().ok()?;
    let uri: Uri = referer.parse().ok()?;
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let same_host = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri
            .authority()
            .is_some_and(|authority| authority.as_str() == host);
    // What a form was sent to cannot be asked for; the visitor was there if the form was refused.
    let only_post = ["/setCurrency", "/cart/checkout", "/cart/empty"];
    let showable = !only_post.iter().any(|path| uri.path() == shop.path(path));
    (same_host && showable).then(|| referer.to_owned())
}
