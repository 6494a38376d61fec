//! How often somebody may try: by account, by address, by key.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use super::Problem;

/// How many there may be in a minute. As many may come at once; then they come back one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSettings {
    /// Sign-ins to one account from one address.
    pub sign_ins_a_minute: NonZeroU32,
    /// Sign-ins to one account from all addresses that its person has not signed in from before.
    pub account_sign_ins_a_minute: NonZeroU32,
    /// Sign-ins, registrations and credentials that are not good, from one address.
    pub attempts_a_minute: NonZeroU32,
    /// Requests with the access tokens of one session.
    pub session_requests_a_minute: NonZeroU32,
    /// Requests of an organization that read, whatever they are made with.
    pub organization_reads_a_minute: NonZeroU32,
    /// Commands of an organization. A bulk call is as many as its operations.
    pub organization_commands_a_minute: NonZeroU32,
    /// Refusals of a target's address that an organization's log takes; further ones are not judged.
    pub organization_refusals_a_minute: NonZeroU32,
    /// Requests with one API key.
    pub key_requests_a_minute: NonZeroU32,
    /// Requests with API keys from one address.
    pub address_key_requests_a_minute: NonZeroU32,
}

impl Default for RateSettings {
    fn default() -> Self {
        const fn of(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MIN,
            }
        }
        Self {
            sign_ins_a_minute: of(30),
            account_sign_ins_a_minute: of(300),
            attempts_a_minute: of(300),
            session_requests_a_minute: of(6_000),
            organization_reads_a_minute: of(60_000),
            organization_commands_a_minute: of(60_000),
            organization_refusals_a_minute: of(60),
            key_requests_a_minute: of(6_000),
            address_key_requests_a_minute: of(60_000),
        }
    }
}

/// How often keys that are back at their full quota are forgotten: once in so many questions.
const SWEEP_EVERY: u32 = 1_024;

/// A limit for each key of a kind. Cheap to clone; a process's own. [`super::SharedLimit`] counts for all
/// servers together.
#[derive(Clone)]
pub struct RateLimit<K: Hash + Eq + Clone> {
    limiter: Arc<DefaultKeyedRateLimiter<K>>,
    number: NonZeroU32,
    asked: Arc<AtomicU32>,
}

impl<K: Hash + Eq + Clone> RateLimit<K> {
    /// So many a minute.
    #[must_use]
    pub fn a_minute(number: NonZeroU32) -> Self {
        let limiter = DefaultKeyedRateLimiter::keyed(Quota::per_minute(number));
        Self { limiter: Arc::new(limiter), number, asked: Arc::default() }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// 429 with the time to wait where there were too many.
    pub fn count(&self, key: &K) -> Result<(), Problem> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Problem::over_limit(self.number, wait)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_too_often_is_told_when_to_come_back() {
        let limit = RateLimit::a_minute(NonZeroU32::new(2).unwrap());
        assert!(limit.count(&"a").is_ok() && limit.count(&"a").is_ok());
        let refused = limit.count(&"a").unwrap_err();
        assert_eq!((refused.status, refused.code), (429, "too_many_requests"));
        let wait = refused.retry_after.unwrap();
        assert!((29..=30).contains(&wait), "{wait}");
        assert!(limit.count(&"b").is_ok(), "another key is not concerned");
    }
}
