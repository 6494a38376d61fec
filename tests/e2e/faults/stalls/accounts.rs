//! Which slots were due by the log, and which have a check.

use std::collections::{BTreeMap, BTreeSet};

use chrono::SecondsFormat;
use clickhouse::Client;
use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::health::HealthEvent;
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_domain::schedule::{Change, SlotRun, SlotWindow, slots_due};
use pulsetrail_domain::{MonitorId, Position, Region, timestamp_from_millis};
use pulsetrail_harness::{User, within};
use pulsetrail_infra::store::{Store, read_after};

use super::super::SETTLING;

/// A check that is due: of a monitor, in a region, at a slot in ms.
pub(super) type Due = (MonitorId, Region, i64);

/// Before every slot of a test.
const FROM_MS: i64 = 1_700_000_000_000;

/// The slots of a log before a moment.
pub(super) struct Accounts {
    end_ms: i64,
    pub(super) due: BTreeSet<Due>,
    /// Each with the position of its event.
    recorded: BTreeMap<Due, Position>,
    pub(super) twice: Vec<Due>,
    monitors: usize,
}

impl Accounts {
    /// Reads the whole log.
    pub(super) async fn of(store: &Store, end_ms: i64) -> Self {
        let mut histories: BTreeMap<MonitorId, Vec<(i64, Change)>> = BTreeMap::new();
        let (mut recorded, mut twice) = (BTreeMap::new(), Vec::new());
        let mut read = Position::START;
        loop {
            let page = read_after(&store.read, read, 1_000).await.unwrap();
            let Some(last) = page.last() else { break };
            read = last.position;
            for event in &page {
                let Some(monitor_id) = event.monitor_id() else { continue };
                if event.aggregate_type == Monitor::AGGREGATE {
                    let change = Change::of(&event.monitor_event().unwrap());
                    let at_ms = event.recorded_at.timestamp_millis();
                    histories.entry(monitor_id).or_default().push((at_ms, change));
                } else if event.event_type == "CheckCompleted" {
                    let HealthEvent::CheckCompleted(result) = event.health_event().unwrap() else {
                        continue;
                    };
                    let check = due_of(monitor_id, &result);
                    if check.2 < end_ms && recorded.insert(check.clone(), event.position).is_some()
                    {
                        twice.push(check);
                    }
                }
            }
        }
        let window = SlotWindow { from_ms: FROM_MS, to_ms: end_ms, known_until_ms: i64::MAX };
        let monitors = histories.len();
        let mut due = BTreeSet::new();
        for (monitor_id, history) in histories {
            let runs = slots_due(monitor_id, history, window);
            due.extend(runs.iter().flat_map(|run| checks_of(monitor_id, run)));
        }
        Self { end_ms, due, recorded, twice, monitors }
    }

    /// Slots without a check.
    pub(super) fn missed(&self) -> Vec<Due> {
        self.due.iter().filter(|check| !self.recorded.contains_key(*check)).cloned().collect()
    }

    /// Waits until the interface shows as many expected and missed checks of each monitor as the log says:
    /// once the newest slots are over, and all is projected.
    pub(super) async fn until_the_interface_shows_them(&self, user: &User) {
        let text = |ms| timestamp_from_millis(ms).to_rfc3339_opts(SecondsFormat::Millis, true);
        let window = format!("from={}&to={}", text(FROM_MS), text(self.end_ms));
        let count = |checks: &mut dyn Iterator<Item = &Due>| {
            let mut counts: BTreeMap<MonitorId, u64> = BTreeMap::new();
            checks.for_each(|(monitor_id, ..)| *counts.entry(*monitor_id).or_default() += 1);
            counts
        };
        let (due, missed) = (count(&mut self.due.iter()), count(&mut self.missed().iter()));
        let mut shown = Vec::new();
        within(SETTLING, "the interface shows each slot that is missed", async || {
            let answer = user.get(&format!("/api/v1/uptime?{window}")).await;
            let monitors = answer.body["monitors"].as_array()?;
            assert_eq!(monitors.len(), self.monitors);
            shown = monitors
                .iter()
                .map(|one| {
                    let id: MonitorId = one["monitor_id"].as_str().unwrap().parse().unwrap();
                    (id, one["checks_expected"].as_u64(), one["checks_missed"].as_u64())
                })
                .collect();
            let of = |counts: &BTreeMap<MonitorId, u64>, id: &MonitorId| {
                counts.get(id).copied().unwrap_or(0)
            };
            let is_right = |(id, is_due, is_missed): &(MonitorId, Option<u64>, Option<u64>)| {
                *is_due == Some(of(&due, id)) && *is_missed == Some(of(&missed, id))
            };
            shown.iter().all(is_right).then_some(())
        })
        .await;
        let total = |of: &BTreeMap<MonitorId, u64>| of.values().sum::<u64>();
        let answer = user.get(&format!("/api/v1/uptime?{window}")).await.body;
        assert_eq!(answer["checks_expected"], total(&due), "{answer}");
        assert_eq!(answer["checks_missed"], total(&missed));
    }

    /// Takes a check out of the log by hand, and what was projected of the log with it.
    pub(super) async fn take_one_out(&self, store: &Store, clickhouse: &Client) -> Due {
        let mut kept = self.due.iter().filter_map(|check| self.recorded.get_key_value(check));
        let (check, position) = kept.next().unwrap();
        let mut transaction = store.read.begin().await.unwrap();
        // The log refuses changes otherwise.
        sqlx::query("set local session_replication_role = replica")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let deleted = sqlx::query("delete from events where position = $1")
            .bind(position.0)
            .execute(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(deleted.rows_affected(), 1);
        transaction.commit().await.unwrap();
        // The projector finds its tables empty, and reads the log again.
        clickhouse.query("truncate table projected").execute().await.unwrap();
        check.clone()
    }
}

fn due_of(monitor_id: MonitorId, result: &CheckResult) -> Due {
    (monitor_id, result.region.clone(), result.slot_ms())
}

fn checks_of(monitor_id: MonitorId, run: &SlotRun) -> Vec<Due> {
    let step = usize::try_from(run.interval_ms).unwrap();
    let slots = (run.first_ms..=run.last_ms).step_by(step);
    let of_slot = |slot_ms| run.regions.iter().map(move |one| (monitor_id, one.clone(), slot_ms));
    slots.flat_map(of_slot).collect()
}
