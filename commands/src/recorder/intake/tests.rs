use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

/// A result that has every text there can be.
fn full() -> Value {
    json!({
        "monitor_id": "00000000-0000-0000-0000-000000000007",
        "organization_id": "00000000-0000-0000-0000-000000000008",
        "result": {
            "check_id": "00000000-0000-7000-8000-000000000009",
            "region": "default",
            "scheduled_at": "2027-01-15T08:00:00Z",
            "started_at": "2027-01-15T08:00:00Z",
            "outcome": "down",
            "http_status": 500,
            "failure": {"cause": "assertion_failed", "detail": "text"},
            "timings_us": {"dns": 1, "connect": 1, "tls": 1, "first_byte": 1, "total": 4},
            "attempts": 2,
            "config_version": 1,
            "valid_for_ms": 1_000,
            "findings": {
                "http_version": "2",
                "certificate": {
                    "expires_at": "2027-01-15T08:00:00Z", "days_left": 1, "subject": "text",
                    "issuer": "text", "chain_length": 2,
                },
                "warnings": [{"code": "certificate_expires_soon", "detail": "text"}],
                "answers": ["text"],
                "assertion": {"index": 0, "expected": "text", "got": "text"},
                "attempts": [{
                    "after_ms": 0, "took_ms": 1, "outcome": "down", "http_status": 500,
                    "cause": "assertion_failed",
                }],
            },
        },
        "refusal": {"url": "text", "address": "text", "range": "text"},
    })
}

/// Where a value has texts, as JSON pointers.
fn texts(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::String(_) => vec![at.to_owned()],
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(place, item)| texts(item, &format!("{at}/{place}")))
            .collect(),
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, field)| texts(field, &format!("{at}/{name}"))).collect()
        }
        _ => Vec::new(),
    }
}

fn taken_in(json: String) -> Intake {
    let (topic, none) = ("results".to_owned(), rdkafka::Timestamp::NotAvailable);
    let payload = Some(json.into_bytes());
    Intake::from_message(&OwnedMessage::new(payload, None, topic, none, 0, 0, None))
}

/// Whatever stands in it, a text that a target can influence does not keep its result from being recorded.
#[test]
fn no_text_keeps_a_result_from_being_taken_in() {
    assert!(matches!(taken_in(full().to_string()), Intake::Received(_)));
    let free: BTreeSet<String> = texts(&full(), "")
        .into_iter()
        .filter(|place| full().pointer(place) == Some(&json!("text")))
        .collect();
    assert_eq!(free.len(), 10, "{free:?}");
    for (written, shown) in [("a\\u0000b", "a\\000b"), ("a\\ud800b", "a\\ud800b")] {
        let mut cleaned = BTreeSet::new();
        for place in texts(&full(), "") {
            let mut message = full();
            *message.pointer_mut(&place).unwrap() = json!("@");
            let json = message.to_string().replace("\"@\"", &format!("\"{written}\""));
            let Intake::Received(received) = taken_in(json) else { continue };
            let taken = serde_json::to_value(received.result().unwrap()).unwrap();
            assert_eq!(taken.pointer(&place), Some(&json!(shown)), "{place}");
            cleaned.insert(place);
        }
        // Ids, times and codes are not texts: another value of them is malformed.
        assert_eq!(cleaned, free);
    }
}
