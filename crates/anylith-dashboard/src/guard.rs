//! Who may ask for what, before anything is looked at; and the headers that every answer has.
//!
//! A page of another site cannot ask: it has no token, its `Origin` is another, and where its name leads here (DNS
//! rebinding) the `Host` is one that this server does not listen at. There are no cookies, which a browser would send by
//! itself, and to every other port of this host too.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{line::Line, refusal::Refusal, token::Token};

/// What the page may do: load its own files, ask its own server, and nothing else. A script or style that somehow got into
/// the page does nothing.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Nothing that can be asked for is longer.
const BODY_BYTES: usize = 64 * 1024;

/// All of a body has to come within this time.
const BODY_WITHIN: Duration = Duration::from_secs(10);

const EVERY_ANSWER: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// Lets a request through, or answers it.
pub(crate) async fn guard(
    State(token): State<Token>,
    axum::Extension(line): axum::Extension<Line>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match admit(request, line.local(), &token).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in EVERY_ANSWER {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Looks at who asks, and only then takes in what he sends.
async fn admit(request: Request, local: SocketAddr, token: &Token) -> Result<Request, Refusal> {
    check(&request, local, token)?;
    let (head, body) = request.into_parts();
    let length = body.size_hint().lower();
    if length > BODY_BYTES as u64 {
        return Err(too_long());
    }
    let read = axum::body::to_bytes(body, BODY_BYTES);
    match tokio::time::timeout(BODY_WITHIN, read).await {
        Ok(Ok(body)) => Ok(Request::from_parts(head, Body::from(body))),
        Ok(Err(_)) => Err(too_long()),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body of the request does not come",
            "send all of it",
        )),
    }
}

fn too_long() -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is longer than {BODY_BYTES} bytes, or broke off"),
        "GET /api/v1/openapi.json says what can be asked for",
    )
}

fn check(request: &Request, local: SocketAddr, token: &Token) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = host(headers, local)?;
    // A request as a proxy gets it must not say one thing here and another there.
    if request.uri().authority().is_some_and(|it| *it != host) {
        return Err(misdirected());
    }
    // The page itself is no secret, and a browser that goes to it has no token to send.
    if !request.uri().path().starts_with("/api/") {
        return Ok(());
    }
    check_origin(headers, &host)?;
    let given =
        one(headers, &header::AUTHORIZATION).and_then(|it| it.as_bytes().strip_prefix(b"Bearer "));
    match given {
        Some(given) if token.is(given) => Ok(()),
        _ => Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "this is the owner's, and the token is missing or wrong",
            "`anylith dashboard` prints the address with the token of the run that is on",
        )),
    }
}

/// What the request calls this server, if that is what it is: the address that it came in at, or `localhost`. The port may
/// be another, as it is where somebody comes through a tunnel.
fn host(headers: &HeaderMap, local: SocketAddr) -> Result<Authority, Refusal> {
    let host = one(headers, &header::HOST).and_then(|host| host.to_str().ok());
    let host: Authority = host
        .and_then(|host| host.parse().ok())
        .ok_or_else(misdirected)?;
    let name = host.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_own = match bare.parse::<IpAddr>() {
        Ok(address) => {
            let address = address.to_canonical();
            let local = local.ip().to_canonical();
            address == local || (address.is_loopback() && local.is_loopback())
        }
        Err(_) => name.eq_ignore_ascii_case("localhost") && local.ip().to_canonical().is_loopback(),
    };
    match is_own && !host.as_str().contains('@') {
        true => Ok(host),
        false => Err(misdirected()),
    }
}

fn misdirected() -> Refusal {
    Refusal::new(
        StatusCode::MISDIRECTED_REQUEST,
        "this server is not called so",
        "name it by the address that it listens at, or as localhost",
    )
}

/// Refuses what a page of another site asks for.
fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Refusal> {
    let own = format!("http://{host}");
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_own = origins.all(|origin| origin.as_bytes() == own.as_bytes());
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let is_own = is_own && sites.all(|site| site == "same-origin" || site == "none");
    match is_own {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "a page of another site asks for this",
            "open the dashboard with `anylith dashboard`",
        )),
    }
}

/// The value of a header that is there once.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(host: &str, local: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        super::host(&headers, local.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_server_is_called_by_the_address_that_it_listens_at() {
        assert!(takes("127.0.0.1:9000", "127.0.0.1:9000"));
        assert!(takes("localhost:9000", "127.0.0.1:9000"));
        assert!(takes("LOCALHOST:9000", "[::1]:9000"));
        assert!(takes("[::1]:9000", "[::1]:9000"));
        assert!(takes("192.168.1.5:9000", "192.168.1.5:9000"));
        assert!(takes("192.168.1.5:9000", "[::ffff:192.168.1.5]:9000"));
    }

    #[test]
    fn a_server_is_called_nothing_else() {
        for host in [
            "evil.example:9000",
            "localhost.evil.example:9000",
            "127.0.0.1.evil.example:9000",
            "user@127.0.0.1:9000",
            "192.168.1.5:9000",
            "",
        ] {
            assert!(!takes(host, "127.0.0.1:9000"), "{host}");
        }
        assert!(!takes("localhost:9000", "192.168.1.5:9000"));
        assert!(!takes("127.0.0.1:9000", "192.168.1.5:9000"));
    }

    #[test]
    fn who_names_two_hosts_names_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "127.0.0.1:9000".parse().unwrap());
        headers.append(header::HOST, "evil.example".parse().unwrap());
        assert!(super::host(&headers, "127.0.0.1:9000".parse().unwrap()).is_err());
    }
}
