//! The window that an uptime is asked for.

use chrono::Duration;
use pulsetrail_domain::Timestamp;
use pulsetrail_infra::http::Problem;
use serde::Deserialize;

/// How a window is asked for: by its length, which ends now, or by both its ends. Each struct of parameters
/// has these fields.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::queries) struct WindowParameters {
    pub(in crate::queries) window: Option<Length>,
    pub(in crate::queries) from: Option<Timestamp>,
    pub(in crate::queries) to: Option<Timestamp>,
    /// Only what was recorded by then is looked at.
    pub(in crate::queries) as_of: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(in crate::queries) enum Length {
    #[serde(rename = "24h")]
    Day,
    #[serde(rename = "7d")]
    Week,
    #[serde(rename = "30d")]
    Month,
    #[serde(rename = "90d")]
    Quarter,
    #[serde(rename = "365d")]
    Year,
}

impl Length {
    fn duration(self) -> Duration {
        Duration::days(match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::Year => 365,
        })
    }
}

/// From `from` on and before `to`, which is never later than now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::queries) struct Window {
    pub(in crate::queries) from: Timestamp,
    pub(in crate::queries) to: Timestamp,
    pub(in crate::queries) as_of: Option<Timestamp>,
    /// The moment of asking, or `as_of`.
    pub(in crate::queries) known_until: Timestamp,
}

impl WindowParameters {
    /// The window, at the moment `now`; the last day where nothing is asked for. What lies in the
    /// future, or after `as_of`, is left out: nothing can be known of it.
    ///
    /// # Errors
    /// 400 for a contradiction.
    pub(in crate::queries) fn window(&self, now: Timestamp) -> Result<Window, Problem> {
        let end = self.as_of.map_or(now, |as_of| as_of.min(now));
        let (from, to) = match (self.window, self.from, self.to) {
            (window, None, None) => {
                let length = window.unwrap_or(Length::Day).duration();
                let from = end.checked_sub_signed(length);
                (from.ok_or_else(|| Problem::bad_request("as_of is too long ago"))?, end)
            }
            (None, Some(from), to) => (from, to.unwrap_or(end.max(from))),
            (Some(_), ..) => {
                return Err(Problem::bad_request("give either window or from and to, not both"));
            }
            (None, None, Some(_)) => {
                return Err(Problem::bad_request("to is given without from"));
            }
        };
        if from > to {
            return Err(Problem::bad_request("from must not be later than to"));
        }
        Ok(Window { from, to: to.min(end).max(from), as_of: self.as_of, known_until: end })
    }
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::timestamp_from_millis;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        timestamp_from_millis(seconds * 1_000)
    }

    const DAY: i64 = 86_400;

    /// The ends, in seconds, at the moment of 100 days.
    fn ends(parameters: &WindowParameters) -> Result<(i64, i64), u16> {
        let window = parameters.window(at(100 * DAY));
        window
            .map(|window| (window.from.timestamp(), window.to.timestamp()))
            .map_err(|problem| problem.status)
    }

    fn between(from: Option<i64>, to: Option<i64>) -> WindowParameters {
        WindowParameters { from: from.map(at), to: to.map(at), ..WindowParameters::default() }
    }

    #[test]
    fn a_length_ends_now_and_a_day_is_the_default() {
        assert_eq!(ends(&WindowParameters::default()), Ok((99 * DAY, 100 * DAY)));
        let week = WindowParameters { window: Some(Length::Week), ..WindowParameters::default() };
        assert_eq!(ends(&week), Ok((93 * DAY, 100 * DAY)));
    }

    #[test]
    fn the_future_is_left_out() {
        assert_eq!(ends(&between(Some(90 * DAY), Some(110 * DAY))), Ok((90 * DAY, 100 * DAY)));
        assert_eq!(ends(&between(Some(90 * DAY), None)), Ok((90 * DAY, 100 * DAY)));
        assert_eq!(ends(&between(Some(105 * DAY), Some(110 * DAY))), Ok((105 * DAY, 105 * DAY)));
        assert_eq!(ends(&between(Some(105 * DAY), None)), Ok((105 * DAY, 105 * DAY)));
    }

    #[test]
    fn a_window_as_of_a_moment_ends_there() {
        let mut parameters = between(Some(0), Some(80 * DAY));
        parameters.as_of = Some(at(50 * DAY));
        assert_eq!(ends(&parameters), Ok((0, 50 * DAY)));
        let as_of = Some(at(50 * DAY));
        let last_day = WindowParameters { as_of, ..WindowParameters::default() };
        assert_eq!(ends(&last_day), Ok((49 * DAY, 50 * DAY)));
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(ends(&between(Some(5), Some(4))), Err(400));
        assert_eq!(ends(&between(None, Some(4))), Err(400));
        let as_of = Some(Timestamp::MIN_UTC);
        let before_time = WindowParameters { as_of, ..WindowParameters::default() };
        assert_eq!(ends(&before_time), Err(400));
        let both = WindowParameters { window: Some(Length::Day), ..between(Some(1), None) };
        assert_eq!(ends(&both), Err(400));
    }
}
