//! What callers read.

use serde_json::{Value, json};

use crate::cell::{Cell, Reader, at};

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_else(|| panic!("no {field} in {value}"))
}

async fn names(reader: &Reader<'_>, query: &str) -> Vec<String> {
    let page = reader.read(&format!("/api/v1/monitors?{query}")).await;
    let items = page["items"].as_array().unwrap().iter();
    let mut names: Vec<String> =
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uptime_follows_from_the_log_to_the_second_also_as_it_was_known_before() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "shop", json!({"team": "web"})).await;
    monitor.check(60, "up").await;
    monitor.check(120, "down").await;
    monitor.went_down(120).await;
    monitor.check(240, "up").await;
    monitor.recovered(120, 240).await;
    monitor.check(300, "blocked").await;
    monitor.command(600, "MonitorPaused").await;
    monitor.command(1_200, "MonitorResumed").await;
    let resumed = json!({"at": at(1_260), "monitor_version": 3});
    monitor.append(1_261, "health", "ObservationResumed", resumed).await;
    monitor.check(1_260, "up").await;
    cell.projected().await;

    let window = |from: i64, to: i64| {
        let text = |seconds| at(seconds).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        format!("from={}&to={}", text(from), text(to))
    };
    let path = monitor.path(&format!("/uptime?{}", window(-60, 1_800)));
    let uptime = reader.read(&path).await;
    assert_eq!(number(&uptime, "up_seconds"), 960.0, "{uptime}");
    assert_eq!(number(&uptime, "down_seconds"), 120.0);
    assert_eq!(number(&uptime, "paused_seconds"), 600.0);
    assert_eq!(number(&uptime, "unknown_seconds"), 180.0);
    assert_eq!(number(&uptime, "excluded_seconds"), 0.0);
    assert!((number(&uptime, "uptime_ratio") - 960.0 / 1_080.0).abs() < 1e-12);
    assert_eq!(
        (&uptime["checks_total"], &uptime["checks_up"], &uptime["outages"]),
        (&json!(4), &json!(3), &json!(1))
    );

    // Within the outage, before anything was known, and as it was known during the outage.
    let inside = reader.read(&monitor.path(&format!("/uptime?{}", window(130, 200)))).await;
    assert_eq!((number(&inside, "down_seconds"), &inside["outages"]), (70.0, &json!(1)));
    let before = reader.read(&monitor.path(&format!("/uptime?{}", window(-600, -60)))).await;
    assert_eq!(
        (number(&before, "unknown_seconds"), &before["uptime_ratio"]),
        (540.0, &Value::Null)
    );
    let as_of = format!("{path}&as_of=2026-01-01T00:03:00Z");
    let as_of = reader.read(&as_of).await;
    assert_eq!((number(&as_of, "up_seconds"), number(&as_of, "down_seconds")), (60.0, 60.0));
    assert_eq!(as_of["to"], "2026-01-01T00:03:00Z");
    assert_eq!(as_of["checks_total"], 2);

    let all = reader.read(&format!("/api/v1/uptime?tag=team:web&{}", window(-60, 1_800))).await;
    assert_eq!(number(&all, "up_seconds"), 960.0, "{all}");
    assert_eq!(all["monitors"][0]["name"], "shop");
    assert_eq!(all["monitors"][0]["down_seconds"], 120.0);
    let none = reader.read("/api/v1/uptime?tag=team:other").await;
    assert_eq!((&none["uptime_ratio"], &none["monitors"]), (&Value::Null, &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_uptime_of_more_monitors_than_are_read_at_a_time_is_whole() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let first = reader.monitor(0, "first", json!({})).await;
    sqlx::query(
        "with copies as (
            select gen_random_uuid() as id, payload, organization_id from events, generate_series(1, 1100)
            where event_type = 'MonitorRegistered' and organization_id = $1)
         insert into events (aggregate_type, aggregate_id, sequence, organization_id, event_type,
                             event_version, payload, metadata, recorded_at)
         select 'monitor', id::text, 1, organization_id, 'MonitorRegistered', '1.0',
                jsonb_set(payload::jsonb, '{monitor_id}', to_jsonb(id)), '{}', $2
         from copies",
    )
    .bind(reader.organization_id)
    .bind(at(0))
    .execute(&cell.store.write)
    .await
    .unwrap();
    first.check(60, "up").await;
    first.went_down(120).await;
    cell.projected().await;
    let window = "from=2026-01-01T00:00:00Z&to=2026-01-01T00:03:00Z";
    let all = reader.read(&format!("/api/v1/uptime?{window}")).await;
    let monitors = all["monitors"].as_array().unwrap();
    let mut ids: Vec<&str> =
        monitors.iter().map(|one| one["monitor_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((monitors.len(), ids.len()), (1_101, 1_101));
    assert_eq!((number(&all, "up_seconds"), number(&all, "down_seconds")), (60.0, 60.0));
    assert_eq!(number(&all, "unknown_seconds"), 1_101.0 * 180.0 - 120.0);
    assert_eq!((&all["checks_total"], &all["outages"]), (&json!(1), &json!(1)));
    let of_first = monitors.iter().find(|one| one["monitor_id"] == json!(first.id)).unwrap();
    assert_eq!((number(of_first, "down_seconds"), &of_first["name"]), (60.0, &json!("first")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_are_listed_newest_first_page_by_page() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "shop", json!({})).await;
    for slot in 1..=7 {
        monitor.check(slot * 60, if slot == 4 { "down" } else { "up" }).await;
    }
    // A second check of the same moment, from elsewhere.
    monitor.check(240, "up").await;
    cell.projected().await;

    let mut slots = Vec::new();
    let mut query = "limit=3".to_owned();
    loop {
        let page = reader.read(&monitor.path(&format!("/checks?{query}"))).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        slots.extend(
            items.iter().map(|item| item["scheduled_at"].as_str().unwrap()[14..16].to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(slots, ["07", "06", "05", "04", "04", "03", "02", "01"]);
    let range = "/checks?from=2026-01-01T00:03:00Z&to=2026-01-01T00:05:00Z";
    let page = reader.read(&monitor.path(range)).await;
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 3, "{page}");
    let down = items.iter().find(|item| item["outcome"] == "down").unwrap();
    assert_eq!(down["failure"]["cause"], "connect_refused");
    assert_eq!(down["timings_us"]["first_byte"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_both_aggregates_come_in_the_order_of_the_log() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "shop", json!({})).await;
    let other = reader.monitor(0, "other", json!({})).await;
    let mut positions = Vec::new();
    for round in 0..20 {
        positions.push(monitor.check(round * 60, "up").await);
        other.check(round * 60, "up").await;
        if round % 5 == 0 {
            positions.push(monitor.command(round * 60, "MonitorPaused").await);
        }
    }
    cell.projected().await;
    for after in 0..positions.len() {
        let expected = &positions[after..];
        let before = if after == 0 { positions[0] - 1 } else { positions[after - 1] };
        let path = monitor.path(&format!("/events?after={before}"));
        let page = reader.read(&path).await;
        let found: Vec<i64> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["position"].as_i64().unwrap())
            .collect();
        assert_eq!(found, expected);
        assert_eq!(page["next_cursor"], Value::Null);
    }
    let first = reader.read(&monitor.path("/events?limit=2")).await;
    assert_eq!(first["items"][0]["event_type"], "MonitorRegistered");
    assert_eq!(first["items"][0]["sequence"], 1);
    assert_eq!(first["items"][0]["metadata"], json!({}));
    assert_eq!(first["next_cursor"], first["items"][1]["position"].to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_are_found_by_status_text_and_tag_and_only_ones_own() {
    let cell = Cell::start().await;
    let (reader, stranger) = (cell.reader().await, cell.reader().await);
    let shop = reader.monitor(0, "shop", json!({"team": "web", "a:b": "c"})).await;
    let paused = reader.monitor(1, "paused-shop", json!({"team": "api"})).await;
    let gone = reader.monitor(2, "gone", json!({})).await;
    paused.command(5, "MonitorPaused").await;
    gone.command(5, "MonitorArchived").await;
    cell.projected().await;
    pulsetrail_harness::eventually("the views know the pause and the archiving", async || {
        (names(&reader, "").await == ["paused-shop", "shop"]
            && names(&reader, "status=paused").await == ["paused-shop"])
        .then_some(())
    })
    .await;
    assert_eq!(names(&reader, "status=pending").await, ["shop"]);
    assert_eq!(names(&reader, "q=SHOP").await, ["paused-shop", "shop"]);
    assert_eq!(names(&reader, "q=paused-shop.example").await, ["paused-shop"]);
    assert!(names(&reader, "q=%25").await.is_empty());
    assert_eq!(names(&reader, "tag=team").await, ["paused-shop", "shop"]);
    assert_eq!(names(&reader, "tag=team:web").await, ["shop"]);
    assert_eq!(names(&reader, "tag=a:b").await, ["shop"]);
    let first = reader.read("/api/v1/monitors?limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = reader.read(&format!("/api/v1/monitors?limit=1&cursor={cursor}")).await;
    assert_ne!(first["items"][0]["id"], second["items"][0]["id"]);
    assert_eq!(second["next_cursor"], Value::Null);

    let (status, etag, body) = reader.get(&paused.path("")).await;
    assert_eq!((status, etag.as_str()), (200, "\"2\""), "{body}");
    assert_eq!(reader.read(&format!("/api/websites/{}", shop.id)).await["name"], "shop");
    assert!(names(&stranger, "").await.is_empty());
    for rest in ["", "/checks", "/uptime", "/events"] {
        let refusal = stranger.refusal(&shop.path(rest)).await;
        assert_eq!(refusal, (404, "not_found".to_owned()), "{rest}");
        let refusal = reader.refusal(&shop.path(&format!("{rest}?limt=1"))).await;
        assert_eq!(refusal, (400, "bad_request".to_owned()), "{rest}");
    }
    assert_eq!(reader.refusal("/api/v1/monitors/no-id").await.0, 404);
    assert_eq!(reader.refusal("/api/v1/monitors?status=broken").await.0, 400);
    assert_eq!(reader.refusal("/api/v1/monitors?cursor=x").await.0, 400);
    assert_eq!(reader.refusal(&shop.path("/uptime?window=2h")).await.0, 400);
    // The history of an archived monitor stays.
    assert_eq!(reader.refusal(&gone.path("")).await.0, 404);
    assert_eq!(reader.read(&gone.path("/events")).await["items"].as_array().unwrap().len(), 2);
}
