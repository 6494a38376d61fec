//! The two ways that jobs come: those of the schedule, and those that somebody waits for.

use pulsetrail_domain::Region;
use pulsetrail_infra::kafka::Kafka;
use rdkafka::ClientConfig;

/// Which way a job came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Scheduled,
    /// Somebody asked for it: it waits behind no other job.
    OnDemand,
}

impl Lane {
    /// Both, in the order of their numbers.
    pub(super) const ALL: [Self; 2] = [Self::Scheduled, Self::OnDemand];

    /// Where its jobs are.
    pub(super) fn topic(self, kafka: &Kafka, region: &Region) -> String {
        match self {
            Self::Scheduled => kafka.topics.jobs(region),
            Self::OnDemand => kafka.topics.jobs_on_demand(region),
        }
    }

    /// The settings of those who take them.
    pub(super) fn config(self, kafka: &Kafka, region: &Region) -> ClientConfig {
        match self {
            Self::Scheduled => kafka.calm_group_config(&format!("prober.{region}")),
            Self::OnDemand => kafka.group_config(&format!("prober.{region}.now")),
        }
    }
}
