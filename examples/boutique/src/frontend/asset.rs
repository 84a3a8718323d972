//! Style sheet and pictures, which are part of the program.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// The files below `/static/`, by their path there.
macro_rules! assets {
    ($($path:literal),+ $(,)?) => {
        const ASSETS: &[(&str, &str)] =
            &[$(($path, include_str!(concat!("../../static/", $path)))),+];
    };
}

assets! {
    "favicon.svg",
    "img/products/bamboo-glass-jar.svg",
    "img/products/candle-holder.svg",
    "img/products/hairdryer.svg",
    "img/products/loafers.svg",
    "img/products/mug.svg",
    "img/products/salt-and-pepper-shakers.svg",
    "img/products/sunglasses.svg",
    "img/products/tank-top.svg",
    "img/products/watch.svg",
    "shop.css",
    "shop.js",
}

/// `GET /static/{path}`
pub(super) async fn serve(Path(path): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, _)| *known == path) {
        Some((_, text)) => {
            let headers = [
                (header::CONTENT_TYPE, content_type(&path)),
                (header::CACHE_CONTROL, "public, max-age=300"),
            ];
            (headers, *text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}
