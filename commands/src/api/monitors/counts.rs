//! How many monitors an organization has, for its limit.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pulsetrail_domain::OrganizationId;
use sqlx::PgExecutor;

/// How long a count is believed that is far below the limit.
const BELIEVED_FOR: Duration = Duration::from_secs(60);
/// How many organizations' counts are remembered.
const REMEMBERED: usize = 10_000;

/// Counts of monitors. One that is far below the limit is believed for a while, so that a registration
/// does not count tens of thousands; near the limit each one counts anew.
#[derive(Debug, Default)]
pub(crate) struct MonitorCounts {
    known: Mutex<HashMap<OrganizationId, Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// How many more can come before it is worth counting again.
    spare: i64,
    counted_at: Instant,
}

impl MonitorCounts {
    /// Whether an organization may have one more.
    pub(crate) async fn has_room(
        &self,
        executor: impl PgExecutor<'_>,
        organization_id: OrganizationId,
        most: i64,
    ) -> Result<bool, sqlx::Error> {
        if self.take_spare(organization_id) {
            return Ok(true);
        }
        let counted_at = Instant::now();
        let count: i64 = sqlx::query_scalar(
            "select count(*) from monitor_view where organization_id = $1 and not archived",
        )
        .bind(organization_id.0)
        .fetch_one(executor)
        .await?;
        // Other servers register too: half of what is left is theirs.
        let spare = (most - count - 1) / 2;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(organization_id, Known { spare, counted_at });
        Ok(count < most)
    }

    fn take_spare(&self, organization_id: OrganizationId) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(one) = known.get_mut(&organization_id) else { return false };
        one.spare -= 1;
        one.spare >= 0 && one.counted_at.elapsed() < BELIEVED_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_believed_only_while_there_is_room_to_spare() {
        let counts = MonitorCounts::default();
        let organization = OrganizationId::default();
        assert!(!counts.take_spare(organization), "nothing is known yet");
        let known = Known { spare: 2, counted_at: Instant::now() };
        counts.known.lock().unwrap().insert(organization, known);
        let believed: Vec<bool> = (0..3).map(|_| counts.take_spare(organization)).collect();
        assert_eq!(believed, [true, true, false]);
    }
}
