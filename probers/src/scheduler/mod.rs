//! The scheduler: follows the log to know which monitors are active, and emits one job for each slot
//! and region.
//!
//! One scheduler of a cell is active. It reads the roster from one snapshot of the store and follows
//! the log from there. Twice a second it notes through when every slot was emitted; the copy that takes
//! over goes on from there. What it cannot make up for, and every other slot whose job is not emitted, is
//! counted by its reason ([`drops`]).

mod drops;
mod emit;
mod load;
mod overdue;
mod resume;
mod retries;
mod roster;
mod secrets;
mod template;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::Region;
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_infra::dead_letters::{LOOK_FOR_RETRIES_EVERY, Letter};
use pulsetrail_infra::follower::{Follower, Haste};
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::lease::{Lease, work_under_lease};
use pulsetrail_infra::store::{
    Event, SchedulerProgress, Store, StoreError, save_scheduler_progress,
};
use rdkafka::error::KafkaError;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::emit::Emitter;
use self::overdue::Sign;
use self::roster::Roster;
use self::secrets::Batch;

/// The scheduler's name among the leases.
pub const SCHEDULER: &str = "scheduler";
/// How many events are taken in at a time.
const BATCH: usize = 500;
/// How long the log is left alone after it could not be followed.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the scheduler notes how far it has come.
const NOTE_EVERY: Duration = Duration::from_millis(500);
/// How long the last note may take.
const LAST_NOTE: Duration = Duration::from_secs(1);
/// How often a standby looks whether another is active.
const STANDBY_LOOKS_EVERY: Duration = Duration::from_millis(500);

/// The scheduler cannot work for now; it begins anew with a fresh roster.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Kafka.
    #[error("jobs cannot be emitted: {0}")]
    Kafka(#[from] KafkaError),
}

