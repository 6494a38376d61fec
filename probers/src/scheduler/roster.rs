//! Which monitors are checked, and when each is due next.
//!
//! The due times lie in a heap of their own, 16 bytes each; what a job is made of is only looked up
//! when one is due. An entry of the heap holds as long as its monitor is still due at that slot:
//! nothing is searched for when a monitor is paused or changed.

mod jump;
mod places;
mod silence;
mod slots;
mod turns;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pulsetrail_domain::monitor::{MonitorConfig, MonitorEvent};
use pulsetrail_domain::slot::next_slot_ms;
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Region};
use pulsetrail_infra::secrets::SealedSecrets;
use pulsetrail_infra::vitals::DropReason;

use self::jump::LeftOut;
use self::places::Places;
use self::slots::first_in_time;
use super::drops::Drops;
use super::overdue::{Overdue, Second};
use super::template::{Shapes, Slot, Template};

/// A monitor that is not due at any time.
const NEVER: i64 = i64::MAX;

/// Which monitors are checked, and when.
#[derive(Debug)]
pub(super) struct Roster {
    /// The regions that the installation has.
    regions: Vec<Region>,
    places: Places,
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    due: BinaryHeap<Reverse<(i64, u32)>>,
    overdue: Overdue,
    /// Since when results are looked for, in ms: before it none can be missed.
    watching_since_ms: i64,
    left_out: LeftOut,
    shapes: Shapes,
    /// What the configurations that are taken in next name.
    sealed: SealedSecrets,
    active: usize,
    /// Slots whose jobs are not made.
    pub(super) drops: Drops,
}

#[derive(Debug)]
struct Entry {
    monitor_id: MonitorId,
    organization_id: OrganizationId,
    template: Template,
    /// The number of its newest event.
    config_version: u32,
    /// When its newest result stops to count.
    silent_at: Second,
    /// The next slot in ms, or [`NEVER`].
    next_slot: i64,
}

/// A monitor's turn: its jobs are to be emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    place: u32,
    pub(super) slot_ms: i64,
    /// After this the jobs are not worth making, in ms.
    pub(super) deadline_ms: i64,
}

/// One job, ready to be sent.
#[derive(Debug)]
pub(super) struct JobDraft {
    pub(super) monitor_id: MonitorId,
    pub(super) organization_id: OrganizationId,
    pub(super) region: Region,
    pub(super) check_id: CheckId,
    /// The [`pulsetrail_infra::messages::Job`] as JSON.
    pub(super) json: String,
}

/// A monitor as the log tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed<'a> {
    pub(super) monitor_id: MonitorId,
    pub(super) organization_id: OrganizationId,
    pub(super) config: &'a MonitorConfig,
    pub(super) version: i64,
    pub(super) paused: bool,
    /// Its next slot, in ms, which may have passed.
    pub(super) first_ms: i64,
}

impl Roster {
    /// An empty roster of an installation with `regions`.
    pub(super) fn new(regions: &[Region], now_ms: i64) -> Self {
        Self {
            regions: regions.to_vec(),
            places: Places::default(),
            entries: Vec::new(),
            vacant: Vec::new(),
            due: BinaryHeap::new(),
            overdue: Overdue::default(),
            watching_since_ms: now_ms,
            left_out: LeftOut::default(),
            shapes: Shapes::default(),
            sealed: SealedSecrets::default(),
            active: 0,
            drops: Drops::default(),
        }
    }

    /// Lays out the secrets that the configurations which are taken in next name, in place of those
    /// before.
    pub(super) fn lay_out(&mut self, sealed: SealedSecrets) {
        self.sealed = sealed;
    }

    /// How many monitors are being checked.
    pub(super) fn active(&self) -> usize {
        self.active
    }

    /// Takes in a monitor that is not archived. It is due at the first slot from `first_ms` on whose check
    /// may still begin.
    ///
    /// # Errors
    /// When its configuration cannot be written as JSON.
    pub(super) fn list(
        &mut self,
        listed: Listed<'_>,
        now_ms: i64,
    ) -> Result<(), serde_json::Error> {
        let Listed { monitor_id, organization_id, config, version, paused, first_ms } = listed;
        self.strike(monitor_id);
        let template = Template::of(config, &self.sealed, &self.regions, &mut self.shapes)?;
        let entry = Entry {
            monitor_id,
            organization_id,
            template,
            config_version: version_number(version),
            silent_at: Second::NEVER,
            next_slot: NEVER,
        };
        let place = match self.vacant.pop() {
            Some(place) => place,
            // As many monitors as there are addresses of 32 bits do not fit into memory.
            None => u32::try_from(self.entries.len()).unwrap_or(u32::MAX),
        };
        match self.entries.get_mut(place as usize) {
            Some(vacant) => *vacant = entry,
            None => self.entries.push(entry),
        }
        self.places.insert(&self.entries, place);
        if !paused {
            self.set_due_in_time(place, first_ms, now_ms, DropReason::SchedulerLate);
            self.expect_result(place, now_ms);
        }
        Ok(())
    }

