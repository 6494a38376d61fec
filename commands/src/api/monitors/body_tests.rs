use pulsetrail_domain::monitor::HttpMethod;
use serde_json::json;

use super::*;

fn refused(body: Value) -> Vec<String> {
    let problem = read(body).unwrap_err();
    assert_eq!((problem.status, problem.code), (422, "validation_failed"));
    problem.errors.into_iter().map(|fault| fault.pointer).collect()
}

#[test]
fn a_url_alone_is_enough() {
    let read = read(json!({"url": "https://Example.com"})).unwrap();
    let config = read.config;
    assert_eq!(config.name, "example.com");
    assert_eq!(config.target.summary(), "https://example.com/");
    assert_eq!((config.interval_seconds, config.timeout_ms), (60, 10_000));
    assert_eq!((config.confirmations, config.quorum), (1, None));
    assert_eq!(config.retries, Retries::default());
    assert_eq!(config.regions, [Region::default()]);
    assert!(config.tags.is_empty());
    assert_eq!(read.url_pointer, "/url");
}

#[test]
fn the_default_name_tells_two_ports_of_a_host_apart() {
    let name = |url: &str| read(json!({"url": url})).unwrap().config.name;
    assert_eq!(name("http://example.com:8080/a"), "example.com:8080");
    assert_eq!(name("https://example.com:443"), "example.com");
    assert_eq!(name("http://[2001:db8::1]/"), "[2001:db8::1]");
    assert_eq!(name(&format!("http://{}/", "abcdefgh.".repeat(25))).chars().count(), 200);
}

#[test]
fn the_full_body_says_everything() {
    let body = json!({
        "name": " api ",
        "target": {
            "type": "http", "url": "https://example.com/health", "method": "POST",
            "headers": {"accept": "text/plain"}, "body": "ping", "follow_redirects": false,
            "max_redirects": 0, "verify_tls": false, "expected_status": ["204", "3xx"],
        },
        "interval_seconds": 30, "timeout_ms": 2_000,
        "retries": {"max_attempts": 3},
        "confirmations": 2, "regions": ["eu", "us"], "quorum": 2, "tags": {"team": "a"},
    });
    let read = read(body).unwrap();
    assert_eq!(read.url_pointer, "/target/url");
    let config = read.config;
    assert_eq!(config.name, "api");
    assert_eq!(config.retries, Retries { max_attempts: 3, ..Retries::default() });
    assert_eq!((config.regions.len(), config.quorum), (2, Some(2)));
    let Target::Http(http) = config.target else { panic!("another kind") };
    assert_eq!((http.method, http.body.as_deref()), (HttpMethod::Post, Some("ping")));
    assert!(!http.follow_redirects && !http.verify_tls);
    assert_eq!((http.max_redirects, http.expected_status.len()), (0, 2));
}

#[test]
fn a_short_interval_shortens_the_default_timeout() {
    let config = read(json!({"url": "http://example.com", "interval_seconds": 2})).unwrap();
    assert_eq!(config.config.timeout_ms, 2_000);
    let long = json!({"url": "http://example.com", "interval_seconds": 2, "timeout_ms": 2_001});
    assert_eq!(refused(long), ["/timeout_ms"]);
}

#[test]
fn a_target_is_given_once() {
    let target = json!({"type": "http", "url": "http://example.com"});
    assert_eq!(refused(json!({"url": "http://example.com", "target": target})), ["/url"]);
    assert_eq!(refused(json!({})), ["/url"]);
    assert_eq!(refused(json!({"url": null})), ["/url"]);
    assert_eq!(refused(json!({"target": {"type": "http"}})), ["/target/url"]);
    assert_eq!(refused(json!({"target": {"url": "http://example.com"}})), ["/target/type"]);
    assert_eq!(refused(json!({"target": {"type": "gopher"}})), ["/target/type"]);
    assert_eq!(refused(json!({"target": "http://example.com"})), ["/target"]);
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let body = json!({
        "name": "", "interval_seconds": "60", "confirmations": 0, "regions": ["default", "E U"],
        "retries": {"max_attempts": 11, "attempts": 1}, "tags": {"a": 1}, "surprise": true,
        "target": {
            "type": "http", "url": "ftp://example.com", "method": "BREW",
            "expected_status": ["2xx", "0xx"], "headers": {"accept": 7}, "cookie": "x",
        },
    });
    let mut pointers = refused(body);
    pointers.sort();
    let expected = [
        "/confirmations",
        "/interval_seconds",
        "/name",
        "/regions/1",
        "/retries/attempts",
        "/surprise",
        "/tags/a",
        "/target/cookie",
        "/target/expected_status/1",
        "/target/headers/accept",
        "/target/method",
        "/target/url",
    ];
    assert_eq!(pointers, expected);
}

#[test]
fn what_is_no_object_is_refused() {
    for body in [json!(null), json!([]), json!("http://example.com")] {
        assert_eq!(refused(body), [""]);
    }
}

#[test]
fn bodies_of_one_request_share_what_their_patterns_may_cost() {
    let monitor = |number: usize| {
        let assertions: Vec<_> = (0..20)
            .map(|index| {
                let pattern = format!(r"\w{{19}}{number}-{index}");
                json!({"type": "body", "operator": "matches", "value": pattern})
            })
            .collect();
        let url = "https://example.com";
        json!({"target": {"type": "http", "url": url, "assertions": assertions}})
    };
    let mut patterns = PatternBudget::default();
    let refused = |patterns: &mut PatternBudget, number| {
        let faults = read_within(monitor(number), patterns).unwrap_err().errors;
        faults.iter().filter(|fault| fault.detail.contains("together")).count()
    };
    // Five of these patterns are within the budget; no other is compiled, however many there are.
    assert_eq!(refused(&mut patterns, 0), 15);
    for number in 1..100 {
        assert_eq!(refused(&mut patterns, number), 20);
    }
    // Positive control: another request has a budget of its own.
    assert_eq!(refused(&mut PatternBudget::default(), 1), 15);
}
