//! Which slots of a monitor were due within a window, from the history of its configuration alone.
//!
//! A monitor has one slot at the moment of its registration and one at the moment of each resumption;
//! the others lie one interval apart ([`crate::slot`]). A change holds for the slots after its moment:
//! the slot at exactly that moment still belongs to the configuration before. The scheduler emits these
//! slots, and `checks_expected` counts them.

use crate::monitor::{MonitorConfig, MonitorEvent, Target};
use crate::slot::{latest_begin_ms, next_slot_ms};
use crate::{MonitorId, Region};

/// The time from the end of the slowest check until its result can be read in the analytics, in ms:
/// recording and projecting take less.
const RECORDED_WITHIN_MS: i64 = 5_000;

/// What a configuration says about slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cadence {
    /// The time from one slot to the next, in ms: at least 1.
    pub interval_ms: i64,
    /// How long a check may take in all, in ms.
    pub timeout_ms: i64,
    /// The regions that check at each slot. A heartbeat monitor has none: it reports by itself, has no
    /// slots, and a report that does not come is recorded as a failed check.
    pub regions: Vec<Region>,
}

impl Cadence {
    /// The cadence of a configuration.
    #[must_use]
    pub fn of(config: &MonitorConfig) -> Self {
        let regions = match &config.target {
            Target::Heartbeat(_) => Vec::new(),
            _ => config.regions.clone(),
        };
        let timeout_ms = i64::from(config.timeout_ms);
        Self { interval_ms: config.interval_ms(), timeout_ms, regions }
    }

    /// How long after a slot its result may still come in time, in ms.
    fn over_after_ms(&self) -> i64 {
        latest_begin_ms(0, self.interval_ms) + self.timeout_ms + RECORDED_WITHIN_MS
    }
}

/// What happened to a monitor's schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The monitor was registered.
    Registered(Cadence),
    /// It was configured anew.
    Reconfigured(Cadence),
    /// It was paused.
    Paused,
    /// It was resumed.
    Resumed,
    /// It was archived.
    Archived,
}

impl Change {
    /// What an event of the monitor changes.
    #[must_use]
    pub fn of(event: &MonitorEvent) -> Self {
        match event {
            MonitorEvent::MonitorRegistered { config, .. } => Self::Registered(Cadence::of(config)),
            MonitorEvent::MonitorReconfigured { config } => Self::Reconfigured(Cadence::of(config)),
            MonitorEvent::MonitorPaused {} => Self::Paused,
            MonitorEvent::MonitorResumed {} => Self::Resumed,
            MonitorEvent::MonitorArchived {} => Self::Archived,
        }
    }
}

/// The slots that are asked for. Times are ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotWindow {
    /// The first moment.
    pub from_ms: i64,
    /// The moment after the last.
    pub to_ms: i64,
    /// The moment of asking. Slots whose result may still come in time then are left out.
    pub known_until_ms: i64,
}

/// Slots at equal distances, each due in every one of `regions`. Times are ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRun {
    /// The first slot.
    pub first_ms: i64,
    /// The last slot: a multiple of the interval later.
    pub last_ms: i64,
    /// The time from one slot to the next, in ms: at least 1.
    pub interval_ms: i64,
    /// The regions, at least one.
    pub regions: Vec<Region>,
}

impl SlotRun {
    /// How many checks are due: one for each slot and region.
    #[must_use]
    pub fn checks(&self) -> u64 {
        let slots = (self.last_ms - self.first_ms) / self.interval_ms + 1;
        u64::try_from(slots).unwrap_or_default() * self.regions.len() as u64
    }

    /// The same run, as far as its slots lie from `from_ms` on and before `to_ms`; none if none do.
    #[must_use]
    pub fn within(&self, from_ms: i64, to_ms: i64) -> Option<Self> {
        let skipped = from_ms.saturating_sub(self.first_ms).max(0);
        let skipped = skipped.saturating_add((-skipped).rem_euclid(self.interval_ms));
        let first_ms = self.first_ms.saturating_add(skipped);
        let last_ms = self.last_ms.min(to_ms.saturating_sub(1));
        (first_ms <= last_ms).then(|| {
            let last_ms = last_ms - (last_ms - first_ms) % self.interval_ms;
            Self { first_ms, last_ms, ..self.clone() }
        })
    }
}

