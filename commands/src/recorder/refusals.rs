//! How many refusals of checks each organization's log takes: a monitor whose target is refused is checked, and
//! refused, for as long as it exists.

use std::num::NonZeroU32;
use std::time::Duration;

use pulsetrail_domain::OrganizationId;
use pulsetrail_domain::egress::EgressEvent;
use pulsetrail_infra::http::RateLimit;
use pulsetrail_infra::metrics;
use tokio::time::Instant;

/// Refusals a minute that a recorder writes to the log of an organization; as many may come at once.
const A_MINUTE: NonZeroU32 = match NonZeroU32::new(60) {
    Some(number) => number,
    None => NonZeroU32::MIN,
};
/// How often it is logged that there were more.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The limit, and what went beyond it.
pub(super) struct Refusals {
    limit: RateLimit<OrganizationId>,
    /// Refusals that were counted and of which the process's log does not tell yet.
    untold: usize,
    told_at: Option<Instant>,
}

/// Refusals, and whose they are.
type Owned = Vec<(OrganizationId, EgressEvent)>;

impl Refusals {
    pub(super) fn new() -> Self {
        Self { limit: RateLimit::a_minute(A_MINUTE), untold: 0, told_at: None }
    }

    /// The refusals that the log takes, and the others, which are counted alone.
    pub(super) fn split(&self, refusals: &[(OrganizationId, EgressEvent)]) -> (Owned, Owned) {
        refusals
            .iter()
            .cloned()
            .partition(|(organization, _)| self.limit.count(organization).is_ok())
    }

    /// Counts refusals that the log did not take, once that is durable.
    pub(super) fn were_not_logged(&mut self, refusals: usize) {
        metrics::refusals_not_logged(refusals);
        self.untold += refusals;
        if self.untold > 0 && self.told_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.told_at = Some(Instant::now());
            tracing::warn!(
                refusals = std::mem::take(&mut self.untold),
                "refusals of checks were counted and not written to the logs of their organizations, \
                 which take {A_MINUTE} a minute"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::egress::{EgressOrigin, Refusal};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_organization_with_many_refusals_leaves_the_log_of_another_its_share() {
        let refusals = Refusals::new();
        let of = |organization: u128, number: usize| {
            let [url, address, range] =
                ["http://10.0.0.1/", "10.0.0.1", "10.0.0.0/8"].map(str::to_owned);
            let refusal = Refusal { url, address, range };
            let event = EgressEvent::blocked(EgressOrigin::Probe, None, None, refusal);
            vec![(OrganizationId(Uuid::from_u128(organization)), event); number]
        };
        let (logged, unlogged) = refusals.split(&[of(1, 1_000), of(2, 5)].concat());
        let of_first = logged.iter().filter(|(id, _)| *id == OrganizationId(Uuid::from_u128(1)));
        assert_eq!((of_first.count(), logged.len(), unlogged.len()), (60, 65, 940));
    }
}
