//! What became of the slots of some monitors, as the event store has it.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use pulsetrail_domain::health::HealthEvent;
use pulsetrail_domain::slot::next_slot_ms;
use pulsetrail_domain::{MonitorId, Position};
use pulsetrail_infra::store::{Replay, Store};
use tokio::time::{Instant, sleep};

/// The slots that were due within some time.
#[derive(Debug)]
pub struct Slots {
    /// How many there were.
    pub due: usize,
    /// Those without a check: the monitor and the slot, in ms since 1970.
    pub missing: Vec<(MonitorId, i64)>,
    /// How late each check started, in ms, in ascending order.
    lateness_ms: Vec<i64>,
}

impl Slots {
    /// Reads the log after `after` for the slots of `monitors` within `window`, in ms since 1970. If slots
    /// are missing, it waits for later events for as long as `patience`.
    ///
    /// # Panics
    /// When Postgres does not answer.
    pub async fn read(
        store: &Store,
        after: Position,
        monitors: &[MonitorId],
        interval_ms: i64,
        window: Range<i64>,
        patience: Duration,
    ) -> Self {
        let of_monitor = |monitor: &MonitorId| {
            let monitor = *monitor;
            let next = move |slot: &i64| Some(next_slot_ms(monitor, interval_ms, *slot));
            let slots = std::iter::successors(next(&(window.start - 1)), next);
            slots.take_while(|slot| *slot < window.end).map(move |slot| (monitor, slot))
        };
        let mut expected: HashSet<_> = monitors.iter().flat_map(of_monitor).collect();
        let due = expected.len();
        let mut lateness_ms = Vec::with_capacity(due);
        let (deadline, mut read) = (Instant::now() + patience, after);
        let of_interest: HashSet<MonitorId> = monitors.iter().copied().collect();
        while !expected.is_empty() {
            let mut log = Replay::after(&store.read, read);
            while let Some(event) = log.try_next().await.expect("Postgres answers") {
                let Some(monitor) = event.monitor_id().filter(|id| of_interest.contains(id)) else {
                    continue;
                };
                if event.event_type != "CheckCompleted" {
                    continue;
                }
                let event = event.health_event().expect("an event of this version");
                let HealthEvent::CheckCompleted(result) = event else { continue };
                if expected.remove(&(monitor, result.slot_ms())) {
                    let late = result.started_at - result.scheduled_at;
                    lateness_ms.push(late.num_milliseconds());
                }
            }
            read = log.position();
            if Instant::now() > deadline {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        lateness_ms.sort_unstable();
        let mut missing: Vec<_> = expected.into_iter().collect();
        missing.sort_unstable_by_key(|(_, slot)| *slot);
        Self { due, missing, lateness_ms }
    }

    /// The lateness that so many percent of the slots do not exceed (nearest rank), in ms. A missing slot
    /// is later than any other.
    ///
    /// # Panics
    /// When no slot was due.
    #[must_use]
    pub fn lateness_ms(&self, percent: usize) -> i64 {
        assert!(self.due > 0, "no slot was due");
        let rank = (self.due * percent).div_ceil(100).clamp(1, self.due);
        self.lateness_ms.get(rank - 1).copied().unwrap_or(i64::MAX)
    }
}
