//! The prober: takes a region's jobs, makes their checks, and reports what came of them.
//!
//! A job is finished when its result is in Kafka, or when it was dropped. What is committed is, for
//! each partition, the end of the run of finished jobs: a prober that dies in between leaves jobs
//! that are made again, and none that is never made. One that gives partitions away, because it stops or
//! another joins, first finishes what it has begun ([`assignment`]).
//!
//! Checks on demand come through a topic of their own and have permits of their own ([`lane`]), so that
//! they wait for no backlog.

mod assignment;
mod drops;
mod hosts;
mod intake;
mod job;
mod lane;
mod pace;
mod permits;
mod recent;
mod room;
mod watermark;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use pulsetrail_domain::Region;
use pulsetrail_infra::kafka::{Kafka, is_passing, receive};
use pulsetrail_infra::metrics;
use pulsetrail_infra::secrets::Keyring;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::assignment::Assignment;
use self::drops::Drops;
use self::hosts::HostLimits;
use self::intake::{Delivery, Intake};
use self::job::Context;
use self::lane::Lane;
use self::pace::Pace;
use self::permits::{Limits, SharedPermits};
use self::recent::Recent;
use self::room::Room;
use crate::check::Checker;
use crate::outbox::Outbox;
use crate::shield::Shield;

/// Checks of one host under way at most: ten of one organization, and fewer the more organizations check it.
const HOST_LIMITS: Limits = Limits { total: 30, per_organization: 10, times_free: 1 };
/// An organization has at most so many times the free permits of a prober: three quarters of all.
const CHECKS_TIMES_FREE: usize = 3;
/// Jobs that are taken and wait for their turn, for each check that may be under way: they keep it busy.
const WAITING_A_CHECK: usize = 4;
/// Jobs of a lane that are taken at most, if those that keep the prober busy are fewer.
const PLACES: usize = 20_000;
/// Late jobs that wait for their turn at most, which bounds their memory; the turn of more comes at once.
const PARKED: usize = 20_000;
/// Jobs that are taken before anything else is looked at.
const BURST: usize = 1_000;
/// How often finished jobs are committed.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// How long jobs under way are waited for when the prober is told to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// How often, and after which pause, a group that deals its partitions out is asked again to take a commit.
const DEALING_TRIES: u32 = 20;
const DEALING: Duration = Duration::from_millis(100);
/// How long Kafka is left alone after an error.
const PAUSE: Duration = Duration::from_millis(500);

/// The prober could not begin. While it runs, it waits for whatever is away.
#[derive(Debug, thiserror::Error)]
pub enum ProberError {
    /// A setting that librdkafka refuses.
    #[error("Kafka cannot be used: {0}")]
    Kafka(#[from] KafkaError),
    /// TLS.
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Makes the checks of `region`, at most `concurrency` at once, until `shutdown`; then it ends or
/// abandons those under way within a few seconds. Checks trust the roots in the file `trusted_roots` besides
/// the usual ones. `keyring` opens their secrets; without one, checks that
/// need any are reported as failed. `ready` is called once, when the prober is a member
/// of its group.
///
/// # Errors
/// [`ProberError`] when it could not begin.
pub async fn run(
    kafka: &Kafka,
    region: &Region,
    (shield, keyring, trusted_roots): (&Shield, Option<Keyring>, Option<&Path>),
    concurrency: usize,
    shutdown: CancellationToken,
    ready: impl Fn(),
) -> Result<(), ProberError> {
    pulsetrail_infra::open_files::raise_limit();
    let shield = shield.clone();
    // Reading the trusted roots blocks.
    let trusted_roots = trusted_roots.map(Path::to_owned);
    let checker =
        tokio::task::spawn_blocking(move || Checker::trusting(shield, trusted_roots.as_deref()));
    let checker = checker.await.map_err(|error| rustls::Error::General(error.to_string()))??;
    let checker = match keyring {
        Some(keyring) => checker.opening_with(keyring),
        None => checker,
    };
    let concurrency = concurrency.max(1);
    let context = Arc::new(Context {
        checker,
        outbox: Outbox::new(kafka, Kafka::calm_producer)?,
        results_topic: kafka.topics.results(),
        dead_letters_topic: kafka.topics.dead_letters(),
        checks: SharedPermits::new(Limits {
            total: concurrency,
            per_organization: concurrency,
            times_free: CHECKS_TIMES_FREE,
        }),
        hosts: HostLimits::new(HOST_LIMITS),
        pace: Pace::new(),
        recent: Recent::default(),
        parked: Arc::new(Semaphore::new(PARKED)),
        drops: Drops::default(),
    });
    let joined = [CancellationToken::new(), CancellationToken::new()];
    let announce = async {
        for joined in &joined {
            joined.cancelled().await;
        }
        ready();
        std::future::pending::<()>().await;
    };
    let work = async |lane, joined| {
        while !shutdown.is_cancelled() {
            let taken = take_jobs(kafka, (region, lane), &context, joined, &shutdown).await;
            if let Err(error) = taken {
                tracing::error!(%error, "the consumer of jobs is past use: a new one is made");
                sleep(PAUSE).await;
            }
        }
    };
    let [scheduled, on_demand] = &joined;
    let both =
        async { tokio::join!(work(Lane::Scheduled, scheduled), work(Lane::OnDemand, on_demand)) };
    tokio::select! {
        ((), ()) = both => {}
        () = announce => {}
        () = context.drops.log_regularly() => {}
    }
    context.drops.log();
    Ok(())
}

/// Takes a lane's jobs with one consumer until `shutdown`, or until that consumer can go on no more.
async fn take_jobs(
    kafka: &Kafka,
    (region, lane): (&Region, Lane),
    context: &Arc<Context>,
    joined: &CancellationToken,
    shutdown: &CancellationToken,
) -> Result<(), KafkaError> {
    let topic = lane.topic(kafka, region);
    let assignment = Assignment::new(topic.clone(), joined.clone());
    let consumer: StreamConsumer<Assignment> =
        lane.config(kafka, region).create_with_context(assignment.clone())?;
    consumer.subscribe(&[&topic])?;
    let consumer = Arc::new(consumer);
    let busy = context.checks.most(lane).saturating_mul(1 + WAITING_A_CHECK);
    let intake = Intake {
        lane,
        context: Arc::clone(context),
        assignment: assignment.clone(),
        room: Room::new(PLACES.max(busy), busy),
    };
    let mut jobs = JoinSet::new();
    // A delivery that has no place yet. Nothing is read until it has one.
    let mut held_up: Option<Delivery> = None;
    let mut commit_now = interval(COMMIT_EVERY);
    commit_now.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = 'taking: loop {
        tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            () = assignment.handed_over() => assignment.let_go(consumer.as_ref()),
            _ = commit_now.tick() => {
                while jobs.try_join_next().is_some() {}
                commit(&assignment, &consumer);
            }
            () = intake.room.freed(), if held_up.is_some() => {
                held_up = held_up.take().and_then(|delivery| intake.start(delivery, &mut jobs));
            }
            first = receive(&consumer), if held_up.is_none() => {
                // Those that have come already are taken with it.
                let mut came = Some(first);
                let mut taken = 0;
                while let Some(received) = came {
                    came = match received {
                        Ok(message) => {
                            let delivery = intake.read(&message);
                            held_up = delivery.and_then(|delivery| intake.start(delivery, &mut jobs));
                            taken += 1;
                            let goes_on = held_up.is_none() && taken < BURST;
                            if goes_on { receive(&consumer).now_or_never() } else { None }
                        }
                        Err(error) if is_passing(&error) => {
                            tracing::warn!(%error, "jobs cannot be read for now");
                            sleep(PAUSE).await;
                            None
                        }
                        Err(error) => break 'taking Err(error),
                    };
                }
            }
        }
    };
    assignment.stop();
    drain(jobs).await;
    metrics::checks_in_flight(0);
    leave(assignment, consumer).await;
    ended
}

