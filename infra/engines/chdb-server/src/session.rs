//! Sessions: connections kept between requests, with their temporary tables and `SET` settings.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::exception::{Exception, Kind};
use crate::ffi::Connection;
use crate::parameters::SessionRequest;

/// All sessions of the server.
#[derive(Default)]
pub(crate) struct Sessions {
    slots: Mutex<HashMap<Vec<u8>, Slot>>,
}

enum Slot {
    Idle {
        connection: Connection,
        expires: Instant,
    },
    /// A request is using it.
    Busy,
}

impl Sessions {
    /// Takes a session's connection for one request; [`Sessions::give_back`] has to follow.
    ///
    /// # Errors
    /// `SESSION_IS_LOCKED` while another request uses it, `SESSION_NOT_FOUND`, or what `open` returns.
    pub(crate) fn take(
        &self,
        request: &SessionRequest,
        open: impl FnOnce() -> Result<Connection, Exception>,
    ) -> Result<Connection, Exception> {
        self.expire();
        let mut slots = self.lock();
        match slots.get_mut(&request.id).map(|slot| std::mem::replace(slot, Slot::Busy)) {
            Some(Slot::Idle { connection, .. }) => Ok(connection),
            Some(Slot::Busy) => {
                Err(Exception::new(Kind::SessionLocked, "Session is locked by a concurrent client"))
            }
            None if request.must_exist => {
                Err(Exception::new(Kind::SessionNotFound, "Session not found"))
            }
            None => {
                let connection = open()?;
                slots.insert(request.id.clone(), Slot::Busy);
                Ok(connection)
            }
        }
    }

    /// Returns what [`Sessions::take`] gave.
    pub(crate) fn give_back(&self, request: &SessionRequest, connection: Connection) {
        let mut slots = self.lock();
        if request.close {
            slots.remove(&request.id);
        } else {
            let expires = Instant::now() + request.timeout;
            slots.insert(request.id.clone(), Slot::Idle { connection, expires });
        }
    }

    /// Closes sessions whose time is over.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        self.lock()
            .retain(|_, slot| !matches!(slot, Slot::Idle { expires, .. } if *expires <= now));
    }

    /// Closes all sessions.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
