//! Events that somebody asked the scheduler to retry.

use pulsetrail_domain::Position;
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_infra::dead_letters::EventRetry;
use pulsetrail_infra::store::{Event, Store, StoreError, read_aggregate};
use tokio::sync::mpsc;

use super::SCHEDULER;
use super::secrets::Batch;

/// How many events of a monitor are read at a time.
const PAGE: i64 = 500;

/// Hands on, for each event that can be read now, the history of its monitor: from its registration on the
/// roster takes the monitor in anew, with the event in its place. The stream of events stays where it is.
///
/// # Errors
/// When Postgres is away; what was not handed on is found at the next look.
pub(super) async fn hand_on(store: &Store, roster: &mpsc::Sender<Batch>) -> Result<(), StoreError> {
    for retry in EventRetry::next(&store.read, SCHEDULER).await? {
        if let Err(error) = retry.event.monitor_event() {
            retry.failed(&store.read, &error).await?;
            continue;
        }
        let events = history(store, &retry.event.aggregate_id).await?;
        // How far the stream has come is not told by it.
        let batch = Batch { position: Position::START, ..super::with_secrets(store, events).await };
        // Nobody takes it any more when all of this is about to end: then it is asked for again.
        if roster.send(batch).await.is_ok() {
            retry.applied(&store.read).await?;
        }
    }
    Ok(())
}

async fn history(store: &Store, monitor_id: &str) -> Result<Vec<Event>, StoreError> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(0, |last| last.sequence);
        let page = read_aggregate(&store.read, Monitor::AGGREGATE, monitor_id, after, PAGE).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page.into_iter().map(|stored| stored.event));
    }
}
