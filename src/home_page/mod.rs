//! `GET /`: says what this is and links to the interface, until a dashboard stands there.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const ICON: &str = include_str!("icon.svg");

/// A stylesheet and an icon from this server, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'";

/// The page, its stylesheet and its icon.
pub(crate) fn router() -> Router {
    let page = async || {
        ([(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))], file(HTML, PAGE))
            .into_response()
    };
    Router::new()
        .route("/", get(page))
        .route("/home.css", get(async || file(CSS, STYLE)))
        .route("/icon.svg", get(async || file(SVG, ICON)))
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], text)
}
