//! What the hostile tenant asks of the HTTP interface, over and over.

use std::time::Duration;

use pulsetrail_harness::{Corner, within};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Hostile, Size};
use crate::faults::SETTLING;
use crate::recording::{Results, result_of};

/// What is done, and counted.
pub(super) const KINDS: [&str; 10] = [
    "deep JSON paths",
    "bulk with large patterns",
    "huge methods",
    "refused URLs",
    "pauses and resumptions",
    "checks that are waited for",
    "uptime of everything",
    "retries of a dead letter",
    "connections that are not read",
    "feeds that are not read",
];

const MONITORS: &str = "/api/v1/monitors";

/// Sends a request, whatever becomes of it; none if no answer comes.
async fn send(request: RequestBuilder) -> Option<(u16, Value)> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    if status == 429 || status == 503 {
        // As a client that wants to be let in again as soon as it may.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let text = answer.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or_default()))
}

/// Sends a request. Returns whether the answer is one that only a request gets that was worked on.
async fn reaches(request: RequestBuilder, statuses: &[u16]) -> bool {
    send(request).await.is_some_and(|(status, _)| statuses.contains(&status))
}

/// Starts everything but the retries.
pub(super) fn start(hostile: &Hostile, size: Size) {
    for _ in 0..size.loops {
        hostile.repeat(KINDS[0], deep_json_path);
        hostile.repeat(KINDS[1], bulk_with_patterns);
        hostile.repeat(KINDS[2], huge_method);
        hostile.repeat(KINDS[3], refused_url);
        hostile.repeat(KINDS[4], pause_and_resume);
        hostile.repeat(KINDS[5], check_and_wait);
        hostile.repeat(KINDS[6], uptime);
    }
}

async fn deep_json_path(hostile: Hostile, number: u64) -> bool {
    let path = match number % 2 {
        0 => format!("${}", "[?@".repeat(340)),
        _ => format!("${}{}", "[?@".repeat(20), "]".repeat(20)),
    };
    let assertion = json!({"type": "json_path", "path": path, "operator": "exists"});
    let target = json!({"type": "http", "url": "https://example.com", "assertions": [assertion]});
    let request = hostile.user.request(Method::POST, MONITORS);
    reaches(request.json(&json!({ "target": target })), &[422]).await
}

async fn bulk_with_patterns(hostile: Hostile, number: u64) -> bool {
    let operation = |index: u64| {
        // Another pattern each time: nothing that was compiled before is of use.
        let pattern = format!(r"(\w{{1,20}}{number}x{index}){{1,20}}z");
        let assertion = json!({"type": "body", "operator": "matches", "value": pattern});
        let assertions = vec![assertion; 20];
        // The URL is refused, so that no monitor is made.
        let target = json!({"type": "http", "url": "ftp://example.com", "assertions": assertions});
        json!({"action": "register", "monitor": {"target": target}})
    };
    let operations: Vec<Value> = (0..100).map(operation).collect();
    let request = hostile.user.request(Method::POST, &format!("{MONITORS}/bulk"));
    reaches(request.json(&json!({ "operations": operations })), &[200]).await
}

async fn huge_method(hostile: Hostile, number: u64) -> bool {
    let letters = format!("{number}{}", "M".repeat(60_000));
    let method = Method::from_bytes(letters.as_bytes()).unwrap();
    send(hostile.user.request(method, "/healthz")).await.is_some()
}

async fn refused_url(hostile: Hostile, number: u64) -> bool {
    let url = format!("http://169.254.169.254/{number}");
    let request = hostile.user.request(Method::POST, MONITORS);
    reaches(request.json(&json!({ "url": url })), &[422]).await
}

async fn pause_and_resume(hostile: Hostile, number: u64) -> bool {
    let Some(monitor) = own_monitor(&hostile, number).await else { return false };
    let mut is_done = true;
    for command in ["pause", "resume"] {
        let path = format!("{MONITORS}/{monitor}/{command}");
        let request = hostile.user.request(Method::POST, &path);
        is_done &= reaches(request.json(&json!({})), &[200]).await;
    }
    is_done
}

async fn check_and_wait(hostile: Hostile, number: u64) -> bool {
    let Some(monitor) = own_monitor(&hostile, number).await else { return false };
    let wait = if number.is_multiple_of(10) { "99999999999999999s" } else { "2s" };
    let path = format!("{MONITORS}/{monitor}/check?wait={wait}");
    reaches(hostile.user.request(Method::POST, &path).json(&json!({})), &[200, 202]).await
}

async fn uptime(hostile: Hostile, _number: u64) -> bool {
    reaches(hostile.user.request(Method::GET, "/api/v1/uptime?window=90d"), &[200]).await
}

/// One of the tenant's monitors.
async fn own_monitor(hostile: &Hostile, number: u64) -> Option<String> {
    let path = format!("{MONITORS}?limit=100");
    let (_, listed) = send(hostile.user.request(Method::GET, &path)).await?;
    let items = listed["items"].as_array()?;
    let chosen = items.get(usize::try_from(number).ok()? % items.len().max(1))?;
    chosen["id"].as_str().map(str::to_owned)
}

/// Sets a message of the tenant's aside, as a prober of another version would, and retries it for ever.
pub(super) async fn retry_dead_letters(hostile: &Hostile, corner: &Corner) {
    let organization = hostile.user.organization.parse().unwrap();
    let monitor = own_monitor(hostile, 0).await.expect("a monitor").parse().unwrap();
    let mut malformed = serde_json::to_value(result_of(monitor, organization, 0)).unwrap();
    malformed["surprise"] = json!(1);
    Results::of(corner).send(&monitor.to_string(), malformed.to_string().as_bytes()).await;
    let letter = within(SETTLING, "the message is set aside", async || {
        let (_, letters) = send(hostile.user.request(Method::GET, "/api/v1/dead-letters")).await?;
        letters["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    hostile.repeat(KINDS[7], move |hostile, _| {
        let path = format!("/api/v1/dead-letters/{letter}/retry");
        async move {
            let request = hostile.user.request(Method::POST, &path);
            reaches(request.json(&json!({})), &[202]).await
        }
    });
}
