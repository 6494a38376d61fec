//! The borders of buckets: days and hours as clocks in a time zone show them.

use chrono::{Days, LocalResult, NaiveDate, NaiveTime, Offset as _, TimeZone as _};
use chrono_tz::Tz;

/// Buckets of one answer.
pub const MAX_BUCKETS: usize = 2_300;

const MICROSECONDS: i64 = 1_000_000;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketSize {
    /// From one full hour that clocks show to the next.
    Hour,
    /// From the first moment of a date to the first of the next: 23 to 25 hours in most time zones.
    Day,
}

/// A window has more than [`MAX_BUCKETS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the window has more than {MAX_BUCKETS} buckets")]
pub struct TooManyBuckets;

/// The borders of the buckets of a window, its own ends included; each is later than the one before. The first
/// and the last bucket can be shorter than the others. Times are microseconds since the epoch.
///
/// # Errors
/// [`TooManyBuckets`].
pub fn borders(
    (from, to): (i64, i64),
    size: BucketSize,
    zone: Tz,
) -> Result<Vec<i64>, TooManyBuckets> {
    let mut borders = vec![from];
    let mut seconds = from.div_euclid(MICROSECONDS);
    loop {
        let next = match size {
            BucketSize::Hour => next_hour(seconds, zone),
            BucketSize::Day => next_day(seconds, zone),
        };
        // What lies beyond the calendar has no borders.
        let Some(next) = next.filter(|next| *next < to.div_euclid(MICROSECONDS) + 1) else { break };
        let border = next.saturating_mul(MICROSECONDS);
        if border >= to {
            break;
        }
        if borders.len() >= MAX_BUCKETS {
            return Err(TooManyBuckets);
        }
        borders.push(border);
        seconds = next;
    }
    if to > from {
        borders.push(to);
    }
    Ok(borders)
}

/// The seconds that clocks are ahead of UTC.
fn offset_at(seconds: i64, zone: Tz) -> Option<i64> {
    let moment = chrono::DateTime::from_timestamp(seconds, 0)?;
    let offset = zone.offset_from_utc_datetime(&moment.naive_utc()).fix();
    Some(i64::from(offset.local_minus_utc()))
}

/// The first moment later than `seconds` at which clocks show a full hour.
fn next_hour(seconds: i64, zone: Tz) -> Option<i64> {
    let past_hour = |moment: i64| Some((moment + offset_at(moment, zone)?).rem_euclid(HOUR));
    let full_hour = |moment: i64| past_hour(moment).map(|past| past == 0);
    let mut next = seconds - past_hour(seconds)? + HOUR;
    if next > seconds && full_hour(next)? {
        return Some(next);
    }
    // The clock was put forward or back by a part of an hour since.
    loop {
        let before = next - past_hour(next)?;
        if before > seconds && full_hour(before)? {
            return Some(before);
        }
        next = before + HOUR;
        if next > seconds && full_hour(next)? {
            return Some(next);
        }
    }
}

/// The first moment of the first date that begins later than `seconds`.
fn next_day(seconds: i64, zone: Tz) -> Option<i64> {
    let moment = chrono::DateTime::from_timestamp(seconds, 0)?;
    let mut date = zone.from_utc_datetime(&moment.naive_utc()).date_naive();
    loop {
        date = date.checked_add_days(Days::new(1))?;
        let begin = begin_of_day(date, zone)?;
        if begin > seconds {
            return Some(begin);
        }
    }
}

