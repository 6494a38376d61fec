//! The views role: writes `monitor_view` from the log, whatever a command's own write came to.
//!
//! It is independent of ClickHouse. The writer takes only the next version of a monitor, so that an
//! event that is applied again changes nothing.

use std::time::Duration;

use pulsetrail_domain::Position;
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_infra::dead_letters::{EventRetry, LOOK_FOR_RETRIES_EVERY, Letter};
use pulsetrail_infra::follower::{Follower, Haste};
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::lease::{Lease, work_under_lease};
use pulsetrail_infra::metrics;
use pulsetrail_infra::store::{
    Event, MonitorViewWriter, Store, StoreError, load_checkpoint, read_aggregate, save_checkpoint,
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;

/// The role's name among the leases, the checkpoints and the metrics.
pub const VIEWS: &str = "views";
/// How many events are taken from the log at a time.
const BATCH: usize = 1_000;
/// How often the checkpoint is saved while the events are none of a monitor's configuration: applying
/// them again costs nothing but time.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Runs the role until `shutdown`: as the active copy or as a standby. `ready` is called when it is
/// either. It never gives up: while an engine is away it tries again, with back-off.
pub async fn run(store: &Store, kafka: &Kafka, shutdown: CancellationToken, ready: impl FnOnce()) {
    ready();
    work_under_lease(&store.read, VIEWS, &shutdown, |lease| follow(store, kafka, lease)).await;
}

async fn follow(store: &Store, kafka: &Kafka, lease: Lease) -> Result<(), StoreError> {
    let mut saved = load_checkpoint(&store.read, VIEWS).await?;
    let mut saved_at = Instant::now();
    let mut follower = Follower::new(store.read.clone(), kafka.clone(), saved, Haste::Calm);
    let writer = MonitorViewWriter::new(store.write.clone());
    let mut backoff = Backoff::new();
    let mut retries = interval(LOOK_FOR_RETRIES_EVERY);
    retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            () = lease.lost.cancelled() => break,
            _ = retries.tick() => {
                if let Err(error) = retry_events(store, &writer).await {
                    tracing::warn!(%error, "events cannot be retried for now");
                }
                continue;
            }
            next = follower.next_batch(BATCH) => next,
        };
        let events = match next {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(%error, "the log cannot be followed for now");
                backoff.wait(&lease.lost).await;
                continue;
            }
        };
        backoff.reset();
        let mut applied = false;
        for event in missing(&writer, &events, &lease.lost).await {
            apply(store, &writer, event, &lease.lost).await;
            if lease.lost.is_cancelled() {
                return Ok(());
            }
            applied = true;
        }
        if applied || saved_at.elapsed() >= SAVE_EVERY {
            saved = follower.applied();
            saved_at = Instant::now();
            save(store, saved).await?;
        }
    }
    if follower.applied() > saved {
        save(store, follower.applied()).await?;
    }
    Ok(())
}

/// Applies the events that somebody asked to retry, beside the stream. The view takes one version after the
/// other, so that the later events of the same monitor, which waited for this one, follow it.
async fn retry_events(store: &Store, writer: &MonitorViewWriter) -> Result<(), StoreError> {
    for retry in EventRetry::next(&store.read, VIEWS).await? {
        let id = &retry.event.aggregate_id;
        let mut before = retry.event.sequence - 1;
        let applied = loop {
            let page =
                read_aggregate(&store.read, Monitor::AGGREGATE, id, before, BATCH as i64).await?;
            let Some(last) = page.last() else { break Ok(()) };
            before = last.event.sequence;
            if let Err(error) = apply_all(writer, page.iter().map(|stored| &stored.event)).await {
                break Err(error);
            }
        };
        match applied {
            Err(StoreError::Unreadable { position, source })
                if position == retry.event.position.0 =>
            {
                retry.failed(&store.read, &source).await?;
            }
            // A later one that cannot be read has a letter of its own.
            Ok(()) | Err(StoreError::Unreadable { .. }) => retry.applied(&store.read).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn apply_all(
    writer: &MonitorViewWriter,
    events: impl Iterator<Item = &Event>,
) -> Result<(), StoreError> {
    for event in events {
        writer.apply(event).await?;
    }
    Ok(())
}

async fn save(store: &Store, position: Position) -> Result<(), StoreError> {
    save_checkpoint(&store.write, VIEWS, position).await?;
    metrics::projected(VIEWS, position.0);
    Ok(())
}

/// The events of monitors that the view has not: it has most, for a command writes it together with its
/// event.
async fn missing<'a>(
    writer: &MonitorViewWriter,
    events: &'a [Event],
    lost: &CancellationToken,
) -> Vec<&'a Event> {
    let of_monitors = || events.iter().filter(|event| event.aggregate_type == Monitor::AGGREGATE);
    let mut backoff = Backoff::new();
    while !lost.is_cancelled() {
        match writer.missing(of_monitors()).await {
            Ok(missing) => return missing,
            Err(error) => tracing::warn!(%error, "the views cannot be read for now"),
        }
        backoff.wait(lost).await;
    }
    Vec::new()
}

/// Applies an event, as often as it takes while Postgres is away.
async fn apply(store: &Store, writer: &MonitorViewWriter, event: &Event, lost: &CancellationToken) {
    let mut backoff = Backoff::new();
    while !lost.is_cancelled() {
        let applied = match writer.apply(event).await {
            // An event that cannot be read is itself at fault: the views go on without it.
            Err(StoreError::Unreadable { source, .. }) => {
                keep(store, &Letter::of_event(VIEWS, event, &source)).await
            }
            applied => applied,
        };
        let Err(error) = applied else { return };
        tracing::warn!(%error, "a view cannot be written for now");
        backoff.wait(lost).await;
    }
}

async fn keep(store: &Store, letter: &Letter) -> Result<(), StoreError> {
    letter.save(&mut *store.read.acquire().await?).await?;
    Ok(())
}
