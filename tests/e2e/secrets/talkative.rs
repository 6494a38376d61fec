//! A target that tells whoever asks what it was told.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpListener;

use super::planted::{ORDINARY, PLANTED};

/// A target that sends back who asked: in its body, in its headers, and in where it redirects to.
pub(super) async fn talkative() -> String {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let routes = Router::new().fallback(any(send_back)).with_state(url.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

async fn send_back(State(own): State<String>, uri: Uri, headers: HeaderMap) -> Response {
    let of = |name: &str| {
        let value = headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        value.unwrap_or_default()
    };
    let told = [of("authorization"), of("x-planted"), of("x-ordinary")].join(" ");
    assert!(told.contains(ORDINARY), "{told}");
    let clear = told.replace("Bearer ", "");
    let percent = utf8_percent_encode(&clear, NON_ALPHANUMERIC).to_string();
    let to = |place: String| (StatusCode::FOUND, [(header::LOCATION, place)]).into_response();
    match uri.path() {
        "/loop" if uri.query().is_some() => to(uri.to_string()),
        "/loop" => to(format!("/loop?{percent}&{}", STANDARD.encode(PLANTED))),
        "/away" => to(format!("http://10.0.0.1/?{percent}")),
        "/elsewhere" => to(format!("{}/loop?{percent}", own.replace("127.0.0.1", "127.0.0.2"))),
        _ => {
            let body = format!("{clear} {percent} {} {told}", STANDARD.encode(PLANTED));
            (StatusCode::OK, [("x-told", told)], body).into_response()
        }
    }
}