/// The slots of `monitor` that were due within `window`, in order of time and each once, from the
/// monitor's whole history: each change with its moment in ms, in the order of the log. A moment before
/// the one of the change before counts as that one, for clocks can go back.
///
/// The results of an archived monitor are not recorded. The slots whose result could still have come
/// in time when it was archived are therefore not due.
#[must_use]
pub fn slots_due(
    monitor: MonitorId,
    history: impl IntoIterator<Item = (i64, Change)>,
    window: SlotWindow,
) -> Vec<SlotRun> {
    let mut fold = Fold {
        monitor,
        window,
        cadence: None,
        paused: false,
        newest_ms: i64::MIN,
        runs: Vec::new(),
    };
    let mut reached_ms = i64::MIN;
    let mut changes = Vec::new();
    for (at_ms, change) in history {
        reached_ms = reached_ms.max(at_ms);
        if change == Change::Archived {
            fold.window.known_until_ms = fold.window.known_until_ms.min(reached_ms);
        }
        changes.push((reached_ms, change));
    }
    let mut after_ms = i64::MIN;
    for (at_ms, change) in changes {
        fold.slots_between(after_ms, at_ms);
        fold.apply(at_ms, change);
        after_ms = at_ms;
    }
    // What follows the window is not asked for.
    fold.slots_between(after_ms, window.to_ms);
    fold.runs
}

struct Fold {
    monitor: MonitorId,
    window: SlotWindow,
    /// None before the registration and after the archiving.
    cadence: Option<Cadence>,
    paused: bool,
    /// The newest slot so far, whether it is in the window or not.
    newest_ms: i64,
    runs: Vec<SlotRun>,
}

impl Fold {
    fn apply(&mut self, at_ms: i64, change: Change) {
        match change {
            Change::Registered(cadence) => {
                self.cadence = Some(cadence);
                self.slot_at(at_ms);
            }
            Change::Reconfigured(cadence) => self.cadence = Some(cadence),
            Change::Paused => self.paused = true,
            Change::Resumed => {
                self.paused = false;
                self.slot_at(at_ms);
            }
            Change::Archived => self.cadence = None,
        }
    }

    /// The slot of a registration or resumption, unless that moment had one already.
    fn slot_at(&mut self, at_ms: i64) {
        let Some(cadence) = self.checked().filter(|_| at_ms > self.newest_ms) else { return };
        self.newest_ms = at_ms;
        if at_ms >= self.window.from_ms && at_ms <= self.last_ms(&cadence) {
            self.push(cadence, at_ms, at_ms);
        }
    }

    /// The slots after `after_ms` and up to `until_ms`.
    fn slots_between(&mut self, after_ms: i64, until_ms: i64) {
        let Some(cadence) = self.checked().filter(|_| !self.paused) else { return };
        let next = |after_ms| next_slot_ms(self.monitor, cadence.interval_ms, after_ms);
        let newest_ms = next(until_ms.saturating_sub(cadence.interval_ms));
        if newest_ms > after_ms {
            self.newest_ms = newest_ms;
        }
        let first_ms = next(after_ms.max(self.window.from_ms.saturating_sub(1)));
        let last_ms = until_ms.min(self.last_ms(&cadence));
        if first_ms <= last_ms {
            let last_ms = last_ms - (last_ms - first_ms) % cadence.interval_ms;
            self.push(cadence, first_ms, last_ms);
        }
    }

    /// The cadence, if there are checks at all.
    fn checked(&self) -> Option<Cadence> {
        let cadence = self.cadence.as_ref().filter(|cadence| !cadence.regions.is_empty())?;
        Some(Cadence { interval_ms: cadence.interval_ms.max(1), ..cadence.clone() })
    }

    /// The last moment at which a slot counts.
    fn last_ms(&self, cadence: &Cadence) -> i64 {
        let over_ms = self.window.known_until_ms.saturating_sub(cadence.over_after_ms());
        over_ms.min(self.window.to_ms.saturating_sub(1))
    }

    fn push(&mut self, cadence: Cadence, first_ms: i64, last_ms: i64) {
        let Cadence { interval_ms, regions, .. } = cadence;
        self.runs.push(SlotRun { first_ms, last_ms, interval_ms, regions });
    }
}

#[cfg(test)]
mod tests;
