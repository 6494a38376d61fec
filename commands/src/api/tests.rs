//! What is refused before any engine is asked.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use pulsetrail_domain::{OrganizationId, SessionId, UserId};
use pulsetrail_infra::http::{AccessTokens, Authenticator, Credential, Identity, Role};
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::secrets::{Keyring, SecretText};
use pulsetrail_infra::store::Store;
use pulsetrail_infra::supervised::Supervisor;
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;
use tower::ServiceExt;

use super::*;

const SOME_MONITOR: &str = "/api/v1/monitors/0190b5a0-0000-7000-8000-000000000000";

/// Over engines that are nowhere: port 1 of loopback.
fn state() -> CommandState {
    let pool = || PgPoolOptions::new().connect_lazy("postgres://127.0.0.1:1/none").unwrap();
    let store = Store { read: pool(), write: pool() };
    let rules = InstallationRules {
        regions: vec!["default".parse().unwrap()],
        registration_open: true,
        ..InstallationRules::default()
    };
    let authenticator = Authenticator::new(AccessTokens::new(&[7; 32], 60), pool());
    let key = SecretText::from("a key".to_owned());
    let keyring = Keyring::new(&key, &[]).unwrap();
    CommandState::with_rules(
        store,
        Kafka::new("127.0.0.1:1", "none"),
        authenticator,
        keyring,
        rules,
        &Supervisor::default(),
    )
    .unwrap()
}

/// Somebody whom the tables were asked about before.
fn somebody(role: Role) -> Identity {
    Identity {
        user_id: UserId::default(),
        organization_id: OrganizationId::default(),
        role,
        operator: false,
        credential: Credential::Session(SessionId::default()),
        ends_at: None,
    }
}

async fn ask(request: Request<Body>) -> (StatusCode, Value) {
    let response = router(state()).oneshot(request).await.unwrap();
    let status = response.status();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["status"], status.as_u16());
    (status, problem)
}

fn request(method: &str, path: &str, role: Role) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).extension(somebody(role))
}

async fn post(path: &str, content_type: &str, body: impl Into<Body>) -> (u16, String) {
    let request = request("POST", path, Role::Owner).header(header::CONTENT_TYPE, content_type);
    let (status, problem) = ask(request.body(body.into()).unwrap()).await;
    (status.as_u16(), problem["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn who_shows_no_token_is_not_let_in() {
    for (method, path) in [
        ("GET", "/api/v1/me"),
        ("POST", "/api/v1/monitors"),
        ("POST", "/api/websites"),
        ("PATCH", SOME_MONITOR),
        ("DELETE", SOME_MONITOR),
        ("POST", &format!("{SOME_MONITOR}/pause")),
        ("POST", &format!("{SOME_MONITOR}/resume")),
        ("POST", &format!("{SOME_MONITOR}/check")),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (status, problem) = ask(request).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_eq!(problem["code"], "unauthorized");
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing_and_learns_nothing_of_the_body() {
    for (method, path) in [("POST", "/api/v1/monitors"), ("PATCH", SOME_MONITOR)] {
        let request = request(method, path, Role::Viewer).body(Body::from("{")).unwrap();
        let (status, problem) = ask(request).await;
        assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"forbidden".into()));
    }
}

#[tokio::test]
async fn only_an_owner_manages_people_and_keys() {
    let id = "0190b5a0-0000-7000-8000-000000000000";
    for (method, path) in [
        ("POST", "/api/v1/api-keys".to_owned()),
        ("GET", "/api/v1/api-keys".to_owned()),
        ("DELETE", format!("/api/v1/api-keys/{id}")),
        ("POST", "/api/v1/invitations".to_owned()),
        ("GET", "/api/v1/invitations".to_owned()),
        ("DELETE", format!("/api/v1/invitations/{id}")),
        ("PATCH", format!("/api/v1/members/{id}")),
        ("DELETE", format!("/api/v1/members/{id}")),
    ] {
        let request = request(method, &path, Role::Editor).body(Body::from("{")).unwrap();
        assert_eq!(ask(request).await.0, StatusCode::FORBIDDEN, "{method} {path}");
    }
}

#[tokio::test]
async fn a_path_that_names_no_id_is_not_found() {
    for (method, path) in [
        ("PATCH", "/api/v1/monitors/1"),
        ("DELETE", "/api/websites/none"),
        ("POST", "/monitors/%ff/check"),
    ] {
        let request = request(method, path, Role::Owner).body(Body::empty()).unwrap();
        let (status, _) = ask(request).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_says_why() {
    let (json, monitors) = ("application/json", "/api/v1/monitors");
    let refused = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(post(monitors, "text/plain", "{}").await, refused(415, "unsupported_media_type"));
    assert_eq!(post(monitors, json, "{").await, refused(400, "malformed_json"));
    assert_eq!(post(monitors, json, "").await, refused(400, "malformed_json"));
    assert_eq!(post(monitors, json, "{}").await, refused(422, "validation_failed"));
    let long = format!("{{\"url\":\"{}\"}}", "a".repeat(MAX_BODY_BYTES));
    assert_eq!(post(monitors, json, long).await, refused(413, "body_too_large"));
}

#[tokio::test]
async fn a_registration_with_mistakes_is_refused_with_all_of_them() {
    let body = r#"{"email":"ada","password":"short"}"#;
    let request = Request::post("/api/v1/auth/register")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .unwrap();
    let (status, problem) = ask(request).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][0]["pointer"], "/email");
    assert_eq!(problem["errors"][1]["pointer"], "/password");
}

#[tokio::test]
async fn what_cannot_be_credentials_is_refused_as_wrong_ones_are() {
    let body = r#"{"email":"ada","password":"short"}"#;
    let refused = post("/api/v1/auth/login", "application/json", body).await;
    assert_eq!(refused, (401, "invalid_credentials".to_owned()));
}

#[tokio::test]
async fn a_header_that_cannot_be_read_is_refused() {
    for (name, code) in
        [("if-match", "malformed_if_match"), ("idempotency-key", "malformed_idempotency_key")]
    {
        let (method, path) =
            if name == "if-match" { ("PATCH", SOME_MONITOR) } else { ("POST", "/api/v1/monitors") };
        let request = request(method, path, Role::Editor)
            .header(header::CONTENT_TYPE, "application/json")
            .header(name, "\t ä")
            .body(Body::from("{}"))
            .unwrap();
        let (status, problem) = ask(request).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &code.into()));
    }
}
