//! What the roles say of slots that they dropped.

use std::collections::BTreeMap;

use pulsetrail_harness::RoleProcess;

use super::accounts::Due;

/// By role: the metric that counts the dropped slots, and what the line in the log says of each reason.
const SAID: [(&str, &str, &str); 2] = [
    ("scheduler", "pulsetrail_scheduler_slots_dropped_total", "slots are dropped without a check"),
    ("prober", "pulsetrail_prober_jobs_dropped_total", "checks were not made"),
];

/// The slots that were dropped.
#[derive(Debug)]
pub(super) struct Drops {
    /// As the metrics count them.
    pub(super) counted: f64,
    /// Roles that counted some, and logged nothing of it.
    pub(super) silent: Vec<&'static str>,
}

impl Drops {
    pub(super) async fn of(roles: &BTreeMap<&'static str, RoleProcess>) -> Self {
        let mut drops = Self { counted: 0.0, silent: Vec::new() };
        for (role, metric, line) in SAID {
            let counted = roles[role].metric(metric).await;
            drops.counted += counted;
            if counted > 0.0 && !roles[role].log().contains(line) {
                drops.silent.push(role);
            }
        }
        drops
    }

    /// What is not told of the slots that have no check; none if all is. A slot can be counted although it has a
    /// check, as that of a job that came twice.
    pub(super) fn hides(&self, missed: &[Due]) -> Option<String> {
        let is_counted = missed.len() as f64 <= self.counted;
        let fault = format!("{} slots have no check; told of them: {self:?}", missed.len());
        (!is_counted || !self.silent.is_empty()).then_some(fault)
    }
}
