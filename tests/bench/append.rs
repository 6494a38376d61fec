//! `append_batch`, `append_vs_postgres_es` and `bytes_per_check_hot`: storing events.

use std::time::Instant;

use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use postgres_es::PostgresEventRepository;
use pulsetrail_domain::Position;
use pulsetrail_domain::health::Health;
use pulsetrail_infra::store::{Append, Store, append_batch_after};
use uuid::Uuid;

use crate::fixture::{ORGANIZATION, append, checks, empty_store, monitors};
use crate::table::{Row, Table};

const AGGREGATES: usize = 500;
const BATCHES: i64 = 200;

/// Batches of 500 aggregates, as the recorder appends them, beside one raw multi-row insert of the same
/// rows. The two take turns, each in a database of its own, and the medians count.
pub(crate) async fn batches(table: &mut Table) {
    let monitors = monitors(AGGREGATES);
    let ((_corner, ours), (_other_corner, theirs)) = (empty_store().await, empty_store().await);
    let (mut appended, mut raw) = (Vec::new(), Vec::new());
    let mut known_through = Position::START;
    for round in 0..BATCHES {
        let batch = checks(&monitors, round);
        let begun = Instant::now();
        let outcome = append_batch_after(&ours.write, &batch, known_through).await;
        appended.push(begun.elapsed().as_secs_f64());
        let outcome = outcome.expect("the batch is stored");
        assert!(outcome.conflicts.is_empty(), "nobody else writes");
        known_through = outcome.reached;
        let begun = Instant::now();
        insert_raw(&theirs, &batch).await;
        raw.push(begun.elapsed().as_secs_f64());
    }
    table.push(Row {
        name: "append_batch".to_owned(),
        value: rate(&mut appended),
        unit: "/s",
        reference: "one raw multi-row insert of the same rows, same driver and schema".to_owned(),
        reference_value: rate(&mut raw),
    });
}

/// Events per second of the median batch; the first ones open connections and prepare statements.
fn rate(seconds: &mut [f64]) -> f64 {
    let warm = seconds.get_mut(10..).expect("more than ten batches");
    warm.sort_by(f64::total_cmp);
    AGGREGATES as f64 / warm[warm.len() / 2]
}

async fn insert_raw(store: &Store, batch: &[Append]) {
    let column = |of: fn(&Append) -> &str| batch.iter().map(of).collect::<Vec<&str>>();
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                             event_type, event_version, payload, metadata)
         select type, id, sequence, organization, name, version, payload::json, '{}'
         from unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[],
                     $5::text[], $6::text[], $7::text[])
              as new (type, id, sequence, organization, name, version, payload)",
    )
    .bind(column(|append| append.aggregate_type))
    .bind(column(|append| &append.aggregate_id))
    .bind(batch.iter().map(|append| append.expected.unwrap_or_default() + 1).collect::<Vec<_>>())
    .bind(batch.iter().map(|append| append.organization_id.0).collect::<Vec<Uuid>>())
    .bind(column(|append| append.events[0].event_type))
    .bind(column(|append| append.events[0].event_version))
    .bind(column(|append| &append.events[0].payload))
    .execute(&store.write)
    .await
    .expect("the rows are stored");
}

/// The same events by the batch append, and by `postgres-es` one aggregate at a time.
pub(crate) async fn beside_postgres_es(table: &mut Table) {
    let monitors = monitors(AGGREGATES);
    let ((_corner, ours), (_other_corner, theirs)) = (empty_store().await, empty_store().await);
    let repository = PostgresEventRepository::new(theirs.write.clone());
    let (mut seconds, mut seconds_of_theirs, mut events) = (0.0, 0.0, 0);
    for round in 0..6 {
        let batch = checks(&monitors, round);
        let begun = Instant::now();
        append(&ours, &batch).await;
        let took = begun.elapsed().as_secs_f64();
        let persisted: Vec<SerializedEvent> = batch.iter().map(serialized).collect();
        let begun = Instant::now();
        for event in &persisted {
            let event = std::slice::from_ref(event);
            repository.persist::<Health>(event, None).await.expect("the event is stored");
        }
        // The first round opens connections and prepares statements.
        if round > 0 {
            seconds += took;
            seconds_of_theirs += begun.elapsed().as_secs_f64();
            events += batch.len();
        }
    }
    table.push(Row {
        name: "append_vs_postgres_es".to_owned(),
        value: events as f64 / seconds,
        unit: "/s",
        reference: "postgres-es persists the same events, one aggregate at a time".to_owned(),
        reference_value: events as f64 / seconds_of_theirs,
    });
}

fn serialized(append: &Append) -> SerializedEvent {
    let event = &append.events[0];
    let sequence = append.expected.unwrap_or_default() + 1;
    SerializedEvent::new(
        append.aggregate_id.clone(),
        usize::try_from(sequence).expect("a sequence"),
        append.aggregate_type.to_owned(),
        event.event_type.to_owned(),
        event.event_version.to_owned(),
        serde_json::from_str(&event.payload).expect("JSON"),
        serde_json::json!({ "organization_id": ORGANIZATION }),
    )
}

/// What a check takes in the hot table, indexes and all, beside the same checks in their full form.
pub(crate) async fn bytes(table: &mut Table) {
    let monitors = monitors(1_000);
    let ((_corner, compact), (_other_corner, full)) = (empty_store().await, empty_store().await);
    for round in 0..100 {
        for monitors in monitors.chunks(AGGREGATES) {
            let mut batch = checks(monitors, round);
            append(&compact, &batch).await;
            for (append, monitor) in batch.iter_mut().zip(monitors) {
                let result = crate::fixture::result(*monitor, round);
                append.events[0].payload = serde_json::to_string(&result).expect("JSON");
            }
            append(&full, &batch).await;
        }
    }
    table.push(Row {
        name: "bytes_per_check_hot".to_owned(),
        value: bytes_per_row(&compact).await,
        unit: "B",
        reference: "the same 100,000 checks stored with their full fields".to_owned(),
        reference_value: bytes_per_row(&full).await,
    });
}

async fn bytes_per_row(store: &Store) -> f64 {
    sqlx::query_scalar(
        "select pg_total_relation_size('events')::float8 / (select count(*) from events)",
    )
    .fetch_one(&store.read)
    .await
    .expect("a size")
}
