//! A check that was recorded is found again also where the database's clock went back since.

use std::collections::HashSet;

use chrono::{Duration, Utc};
use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::health::HealthEvent;
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Timestamp};
use pulsetrail_infra::store::{NewEvent, Store, position_at, recorded_before};
use uuid::Uuid;

use crate::corner;
use crate::recording::result_of;

/// A monitor whose checks are written by hand.
struct History {
    store: Store,
    monitor: MonitorId,
    sequence: i64,
}

impl History {
    fn result(&self, slot: Timestamp) -> CheckResult {
        let organization = OrganizationId(Uuid::nil());
        result_of(self.monitor, organization, slot.timestamp_millis()).result
    }

    /// Appends a check of each slot: recorded a second after it or, if `now`, by the database's clock.
    async fn append(&mut self, slots: impl IntoIterator<Item = Timestamp>, now: bool) {
        let mut rows = (Vec::new(), Vec::new(), Vec::new());
        let mut version = "";
        for slot in slots {
            let event = HealthEvent::CheckCompleted(Box::new(self.result(slot)));
            let event = NewEvent::health(self.monitor, &event).unwrap();
            version = event.event_version;
            self.sequence += 1;
            rows.0.push(self.sequence);
            rows.1.push((!now).then(|| slot + Duration::seconds(1)));
            rows.2.push(event.payload);
        }
        sqlx::query(
            "insert into events (aggregate_type, aggregate_id, sequence, organization_id, event_type,
                                 event_version, payload, metadata, recorded_at)
             select 'health', $1, sequence, gen_random_uuid(), 'CheckCompleted', $2, payload::json, '{}',
                    coalesce(recorded_at, clock_timestamp())
             from unnest($3::bigint[], $4::timestamptz[], $5::text[]) as new (sequence, recorded_at, payload)
             order by sequence",
        )
        .bind(self.monitor.to_string())
        .bind(version)
        .bind(rows.0)
        .bind(rows.1)
        .bind(rows.2)
        .execute(&self.store.write)
        .await
        .unwrap();
    }

    async fn found(&self, slots: &[Timestamp]) -> Vec<bool> {
        let results: Vec<CheckResult> = slots.iter().map(|slot| self.result(*slot)).collect();
        let wanted: Vec<&CheckResult> = results.iter().collect();
        let found: HashSet<CheckId> =
            recorded_before(&self.store.read, self.monitor, &wanted).await.unwrap().checks;
        results.iter().map(|result| found.contains(&result.check_id)).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_is_found_again_after_the_clock_went_back() {
    let store = corner().await.store().await;
    store.migrate().await.unwrap();
    let mut history = History { store, monitor: MonitorId(Uuid::new_v4()), sequence: 0 };
    let start = Utc::now();
    let minute =
        |hours: i64, minutes: i64| start + Duration::hours(hours) + Duration::minutes(minutes);
    history.append((0..200).map(|number| minute(-10, number)), false).await;
    // The clock is a month ahead, is set right, is an hour ahead, and is set right again.
    history.append((0..10).map(|number| minute(24 * 30, number)), false).await;
    history.append((0..300).map(|number| minute(-5, number)), true).await;
    history.append((0..10).map(|number| minute(1, number)), false).await;
    history.append((0..5).map(|number| minute(0, number)), true).await;

    let slots = [
        minute(-10, 0),
        minute(-10, 199),
        minute(24 * 30, 0),
        minute(24 * 30, 9),
        minute(0, -1),
        minute(1, 0),
        minute(1, 9),
        minute(0, 4),
    ];
    assert_eq!(history.found(&slots).await, [true; 8]);
    for slot in slots {
        assert_eq!(history.found(&[slot]).await, [true], "{slot}");
    }
    // The position that the log had reached; of a moment that was there twice, the later one.
    let reached = async |moment| position_at(&history.store.read, moment).await.unwrap().0;
    let recorded: Vec<(i64, Timestamp)> =
        sqlx::query_as("select position, recorded_at from events order by position")
            .fetch_all(&history.store.read)
            .await
            .unwrap();
    for slot in slots.into_iter().chain([minute(-11, 0), minute(0, 30), minute(1, 10)]) {
        let newest = recorded.iter().rfind(|(_, recorded_at)| *recorded_at <= slot);
        let newest = newest.map_or(0, |(position, _)| *position);
        assert_eq!(reached(slot).await, newest, "{slot}");
    }
    assert_eq!(reached(minute(-11, 0)).await, 0);

    let others = [minute(-11, 0), minute(0, 30), minute(1, 10), minute(24 * 30, 10)];
    assert_eq!(history.found(&others).await, [false; 4]);

    let noted: i64 = sqlx::query_scalar("select count(*) from clock_setbacks")
        .fetch_one(&history.store.read)
        .await
        .unwrap();
    assert_eq!(noted, 2);
    // The positive control: where it is not known that the clock went back, checks are missed.
    sqlx::query("delete from clock_setbacks").execute(&history.store.write).await.unwrap();
    assert_eq!(history.found(&[minute(24 * 30, 0)]).await, [false]);
    let unknown_setbacks = position_at(&history.store.read, minute(1, 0)).await.unwrap().0;
    let newest = recorded.iter().rfind(|(_, recorded_at)| *recorded_at <= minute(1, 0)).unwrap();
    assert_ne!(unknown_setbacks, newest.0);
}
