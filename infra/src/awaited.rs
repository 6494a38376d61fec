//! Checks that somebody waits for. Whoever follows the log in the same process tells of results.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::health::HealthEvent;
use pulsetrail_domain::{CheckId, MonitorId};
use tokio::sync::oneshot;

use crate::store::Event;

/// The checks that are waited for in this process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AwaitedChecks {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How many wait: almost always nobody does, and no event needs to be looked into.
    count: AtomicUsize,
    waiting: Mutex<HashMap<MonitorId, Vec<Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    check_id: CheckId,
    told: oneshot::Sender<CheckResult>,
}

/// One who waits. Dropped, they wait no more.
#[derive(Debug)]
pub struct Awaited {
    checks: AwaitedChecks,
    monitor_id: MonitorId,
    told: oneshot::Receiver<CheckResult>,
}

impl AwaitedChecks {
    /// Waits, from now on, for the result of a check.
    #[must_use]
    pub fn wait_for(&self, monitor_id: MonitorId, check_id: CheckId) -> Awaited {
        let (sender, told) = oneshot::channel();
        let waiting = Waiting { check_id, told: sender };
        self.waiting().entry(monitor_id).or_default().push(waiting);
        self.inner.count.fetch_add(1, Ordering::Release);
        Awaited { checks: self.clone(), monitor_id, told }
    }

    /// Tells those who wait for it that an event was recorded.
    pub fn tell(&self, event: &Event) {
        if self.inner.count.load(Ordering::Acquire) == 0 || event.event_type != "CheckCompleted" {
            return;
        }
        let Some(monitor_id) = event.monitor_id() else { return };
        let mut all = self.waiting();
        let Some(of_monitor) = all.get_mut(&monitor_id) else { return };
        // What cannot be read is a dead letter of others; here nobody waits for it.
        let Ok(HealthEvent::CheckCompleted(result)) = event.health_event() else { return };
        for waiting in of_monitor.extract_if(.., |waiting| waiting.check_id == result.check_id) {
            // Whoever waits no more has gone away.
            let _ = waiting.told.send((*result).clone());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<MonitorId, Vec<Waiting>>> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Awaited {
    /// The result, once it is recorded.
    pub async fn result(&mut self) -> CheckResult {
        match (&mut self.told).await {
            Ok(result) => result,
            // The sender is dropped only after it was used, or by the end of this value.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.told.close();
        let mut all = self.checks.waiting();
        if let Some(of_monitor) = all.get_mut(&self.monitor_id) {
            of_monitor.retain(|waiting| !waiting.told.is_closed());
            if of_monitor.is_empty() {
                all.remove(&self.monitor_id);
            }
        }
        self.checks.inner.count.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use pulsetrail_domain::catalogue::current_version;
    use pulsetrail_domain::{OrganizationId, Position, timestamp_from_millis};
    use serde_json::json;
    use serde_json::value::to_raw_value;
    use uuid::Uuid;

    use super::*;

    fn event(monitor_id: MonitorId, check: u128) -> Event {
        let payload = json!({
            "check_id": Uuid::from_u128(check), "region": "default",
            "scheduled_at": timestamp_from_millis(1), "started_at": timestamp_from_millis(2),
            "outcome": "up", "timings_us": {"dns": 0, "connect": 0, "tls": 0, "first_byte": 0,
            "total": 0}, "attempts": 1, "config_version": 1, "valid_for_ms": 1,
        });
        Event {
            position: Position(1),
            organization_id: OrganizationId::default(),
            aggregate_type: "health".to_owned(),
            aggregate_id: monitor_id.to_string(),
            sequence: 1,
            event_type: "CheckCompleted".to_owned(),
            event_version: current_version("health", "CheckCompleted").unwrap().to_owned(),
            recorded_at: timestamp_from_millis(3),
            payload: to_raw_value(&payload).unwrap(),
        }
    }

    #[test]
    fn everybody_who_waits_for_a_check_is_told_and_nobody_else() {
        let checks = AwaitedChecks::default();
        let (one, other) = (MonitorId::default(), MonitorId(Uuid::from_u128(9)));
        let check = |number| CheckId(Uuid::from_u128(number));
        let mut told = [checks.wait_for(one, check(7)), checks.wait_for(one, check(7))];
        let mut not = [checks.wait_for(one, check(8)), checks.wait_for(other, check(7))];
        checks.tell(&event(one, 7));
        for awaited in &mut told {
            assert_eq!(awaited.result().now_or_never().unwrap().check_id, check(7));
        }
        assert!(not.iter_mut().all(|awaited| awaited.result().now_or_never().is_none()));
    }

    #[test]
    fn who_waits_no_more_is_forgotten() {
        let checks = AwaitedChecks::default();
        let waiting = checks.wait_for(MonitorId::default(), CheckId(Uuid::from_u128(7)));
        drop(waiting);
        assert!(checks.waiting().is_empty());
        assert_eq!(checks.inner.count.load(Ordering::Acquire), 0);
    }
}
