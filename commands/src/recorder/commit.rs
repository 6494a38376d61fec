//! Storing a batch: one transaction for what was decided, again for what moved meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, try_join_all};
use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::health::{Health, MAX_AGE};
use pulsetrail_domain::{MonitorId, Timestamp};
use pulsetrail_infra::dead_letters::{resolve, retried_letter};
use pulsetrail_infra::metrics;
use pulsetrail_infra::store::{
    Append, AppendOutcome, RecordedBefore, Snapshot, Store, StoreError, append_batch_after,
    database_time, recorded_before,
};
use uuid::Uuid;

use super::beside::Beside;
use super::cache::{Known, SNAPSHOT_EVERY, keep_snapshots};
use super::dead_letter::DeadLetter;
use super::decide::{Decided, LookedUp, decide};
use super::intake::{Intake, Received};
use super::{RECORDER, Recorder};

/// How many monitors' histories are looked through at the same time for results that come late.
const LOOKS_AT_ONCE: usize = 4;

pub(super) type ByMonitor = BTreeMap<MonitorId, Vec<Received>>;

/// Makes every effect of a batch durable.
pub(super) async fn record_batch(
    recorder: &mut Recorder<'_>,
    intakes: Vec<Intake>,
) -> Result<(), StoreError> {
    let store = recorder.store;
    if intakes.is_empty() {
        return Ok(());
    }
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
    let now = database_time(&store.read).await?;
    let mut looked_up = LookedUp::default();
    let mut snapshots = Vec::new();
    let mut too_late = Vec::new();
    while !pending.is_empty() || !dead.is_empty() {
        let ids: HashSet<MonitorId> = pending.keys().copied().collect();
        let known = recorder.cache.load(store, &ids).await?;
        let mut round = decide_all(&known, &pending, &looked_up, now)?;
        let to_look_up: Vec<(MonitorId, &[usize])> = round
            .iter()
            .filter(|(_, decided)| !decided.to_look_up.is_empty())
            .map(|(id, decided)| (*id, decided.to_look_up.as_slice()))
            .collect();
        if !to_look_up.is_empty() {
            dead.extend(look_up(store, &pending, &to_look_up, &mut looked_up).await?);
            continue;
        }
        for decided in round.values_mut() {
            dead.append(&mut decided.dead);
        }
        for failed_again in dead.iter().filter_map(DeadLetter::retry_of) {
            retried.remove(&failed_again);
        }
        let moved = store_round(recorder, &known, &pending, &round, &dead).await?;
        metrics::results_recorded("dead_letter", dead.len());
        dead.clear();
        if !moved.is_empty() {
            // Whoever was faster may have recorded what was not found.
            looked_up = LookedUp::default();
        }
        for (id, decided) in round {
            if moved.contains(&id) {
                recorder.cache.forget(id);
                continue;
            }
            metrics::results_recorded("recorded", decided.recorded.len());
            metrics::results_recorded("duplicate", decided.duplicates);
            metrics::results_recorded("archived", decided.archived);
            metrics::results_recorded("void", decided.void);
            too_late.extend((decided.too_late > 0).then_some((id, decided.too_late)));
            pending.remove(&id);
            if let (Some(known), Some(_)) = (known.get(&id), decided.append) {
                snapshots.extend(due_snapshot(&id, &known.health, &decided.health)?);
                let (organization_id, policy) = (known.organization_id, known.policy.clone());
                let health = decided.health;
                recorder.cache.put(id, Known { organization_id, policy, health, unreadable: None });
            }
        }
    }
    report_too_late(&too_late);
    // The lock is not held for them, and the batch is done without them.
    keep_snapshots(store, &snapshots).await;
    resolve(&store.write, RECORDER, &retried).await
}

/// The snapshot of a health aggregate that is due, if one is.
fn due_snapshot(
    monitor_id: &MonitorId,
    before: &Health,
    after: &Health,
) -> Result<Option<Snapshot>, serde_json::Error> {
    if before.version / SNAPSHOT_EVERY == after.version / SNAPSHOT_EVERY {
        return Ok(None);
    }
    let (aggregate_id, state) = (monitor_id.to_string(), serde_json::to_string(after)?);
    Ok(Some(Snapshot { aggregate_id, sequence: after.version, state }))
}

/// Says in the metrics and in the log, once a batch, that results were dropped because their slots were
/// too old.
fn report_too_late(dropped: &[(MonitorId, usize)]) {
    let Some((first, _)) = dropped.first() else { return };
    let results: usize = dropped.iter().map(|(_, results)| results).sum();
    metrics::results_recorded("too_late", results);
    tracing::warn!(
        results,
        monitors = dropped.len(),
        monitor.id = %first,
        "results whose slots are more than {} days old were dropped; one of their monitors is named",
        MAX_AGE.num_days()
    );
}

