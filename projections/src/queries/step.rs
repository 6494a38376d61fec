//! Steps of equal length, aligned to the epoch: 15 minutes, an hour, a day of UTC.

use pulsetrail_infra::http::Problem;

use super::uptime::Window;

/// Steps of one answer.
const MAX_STEPS: i64 = 2_300;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Equal steps that cover a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) seconds: i64,
    /// The begin of the first step, in seconds since the epoch.
    first: i64,
    pub(super) count: usize,
}

impl Steps {
    /// Steps of the length that is asked for (`90s`, `15m`, `6h`, `1d`), else of one that suits the window.
    ///
    /// # Errors
    /// 400 for what is no length, and for too many steps.
    pub(super) fn over(window: Window, asked: Option<&str>) -> Result<Self, Problem> {
        let (from, to) = (window.from.timestamp(), window.to.timestamp_micros());
        let length = to.div_euclid(1_000_000) - from;
        let seconds = match asked {
            Some(text) => parse(text)?,
            None if length <= 2 * HOUR => MINUTE,
            None if length <= DAY => 15 * MINUTE,
            None if length <= 7 * DAY => HOUR,
            None if length <= 31 * DAY => 6 * HOUR,
            None => DAY,
        };
        let first = from.div_euclid(seconds) * seconds;
        // The first second that is not within the window.
        let end = -(-to).div_euclid(1_000_000);
        let count = -(first - end.max(first)).div_euclid(seconds);
        if count > MAX_STEPS {
            return Err(Problem::bad_request(
                "the window has more than 2300 steps: take a shorter one, or longer steps",
            ));
        }
        Ok(Self { seconds, first, count: usize::try_from(count).unwrap_or_default() })
    }

    /// The begins of all steps, in seconds since the epoch.
    pub(super) fn begins(self) -> impl Iterator<Item = i64> {
        (0_i64..).take(self.count).map(move |number| self.first + number * self.seconds)
    }

    /// The number of the step that begins then.
    pub(super) fn place(self, begin: i64) -> Option<usize> {
        usize::try_from((begin - self.first).div_euclid(self.seconds)).ok()
    }

    /// An expression for ClickHouse: the begin of the step that a column's time lies in, in seconds since the
    /// epoch.
    pub(super) fn begin_of(self, column: &str) -> String {
        let Self { seconds, .. } = self;
        let second = format!("intDiv(toUnixTimestamp64Micro({column}), 1000000)");
        format!("toInt64({second} - positiveModulo({second}, {seconds}))")
    }
}

fn parse(text: &str) -> Result<i64, Problem> {
    let refused = || Problem::bad_request("step must be a length such as 90s, 15m, 6h or 1d");
    let unit = text.chars().next_back().ok_or_else(refused)?;
    let unit_seconds = match unit {
        's' => 1,
        'm' => MINUTE,
        'h' => HOUR,
        'd' => DAY,
        _ => return Err(refused()),
    };
    let number = text.strip_suffix(unit).ok_or_else(refused)?;
    let number: u32 = number.parse().map_err(|_| refused())?;
    let seconds = i64::from(number) * unit_seconds;
    match seconds {
        1..=31_622_400 => Ok(seconds),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::timestamp_from_millis;

    use super::*;

    fn window(from_ms: i64, to_ms: i64) -> Window {
        let [from, to] = [from_ms, to_ms].map(timestamp_from_millis);
        Window { from, to, as_of: None, known_until: to }
    }

    #[test]
    fn steps_cover_the_window_and_are_aligned() {
        let steps = Steps::over(window(3_601_500, 7_200_001), Some("30m")).unwrap();
        assert_eq!(steps.begins().collect::<Vec<_>>(), [3_600, 5_400, 7_200]);
        assert_eq!(steps.place(5_400), Some(1));
        let steps = Steps::over(window(3_600_000, 7_200_000), Some("30m")).unwrap();
        assert_eq!(steps.begins().collect::<Vec<_>>(), [3_600, 5_400]);
        assert_eq!(Steps::over(window(5, 5), None).unwrap().begins().count(), 1);
        let day = 86_400_000;
        assert_eq!(Steps::over(window(0, day), None).unwrap().count, 96);
        assert_eq!(Steps::over(window(0, 365 * day), None).unwrap().count, 365);
    }

    #[test]
    fn what_is_no_length_and_too_many_steps_are_refused() {
        let day = 86_400_000;
        for text in ["", "m", "5", "5w", "0m", "-5m", "1.5h", "367d", "1s", "5mm", "ä"] {
            assert_eq!(Steps::over(window(0, day), Some(text)).unwrap_err().status, 400, "{text}");
        }
    }
}
