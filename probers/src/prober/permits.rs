//! Permits that organizations share.
//!
//! An organization gets a permit as long as it holds fewer than a multiple of those that are free. So it may
//! take most of them while it is alone, and some are always left for the next organization, also while none
//! is given back. This is the dynamic threshold of A. K. Choudhury and E. L. Hahne, "Dynamic queue length
//! thresholds for shared-memory packet switches", IEEE/ACM Transactions on Networking 6 (2), 1998. Permits that
//! are given back go to the organizations that wait, in turn.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulsetrail_domain::OrganizationId;
use tokio::sync::oneshot;

use super::lane::Lane;

/// Of so many permits one is kept for checks on demand.
const ONE_RESERVED_OF: usize = 10;

/// How many permits there are, and how they are shared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Permits in all, at least 1.
    pub(super) total: usize,
    /// Permits of one organization, at least 1.
    pub(super) per_organization: usize,
    /// An organization holds at most so many times the free permits: with 3, three quarters of all.
    pub(super) times_free: usize,
}

/// Permits of the prober, or of one host.
#[derive(Debug)]
pub(super) struct SharedPermits {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Held,
    organizations: HashMap<OrganizationId, Organization>,
    /// For each lane, the organizations that wait, in turn. One that waits no more is left out when its turn
    /// comes.
    turns: [VecDeque<OrganizationId>; Lane::ALL.len()],
    /// The number of the newest waiter.
    newest: u64,
}

/// The permits and the waiters of one organization, for each lane.
#[derive(Debug, Default)]
struct Organization {
    held: Held,
    waiters: [BTreeMap<u64, oneshot::Sender<Permit>>; Lane::ALL.len()],
    has_turn: [bool; Lane::ALL.len()],
}

/// Permits that are held, for each lane.
#[derive(Clone, Copy, Debug, Default)]
struct Held([usize; Lane::ALL.len()]);

/// How many of `total` permits are kept for checks on demand. A single one is kept for no lane.
fn reserve(total: usize) -> usize {
    total.div_ceil(ONE_RESERVED_OF).min(total.saturating_sub(1))
}

impl Held {
    fn all(self) -> usize {
        self.0.iter().sum()
    }

    /// How many of `total` permits a lane finds free: of the reserve, only checks on demand take any.
    fn free(self, lane: Lane, total: usize) -> usize {
        let kept = match lane {
            Lane::OnDemand => 0,
            Lane::Scheduled => reserve(total).saturating_sub(self.0[Lane::OnDemand as usize]),
        };
        total.saturating_sub(self.all()).saturating_sub(kept)
    }
}

/// A permit; dropped, it is given back.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<SharedPermits>,
    organization_id: OrganizationId,
    lane: Lane,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.permits.state();
        state.held.0[self.lane as usize] -= 1;
        if let Some(organization) = state.organizations.get_mut(&self.organization_id) {
            organization.held.0[self.lane as usize] -= 1;
        }
        state.forget_idle(self.organization_id);
        let not_taken = self.permits.hand_out(&mut state);
        drop(state);
        // Only now: each takes the lock when it is dropped.
        drop(not_taken);
    }
}

/// A job that waits for a permit; dropped, it waits no more.
struct Waiter<'a> {
    permits: &'a SharedPermits,
    organization_id: OrganizationId,
    lane: Lane,
    number: u64,
    permit: oneshot::Receiver<Permit>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.permits.state();
        if let Some(organization) = state.organizations.get_mut(&self.organization_id) {
            organization.waiters[self.lane as usize].remove(&self.number);
        }
        state.forget_idle(self.organization_id);
    }
}