/// Runs the scheduler until `shutdown`, as the active one or as a standby, for an installation with
/// `regions`. `ready` is called when it is either, and again with each lease.
///
/// # Errors
/// None so far: what is away is waited for.
pub async fn run(
    store: &Store,
    kafka: &Kafka,
    regions: &[Region],
    shutdown: CancellationToken,
    ready: impl Fn(),
) -> Result<(), SchedulerError> {
    let active = AtomicBool::new(false);
    let work = work_under_lease(&store.read, SCHEDULER, &shutdown, |lease| {
        active.store(true, Ordering::Relaxed);
        schedule(store, kafka, regions, lease, &ready)
    });
    let standby = async {
        somebody_is_active(store).await;
        // The active one is ready when it has read the roster.
        if !active.load(Ordering::Relaxed) {
            ready();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = work => {}
        () = standby => {}
    }
    Ok(())
}

async fn schedule(
    store: &Store,
    kafka: &Kafka,
    regions: &[Region],
    lease: Lease,
    ready: &impl Fn(),
) -> Result<(), SchedulerError> {
    let began = tokio::time::Instant::now();
    let (roster, position) = tokio::select! {
        () = lease.lost.cancelled() => return Ok(()),
        loaded = load::load(store, regions, Utc::now().timestamp_millis()) => loaded?,
    };
    tracing::info!(
        lease.epoch = lease.epoch,
        monitors = roster.active(),
        event.position = position.0,
        took_ms = began.elapsed().as_millis(),
        "the roster is read"
    );
    let (noted, progress) = watch::channel(None);
    let emitter = Emitter::new(roster, kafka, position, noted)?;
    let follower = Follower::new(store.read.clone(), kafka.clone(), position, Haste::Prompt);
    let (sender, events) = mpsc::channel(4);
    ready();
    let ended = tokio::select! {
        emitted = emitter.run(events, &lease.lost) => emitted,
        never = follow(store, follower, sender) => match never {},
        never = note_progress(store, lease.epoch, &progress) => match never {},
    };
    // Without it, what was emitted since the note before is emitted again.
    let _ = timeout(LAST_NOTE, note(store, lease.epoch, &progress)).await;
    Ok(ended?)
}

/// Notes again and again how far the emitter has come.
async fn note_progress(
    store: &Store,
    epoch: i64,
    progress: &watch::Receiver<Option<SchedulerProgress>>,
) -> Infallible {
    loop {
        sleep(NOTE_EVERY).await;
        if let Err(error) = note(store, epoch, progress).await {
            tracing::debug!(%error, "how far the scheduler has come could not be noted");
        }
    }
}

async fn note(
    store: &Store,
    epoch: i64,
    progress: &watch::Receiver<Option<SchedulerProgress>>,
) -> Result<(), StoreError> {
    let newest = *progress.borrow();
    match newest {
        Some(newest) => save_scheduler_progress(&store.write, epoch, newest).await,
        None => Ok(()),
    }
}

/// Hands every event on, as long as somebody takes them, and those that somebody asked to retry.
async fn follow(store: &Store, mut follower: Follower, sender: mpsc::Sender<Batch>) -> Infallible {
    let mut retries = interval(LOOK_FOR_RETRIES_EVERY);
    retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            _ = retries.tick() => {
                if let Err(error) = retries::hand_on(store, &sender).await {
                    tracing::warn!(%error, "events cannot be retried for now");
                }
                continue;
            }
            next = follower.next_batch(BATCH) => next,
        };
        match next {
            Ok(batch) => {
                for letter in batch.iter().filter_map(unreadable) {
                    set_aside(store, &letter).await;
                }
                // Nobody takes them any more when all of this is about to end.
                drop(sender.send(with_secrets(store, batch).await).await);
            }
            Err(error) => {
                tracing::warn!(%error, "the log cannot be followed for now; the roster stays as it is");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Puts the secrets to a batch, however long Postgres is away.
async fn with_secrets(store: &Store, events: Vec<Event>) -> Batch {
    let position = events.last().map(|event| event.position).unwrap_or_default();
    let mut batch = Batch { events, position, ..Batch::default() };
    while let Err(error) = batch.complete(store).await {
        tracing::warn!(%error, "the secrets of checks cannot be read yet");
        sleep(PAUSE).await;
    }
    batch
}

/// Takes one event of the log into the roster; those that are of no monitor change nothing.
fn apply(roster: &mut Roster, event: &Event, now_ms: i64) {
    if let Some((sign, monitor_id)) = Sign::of(event).zip(event.monitor_id()) {
        match sign {
            Sign::CountsUntil(until) => {
                roster.seen(monitor_id, until.timestamp_millis(), now_ms);
            }
            Sign::Lost => roster.lost(monitor_id),
        }
        return;
    }
    if event.aggregate_type != Monitor::AGGREGATE {
        return;
    }
    let Some(monitor_id) = event.monitor_id() else { return };
    // One that cannot be read was set aside: its monitor is scheduled as it was before.
    let Ok(decoded) = event.monitor_event() else { return };
    let recorded_ms = event.recorded_at.timestamp_millis();
    let applied = roster.apply(monitor_id, event.sequence, recorded_ms, &decoded, now_ms);
    if let Err(error) = applied {
        tracing::error!(monitor.id = %monitor_id, %error, "a monitor cannot be scheduled");
    }
}

/// The dead letter of an event that this version cannot read: the other monitors must not suffer from
/// it.
fn unreadable(event: &Event) -> Option<Letter> {
    let error = (event.aggregate_type == Monitor::AGGREGATE).then(|| event.monitor_event().err());
    Some(Letter::of_event(SCHEDULER, event, &error.flatten()?))
}

/// Keeps a dead letter, however long Postgres is away.
async fn set_aside(store: &Store, letter: &Letter) {
    while let Err(error) = keep(store, letter).await {
        tracing::warn!(%error, "a dead letter cannot be kept yet");
        sleep(PAUSE).await;
    }
}

async fn keep(store: &Store, letter: &Letter) -> Result<(), StoreError> {
    letter.save(&mut *store.read.acquire().await?).await?;
    Ok(())
}

/// Ends when a copy of the scheduler holds the lease, be it this one.
async fn somebody_is_active(store: &Store) {
    loop {
        let held: Result<bool, sqlx::Error> = sqlx::query_scalar(
            "select exists (select from leases where name = $1 and expires_at > clock_timestamp())",
        )
        .bind(SCHEDULER)
        .fetch_one(&store.read)
        .await;
        if matches!(held, Ok(true)) {
            return;
        }
        sleep(STANDBY_LOOKS_EVERY).await;
    }
}
