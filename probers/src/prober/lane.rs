//! The two ways that jobs come: those of the schedule, and those that somebody waits for.

use std::sync::Arc;

use pulsetrail_domain::Region;
use pulsetrail_infra::kafka::Kafka;
use rdkafka::ClientConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of so many permits one is kept for checks on demand.
const ONE_RESERVED_OF: usize = 10;

/// Which way a job came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Scheduled,
    /// Somebody asked for it: it waits behind no other job.
    OnDemand,
}

impl Lane {
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

/// Permits of which some are kept for checks on demand. Those take any other that is free, too.
#[derive(Debug)]
pub(super) struct Permits {
    most: usize,
    reserved_most: usize,
    shared: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
}

impl Permits {
    /// `most` permits in all, at least 1. A single one is kept for nobody.
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let reserved_most = most.div_ceil(ONE_RESERVED_OF).min(most - 1);
        Self {
            most,
            reserved_most,
            shared: Arc::new(Semaphore::new(most - reserved_most)),
            reserved: Arc::new(Semaphore::new(reserved_most)),
        }
    }

    /// How many a lane can count on.
    pub(super) fn most(&self, lane: Lane) -> usize {
        match lane {
            Lane::Scheduled => self.most - self.reserved_most,
            Lane::OnDemand => self.reserved_most.max(1),
        }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.most - self.shared.available_permits() - self.reserved.available_permits()
    }

    /// Waits for a permit; none when there will never be one.
    pub(super) async fn acquire(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        let shared = Arc::clone(&self.shared).acquire_owned();
        if lane == Lane::Scheduled || self.reserved_most == 0 {
            return shared.await.ok();
        }
        tokio::select! {
            biased;
            permit = Arc::clone(&self.reserved).acquire_owned() => permit.ok(),
            permit = shared => permit.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn now(permits: &Permits, lane: Lane) -> Option<OwnedSemaphorePermit> {
        permits.acquire(lane).now_or_never().flatten()
    }

    #[test]
    fn a_check_on_demand_waits_for_no_scheduled_one() {
        let permits = Permits::new(20);
        let scheduled: Vec<_> =
            std::iter::from_fn(|| now(&permits, Lane::Scheduled)).take(100).collect();
        assert_eq!((scheduled.len(), permits.taken()), (18, 18));
        let mut waiting = Box::pin(permits.acquire(Lane::Scheduled));
        assert!((&mut waiting).now_or_never().is_none());
        let on_demand: Vec<_> =
            std::iter::from_fn(|| now(&permits, Lane::OnDemand)).take(100).collect();
        assert_eq!((on_demand.len(), permits.taken()), (2, 20));
    }

    #[test]
    fn a_check_on_demand_takes_a_free_permit_of_the_schedule() {
        let permits = Permits::new(2);
        let _first = now(&permits, Lane::OnDemand).unwrap();
        let _second = now(&permits, Lane::OnDemand).unwrap();
        assert!(now(&permits, Lane::Scheduled).is_none());
        let single = Permits::new(1);
        let _only = now(&single, Lane::OnDemand).unwrap();
        assert!(now(&single, Lane::OnDemand).is_none());
    }
}
