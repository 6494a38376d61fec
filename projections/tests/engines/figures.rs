//! Latency, the density of events, and the figures beside a list of monitors.

use chrono::Utc;
use serde_json::{Value, json};

use crate::cell::{Cell, at};

const WINDOW: &str = "from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00Z";

/// The fields of a bucket with checks.
fn figures(count: u64, milliseconds: [f64; 4]) -> [Value; 5] {
    let [p50, p95, p99, max] = milliseconds.map(|value| json!(value));
    [json!(count), p50, p95, p99, max]
}

/// Field by field, each of these.
fn fields(bucket: &Value, names: [&str; 5]) -> [Value; 5] {
    names.map(|name| bucket[name].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latencies_are_percentiles_of_successful_checks_by_step_and_phase() {
    let cell = Cell::start().await;
    let (reader, stranger) = (cell.reader().await, cell.reader().await);
    let monitor = reader.monitor(0, "shop", json!({})).await;
    // 1 to 100 ms in one quarter of an hour, in some order; connecting takes a tenth.
    for number in 0..100_u32 {
        let ms = (number * 37) % 100 + 1;
        let slot = 900 + i64::from(number);
        monitor.timed_check(slot, "eu", (ms * 1_000, ms * 100)).await;
    }
    monitor.check(910, "down").await;
    monitor.timed_check(2_000, "us", (7_500, 0)).await;
    cell.projected().await;

    let latency = reader.read(&monitor.path(&format!("/latency?{WINDOW}&step=15m"))).await;
    assert_eq!((&latency["step_seconds"], &latency["phase"]), (&json!(900), &json!("total")));
    let buckets = latency["buckets"].as_array().unwrap();
    let begins: Vec<&str> = buckets.iter().map(|one| &one["at"].as_str().unwrap()[11..]).collect();
    assert_eq!(begins, ["00:00:00Z", "00:15:00Z", "00:30:00Z", "00:45:00Z"]);
    let names = ["count", "p50_ms", "p95_ms", "p99_ms", "max_ms"];
    let nothing = [json!(0), Value::Null, Value::Null, Value::Null, Value::Null];
    assert_eq!(fields(&buckets[0], names), nothing);
    assert_eq!(fields(&buckets[1], names), figures(100, [51.0, 96.0, 100.0, 100.0]));
    assert_eq!(fields(&buckets[2], names), figures(1, [7.5, 7.5, 7.5, 7.5]));
    assert_eq!(latency["phases"]["total"], latency["buckets"]);
    let connect = &latency["phases"]["connect"];
    assert_eq!(fields(&connect[1], names), figures(100, [5.1, 9.6, 10.0, 10.0]));
    // A phase that was not there does not count.
    assert_eq!(connect[2]["count"], 0);
    assert_eq!(latency["phases"]["tls"][1]["count"], 0);

    let path = monitor.path(&format!("/latency?{WINDOW}&step=1h&phase=connect&region=eu"));
    let connect = reader.read(&path).await;
    assert_eq!((&connect["phase"], &connect["phases"]), (&json!("connect"), &json!({})));
    assert_eq!(connect["buckets"].as_array().unwrap().len(), 1);
    assert_eq!(connect["buckets"][0]["max_ms"], 10.0);
    for question in ["step=5", "step=1s", "phase=all", "window=1d", "limit=1"] {
        let path = monitor.path(&format!("/latency?{question}"));
        assert_eq!(reader.refusal(&path).await, (400, "bad_request".to_owned()), "{question}");
    }
    assert_eq!(stranger.refusal(&monitor.path("/latency")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_of_the_organizations_monitors_is_counted_where_it_was_recorded() {
    let cell = Cell::start().await;
    let (reader, stranger) = (cell.reader().await, cell.reader().await);
    let monitor = reader.monitor(0, "shop", json!({})).await;
    for slot in 1..=10 {
        monitor.check(slot * 60, if slot == 5 { "down" } else { "up" }).await;
    }
    monitor.went_down(1_799).await;
    monitor.recovered(1_799, 1_850).await;
    monitor.command(2_000, "MonitorPaused").await;
    stranger.monitor(0, "other", json!({})).await;
    cell.projected().await;
    let density = reader.read(&format!("/api/v1/events/density?{WINDOW}&step=30m")).await;
    let names = ["at", "count", "checks", "status_changes", "commands"];
    let buckets = &density["buckets"];
    let first = [json!("2026-01-01T00:00:00Z"), json!(11), json!(10), json!(0), json!(1)];
    assert_eq!(fields(&buckets[0], names), first, "{density}");
    let second = [json!("2026-01-01T00:30:00Z"), json!(3), json!(0), json!(2), json!(1)];
    assert_eq!(fields(&buckets[1], names), second, "{density}");
    let of_organization: i64 =
        sqlx::query_scalar("select count(*) from events where organization_id = $1")
            .bind(reader.organization_id)
            .fetch_one(&cell.store.read)
            .await
            .unwrap();
    let counted: i64 =
        buckets.as_array().unwrap().iter().map(|one| one["count"].as_i64().unwrap()).sum();
    assert_eq!(counted, of_organization);
    let other = stranger.read(&format!("/api/v1/events/density?{WINDOW}&step=1h")).await;
    assert_eq!(other["buckets"][0]["count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_has_the_figures_that_the_monitors_have_one_by_one() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let now = (Utc::now() - at(0)).num_seconds();
    let begin = now - 40 * 86_400;
    let shop = reader.monitor(begin, "shop", json!({})).await;
    let idle = reader.monitor(begin, "idle", json!({})).await;
    shop.check(begin + 60, "up").await;
    // An outage a month ago, and one that began more than a day ago and ended within it.
    shop.went_down(now - 20 * 86_400).await;
    shop.recovered(now - 20 * 86_400, now - 20 * 86_400 + 600).await;
    shop.went_down(now - 86_400 - 600).await;
    shop.recovered(now - 86_400 - 600, now - 86_400 + 900).await;
    for slot in 0..50 {
        shop.timed_check(now - 3_100 + slot * 60, "eu", (1_000 * (slot as u32 + 1), 1)).await;
    }
    cell.projected().await;

    let plain = reader.read("/api/v1/monitors").await;
    assert_eq!(plain["items"].as_array().unwrap().len(), 2);
    for field in ["uptime", "latency", "recent"] {
        assert_eq!(plain["items"][0][field], Value::Null, "{field}");
    }
    let listed = reader.read("/api/v1/monitors?include=uptime,latency,recent").await;
    let item = |id: uuid::Uuid| {
        let items = listed["items"].as_array().unwrap();
        items.iter().find(|item| item["id"] == json!(id)).unwrap()
    };
    for monitor in [&shop, &idle] {
        let uptime = &item(monitor.id)["uptime"];
        for window in ["24h", "30d", "90d"] {
            let alone = reader.read(&monitor.path(&format!("/uptime?window={window}"))).await;
            assert_eq!(uptime[window]["outages"], alone["outages"], "{window} {uptime}");
            // Both end now, which is not the same moment.
            for (field, accuracy) in [("uptime_ratio", 0.001), ("down_seconds", 60.0)] {
                let [listed, alone] = [&uptime[window], &alone].map(|of| of[field].as_f64());
                let difference = listed.unwrap_or_default() - alone.unwrap_or_default();
                assert!(difference.abs() < accuracy, "{window} {field} {uptime}");
                assert_eq!(listed.is_some(), alone.is_some(), "{window} {field} {uptime}");
            }
        }
        let alone = reader.read(&monitor.path("/uptime?window=90d&by=day")).await;
        let days = uptime["days"].as_array().unwrap();
        let alone = alone["buckets"].as_array().unwrap();
        let mut same = 0;
        for day in days {
            let Some(alone) = alone.iter().find(|alone| alone["from"] == day["from"]) else {
                continue;
            };
            assert_eq!(day["down_seconds"], alone["down_seconds"], "{day} {alone}");
            same += 1;
        }
        assert!(same >= 89, "{same}");
    }
    let uptime = &item(shop.id)["uptime"];
    assert_eq!((&uptime["24h"]["outages"], &uptime["30d"]["outages"]), (&json!(1), &json!(2)));
    assert_eq!(uptime["30d"]["down_seconds"], 2_100.0);
    let latency = &item(shop.id)["latency"];
    assert_eq!((&latency["count"], &latency["p50_ms"]), (&json!(50), &json!(26.0)), "{latency}");
    let recent = item(shop.id)["recent"].as_array().unwrap();
    assert_eq!(recent.len(), 40);
    assert_eq!((&recent[0]["total_ms"], &recent[39]["total_ms"]), (&json!(50.0), &json!(11.0)));
    assert_eq!((&recent[0]["outcome"], &recent[0]["region"]), (&json!("up"), &json!("eu")));
    let nothing = item(idle.id);
    assert_eq!((&nothing["recent"], &nothing["latency"]["count"]), (&json!([]), &json!(0)));
    assert_eq!(nothing["uptime"]["90d"]["uptime_percent"], Value::Null);
    assert_eq!(reader.refusal("/api/v1/monitors?include=everything").await.0, 400);
}