fn commit(assignment: &Assignment, consumer: &StreamConsumer<Assignment>) {
    if let Err(error) = assignment.commit(consumer, CommitMode::Async) {
        tracing::debug!(%error, "finished jobs could not be committed yet");
    }
}

/// Commits what is finished and waits until the cluster has it, which it refuses for the moment in which a
/// group that others join or leave deals its partitions out. Blocks.
#[expect(clippy::disallowed_methods, reason = "it runs on a thread that may block")]
fn commit_at_last(
    assignment: &Assignment,
    consumer: &StreamConsumer<Assignment>,
) -> Result<(), KafkaError> {
    let dealing = Some(RDKafkaErrorCode::RebalanceInProgress);
    for _ in 0..DEALING_TRIES {
        match assignment.commit(consumer, CommitMode::Sync) {
            Err(error) if error.rdkafka_error_code() == dealing => std::thread::sleep(DEALING),
            ended => return ended,
        }
    }
    assignment.commit(consumer, CommitMode::Sync)
}

/// Waits for the jobs under way, and abandons those that take too long.
async fn drain(mut jobs: JoinSet<()>) {
    let all = async { while jobs.join_next().await.is_some() {} };
    if timeout(DRAIN, all).await.is_err() {
        tracing::warn!(jobs = jobs.len(), "jobs are abandoned; they will be made again");
        jobs.shutdown().await;
    }
}

/// Commits what is finished and leaves the group, so that another takes over at once.
async fn leave(assignment: Assignment, consumer: Arc<StreamConsumer<Assignment>>) {
    let left = tokio::task::spawn_blocking(move || {
        let committed = commit_at_last(&assignment, &consumer);
        assignment.let_go_at_once(consumer.as_ref());
        // The last reference: dropping it leaves the group.
        drop(consumer);
        committed
    });
    match timeout(DRAIN, left).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::debug!(%error, "finished jobs could not be committed"),
        Ok(Err(error)) => tracing::error!(%error, "leaving the group failed"),
        Err(_elapsed) => tracing::warn!("Kafka is away: the group finds out by itself"),
    }
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::monitor::{HttpTarget, Retries, Target, TargetUrl};
    use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, timestamp_from_millis};
    use pulsetrail_infra::messages::Job;

    use super::*;

    /// A job whose deadline has passed.
    pub(super) fn job() -> Job {
        let url = TargetUrl::try_from("https://example.com".to_owned()).unwrap();
        Job {
            check_id: CheckId::default(),
            monitor_id: MonitorId::default(),
            organization_id: OrganizationId::default(),
            region: Region::default(),
            scheduled_at: timestamp_from_millis(0),
            deadline: timestamp_from_millis(1_000),
            target: Target::Http(HttpTarget::get(url)),
            timeout_ms: 500,
            retries: Retries::default(),
            config_version: 1,
            valid_for_ms: 2_500,
            secrets: Default::default(),
        }
    }
}
