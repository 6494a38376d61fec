use serde_json::json;

use super::super::body;
use super::*;

const PLANTED: &str = "hunter2-planted";

fn with(http: &Value) -> Value {
    let mut body = json!({"target": {"type": "http", "url": "https://example.com"}});
    let target = body["target"].as_object_mut().unwrap();
    target.extend(http.as_object().unwrap().clone());
    body
}

/// Where a body is refused. It does not say what was secret.
fn refused(http: &Value) -> Vec<String> {
    let problem = body::read(with(http)).unwrap_err();
    let told = serde_json::to_string(&problem).unwrap() + &format!("{problem:?}");
    assert!(!told.contains("hunter2"), "{told}");
    problem.errors.into_iter().map(|fault| fault.pointer).collect()
}

#[test]
fn secrets_are_taken_out_of_a_body() {
    let http = json!({
        "auth": {"type": "basic", "username": "ada", "password": PLANTED},
        "secret_headers": {"X-Token": PLANTED},
    });
    let read = body::read(with(&http)).unwrap();
    assert_eq!(read.secrets.given.len(), 2);
    assert!(read.secrets.given.iter().all(|(_, secret)| secret.expose() == PLANTED));
    let named: Vec<SecretId> = read.config.target.secrets().map(|one| one.secret).collect();
    assert!(read.secrets.given.iter().all(|(id, _)| named.contains(id)));
    let shown = serde_json::to_string(&read.config).unwrap() + &format!("{read:?}");
    assert!(!shown.contains("hunter2") && shown.contains("ada"), "{shown}");
}

#[test]
fn a_mistake_is_named_without_the_secret() {
    let auth = |auth: Value| refused(&json!({ "auth": auth }));
    let header = |value: Value| refused(&json!({"secret_headers": {"x/y": value}}));
    assert_eq!(auth(json!("Bearer hunter2")), ["/target/auth"]);
    assert_eq!(auth(json!({"type": "hunter2"})), ["/target/auth/type"]);
    assert_eq!(auth(json!({"password": "hunter2"})), ["/target/auth/type"]);
    assert_eq!(auth(json!({"type": "bearer"})), ["/target/auth/token"]);
    assert_eq!(auth(json!({"type": "bearer", "token": "a\nhunter2"})), ["/target/auth/token"]);
    assert_eq!(auth(json!({"type": "bearer", "token": "hunter2 "})), ["/target/auth/token"]);
    assert_eq!(auth(json!({"type": "bearer", "token": ["hunter2"]})), ["/target/auth/token"]);
    let foreign = json!({"type": "bearer", "token": {"secret": Uuid::from_u128(1)}});
    assert_eq!(auth(foreign), ["/target/auth/token"]);
    let both =
        json!({"type": "basic", "username": 1, "password": {"hunter2": 1}, "token": "hunter2"});
    let places = ["/target/auth/username", "/target/auth/password", "/target/auth/token"];
    assert_eq!(auth(both), places);
    assert_eq!(refused(&json!({"secret_headers": ["hunter2"]})), ["/target/secret_headers"]);
    for value in [json!(""), json!(7), json!(true), json!({"secret": "hunter2"}), json!(null)] {
        assert_eq!(header(value), ["/target/secret_headers/x~1y"]);
    }
    assert_eq!(header(json!("h".repeat(4_097))), ["/target/secret_headers/x~1y"]);
    let clear = json!({"headers": {"Authorization": "Bearer hunter2"}});
    assert_eq!(refused(&clear), ["/target/headers/Authorization"]);
}

#[test]
fn what_is_kept_stays_with_its_monitor_and_its_origin() {
    let http = json!({"auth": {"type": "bearer", "token": PLANTED}});
    let before = body::read(with(&http)).unwrap().config;
    let reference = serde_json::to_value(before.target.secrets().next().unwrap()).unwrap();
    let again = |url: &str| {
        let auth = json!({"type": "bearer", "token": reference});
        let body = json!({"target": {"type": "http", "url": url, "auth": auth}});
        body::read_change(body, &before).map(|read| read.config)
    };
    assert_eq!(again("https://example.com/").unwrap(), before);
    assert!(again("https://example.com/elsewhere?on=it").is_ok());
    for elsewhere in ["https://example.org", "http://example.com", "https://example.com:8443"] {
        let problem = again(elsewhere).unwrap_err();
        assert_eq!((problem.status, &*problem.errors[0].pointer), (422, "/target/auth/token"));
    }
    // Nor does it become another monitor's.
    let stranger = body::read(with(&json!({}))).unwrap().config;
    let body = with(&json!({"secret_headers": {"x-token": reference}}));
    assert_eq!(body::read_change(body, &stranger).unwrap_err().status, 422);
}
