//! The queue: what a scheduler of a million monitors takes, how many jobs go through Kafka and a prober,
//! how long a dead prober is missed, and how many monitors the whole carries.

mod bare;
mod carry;
mod flow;
mod monitors;
mod scheduler;
mod takeover;
mod target;
mod topic;

use crate::table::Table;

/// What is measured here.
pub(crate) const FIGURES: [&str; 4] =
    ["scheduler_1m", "jobs_per_s", "dead_prober_takeover_ms", "monitors_at_60s"];

pub(crate) async fn measure(table: &mut Table, only: Option<&str>) {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    if wanted("scheduler_1m") {
        scheduler::measure(table).await;
    }
    if wanted("jobs_per_s") {
        flow::measure(table).await;
    }
    if wanted("dead_prober_takeover_ms") {
        takeover::measure(table).await;
    }
    if wanted("monitors_at_60s") {
        carry::measure(table).await;
    }
}