    /// Takes in what happened to a monitor; `version` is the event's sequence.
    ///
    /// # Errors
    /// When its configuration cannot be written as JSON.
    pub(super) fn apply(
        &mut self,
        monitor_id: MonitorId,
        version: i64,
        recorded_ms: i64,
        event: &MonitorEvent,
        now_ms: i64,
    ) -> Result<(), serde_json::Error> {
        if let MonitorEvent::MonitorRegistered { organization_id, config, .. } = event {
            return self.list(
                Listed {
                    monitor_id,
                    organization_id: *organization_id,
                    config,
                    version,
                    paused: false,
                    first_ms: recorded_ms,
                },
                now_ms,
            );
        }
        let Some(place) = self.places.find(&self.entries, monitor_id) else { return Ok(()) };
        let known = self.entries.get(place as usize).map(|entry| entry.config_version);
        if known.is_some_and(|known| version_number(version) <= known) {
            // It was read ahead of the log.
            return Ok(());
        }
        match event {
            MonitorEvent::MonitorReconfigured { config } => {
                let template = Template::of(config, &self.sealed, &self.regions, &mut self.shapes)?;
                let Some(entry) = self.entries.get_mut(place as usize) else { return Ok(()) };
                let interval_ms = template.shape.interval_ms();
                let is_same_grid = entry.template.shape.interval_ms() == interval_ms;
                entry.template = template;
                // The slots after the change are those of the new grid. A slot before it that was not
                // taken yet stays.
                if entry.next_slot != NEVER && entry.next_slot > recorded_ms && !is_same_grid {
                    let first_ms = next_slot_ms(monitor_id, interval_ms, recorded_ms);
                    self.set_due_in_time(place, first_ms, now_ms, DropReason::SchedulerLate);
                }
                self.expect_result(place, now_ms);
            }
            MonitorEvent::MonitorPaused {} => self.set_due(place, NEVER),
            MonitorEvent::MonitorResumed {} => {
                self.set_due_in_time(place, recorded_ms, now_ms, DropReason::SchedulerLate);
                self.expect_result(place, now_ms);
            }
            MonitorEvent::MonitorArchived {} => self.strike(monitor_id),
            MonitorEvent::MonitorRegistered { .. } => {}
        }
        if let Some(entry) = self.entries.get_mut(place as usize) {
            entry.config_version = version_number(version);
        }
        Ok(())
    }

    /// When somebody's turn comes next, in ms; it may be that nobody's does any more.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.due.peek().map(|Reverse((slot_ms, _))| *slot_ms)
    }

    /// The jobs of a turn that was just taken: one for each region.
    pub(super) fn jobs(&self, turn: Turn) -> impl Iterator<Item = JobDraft> {
        let entry = self.entries.get(turn.place as usize);
        entry.into_iter().flat_map(move |entry| {
            entry.template.shape.regions.iter().map(move |region| {
                let Entry { monitor_id, organization_id, config_version, .. } = *entry;
                let (slot_ms, config_version) = (turn.slot_ms, i64::from(config_version));
                let slot = Slot { monitor_id, organization_id, region, slot_ms, config_version };
                let (check_id, json) = entry.template.job(slot);
                JobDraft { monitor_id, organization_id, region: region.clone(), check_id, json }
            })
        })
    }

    fn strike(&mut self, monitor_id: MonitorId) {
        if let Some(place) = self.places.remove(&self.entries, monitor_id) {
            self.set_due(place, NEVER);
            self.vacant.push(place);
        }
    }

    /// Makes a place due at its first slot from `first_ms` on, itself a slot, whose check may still begin.
    /// The slots before it are dropped. A slot that lies more than an interval ahead, because the clock went
    /// back since, becomes the next one of the clock as it is.
    fn set_due_in_time(&mut self, place: u32, first_ms: i64, now_ms: i64, reason: DropReason) {
        let Some(entry) = self.entries.get(place as usize) else { return };
        let (monitor_id, shape) = (entry.monitor_id, &entry.template.shape);
        if first_ms - now_ms > shape.interval_ms() {
            let next_ms = next_slot_ms(monitor_id, shape.interval_ms(), now_ms);
            return self.set_due(place, next_ms);
        }
        let (first_ms, passed) = first_in_time(monitor_id, shape, first_ms, now_ms);
        self.drops.count(reason, passed * shape.wanted_regions());
        self.set_due(place, first_ms);
    }

    fn set_due(&mut self, place: u32, slot_ms: i64) {
        let Some(entry) = self.entries.get_mut(place as usize) else { return };
        let before = std::mem::replace(&mut entry.next_slot, slot_ms);
        self.active -= usize::from(before != NEVER);
        self.active += usize::from(slot_ms != NEVER);
        if slot_ms != NEVER && slot_ms != before {
            self.due.push(Reverse((slot_ms, place)));
        }
        // Entries that hold no more are dropped when they come up, or when they are too many.
        if self.due.len() > 2 * self.active + 1_024 {
            let entries = &self.entries;
            self.due.retain(|Reverse((slot_ms, place))| {
                entries.get(*place as usize).is_some_and(|entry| entry.next_slot == *slot_ms)
            });
        }
    }
}

/// A version as it is kept: no monitor has as many events as 32 bits count.
fn version_number(version: i64) -> u32 {
    u32::try_from(version).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "roster_tests.rs"]
pub(super) mod tests;
