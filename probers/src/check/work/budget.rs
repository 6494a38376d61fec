//! How much work may still be done.

use std::time::{Duration, Instant};

/// After how many steps the clock is read again.
const STEPS_BETWEEN_LOOKS: u64 = 4_096;

/// Steps and time that are left for some work.
#[derive(Debug)]
pub(crate) struct Budget {
    steps_left: u64,
    /// None if time does not count.
    until: Option<Instant>,
    steps_to_look: u64,
}

/// Why work was stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    /// It takes more steps than it may.
    #[error("it takes more steps than a check may")]
    Steps,
    /// It takes more time than is left.
    #[error("no time is left for it")]
    Time,
}

impl Budget {
    /// A budget of `steps`, and of `time` from now on.
    pub(crate) fn new(steps: u64, time: Duration) -> Self {
        Self { steps_left: steps, until: Some(Instant::now() + time), steps_to_look: 0 }
    }

    /// A budget of `steps`, however long they take.
    #[cfg(test)]
    pub(crate) fn of_steps(steps: u64) -> Self {
        Self { steps_left: steps, until: None, steps_to_look: 0 }
    }

    #[cfg(test)]
    pub(crate) fn steps_left(&self) -> u64 {
        self.steps_left
    }

    /// Pays for `steps` before they are made.
    ///
    /// # Errors
    /// When that many are not left, or the time is over.
    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Exceeded> {
        let Some(left) = self.steps_left.checked_sub(steps) else {
            // What was refused once stays refused.
            self.steps_left = 0;
            return Err(Exceeded::Steps);
        };
        self.steps_left = left;
        match self.steps_to_look.checked_sub(steps) {
            Some(to_look) => self.steps_to_look = to_look,
            None => {
                self.steps_to_look = STEPS_BETWEEN_LOOKS;
                if self.until.is_some_and(|until| Instant::now() >= until) {
                    self.steps_left = 0;
                    return Err(Exceeded::Time);
                }
            }
        }
        Ok(())
    }

    /// Pays for looking at so many bytes, of which a step covers 16.
    ///
    /// # Errors
    /// As [`Self::spend`].
    pub(crate) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.spend(1 + bytes as u64 / 16)
    }
}