impl SharedPermits {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let Limits { total, per_organization, times_free } = limits;
        let limits = Limits {
            total: total.max(1),
            per_organization: per_organization.max(1),
            times_free: times_free.max(1),
        };
        Arc::new(Self { limits, state: Mutex::default() })
    }

    /// How many a lane can count on.
    pub(super) fn most(&self, lane: Lane) -> usize {
        let reserved = reserve(self.limits.total);
        match lane {
            Lane::Scheduled => self.limits.total - reserved,
            Lane::OnDemand => reserved.max(1),
        }
    }

    /// How many are held.
    pub(super) fn held(&self) -> usize {
        self.state().held.all()
    }

    /// Waits for a permit of an organization. Its jobs of one lane get theirs in the order in which they came.
    /// None if there will never be one.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        organization_id: OrganizationId,
        lane: Lane,
    ) -> Option<Permit> {
        let mut waiter = {
            let mut state = self.state();
            // Nobody is passed over: whoever waits may not take one.
            if self.may_take(&state, organization_id, lane) {
                return Some(self.take(&mut state, organization_id, lane));
            }
            let (number, permit) = state.wait(organization_id, lane);
            Waiter { permits: self, organization_id, lane, number, permit }
        };
        (&mut waiter.permit).await.ok()
    }

    /// Whether an organization may take a permit.
    fn may_take(&self, state: &State, organization_id: OrganizationId, lane: Lane) -> bool {
        let Limits { total, per_organization, times_free } = self.limits;
        let free = state.held.free(lane, total);
        let organization = state.organizations.get(&organization_id);
        let held = organization.map_or_else(Held::default, |organization| organization.held);
        held.all() < times_free.saturating_mul(free) && held.free(lane, per_organization) > 0
    }

    fn take(self: &Arc<Self>, state: &mut State, id: OrganizationId, lane: Lane) -> Permit {
        state.held.0[lane as usize] += 1;
        state.organizations.entry(id).or_default().held.0[lane as usize] += 1;
        Permit { permits: Arc::clone(self), organization_id: id, lane }
    }

    /// Hands out the permits that may be taken, one after the other to each organization that waits. Returns
    /// those of waiters that were gone.
    fn hand_out(self: &Arc<Self>, state: &mut State) -> Vec<Permit> {
        let mut not_taken = Vec::new();
        for lane in [Lane::OnDemand, Lane::Scheduled] {
            let mut passed_over = 0;
            while passed_over < state.turns[lane as usize].len()
                && state.held.free(lane, self.limits.total) > 0
            {
                let Some(id) = state.turns[lane as usize].pop_front() else { break };
                let may_take = self.may_take(state, id, lane);
                let Some(organization) = state.organizations.get_mut(&id) else { continue };
                let waiters = &mut organization.waiters[lane as usize];
                let next = if may_take { waiters.pop_first() } else { None };
                let waits_on = !waiters.is_empty();
                organization.has_turn[lane as usize] = waits_on;
                if waits_on {
                    state.turns[lane as usize].push_back(id);
                }
                match next {
                    Some((_, waiter)) => {
                        passed_over = 0;
                        let permit = self.take(state, id, lane);
                        not_taken.extend(waiter.send(permit).err());
                    }
                    None if waits_on => passed_over += 1,
                    None => state.forget_idle(id),
                }
            }
        }
        not_taken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, id: OrganizationId, lane: Lane) -> (u64, oneshot::Receiver<Permit>) {
        self.newest += 1;
        let (sender, receiver) = oneshot::channel();
        let organization = self.organizations.entry(id).or_default();
        organization.waiters[lane as usize].insert(self.newest, sender);
        if !std::mem::replace(&mut organization.has_turn[lane as usize], true) {
            self.turns[lane as usize].push_back(id);
        }
        (self.newest, receiver)
    }

    /// Forgets an organization that holds nothing, waits for nothing and stands in no queue.
    fn forget_idle(&mut self, id: OrganizationId) {
        let idle = self.organizations.get(&id).is_some_and(|organization| {
            let no_waiters = organization.waiters.iter().all(BTreeMap::is_empty);
            organization.held.all() == 0 && no_waiters && organization.has_turn == [false; 2]
        });
        if idle {
            self.organizations.remove(&id);
        }
    }
}

#[cfg(test)]
#[path = "permits_tests.rs"]
mod tests;
