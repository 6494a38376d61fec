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
            select gen_random_uuid() as id, payload, organization_id from events, generate_series(1, 600)
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
    assert_eq!((monitors.len(), ids.len()), (601, 601));
    assert_eq!((number(&all, "up_seconds"), number(&all, "down_seconds")), (60.0, 60.0));
    assert_eq!(number(&all, "unknown_seconds"), 601.0 * 180.0 - 120.0);
    assert_eq!((&all["checks_total"], &all["outages"]), (&json!(1), &json!(1)));
    assert_eq!(all["next_cursor"], Value::Null);

    // Listed page by page; the totals are those of all.
    let mut listed: Vec<String> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = reader.read(&format!("/api/v1/uptime?{window}&limit=350{cursor}")).await;
        assert_eq!(number(&page, "unknown_seconds"), number(&all, "unknown_seconds"));
        let ids = page["monitors"].as_array().unwrap().iter();
        listed.extend(ids.map(|one| one["monitor_id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    listed.sort_unstable();
    assert_eq!(listed, ids);
    let of_first = monitors.iter().find(|one| one["monitor_id"] == json!(first.id)).unwrap();
    assert_eq!((number(of_first, "down_seconds"), &of_first["name"]), (60.0, &json!("first")));
}

/// The values of a field of each bucket.
fn in_buckets<'a>(uptime: &'a Value, field: &str) -> Vec<&'a Value> {
    uptime["buckets"].as_array().unwrap().iter().map(|bucket| &bucket[field]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_are_days_or_hours_of_a_time_zone_and_add_up_to_the_window() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    // 2026-01-01T00:00:00Z is 05:30 in Kolkata.
    let monitor = reader.monitor(0, "shop", json!({})).await;
    for slot in 0..180 {
        monitor.check(slot * 60, if (30..60).contains(&slot) { "down" } else { "up" }).await;
        match slot {
            30 => monitor.went_down(1_800).await,
            60 => monitor.recovered(1_800, 3_600).await,
            _ => 0,
        };
    }
    cell.projected().await;
    let window = "from=2025-12-31T18:00:00Z&to=2026-01-01T03:00:00Z";
    let path = monitor.path(&format!("/uptime?{window}&by=day&tz=Asia/Kolkata"));
    let days = reader.read(&path).await;
    assert_eq!(in_buckets(&days, "from"), ["2025-12-31T18:00:00Z", "2025-12-31T18:30:00Z"]);
    assert_eq!(in_buckets(&days, "to"), ["2025-12-31T18:30:00Z", "2026-01-01T03:00:00Z"]);
    assert_eq!(in_buckets(&days, "uptime_percent"), [&Value::Null, &json!("83.333")]);

    let path = monitor.path(&format!("/uptime?{window}&by=hour&tz=Asia/Kolkata"));
    let hours = reader.read(&path).await;
    assert_eq!(in_buckets(&hours, "from").len(), 10, "{hours}");
    assert_eq!(hours["buckets"][6]["from"], "2025-12-31T23:30:00Z");
    let last_hours = |field| in_buckets(&hours, field).split_off(6);
    assert_eq!(last_hours("down_seconds"), [0.0, 1_800.0, 0.0, 0.0]);
    assert_eq!(last_hours("up_seconds"), [1_800.0, 1_800.0, 3_600.0, 1_800.0]);
    assert_eq!(last_hours("outages"), [0, 1, 0, 0]);
    assert_eq!(last_hours("checks_total"), [30, 60, 60, 30]);
    assert_eq!(last_hours("checks_up"), [30, 30, 60, 30]);
    // It was registered half an hour after the first of these began.
    assert_eq!(last_hours("coverage"), [0.5, 1.0, 1.0, 1.0]);
    let fields = [
        "up_seconds",
        "down_seconds",
        "paused_seconds",
        "excluded_seconds",
        "unknown_seconds",
        "checks_expected",
        "checks_missed",
        "checks_total",
        "checks_up",
        "outages",
    ];
    for (buckets, whole) in [(&days, &days), (&hours, &days), (&hours, &hours)] {
        for field in fields {
            let sum: f64 = in_buckets(buckets, field).into_iter().filter_map(Value::as_f64).sum();
            assert_eq!(sum, number(whole, field), "{field}");
        }
    }
    assert_eq!(
        (&hours["mttr_seconds"], &hours["mtbf_seconds"]),
        (&json!(1_800.0), &json!(9_000.0))
    );
    assert!(number(&hours, "checks_expected") > 170.0, "{hours}");

    // Of a region the checks alone are known.
    let path = monitor.path(&format!("/uptime?{window}&by=day&region=default"));
    let region = reader.read(&path).await;
    assert_eq!((&region["up_seconds"], &region["outages"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&region["uptime_percent"], &region["checks_total"]),
        (&json!("83.333"), &json!(180))
    );
    assert_eq!(region["checks_expected"], days["checks_expected"]);
    let path = monitor.path(&format!("/uptime?{window}&region=mars"));
    let elsewhere = reader.read(&path).await;
    assert_eq!((&elsewhere["checks_total"], &elsewhere["checks_expected"]), (&json!(0), &json!(0)));

    for question in
        ["by=week", "tz=UTC", "by=day&tz=Mars/Phobos", "window=365d&by=hour", "region=A%20B"]
    {
        let path = monitor.path(&format!("/uptime?{question}"));
        assert_eq!(reader.refusal(&path).await, (400, "bad_request".to_owned()), "{question}");
    }

    // As it was known during the outage, at the position that the log had reached.
    let path = monitor.path(&format!("/uptime?{window}&as_of=2026-01-01T00:40:30Z"));
    let as_of = reader.read(&path).await;
    assert_eq!((number(&as_of, "up_seconds"), number(&as_of, "down_seconds")), (1_800.0, 630.0));
    let position = number(&as_of, "position") as i64;
    let recorded: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select max(recorded_at) from events where position <= $1")
            .bind(position)
            .fetch_one(&cell.store.read)
            .await
            .unwrap();
    assert_eq!(recorded, at(2_401));
    assert!(number(&hours, "position") as i64 > position);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_are_listed_newest_first_page_by_page() {
    let cell = Cell::start().await;
    let (reader, stranger) = (cell.reader().await, cell.reader().await);
    let shop = reader.monitor(0, "shop", json!({"team": "web"})).await;
    let other = reader.monitor(0, "other", json!({})).await;
    for outage in 0..5 {
        let since = 100 + outage * 1_000;
        shop.check(since - 60, "up").await;
        shop.went_down(since).await;
        shop.recovered(since, since + 40).await;
    }
    other.check(60, "up").await;
    other.went_down(2_500).await;
    cell.projected().await;

    let window = "from=2026-01-01T00:00:00Z&to=2026-01-01T02:00:00Z";
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = reader.read(&format!("/api/v1/outages?{window}&limit=2{cursor}")).await;
        let items = page["items"].as_array().unwrap();
        assert!((1..=2).contains(&items.len()), "{page}");
        found.extend(items.iter().map(|item| {
            let name = item["monitor_name"].as_str().unwrap().to_owned();
            (name, item["started_at"].as_str().unwrap()[11..19].to_owned())
        }));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected = [
        ("shop", "01:08:20"),
        ("shop", "00:51:40"),
        ("other", "00:41:40"),
        ("shop", "00:35:00"),
        ("shop", "00:18:20"),
        ("shop", "00:01:40"),
    ];
    let expected = expected.map(|(name, time)| (name.to_owned(), time.to_owned()));
    assert_eq!(found, expected);

    let page = reader.read(&shop.path(&format!("/outages?{window}"))).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 5);
    assert_eq!(page["items"][0]["duration_seconds"], 40.0);
    assert_eq!(page["items"][0]["cause"], "connect_refused");
    assert_eq!(page["items"][0]["ended_at"], "2026-01-01T01:09:00Z");
    assert_eq!(page["mttr_seconds"], 40.0);
    let tagged = reader.read(&format!("/api/v1/outages?{window}&tag=team:web")).await;
    assert_eq!(tagged["items"].as_array().unwrap().len(), 5);
    // One that began before the window and ended after it is whole.
    let inside = "/outages?from=2026-01-01T00:01:50Z&to=2026-01-01T00:02:00Z";
    let page = reader.read(&shop.path(inside)).await;
    assert_eq!(page["items"][0]["started_at"], "2026-01-01T00:01:40Z", "{page}");
    assert_eq!(page["items"][0]["ended_at"], "2026-01-01T00:02:20Z");
    assert_eq!(page["mttr_seconds"], 10.0);
    let goes_on = reader.read(&other.path(&format!("/outages?{window}"))).await;
    assert_eq!(goes_on["items"][0]["ended_at"], Value::Null);
    assert!(number(&goes_on["items"][0], "duration_seconds") > 4_700.0);

    assert_eq!(stranger.read(&format!("/api/v1/outages?{window}")).await["items"], json!([]));
    assert_eq!(stranger.refusal(&shop.path("/outages")).await.0, 404);
    assert_eq!(reader.refusal("/api/v1/outages?cursor=x").await.0, 400);
    assert_eq!(reader.refusal(&shop.path("/outages?tag=a")).await.0, 400);
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
