//! The built page, as a table in the program: what is not in the table is not there.

use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::refusal::Refusal;

/// One file of the page.
struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

static ASSETS: &[Asset] = &include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where Vite puts what has a hash of its content in its name.
const HASHED: &str = "/assets/";

/// Answers with the file at the path of `uri`, if the page has it.
pub(crate) async fn serve(method: Method, uri: Uri) -> Response {
    let path = match uri.path() {
        "/" => "/index.html",
        path => path,
    };
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        let mend = "the page is at /, and the API below /api/v1/";
        return Refusal::new(StatusCode::NOT_FOUND, "there is nothing here", mend).into_response();
    };
    if !matches!(method, Method::GET | Method::HEAD) {
        let mend = "ask for it with GET";
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "it can only be read", mend)
            .into_response();
    }
    let mut response = Response::new(Body::from(asset.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    // What has its hash in its name never changes, and what names it is asked for each time.
    let keep = match asset.path.starts_with(HASHED) {
        true => "public, max-age=31536000, immutable",
        false => "no-store",
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}
