//! Asking everybody at once. What does not answer is left out, and shows as an engine that is away.

use chrono::Utc;
use pulsetrail_infra::instances::{LiveInstance, live_instances};
use pulsetrail_infra::store::head;
use pulsetrail_infra::vitals::Figure;
use sqlx::PgPool;
use uuid::Uuid;

use super::Inner;
use super::body::{
    ConnectionsBody, JobsBody, LeaseBody, LogBody, ReaderBody, RegionBody, SystemBody, averages,
    drops, total,
};
use super::engines::ask;
use crate::queries::QueryState;

pub(super) async fn read(inner: &Inner, state: &QueryState) -> SystemBody {
    let ((stored, postgres), (queues, kafka), (_, clickhouse)) = tokio::join!(
        ask("postgres", of_postgres(&state.store().read)),
        ask("kafka", inner.kafka.lags(&inner.regions)),
        ask("clickhouse", state.clickhouse().query("select 1").fetch_one::<u8>()),
    );
    let (mut roles, leases, log, dead) = match stored {
        Some(Stored { roles, leases, log, dead }) => (roles, leases, Some(log), Some(dead)),
        None => Default::default(),
    };
    roles.extend(inner.probers.alive());
    let missing = inner.probers.missing_in(&inner.regions);
    let region = |region: &pulsetrail_domain::Region| RegionBody {
        region: region.clone(),
        probers: roles.iter().filter(|role| role.instance.region.as_ref() == Some(region)).count(),
        without_prober: missing.contains(region),
    };
    SystemBody {
        at: Utc::now(),
        regions: inner.regions.iter().map(region).collect(),
        jobs: JobsBody {
            in_flight: total(&roles, Figure::JobsInFlight),
            emitted: total(&roles, Figure::JobsEmitted),
            made: total(&roles, Figure::ChecksMade),
            retried: total(&roles, Figure::ChecksRetried),
            dropped: total(&roles, Figure::JobsDropped),
            not_emitted: drops(&roles),
            recorded: total(&roles, Figure::ResultsRecorded),
            duplicate_jobs: total(&roles, Figure::DuplicateJobs),
            dead,
        },
        stages: averages(&roles),
        connections: ConnectionsBody { live: total(&roles, Figure::LiveConnections) },
        engines: vec![postgres, kafka, clickhouse],
        roles,
        leases,
        queues,
        log,
    }
}

/// What is known from Postgres.
struct Stored {
    roles: Vec<LiveInstance>,
    leases: Vec<LeaseBody>,
    log: LogBody,
    dead: i64,
}

async fn of_postgres(pool: &PgPool) -> Result<Stored, pulsetrail_infra::store::StoreError> {
    let roles = live_instances(pool).await?;
    let leases: Vec<(String, Option<Uuid>, i64)> = sqlx::query_as(
        "select name, case when expires_at > clock_timestamp() then holder end, epoch
         from leases order by name",
    )
    .fetch_all(pool)
    .await?;
    let leases = leases
        .into_iter()
        .map(|(name, process_id, epoch)| LeaseBody { name, process_id, epoch })
        .collect();
    let readers: Vec<(String, i64)> =
        sqlx::query_as("select consumer, position from checkpoints order by consumer")
            .fetch_all(pool)
            .await?;
    // After the readers, so that none is ahead of it.
    let head = head(pool).await?.0;
    let readers = readers
        .into_iter()
        .map(|(name, position)| ReaderBody { name, position, lag: (head - position).max(0) })
        .collect();
    let dead = sqlx::query_scalar("select count(*) from dead_letters where resolved_at is null")
        .fetch_one(pool)
        .await?;
    Ok(Stored { roles, leases, log: LogBody { head, readers }, dead })
}
