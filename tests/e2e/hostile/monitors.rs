//! The monitors of the hostile tenant.

use std::net::Ipv4Addr;

use pulsetrail_harness::Behaviour;
use serde_json::{Value, json};

use super::{Hostile, SHARED_HOST, Size};

/// Hanging monitors at the host that is the victim's too; the others are elsewhere.
const HANGING_AT_SHARED_HOST: usize = 30;
/// Monitors of each kind that is costly by itself.
const COSTLY: usize = 4;

/// What the registered monitors are counted as.
const REGISTERED: &str = "monitors";

/// Registers all of them. What is refused is refused: it does no harm any more.
pub(super) async fn register(hostile: &Hostile, size: Size) {
    let target = &hostile.target;
    let hanging = |number: usize| {
        let host = if number < HANGING_AT_SHARED_HOST { SHARED_HOST } else { elsewhere(number) };
        // It holds its place in the prober nearly all the time.
        monitor(json!({"type": "http", "url": target.url(host, Behaviour::Hang)}), 20, 19_000)
    };
    let slow = |number: usize| {
        let url = target.url(elsewhere(number), Behaviour::Slow(800));
        monitor(json!({"type": "http", "url": url}), 1, 900)
    };
    let every_second = |number: usize| {
        let url = target.url(elsewhere(number), Behaviour::Answer);
        monitor(json!({"type": "http", "url": url}), 1, 900)
    };
    let mut monitors: Vec<Value> = (0..size.hanging).map(hanging).collect();
    monitors.extend((0..size.slow).map(slow));
    for number in 0..COSTLY {
        monitors.extend(costly(hostile, elsewhere(number)));
    }
    monitors.extend((0..size.every_second).map(every_second));
    for some in monitors.chunks(500) {
        let operations: Vec<Value> =
            some.iter().map(|one| json!({"action": "register", "monitor": one})).collect();
        let body = json!({ "operations": operations });
        let answer = hostile.user.post("/api/v1/monitors/bulk", &body).await;
        assert!(answer.status.is_success(), "{}: {}", answer.status, answer.body);
        let registered = answer.body["succeeded"].as_u64().unwrap();
        (0..registered).for_each(|_| hostile.note(REGISTERED));
    }
}

/// Monitors whose checks take much of the prober by themselves.
fn costly(hostile: &Hostile, host: Ipv4Addr) -> Vec<Value> {
    let http = |behaviour: Behaviour, assertions: Value| {
        let url = hostile.target.url(host, behaviour);
        let target = json!({"type": "http", "url": url, "assertions": assertions});
        monitor(target, 5, 4_000)
    };
    let json_path = |path: &str, operator: &str, value: Value| json!([{"type": "json_path", "path": path, "operator": operator, "value": value}]);
    let pattern =
        |pattern: &str| json!([{"type": "body", "operator": "matches", "value": pattern}]);
    vec![
        http(Behaviour::Drip, json!([])),
        http(Behaviour::Bomb, json!([])),
        // Cubic in the length of the array.
        http(
            Behaviour::LargeJson,
            json_path("$[?count($[?count($[*])>0])>0]", "exists", json!(null)),
        ),
        http(Behaviour::LargeJson, json_path("$..[?@..*]", "exists", json!(null))),
        // A pattern that takes memory and time to compile, for 2,000 nodes.
        http(Behaviour::Texts, json_path("$[*]", "matches", json!(r"(\w{1,20}\d){1,8}z"))),
        http(Behaviour::LargeJson, pattern(r"(?:[0,]{1,30}1?){1,30}z")),
        monitor(json!({"type": "tls", "host": host, "port": hostile.target.port()}), 5, 4_000),
        monitor(json!({"type": "tcp", "host": host, "port": hostile.target.port()}), 1, 900),
    ]
}

fn monitor(target: Value, interval_seconds: u32, timeout_ms: u32) -> Value {
    json!({ "target": target, "interval_seconds": interval_seconds, "timeout_ms": timeout_ms })
}

/// One of a thousand hosts that are not the victim's.
fn elsewhere(number: usize) -> Ipv4Addr {
    let byte = |number: usize| u8::try_from(number % 250 + 1).unwrap();
    Ipv4Addr::new(127, 1, byte(number / 250), byte(number))
}
