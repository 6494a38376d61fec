//! Storing a batch: one transaction for what was decided, again for what moved meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::Utc;
use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::health::Health;
use pulsetrail_domain::{CheckId, MonitorId};
use pulsetrail_infra::dead_letters::{resolve, retried_letter};
use pulsetrail_infra::metrics;
use pulsetrail_infra::store::{
    Append, Snapshot, Store, StoreError, append_batch, append_refusals, note_irregular_checks,
    recorded_before, save_snapshots,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::RECORDER;
use super::cache::{Cache, Known};
use super::dead_letter::DeadLetter;
use super::decide::{Decided, LookedUp, decide};
use super::intake::{Intake, Received};

/// A snapshot of a health aggregate is kept each time its version passes a multiple of this.
const SNAPSHOT_EVERY: i64 = 200;

type ByMonitor = BTreeMap<MonitorId, Vec<Received>>;

/// Makes every effect of a batch durable.
pub(super) async fn record_batch(
    store: &Store,
    cache: &mut Cache,
    intakes: Vec<Intake>,
) -> Result<(), StoreError> {
    let mut dead = Vec::new();
    let mut pending: ByMonitor = BTreeMap::new();
    for intake in intakes {
        match intake {
            Intake::Received(received) => {
                pending.entry(received.monitor_id).or_default().push(*received);
            }
            Intake::Dead(letter) => dead.push(*letter),
        }
    }
    let mut retried: HashSet<Uuid> =
        pending.values().flatten().filter_map(|one| retried_letter(&one.origin)).collect();
    let mut looked_up = LookedUp::default();
    while !pending.is_empty() || !dead.is_empty() {
        let ids: HashSet<MonitorId> = pending.keys().copied().collect();
        let known = cache.load(store, &ids).await?;
        let mut round = decide_all(&known, &pending, &looked_up)?;
        let to_look_up: Vec<(MonitorId, &[usize])> = round
            .iter()
            .filter(|(_, decided)| !decided.to_look_up.is_empty())
            .map(|(id, decided)| (*id, decided.to_look_up.as_slice()))
            .collect();
        if !to_look_up.is_empty() {
            look_up(store, &pending, &to_look_up, &mut looked_up).await?;
            continue;
        }
        for decided in round.values_mut() {
            dead.append(&mut decided.dead);
        }
        for failed_again in dead.iter().filter_map(DeadLetter::retry_of) {
            retried.remove(&failed_again);
        }
        let moved = store_round(store, &known, &pending, &round, &dead).await?;
        metrics::results_recorded("dead_letter", dead.len());
        dead.clear();
        if !moved.is_empty() {
            // Whoever was faster may have recorded what was not found.
            looked_up = LookedUp::default();
        }
        for (id, decided) in round {
            if moved.contains(&id) {
                cache.forget(id);
                continue;
            }
            metrics::results_recorded("recorded", decided.recorded.len());
            metrics::results_recorded("duplicate", decided.duplicates);
            metrics::results_recorded("void", decided.void);
            pending.remove(&id);
            if let Some(Known { monitor, .. }) = known.get(&id)
                && monitor.version > 0
            {
                let known =
                    Known { monitor: monitor.clone(), health: decided.health, unreadable: None };
                cache.put(id, known);
            }
        }
    }
    resolve(&store.write, RECORDER, &retried).await
}

fn decide_all(
    known: &HashMap<MonitorId, Known>,
    pending: &ByMonitor,
    looked_up: &LookedUp,
) -> Result<BTreeMap<MonitorId, Decided>, StoreError> {
    let nothing = Known::default();
    let now = Utc::now();
    pending
        .iter()
        .map(|(id, results)| {
            let known = known.get(id).unwrap_or(&nothing);
            Ok((*id, decide(*id, known, results, looked_up, now)?))
        })
        .collect()
}

/// Stores what was decided, and returns the monitors that had moved on: nothing of theirs is stored.
async fn store_round(
    store: &Store,
    known: &HashMap<MonitorId, Known>,
    pending: &ByMonitor,
    round: &BTreeMap<MonitorId, Decided>,
    dead: &[DeadLetter],
) -> Result<HashSet<MonitorId>, StoreError> {
    let (ids, appends): (Vec<MonitorId>, Vec<Append>) = round
        .iter()
        .filter_map(|(id, decided)| decided.append.clone().map(|append| (*id, append)))
        .unzip();
    if appends.is_empty() && dead.is_empty() {
        return Ok(HashSet::new());
    }
    let mut transaction = store.write.begin().await?;
    let outcome = append_batch(&mut *transaction, &appends).await?;
    let moved: HashSet<MonitorId> =
        outcome.conflicts.iter().filter_map(|place| ids.get(*place).copied()).collect();
    let stored: Vec<(MonitorId, &Decided)> = ids
        .iter()
        .filter(|id| !moved.contains(id))
        .filter_map(|id| round.get(id).map(|decided| (*id, decided)))
        .collect();
    let irregular: Vec<(MonitorId, CheckId)> = stored
        .iter()
        .flat_map(|(id, decided)| decided.irregular.iter().map(|check| (*id, *check)))
        .collect();
    note_irregular_checks(&mut transaction, &irregular).await?;
    save_refusals(&mut transaction, pending, &stored).await?;
    save_health(&mut transaction, known, &stored).await?;
    for letter in dead {
        letter.save(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(moved)
}

/// One `EgressBlocked` for each recorded check that the shield refused.
async fn save_refusals(
    transaction: &mut PgConnection,
    pending: &ByMonitor,
    stored: &[(MonitorId, &Decided)],
) -> Result<(), StoreError> {
    let mut refusals = Vec::new();
    for (id, decided) in stored {
        let results = pending.get(id).map(Vec::as_slice).unwrap_or_default();
        let recorded = decided.recorded.iter().filter_map(|place| results.get(*place));
        refusals.extend(
            recorded
                .filter_map(Received::result)
                .filter_map(|message| Some((message.organization_id, message.blocked()?))),
        );
    }
    if refusals.is_empty() {
        return Ok(());
    }
    append_refusals(transaction, &refusals, &HashMap::new()).await
}

/// The status half of the monitors' read model where it changed, and snapshots where they are due.
async fn save_health(
    transaction: &mut PgConnection,
    known: &HashMap<MonitorId, Known>,
    stored: &[(MonitorId, &Decided)],
) -> Result<(), StoreError> {
    let nothing = Health::default();
    let mut changed: Vec<(MonitorId, &Health)> = Vec::new();
    let mut snapshots = Vec::new();
    for (id, decided) in stored {
        let before = known.get(id).map_or(&nothing, |known| &known.health);
        let after = &decided.health;
        if (before.status, before.status_since) != (after.status, after.status_since) {
            changed.push((*id, after));
        }
        if before.version / SNAPSHOT_EVERY != after.version / SNAPSHOT_EVERY {
            let state = serde_json::to_string(after)?;
            let aggregate_id = id.to_string();
            snapshots.push(Snapshot { aggregate_id, sequence: after.version, state });
        }
    }
    save_snapshots(transaction, Health::AGGREGATE, &snapshots).await?;
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into monitor_status (monitor_id, health_version, status, status_since)
         select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[])
         on conflict (monitor_id) do update
            set health_version = excluded.health_version, status = excluded.status,
                status_since = excluded.status_since
            where monitor_status.health_version < excluded.health_version",
    )
    .bind(changed.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, health)| health.version).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, health)| health.status.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, health)| health.status_since).collect::<Vec<_>>())
    .execute(transaction)
    .await?;
    Ok(())
}

/// Asks the store which of the given checks, by their place among a monitor's results, were recorded
/// before.
async fn look_up(
    store: &Store,
    pending: &ByMonitor,
    places: &[(MonitorId, &[usize])],
    looked_up: &mut LookedUp,
) -> Result<(), StoreError> {
    for (monitor_id, places) in places {
        let results = pending.get(monitor_id).map(Vec::as_slice).unwrap_or_default();
        let wanted: Vec<&CheckResult> = places
            .iter()
            .filter_map(|place| results.get(*place))
            .filter_map(Received::result)
            .map(|message| &message.result)
            .collect();
        looked_up.found.extend(recorded_before(&store.read, *monitor_id, &wanted).await?);
        looked_up.asked.extend(wanted.iter().map(|result| result.check_id));
    }
    Ok(())
}
