//! Who may come in, and who must go: connections of one person are limited, and none outlives the
//! credential that it was opened with.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::Timestamp;
use pulsetrail_infra::http::{Authenticator, Credential, Identity};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::presence::Viewer;

/// How often the tables are asked whether credentials still count: after a sign-out, a removal or a
/// revocation connections stay open for so long at most, and for as long as the answer takes.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// The door of a process.
pub(super) struct Door {
    limit: NonZeroU32,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    connections: HashMap<Viewer, u32>,
    credentials: HashMap<Credential, Shown>,
}

/// A credential that somebody is in with.
struct Shown {
    connections: usize,
    ended: CancellationToken,
}

/// Somebody is in, as long as this lives.
pub(super) struct Pass {
    door: Arc<Door>,
    pub(super) viewer: Viewer,
    credential: Credential,
    ends_at: Option<Timestamp>,
    ended: CancellationToken,
}

impl Door {
    /// Each person, and each key, may have so many connections at once.
    pub(super) fn new(limit: NonZeroU32) -> Self {
        Self { limit, inside: Mutex::default() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // Nothing that is done under the lock leaves it half done.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets somebody in, unless they have too many connections.
    pub(super) fn enter(self: &Arc<Self>, identity: &Identity) -> Option<Pass> {
        let viewer = Viewer::from(identity);
        let mut inside = self.inside();
        let connections = inside.connections.entry(viewer).or_default();
        if *connections >= self.limit.get() {
            return None;
        }
        *connections += 1;
        let shown = inside
            .credentials
            .entry(identity.credential)
            .or_insert_with(|| Shown { connections: 0, ended: CancellationToken::new() });
        shown.connections += 1;
        Some(Pass {
            door: Arc::clone(self),
            viewer,
            credential: identity.credential,
            ends_at: identity.ends_at,
            ended: shown.ended.clone(),
        })
    }

    /// Ends the connections of credentials that do not count any more, until `shutdown`.
    pub(super) async fn watch(&self, authenticator: &Authenticator, shutdown: &CancellationToken) {
        let mut clock = interval(ASK_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = clock.tick() => {}
            }
            let shown: Vec<Credential> = self.inside().credentials.keys().copied().collect();
            if shown.is_empty() {
                continue;
            }
            // Where the tables do not answer, which is in the log by now, they are asked again.
            let Ok(good) = authenticator.still_good(shown.iter().copied()).await else { continue };
            let inside = self.inside();
            for bad in shown.iter().filter(|credential| !good.contains(credential)) {
                if let Some(shown) = inside.credentials.get(bad) {
                    shown.ended.cancel();
                }
            }
        }
    }
}

impl Pass {
    /// Waits until the credential ends by itself or does not count any more.
    pub(super) async fn ended(&self) {
        let expired = async {
            match self.ends_at {
                // What has ended already is over at once.
                Some(at) => {
                    tokio::time::sleep((at - Utc::now()).to_std().unwrap_or_default()).await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.ended.cancelled() => {}
            () = expired => {}
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.door.inside();
        if let Entry::Occupied(mut connections) = inside.connections.entry(self.viewer) {
            *connections.get_mut() -= 1;
            if *connections.get() == 0 {
                connections.remove();
            }
        }
        if let Entry::Occupied(mut shown) = inside.credentials.entry(self.credential) {
            shown.get_mut().connections -= 1;
            if shown.get().connections == 0 {
                shown.remove();
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use pulsetrail_domain::{OrganizationId, Role, SessionId, UserId};
    use uuid::Uuid;

    use super::*;

    /// A person in a session of theirs.
    pub(in crate::live) fn somebody(user: u128, session: u128, organization: u128) -> Identity {
        Identity {
            user_id: UserId(Uuid::from_u128(user)),
            organization_id: OrganizationId(Uuid::from_u128(organization)),
            role: Role::Viewer,
            operator: false,
            credential: Credential::Session(SessionId(Uuid::from_u128(session))),
            ends_at: None,
        }
    }

    #[test]
    fn a_person_has_so_many_connections_over_all_sessions_and_another_has_their_own() {
        let door = Arc::new(Door::new(NonZeroU32::new(2).unwrap()));
        let first = door.enter(&somebody(1, 1, 1));
        let second = door.enter(&somebody(1, 2, 1));
        assert!(first.is_some() && second.is_some());
        assert!(door.enter(&somebody(1, 3, 1)).is_none());
        assert!(door.enter(&somebody(2, 4, 1)).is_some());
        drop(first);
        assert!(door.enter(&somebody(1, 3, 1)).is_some());
        drop(second);
        let inside = door.inside();
        assert!(inside.connections.is_empty() && inside.credentials.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_ends_with_its_credential() {
        let door = Arc::new(Door::new(NonZeroU32::MIN));
        let ends_at = Some(Utc::now() + chrono::Duration::seconds(60));
        let pass = door.enter(&Identity { ends_at, ..somebody(1, 1, 1) }).unwrap();
        let before = tokio::time::Instant::now();
        pass.ended().await;
        assert!(before.elapsed() > Duration::from_secs(58), "{:?}", before.elapsed());

        let lasting = door.enter(&somebody(2, 2, 1)).unwrap();
        let waiting = tokio::time::timeout(Duration::from_secs(1_000), lasting.ended());
        assert!(waiting.await.is_err());
    }
}
