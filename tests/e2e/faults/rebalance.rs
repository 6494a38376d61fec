//! Two recorders whose shares keep changing, while monitors are paused, resumed and reconfigured.

use std::collections::HashSet;
use std::time::Duration;

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_domain::CheckId;
use pulsetrail_harness::{Corner, Dice};
use rdkafka::consumer::Consumer as _;
use tokio_util::sync::CancellationToken;

use super::judge::{Fault, faults};
use super::load::{Load, until_taken_in};
use super::{dead_letters, prepare, short_or_long};
use crate::corner;

const SEED: u64 = 0x5EED_0001;

/// In the place of the product's append, whatever its arguments are besides.
const CARELESS_APPEND: &str = "do $do$
    declare careful oid := (select oid from pg_proc where proname = 'events_append');
    begin
        execute format('create or replace function events_append(%s)
            language sql volatile as $$
                insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                                    event_type, event_version, payload, metadata)
                select types[place], ids[place], expected[place] + number, organizations[place],
                       name, version, payload::json, ''{}''
                from unnest(places, numbers, names, versions, payloads)
                     with ordinality as new (place, number, name, version, payload, turn)
                order by turn
                on conflict (aggregate_type, aggregate_id, sequence) do nothing;
                select ''{}''::bigint[], null::text[], 0::bigint;
            $$', pg_get_function_arguments(careful));
    end $do$";

/// Joins the recorders' group, takes its share of the results without recording any, and leaves, again
/// and again; returns how often.
async fn come_and_go(corner: &Corner, done: &CancellationToken) -> u32 {
    let kafka = corner.kafka();
    let mut visits = 0;
    while !done.is_cancelled() {
        let visitor = kafka.group_consumer(RECORDER).unwrap();
        visitor.subscribe(&[&kafka.topics.results()]).unwrap();
        let joined = tokio::time::timeout(Duration::from_secs(10), async {
            while visitor.assignment().unwrap().count() == 0 {
                // What it is given it does not record; who comes next begins where the others were.
                let _ = tokio::time::timeout(Duration::from_millis(20), visitor.recv()).await;
            }
        });
        visits += u32::from(joined.await.is_ok());
        // Leaving blocks.
        tokio::task::spawn_blocking(move || drop(visitor)).await.unwrap();
    }
    visits
}

/// Runs the race and returns what was acknowledged and how often the shares changed.
async fn race(corner: &Corner) -> (HashSet<CheckId>, u32) {
    let load = Load::new(corner, short_or_long(24, 60)).await;
    let recorders = [corner.role("recorder").await, corner.role("recorder").await];
    let [first, second] = recorders;
    let (first, second) = tokio::join!(first.until_ready(), second.until_ready());
    let done = CancellationToken::new();
    let (slots, pace) = short_or_long((110, 60), (2_000, 60));
    let (sent, visits, ()) = tokio::join!(
        async {
            let pace = Duration::from_millis(pace);
            let sent = load.send(slots, pace, &mut Dice(SEED)).await;
            done.cancel();
            sent
        },
        come_and_go(corner, &done),
        async {
            let mut dice = Dice(SEED + 1);
            while !done.is_cancelled() {
                load.interfere(&mut dice).await;
                tokio::time::sleep(Duration::from_millis(dice.roll(40))).await;
            }
        },
    );
    until_taken_in(corner, RECORDER).await;
    assert!(first.stop().await.success() && second.stop().await.success());
    (sent, visits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorders_that_race_store_what_one_alone_would() {
    let corner = corner().await;
    prepare(&corner).await;
    let (sent, visits) = race(&corner).await;
    assert!(sent.len() > 2_000 && visits > 1, "{} results, {visits} visits", sent.len());
    let store = corner.store().await;
    assert_eq!(faults(&store, &sent).await, []);
    assert_eq!(dead_letters(&store).await, 0);
}

/// The positive control: with an append that neither compares versions nor says what it left out, the
/// same race must come out as a log with faults.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorders_that_leave_conflicts_to_the_index_are_found_out() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    sqlx::raw_sql(CARELESS_APPEND).execute(&store.read).await.unwrap();
    let (sent, _) = race(&corner).await;
    let found = faults(&store, &sent).await;
    assert!(found.iter().any(|fault| matches!(fault, Fault::Lost(_))), "{found:?}");
    assert!(found.iter().any(|fault| matches!(fault, Fault::DownWhilePaused(_))), "{found:?}");
}
