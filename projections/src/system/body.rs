//! What is answered.

use std::collections::{BTreeMap, BTreeSet};

use pulsetrail_domain::{Region, Timestamp};
use pulsetrail_infra::instances::LiveInstance;
use pulsetrail_infra::kafka::QueueLag;
use pulsetrail_infra::vitals::{DropReason, Figure, STAGES, Stage, StageSum};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What is alive, and how jobs flow.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SystemBody {
    /// When this was put together.
    pub(super) at: Timestamp,
    /// The copies of roles that announced themselves within the last 7 s.
    pub(super) roles: Vec<LiveInstance>,
    /// Who is the one active copy of a role.
    pub(super) leases: Vec<LeaseBody>,
    /// The regions, and how many probers each has.
    pub(super) regions: Vec<RegionBody>,
    /// The queues; null while Kafka does not answer.
    pub(super) queues: Option<Vec<QueueLag>>,
    /// The log and its readers; null while Postgres does not answer.
    pub(super) log: Option<LogBody>,
    /// What became of jobs.
    pub(super) jobs: JobsBody,
    /// How long jobs took over the last minute, stage by stage.
    pub(super) stages: Vec<StageBody>,
    pub(super) engines: Vec<EngineBody>,
    pub(super) connections: ConnectionsBody,
}

/// A lease.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LeaseBody {
    pub(super) name: String,
    /// The process of the active copy; null where there is none.
    pub(super) process_id: Option<Uuid>,
    /// How often it has changed hands.
    pub(super) epoch: i64,
}

/// A region.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RegionBody {
    pub(super) region: Region,
    /// How many probers are alive there.
    pub(super) probers: usize,
    /// Whether it is known that there is none: its monitors are not checked from there.
    pub(super) without_prober: bool,
}

/// The log and its readers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LogBody {
    /// The newest position.
    pub(super) head: i64,
    /// How far the readers that keep their place in Postgres have come.
    pub(super) readers: Vec<ReaderBody>,
}

/// A reader of the log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ReaderBody {
    pub(super) name: String,
    pub(super) position: i64,
    /// Positions that it has not reached.
    pub(super) lag: i64,
}

/// What became of jobs, since the copies that are alive began.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct JobsBody {
    /// Checks under way.
    pub(super) in_flight: i64,
    /// Jobs that the scheduler emitted.
    pub(super) emitted: i64,
    /// Checks that were made.
    pub(super) made: i64,
    /// Of those, the ones that needed more than one attempt.
    pub(super) retried: i64,
    /// Jobs that were not made, because their deadline had passed or they could not be read.
    pub(super) dropped: i64,
    /// Of those, the ones that the scheduler did not emit, by reason.
    pub(super) not_emitted: BTreeMap<DropReason, i64>,
    /// Results that were recorded.
    pub(super) recorded: i64,
    /// Jobs that were made twice: their second result had been recorded before.
    pub(super) duplicate_jobs: i64,
    /// Messages that were set aside, of any organization, and not resolved.
    pub(super) dead: Option<i64>,
}

/// A part of a job's life.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct StageBody {
    pub(super) stage: Stage,
    /// Jobs that went through it.
    pub(super) jobs: i64,
    /// How long it took on average, in ms; null where no job went through.
    pub(super) average_ms: Option<f64>,
}

/// An engine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct EngineBody {
    /// `postgres`, `kafka` or `clickhouse`.
    pub(super) engine: &'static str,
    /// Whether it answers.
    pub(super) available: bool,
    /// How long its answer took, in ms; null where there was none.
    pub(super) answered_in_ms: Option<f64>,
}

/// Who is connected.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct ConnectionsBody {
    /// Connections to the live feed, of all servers.
    pub(super) live: i64,
}

/// How much is alive: numbers, and no names.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct PublicSystemBody {
    /// Copies of roles that are alive.
    roles_alive: usize,
    /// Kinds of roles that are alive, of six.
    roles_covered: usize,
    regions: usize,
    regions_without_prober: usize,
    engines: usize,
    engines_available: usize,
    jobs_in_flight: i64,
    live_connections: i64,
}

impl PublicSystemBody {
    pub(super) fn of(system: &SystemBody) -> Self {
        let kinds: BTreeSet<&str> =
            system.roles.iter().map(|role| role.instance.role.as_str()).collect();
        let without = system.regions.iter().filter(|region| region.without_prober);
        Self {
            roles_alive: system.roles.len(),
            roles_covered: kinds.len(),
            regions: system.regions.len(),
            regions_without_prober: without.count(),
            engines: system.engines.len(),
            engines_available: system.engines.iter().filter(|engine| engine.available).count(),
            jobs_in_flight: system.jobs.in_flight,
            live_connections: system.connections.live,
        }
    }
}

/// A number over all copies.
pub(super) fn total(roles: &[LiveInstance], figure: Figure) -> i64 {
    roles.iter().filter_map(|role| role.instance.figures.get(&figure)).sum()
}

/// The slots that ended without a check, over all copies, by reason.
pub(super) fn drops(roles: &[LiveInstance]) -> BTreeMap<DropReason, i64> {
    let mut all = BTreeMap::new();
    for (reason, slots) in roles.iter().flat_map(|role| &role.instance.drops) {
        *all.entry(*reason).or_default() += slots;
    }
    all
}

/// How long each stage took on average over all copies.
pub(super) fn averages(roles: &[LiveInstance]) -> Vec<StageBody> {
    let mut sums: BTreeMap<Stage, StageSum> = BTreeMap::new();
    for (stage, sum) in roles.iter().flat_map(|role| &role.instance.stages) {
        let all = sums.entry(*stage).or_default();
        all.jobs += sum.jobs;
        all.microseconds += sum.microseconds;
    }
    let average = |stage| {
        let StageSum { jobs, microseconds } = sums.get(&stage).copied().unwrap_or_default();
        let average_ms = (jobs > 0).then(|| microseconds as f64 / 1_000.0 / jobs as f64);
        StageBody { stage, jobs, average_ms }
    };
    STAGES.into_iter().map(average).collect()
}

#[cfg(test)]
mod tests {
    use pulsetrail_infra::instances::Instance;

    use super::*;

    fn alive(role: &str, jobs: i64, microseconds: i64) -> LiveInstance {
        let mut instance = Instance::new(role, None);
        instance.figures.insert(Figure::JobsInFlight, jobs);
        instance.stages.insert(Stage::Probing, StageSum { jobs, microseconds });
        LiveInstance { seen_at: instance.started_at, instance }
    }

    #[test]
    fn an_average_is_over_all_jobs_and_not_over_copies() {
        let roles = [alive("prober", 3, 9_000), alive("prober", 1, 1_000)];
        assert_eq!(total(&roles, Figure::JobsInFlight), 4);
        let stages = averages(&roles);
        assert_eq!(stages.len(), 6);
        assert_eq!((stages[1].jobs, stages[1].average_ms), (4, Some(2.5)));
        assert_eq!((stages[0].jobs, stages[0].average_ms), (0, None));
    }
}
