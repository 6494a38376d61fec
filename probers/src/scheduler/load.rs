//! The roster as the log tells it: one snapshot of the store, folded.

use pulsetrail_domain::monitor::Monitor;
use pulsetrail_domain::schedule::Change;
use pulsetrail_domain::{MonitorId, Position, Region};
use pulsetrail_infra::dead_letters::Letter;
use pulsetrail_infra::secrets::SealedSecrets;
use pulsetrail_infra::store::{
    Event, SchedulerProgress, Store, StoreError, head, load_every_sealed, load_scheduler_progress,
    read_page_of_type,
};
use pulsetrail_infra::vitals::DropReason;

use super::SCHEDULER;
use super::resume::{Resumption, resume};
use super::roster::{Listed, Roster};

/// How many events are in memory at a time.
const PAGE: i64 = 2_000;

/// Reads the roster, and the position up to which it is told.
///
/// # Errors
/// When Postgres is away.
pub(super) async fn load(
    store: &Store,
    regions: &[Region],
    now_ms: i64,
) -> Result<(Roster, Position), StoreError> {
    let mut snapshot = store.read.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only")
        .execute(&mut *snapshot)
        .await?;
    let position = head(&mut *snapshot).await?;
    // Before the first scheduler nothing was emitted of any event.
    let never = SchedulerProgress { through_ms: now_ms, position: Position::START };
    let progress = load_scheduler_progress(&mut *snapshot).await?.unwrap_or(never);
    let roster = Roster::new(regions, now_ms);
    let mut fold = Fold { roster, current: None, progress, now_ms, dead: Vec::new() };
    fold.roster.lay_out(load_every_sealed(&mut *snapshot).await?);
    let mut after = (String::new(), 0);
    loop {
        let place = (after.0.as_str(), after.1);
        let page = read_page_of_type(&mut *snapshot, Monitor::AGGREGATE, place, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.aggregate_id.clone(), last.sequence);
        for event in &page {
            fold.take(event);
        }
    }
    fold.end_current();
    fold.roster.lay_out(SealedSecrets::default());
    // Nothing was written: there is nothing to commit.
    snapshot.rollback().await?;
    for letter in &fold.dead {
        super::keep(store, letter).await?;
    }
    Ok((fold.roster, position))
}

struct Fold {
    roster: Roster,
    current: Option<Folded>,
    /// What the scheduler before has emitted.
    progress: SchedulerProgress,
    now_ms: i64,
    dead: Vec<Letter>,
}

struct Folded {
    monitor_id: MonitorId,
    monitor: Monitor,
    history: Vec<(i64, Change)>,
    /// Through when its slots were emitted, in ms.
    through_ms: i64,
}

impl Fold {
    fn take(&mut self, event: &Event) {
        let Some(monitor_id) = event.monitor_id() else { return };
        if self.current.as_ref().is_none_or(|current| current.monitor_id != monitor_id) {
            self.end_current();
            self.current = Some(Folded {
                monitor_id,
                monitor: Monitor::default(),
                history: Vec::new(),
                through_ms: self.progress.through_ms.min(self.now_ms),
            });
        }
        let Some(current) = &mut self.current else { return };
        match event.monitor_event() {
            Ok(decoded) => {
                let recorded_ms = event.recorded_at.timestamp_millis();
                if event.position > self.progress.position {
                    // The scheduler before emitted nothing of what this event says.
                    current.through_ms = current.through_ms.min(recorded_ms - 1);
                }
                current.history.push((recorded_ms, Change::of(&decoded)));
                current.monitor.apply_event(decoded);
                current.monitor.version = event.sequence;
            }
            Err(error) => self.dead.push(Letter::of_event(SCHEDULER, event, &error)),
        }
    }

    fn end_current(&mut self) {
        let Some(Folded { monitor_id, monitor, history, through_ms }) = self.current.take() else {
            return;
        };
        let Some(config) = &monitor.config else { return };
        let timing = (monitor_id, config.interval_ms());
        let Resumption { first_ms, dropped } = resume(timing, &history, through_ms, self.now_ms);
        self.roster.drops.count(DropReason::SchedulerAway, dropped);
        if monitor.archived {
            return;
        }
        let listed = Listed {
            monitor_id,
            organization_id: monitor.organization_id,
            config,
            version: monitor.version,
            paused: monitor.paused,
            first_ms,
        };
        if let Err(error) = self.roster.list(listed, self.now_ms) {
            tracing::error!(monitor.id = %monitor_id, %error, "a monitor cannot be scheduled");
        }
    }
}
