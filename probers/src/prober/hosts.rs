//! No host is checked more than a few times at once, and no organization keeps another from checking it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pulsetrail_domain::OrganizationId;

use super::lane::Lane;
use super::permits::{Limits, Permit, SharedPermits};

/// When to look for hosts that are not checked any more.
const SWEEP_AT_LEAST: usize = 1_024;

/// Permits, so many for each host.
#[derive(Debug)]
pub(super) struct HostLimits {
    limits: Limits,
    hosts: Mutex<Hosts>,
}

#[derive(Debug, Default)]
struct Hosts {
    /// Every permit keeps those of its host together; the last one to go lets the host be forgotten.
    permits: HashMap<String, Weak<SharedPermits>>,
    sweep_at: usize,
}

impl HostLimits {
    /// `limits` for each host.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, hosts: Mutex::default() }
    }

    /// Waits for an organization's permit to check a host; none if there will never be one.
    pub(super) async fn acquire(
        &self,
        host: &str,
        organization_id: OrganizationId,
        lane: Lane,
    ) -> Option<Permit> {
        let host = self.of(host);
        host.acquire(organization_id, lane).await
    }

    fn of(&self, host: &str) -> Arc<SharedPermits> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permits) = hosts.permits.get(host).and_then(Weak::upgrade) {
            return permits;
        }
        if hosts.permits.len() >= hosts.sweep_at.max(SWEEP_AT_LEAST) {
            hosts.permits.retain(|_, permits| permits.strong_count() > 0);
            hosts.sweep_at = hosts.permits.len() * 2;
        }
        let permits = SharedPermits::new(self.limits);
        hosts.permits.insert(host.to_owned(), Arc::downgrade(&permits));
        permits
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::super::HOST_LIMITS;
    use super::*;

    fn now(limits: &HostLimits, host: &str, organization: u128, lane: Lane) -> Option<Permit> {
        let organization_id = OrganizationId(Uuid::from_u128(organization));
        limits.acquire(host, organization_id, lane).now_or_never().flatten()
    }

    fn all(limits: &HostLimits, host: &str, organization: u128, lane: Lane) -> Vec<Permit> {
        std::iter::from_fn(|| now(limits, host, organization, lane)).take(100).collect()
    }

    #[test]
    fn each_organization_has_permits_of_a_host_and_all_have_no_more_than_its_limit() {
        let limits = HostLimits::new(HOST_LIMITS);
        let first = all(&limits, "a", 1, Lane::Scheduled);
        assert_eq!(first.len(), 9, "the tenth is for a check on demand");
        assert_eq!(all(&limits, "a", 1, Lane::OnDemand).len(), 1);
        let others: Vec<_> =
            (2..6).map(|number| all(&limits, "a", number, Lane::Scheduled)).collect();
        assert!(others.iter().all(|permits| !permits.is_empty()), "{others:?}");
        let rest: Vec<_> =
            (6..60).flat_map(|number| all(&limits, "a", number, Lane::Scheduled)).collect();
        let held = first.len() + others.iter().map(Vec::len).sum::<usize>() + rest.len();
        assert!(held <= HOST_LIMITS.total, "{held}");
        assert_eq!(all(&limits, "b", 1, Lane::Scheduled).len(), 9, "another host has its own");
    }

    #[tokio::test]
    async fn hosts_that_are_not_checked_any_more_are_forgotten() {
        let limits = HostLimits::new(HOST_LIMITS);
        let _kept = now(&limits, "kept", 1, Lane::Scheduled).unwrap();
        for n in 0..10 * SWEEP_AT_LEAST {
            now(&limits, &n.to_string(), 1, Lane::Scheduled);
        }
        let hosts = limits.hosts.lock().unwrap();
        assert!(hosts.permits.len() <= SWEEP_AT_LEAST, "{}", hosts.permits.len());
        assert!(hosts.permits.contains_key("kept"));
    }
}