/// The first moment of a date. Of a date that clocks left out it is the first moment of the next.
fn begin_of_day(date: NaiveDate, zone: Tz) -> Option<i64> {
    let midnight = date.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        LocalResult::Single(begin) | LocalResult::Ambiguous(begin, _) => Some(begin.timestamp()),
        // The clock was put forward over midnight: the date begins at that moment.
        LocalResult::None => {
            let around = midnight.and_utc().timestamp();
            let (mut before, mut after) = (around - 2 * DAY, around + 2 * DAY);
            let offset = offset_at(before, zone)?;
            while after - before > 1 {
                let middle = before.midpoint(after);
                match offset_at(middle, zone)? == offset {
                    true => before = middle,
                    false => after = middle,
                }
            }
            Some(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Timelike as _;

    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    }

    fn hours_between(window: (&str, &str), zone: Tz) -> Vec<f64> {
        let borders = borders((at(window.0), at(window.1)), BucketSize::Day, zone).unwrap();
        borders.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 3.6e9).collect()
    }

    #[test]
    fn a_day_has_23_to_25_hours_as_clocks_show_it() {
        let berlin =
            hours_between(("2026-03-27T23:00:00Z", "2026-03-31T12:00:00Z"), Tz::Europe__Berlin);
        assert_eq!(berlin, [24.0, 23.0, 24.0, 14.0]);
        let berlin =
            hours_between(("2026-10-23T22:00:00Z", "2026-10-26T23:00:00Z"), Tz::Europe__Berlin);
        assert_eq!(berlin, [24.0, 25.0, 24.0]);
        // It is put forward at midnight.
        let beirut =
            hours_between(("2026-03-27T22:00:00Z", "2026-03-30T21:00:00Z"), Tz::Asia__Beirut);
        assert_eq!(beirut, [24.0, 23.0, 24.0]);
        // A zone with 45 minutes, and a day that Samoa left out.
        let nepal =
            hours_between(("2026-05-01T18:15:00Z", "2026-05-03T18:15:00Z"), Tz::Asia__Kathmandu);
        assert_eq!(nepal, [24.0, 24.0]);
        let samoa =
            hours_between(("2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z"), Tz::Pacific__Apia);
        assert_eq!(samoa, [24.0, 24.0]);
    }

    #[test]
    fn a_window_without_a_border_is_one_bucket_and_an_empty_one_has_none() {
        let window = (at("2026-05-01T18:15:00.000001Z"), at("2026-05-01T18:15:00.000002Z"));
        assert_eq!(borders(window, BucketSize::Hour, Tz::UTC), Ok(vec![window.0, window.1]));
        assert_eq!(borders((7, 7), BucketSize::Day, Tz::UTC), Ok(vec![7]));
        let year = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        assert_eq!(borders(year, BucketSize::Day, Tz::UTC).unwrap().len(), 366);
        assert_eq!(borders(year, BucketSize::Hour, Tz::UTC), Err(TooManyBuckets));
        assert_eq!(borders((i64::MIN, i64::MAX), BucketSize::Day, Tz::UTC).unwrap().len(), 2);
    }

    /// The moments of a window at which clocks show a full hour or another date, minute by minute.
    fn by_definition((from, to): (i64, i64), size: BucketSize, zone: Tz) -> Vec<i64> {
        let local = |moment: i64| {
            let moment = chrono::DateTime::from_timestamp_micros(moment).unwrap();
            zone.from_utc_datetime(&moment.naive_utc()).naive_local()
        };
        let mut borders = vec![from];
        let mut newest = local(from).date();
        let minute = 60 * MICROSECONDS;
        let mut moment = from - from.rem_euclid(minute) + minute;
        while moment < to {
            let shown = local(moment);
            let is_border = match size {
                BucketSize::Hour => shown.minute() == 0,
                BucketSize::Day => shown.date() > newest,
            };
            newest = newest.max(shown.date());
            borders.extend(is_border.then_some(moment));
            moment += minute;
        }
        borders.push(to);
        borders
    }

    #[test]
    fn borders_are_where_clocks_show_them() {
        let zones = [
            Tz::UTC,
            Tz::Europe__Berlin,
            Tz::America__New_York,
            Tz::Asia__Kolkata,
            Tz::Asia__Kathmandu,
            Tz::Australia__Lord_Howe,
            Tz::Pacific__Chatham,
            Tz::Asia__Beirut,
            Tz::Atlantic__Azores,
            Tz::America__Havana,
            Tz::Pacific__Apia,
            Tz::Africa__Casablanca,
            Tz::America__St_Johns,
        ];
        for zone in zones {
            for size in [BucketSize::Hour, BucketSize::Day] {
                for (month, days) in [("2026-03-05", 40), ("2026-09-25", 45), ("2011-12-25", 10)] {
                    let from = at(&format!("{month}T05:17:30.000123Z"));
                    let window = (from, from + days * DAY * MICROSECONDS);
                    let expected = by_definition(window, size, zone);
                    assert_eq!(
                        borders(window, size, zone).unwrap(),
                        expected,
                        "{zone} {size:?} {month}"
                    );
                }
            }
        }
    }
}
