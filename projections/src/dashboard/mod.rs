//! The files of the web dashboard (`projections/dashboard/`), which are part of the program.
//!
//! The dashboard shows different pages at different paths, and one document draws them all: every path of
//! [`PAGES`] is answered with it. Files below `/assets/` have a hash of their content in their names, and browsers
//! keep them.

#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use pulsetrail_infra::http::Problem;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "dashboard/dist"]
struct Files;

/// The document that draws every page.
const DOCUMENT: &str = "index.html";

/// Where the dashboard shows a page. Its router (`projections/dashboard/src/lib/routes.ts`) says which.
const PAGES: [&str; 14] = [
    "/",
    "/sign-in",
    "/sign-up",
    "/invitation",
    "/monitors",
    "/monitors/{id}",
    "/monitors/{id}/edit",
    "/monitors/{id}/checks/{check}",
    "/settings",
    "/settings/{section}",
    "/incidents",
    "/history",
    "/shield",
    "/system",
];

/// Files that have one name for ever.
const NAMED: [&str; 5] =
    ["icon.svg", "icon-192.png", "icon-512.png", "icon-maskable-512.png", "manifest.webmanifest"];

/// Scripts, styles, fonts and pictures of this server alone, connections to it alone, and HTML only from the
/// templates that were compiled into the scripts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; \
    img-src 'self'; connect-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

/// What the server says where the dashboard was not built.
const NOT_BUILT: &str = "The dashboard is not part of this program: it was built without it. Run `make dashboard` \
    and build the program again. The HTTP interface works without it: see /docs.\n";

/// The dashboard's pages and files.
pub fn router() -> Router {
    let mut routes = Router::new().route("/assets/{name}", get(asset));
    for page in PAGES {
        routes = routes.route(page, get(document));
    }
    for name in NAMED {
        routes = routes.route(
            &format!("/{name}"),
            get(async move |request: Request| named(name, request.headers())),
        );
    }
    routes
}

async fn document(request: Request) -> Response {
    let Some(file) = Files::get(DOCUMENT) else {
        return (StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT).into_response();
    };
    let mut response = revalidated(file, request.headers());
    let policy = HeaderValue::from_static(POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

async fn asset(Path(name): Path<String>) -> Response {
    let Some(file) = Files::get(&format!("assets/{name}")) else {
        return Problem::not_found().into_response();
    };
    let kept = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    ([kept], content(file)).into_response()
}

fn named(name: &str, headers: &HeaderMap) -> Response {
    match Files::get(name) {
        Some(file) => revalidated(file, headers),
        None => Problem::not_found().into_response(),
    }
}

/// A file that browsers keep and ask about each time: 304 if it is still the same.
fn revalidated(file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = entity_tag(&file);
    let kept = [(header::CACHE_CONTROL, "no-cache".to_owned()), (header::ETAG, tag.clone())];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    if known.is_some_and(|known| is_known(known, &tag)) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, content(file)).into_response()
}

fn content(file: EmbeddedFile) -> Response {
    let content_type = match file.metadata.mimetype() {
        kind @ ("text/html" | "text/css" | "text/javascript") => format!("{kind}; charset=utf-8"),
        kind => kind.to_owned(),
    };
    ([(header::CONTENT_TYPE, content_type)], file.data).into_response()
}

/// A weak tag: the body may be compressed on its way (RFC 9110, 8.8.1).
fn entity_tag(file: &EmbeddedFile) -> String {
    let hash: String =
        file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{hash}\"")
}

/// Whether `If-None-Match` names the tag; compared weakly (RFC 9110, 13.1.2).
fn is_known(header: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    header.trim() == "*" || header.split(',').any(|known| opaque(known) == opaque(tag))
}
