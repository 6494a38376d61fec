//! What is stored beside the events of a batch, in their transaction.

use std::collections::HashMap;
use std::sync::Arc;

use pulsetrail_domain::egress::EgressEvent;
use pulsetrail_domain::health::Health;
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId};
use pulsetrail_infra::store::{
    StoreError, append_refusals, count_unlogged_refusals, note_irregular_checks,
};
use sqlx::PgConnection;

use super::cache::Known;
use super::commit::ByMonitor;
use super::decide::Decided;
use super::intake::Received;
use super::refusals::Refusals;

/// What goes with some decisions besides their events; mostly nothing.
#[derive(Default)]
pub(super) struct Beside<'a> {
    /// Checks that the order of the log does not lead to.
    irregular: Vec<(MonitorId, CheckId)>,
    /// One `EgressBlocked` for each recorded check that the shield refused; the log takes so many of them.
    refusals: Vec<(OrganizationId, EgressEvent)>,
    /// The status half of the monitors' read model, where it changed.
    changed: Vec<(MonitorId, &'a Health)>,
}

impl<'a> Beside<'a> {
    pub(super) fn of(
        before: &HashMap<MonitorId, Arc<Known>>,
        pending: &ByMonitor,
        decided: &[(MonitorId, &'a Decided)],
    ) -> Self {
        let (mut beside, nothing) = (Self::default(), Health::default());
        for (id, decided) in decided {
            beside.irregular.extend(decided.irregular.iter().map(|check| (*id, *check)));
            let results = pending.get(id).map(Vec::as_slice).unwrap_or_default();
            let recorded = decided.recorded.iter().filter_map(|place| results.get(*place));
            let recorded = recorded.filter_map(Received::result);
            beside.refusals.extend(
                recorded.filter_map(|message| Some((message.organization_id, message.blocked()?))),
            );
            let before = before.get(id).map_or(&nothing, |known| &known.health);
            let after = &decided.health;
            if (before.status, before.status_since) != (after.status, after.status_since) {
                beside.changed.push((*id, after));
            }
        }
        beside
    }

    pub(super) fn is_empty(&self) -> bool {
        self.irregular.is_empty() && self.refusals.is_empty() && self.changed.is_empty()
    }

    /// Saves all of it. Returns how many refusals the log did not take, and are counted alone.
    pub(super) async fn save(
        &self,
        transaction: &mut PgConnection,
        limit: &Refusals,
    ) -> Result<usize, StoreError> {
        note_irregular_checks(transaction, &self.irregular).await?;
        let (logged, unlogged) = limit.split(&self.refusals);
        if !logged.is_empty() {
            append_refusals(&mut *transaction, &logged, &HashMap::new()).await?;
        }
        if !unlogged.is_empty() {
            count_unlogged_refusals(&mut *transaction, &unlogged).await?;
        }
        self.save_status(transaction).await?;
        Ok(unlogged.len())
    }

    async fn save_status(&self, transaction: &mut PgConnection) -> Result<(), StoreError> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let column = self.changed.iter();
        sqlx::query(
            "insert into monitor_status (monitor_id, health_version, status, status_since)
             select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[])
             on conflict (monitor_id) do update
                set health_version = excluded.health_version, status = excluded.status,
                    status_since = excluded.status_since
                where monitor_status.health_version < excluded.health_version",
        )
        .bind(column.clone().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(column.clone().map(|(_, health)| health.version).collect::<Vec<_>>())
        .bind(column.clone().map(|(_, health)| health.status.as_str()).collect::<Vec<_>>())
        .bind(column.map(|(_, health)| health.status_since).collect::<Vec<_>>())
        .execute(transaction)
        .await?;
        Ok(())
    }
}
