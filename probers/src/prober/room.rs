//! The jobs that a prober has taken and not finished, which bounds its memory.
//!
//! Kafka delivers the jobs of all organizations in one stream. While jobs come and go quickly, the stream waits
//! for the few that keep the prober busy. When they do not, as when the checks of one organization hang, reading
//! goes on, or the jobs of the others behind them would not even be seen. Then an organization's jobs take at
//! most a share of all places, and what comes beyond it is dropped. While a single organization has jobs,
//! nobody is behind them, and the stream waits instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pulsetrail_domain::OrganizationId;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// An organization takes at most so many times the free places: four fifths of all while it is alone. It is
/// the threshold of [`super::permits`].
const TIMES_FREE: usize = 4;
/// If as many jobs were finished within this time as keep a prober busy, they come and go quickly.
const QUICK: Duration = Duration::from_secs(1);
/// How often it is looked again whether jobs come and go quickly.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// For how long an organization is remembered that had jobs. Its monitors may have long intervals.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// The places of a lane's jobs.
#[derive(Debug)]
pub(super) struct Room {
    /// Places in all.
    places: usize,
    /// Places that are enough to keep a prober busy.
    busy: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    taken: usize,
    /// Jobs that were finished since it was noted when as many were as keep a prober busy.
    finished: usize,
    finished_busy_at: Instant,
    organizations: HashMap<OrganizationId, usize>,
    /// Whose job came last, and when.
    newest: Option<(OrganizationId, Instant)>,
    /// Whose came last of all others.
    other: Option<(OrganizationId, Instant)>,
}

/// What becomes of a job that came.
#[derive(Debug)]
pub(super) enum Entry {
    Place(Place),
    /// It is to be tried again when a place is free; nothing is read until then.
    Full,
    /// Its organization has taken its share.
    OverShare,
}

/// The place of a job; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    organization_id: OrganizationId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.taken -= 1;
        state.finished += 1;
        if state.finished >= self.room.busy {
            state.finished = 0;
            state.finished_busy_at = Instant::now();
        }
        if let Some(count) = state.organizations.get_mut(&self.organization_id) {
            *count -= 1;
            if *count == 0 {
                state.organizations.remove(&self.organization_id);
            }
        }
        drop(state);
        self.room.freed.notify_one();
    }
}

impl Room {
    /// `places` in all, of which `busy` are enough to keep the prober busy.
    pub(super) fn new(places: usize, busy: usize) -> Arc<Self> {
        let state = State {
            taken: 0,
            finished: 0,
            finished_busy_at: Instant::now(),
            organizations: HashMap::new(),
            newest: None,
            other: None,
        };
        Arc::new(Self { places, busy, state: Mutex::new(state), freed: Notify::new() })
    }

    /// A place for a job that came at `now`.
    pub(super) fn enter(self: &Arc<Self>, organization_id: OrganizationId, now: Instant) -> Entry {
        let mut state = self.state();
        state.note(organization_id, now);
        let is_quick = now.saturating_duration_since(state.finished_busy_at) < QUICK;
        if state.taken >= self.places || (is_quick && state.taken >= self.busy) {
            return Entry::Full;
        }
        let free = self.places - state.taken;
        let count = state.organizations.get(&organization_id).copied().unwrap_or_default();
        if count >= TIMES_FREE.saturating_mul(free) {
            let is_alone = state.is_alone(organization_id, now);
            return if is_alone { Entry::Full } else { Entry::OverShare };
        }
        state.taken += 1;
        state.organizations.insert(organization_id, count + 1);
        Entry::Place(Place { room: Arc::clone(self), organization_id })
    }

    /// Ends when a full room may have a place: one was given back since this was last waited for, or a moment
    /// has passed.
    pub(super) async fn freed(&self) {
        // Either way it is tried again.
        let _ = timeout(LOOK_AGAIN, self.freed.notified()).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, id: OrganizationId, now: Instant) {
        if self.newest.is_some_and(|(newest, _)| newest != id) {
            self.other = self.newest;
        }
        self.newest = Some((id, now));
    }

    /// Whether no other organization had a job for long, after [`State::note`].
    fn is_alone(&self, id: OrganizationId, now: Instant) -> bool {
        let other = self.other.filter(|(other, _)| *other != id);
        other.is_none_or(|(_, at)| now.saturating_duration_since(at) > REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use uuid::Uuid;

    use super::*;

    fn organization(number: u128) -> OrganizationId {
        OrganizationId(Uuid::from_u128(number))
    }

    /// As many places as an organization gets, and what it is told then.
    fn fill(room: &Arc<Room>, number: u128) -> (Vec<Place>, Entry) {
        let mut places = Vec::new();
        loop {
            match room.enter(organization(number), Instant::now()) {
                Entry::Place(place) => places.push(place),
                refused => return (places, refused),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_waits_for_jobs_that_come_and_go_quickly() {
        let room = Room::new(1_000, 50);
        for _ in 0..10 {
            let (places, refused) = fill(&room, 1);
            assert_eq!(places.len(), 50);
            assert!(matches!(refused, Entry::Full));
            advance(QUICK - LOOK_AGAIN).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reading_goes_on_past_jobs_that_are_not_finished() {
        let room = Room::new(1_000, 50);
        let (hanging, refused) = fill(&room, 1);
        assert!(matches!(refused, Entry::Full));
        let began = Instant::now();
        while let Entry::Full = room.enter(organization(2), Instant::now()) {
            room.freed().await;
        }
        assert!(began.elapsed() <= QUICK + LOOK_AGAIN, "{:?}", began.elapsed());
        drop(hanging);
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_of_one_organization_take_no_place_from_another() {
        let room = Room::new(1_000, 50);
        advance(QUICK).await;
        let (mut first, refused) = fill(&room, 1);
        assert_eq!(first.len(), 800);
        assert!(matches!(refused, Entry::Full), "it is alone, and loses no job");
        let (second, refused) = fill(&room, 2);
        assert_eq!(second.len(), 160);
        assert!(matches!(refused, Entry::OverShare));
        first.pop();
        let again = room.enter(organization(1), Instant::now());
        assert!(matches!(again, Entry::OverShare), "others' jobs may stand behind this one");
        advance(REMEMBERED * 2).await;
        let again = room.enter(organization(1), Instant::now());
        assert!(matches!(again, Entry::Full), "they had none for long");
        drop((first, second));
        assert!(room.state().organizations.is_empty());
    }
}
