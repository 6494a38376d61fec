//! Which copies of which roles are alive. Each announces itself every 2 s: in Postgres, or, as a prober,
//! which reaches Kafka alone, in the topic `probers`, which every server follows.

mod over_kafka;
mod over_postgres;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::{Region, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::vitals::{DropReason, Figure, Stage, StageSum, StageWindow, drops, figures};

pub use over_kafka::{LiveProbers, announce_prober};
pub use over_postgres::{LiveInstance, announce, live_instances};

/// How often a copy announces itself.
const EVERY: Duration = Duration::from_secs(2);
/// How long after its last announcement a copy counts as alive: two may get lost.
const ALIVE: Duration = Duration::from_secs(7);
/// Announcements over which stages are summed up: a minute.
const WINDOW: usize = 30;

static PROCESS: LazyLock<Uuid> = LazyLock::new(Uuid::now_v7);

/// What names this process among all that there are.
#[must_use]
pub fn process_id() -> Uuid {
    *PROCESS
}

/// A copy of a role, as it announces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Names it.
    pub instance_id: Uuid,
    /// Names the process that it is a part of.
    pub process_id: Uuid,
    /// `server`, `recorder`, `relay`, `scheduler`, `prober` or `projector`.
    pub role: String,
    /// Where a prober checks from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<Region>,
    /// The machine's name.
    pub host: String,
    /// The process id on that machine.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Whether it does its work.
    pub ready: bool,
    /// What it has done since it began; of the role's own numbers those that are not 0.
    pub figures: BTreeMap<Figure, i64>,
    /// Slots that ended without a check since it began, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drops: BTreeMap<DropReason, i64>,
    /// How long jobs took for the stages that are its own, over the last minute.
    pub stages: BTreeMap<Stage, StageSum>,
}

impl Instance {
    /// A copy of a role in this process.
    #[must_use]
    pub fn new(role: &str, region: Option<Region>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            instance_id: Uuid::now_v7(),
            process_id: process_id(),
            role: role.to_owned(),
            region,
            host: host.trim().to_owned(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Utc::now(),
            ready: false,
            figures: BTreeMap::new(),
            drops: BTreeMap::new(),
            stages: BTreeMap::new(),
        }
    }

    /// The instance as it is now. In a process of several roles each tells of its own.
    fn renewed(&self, window: &mut StageWindow, ready: bool) -> Self {
        let (own_figures, own_stages) = own(&self.role);
        let figures = figures().into_iter().filter(|(one, _)| own_figures.contains(one));
        let stages = window.look().into_iter().filter(|(one, _)| own_stages.contains(one));
        let drops = if self.role == "scheduler" { drops() } else { BTreeMap::new() };
        let (figures, stages) = (figures.collect(), stages.collect());
        Self { ready, figures, drops, stages, ..self.clone() }
    }
}

/// The numbers and stages of a role.
fn own(role: &str) -> (&'static [Figure], &'static [Stage]) {
    match role {
        "server" => (&[Figure::LiveConnections], &[Stage::Pushed]),
        "recorder" => {
            (&[Figure::ResultsRecorded, Figure::DuplicateJobs], &[Stage::Result, Stage::Stored])
        }
        "relay" => (&[Figure::EventsPublished], &[Stage::Published]),
        "scheduler" => {
            (&[Figure::MonitorsScheduled, Figure::JobsEmitted, Figure::JobsDropped], &[])
        }
        "prober" => (
            &[Figure::JobsInFlight, Figure::JobsDropped, Figure::ChecksMade, Figure::ChecksRetried],
            &[Stage::Queued, Stage::Probing],
        ),
        _ => (&[], &[]),
    }
}