fn decide_all(
    known: &HashMap<MonitorId, Arc<Known>>,
    pending: &ByMonitor,
    looked_up: &LookedUp,
    now: Timestamp,
) -> Result<BTreeMap<MonitorId, Decided>, StoreError> {
    let nothing = Known::default();
    pending
        .iter()
        .map(|(id, results)| {
            let known = known.get(id).map_or(&nothing, Arc::as_ref);
            Ok((*id, decide(*id, known, results, looked_up, now)?))
        })
        .collect()
}

/// Stores what was decided, and returns the monitors that had moved on: nothing of theirs is stored.
async fn store_round(
    recorder: &mut Recorder<'_>,
    before: &HashMap<MonitorId, Arc<Known>>,
    pending: &ByMonitor,
    round: &BTreeMap<MonitorId, Decided>,
    dead: &[DeadLetter],
) -> Result<HashSet<MonitorId>, StoreError> {
    let (decided, appends): (Vec<(MonitorId, &Decided)>, Vec<Append>) = round
        .iter()
        .filter_map(|(id, decided)| decided.append.clone().map(|append| ((*id, decided), append)))
        .unzip();
    if appends.is_empty() && dead.is_empty() {
        return Ok(HashSet::new());
    }
    let Recorder { store, cache, refusals } = recorder;
    let mut beside = Beside::of(before, pending, &decided);
    let (outcome, moved) = if beside.is_empty() && dead.is_empty() {
        // Nothing else is to be stored: the lock is not held while this side is waited for.
        let outcome = append_batch_after(&store.write, &appends, cache.through()).await?;
        let moved = moved(&decided, &outcome);
        (outcome, moved)
    } else {
        let mut transaction = store.write.begin().await?;
        // Before the append takes the lock: it is not held while letters are written one by one.
        for letter in dead {
            letter.save(&mut transaction).await?;
        }
        let outcome = append_batch_after(&mut *transaction, &appends, cache.through()).await?;
        let moved = moved(&decided, &outcome);
        if !moved.is_empty() {
            let stored = decided.iter().filter(|(id, _)| !moved.contains(id)).copied();
            beside = Beside::of(before, pending, &stored.collect::<Vec<_>>());
        }
        let unlogged = beside.save(&mut transaction, refusals).await?;
        transaction.commit().await?;
        refusals.were_not_logged(unlogged);
        (outcome, moved)
    };
    cache.follow(store, &outcome).await?;
    Ok(moved)
}

/// The monitors whose health, or configuration, is not at the version that was decided from.
fn moved(decided: &[(MonitorId, &Decided)], outcome: &AppendOutcome) -> HashSet<MonitorId> {
    let places = outcome.conflicts.iter();
    places.filter_map(|place| decided.get(*place)).map(|(id, _)| *id).collect()
}

/// Asks the store which of the given checks, by their place among a monitor's results, were recorded
/// before: of some monitors at the same time. Returns the letters of events that cannot be read.
async fn look_up(
    store: &Store,
    pending: &ByMonitor,
    places: &[(MonitorId, &[usize])],
    looked_up: &mut LookedUp,
) -> Result<Vec<DeadLetter>, StoreError> {
    let wanted = places.iter().map(|(monitor_id, places)| {
        let results = pending.get(monitor_id).map(Vec::as_slice).unwrap_or_default();
        let results = places.iter().filter_map(|place| results.get(*place));
        let wanted: Vec<&CheckResult> =
            results.filter_map(Received::result).map(|message| &message.result).collect();
        looked_up.asked.extend(wanted.iter().map(|result| result.check_id));
        (*monitor_id, wanted)
    });
    let wanted: Vec<(MonitorId, Vec<&CheckResult>)> = wanted.collect();
    let mut letters = Vec::new();
    for some in wanted.chunks(LOOKS_AT_ONCE) {
        let looks: Vec<BoxFuture<'_, Result<RecordedBefore, StoreError>>> = some
            .iter()
            .map(|(monitor_id, wanted)| recorded_before(&store.read, *monitor_id, wanted).boxed())
            .collect();
        for before in try_join_all(looks).await? {
            looked_up.found.extend(before.checks);
            let unreadable = before.unreadable.iter();
            letters.extend(unreadable.map(|(event, error)| DeadLetter::of_event(event, error)));
        }
    }
    Ok(letters)
}
