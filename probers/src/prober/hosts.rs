//! No host is checked more than a few times at once, whoever asked for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedSemaphorePermit;

use super::lane::{Lane, Permits};

/// When to look for hosts that are not checked any more.
const SWEEP_AT_LEAST: usize = 1_024;

/// Permits, so many for each host.
#[derive(Debug)]
pub(super) struct HostLimits {
    most: usize,
    hosts: Mutex<Hosts>,
}

#[derive(Debug, Default)]
struct Hosts {
    permits: HashMap<String, Weak<Permits>>,
    sweep_at: usize,
}

/// A permit to check a host.
#[derive(Debug)]
pub(super) struct HostPermit {
    _permit: OwnedSemaphorePermit,
    /// Keeps the host's permits together; the last one to go lets the host be forgotten.
    _host: Arc<Permits>,
}

impl HostLimits {
    /// At most `most` permits for a host.
    pub(super) fn new(most: usize) -> Self {
        Self { most, hosts: Mutex::default() }
    }

    /// Waits for a permit of a host; none when there will never be one.
    pub(super) async fn acquire(&self, host: &str, lane: Lane) -> Option<HostPermit> {
        let host = self.of(host);
        Some(HostPermit { _permit: host.acquire(lane).await?, _host: host })
    }

    fn of(&self, host: &str) -> Arc<Permits> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permits) = hosts.permits.get(host).and_then(Weak::upgrade) {
            return permits;
        }
        if hosts.permits.len() >= hosts.sweep_at.max(SWEEP_AT_LEAST) {
            hosts.permits.retain(|_, permits| permits.strong_count() > 0);
            hosts.sweep_at = hosts.permits.len() * 2;
        }
        let permits = Arc::new(Permits::new(self.most));
        hosts.permits.insert(host.to_owned(), Arc::downgrade(&permits));
        permits
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const SCHEDULED: Lane = Lane::Scheduled;

    #[tokio::test]
    async fn a_host_has_so_many_permits_and_another_host_its_own() {
        let limits = HostLimits::new(3);
        let first = limits.acquire("a", SCHEDULED).await.unwrap();
        let _second = limits.acquire("a", SCHEDULED).await.unwrap();
        assert!(limits.acquire("a", SCHEDULED).now_or_never().is_none(), "the third is reserved");
        let on_demand = limits.acquire("a", Lane::OnDemand).now_or_never();
        assert!(on_demand.is_some_and(|permit| permit.is_some()));
        assert!(limits.acquire("b", SCHEDULED).now_or_never().is_some());
        drop(first);
        assert!(limits.acquire("a", SCHEDULED).now_or_never().is_some());
    }

    #[tokio::test]
    async fn hosts_that_are_not_checked_any_more_are_forgotten() {
        let limits = HostLimits::new(1);
        let _kept = limits.acquire("kept", SCHEDULED).await;
        for n in 0..10 * SWEEP_AT_LEAST {
            limits.acquire(&n.to_string(), SCHEDULED).await;
        }
        let hosts = limits.hosts.lock().unwrap();
        assert!(hosts.permits.len() <= SWEEP_AT_LEAST, "{}", hosts.permits.len());
        assert!(hosts.permits.contains_key("kept"));
    }
}
