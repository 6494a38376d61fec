//! How long a caller waits: a number with its unit, such as `10s` or `500ms`.

use std::time::Duration;

use serde::Deserialize;

/// The longest that an answer is held back.
const LONGEST: Duration = Duration::from_secs(30);

/// A time to wait, at most 30 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Wait(pub(crate) Duration);

/// The text is no time to wait.
#[derive(Debug, thiserror::Error)]
#[error("a time to wait is a number with s or ms behind it, such as 10s, and at most 30s")]
pub(crate) struct InvalidWait;

impl TryFrom<String> for Wait {
    type Error = InvalidWait;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (number, unit_ms) = match text.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (text.strip_suffix('s').ok_or(InvalidWait)?, 1_000),
        };
        if !(1..=5).contains(&number.len()) || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidWait);
        }
        // At most 99,999 by now, so that no unit overflows.
        let number: u64 = number.parse().map_err(|_| InvalidWait)?;
        let wait = Duration::from_millis(number * unit_ms);
        if wait <= LONGEST { Ok(Self(wait)) } else { Err(InvalidWait) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_wait_has_a_unit_and_an_end() {
        let read = |text: &str| Wait::try_from(text.to_owned()).ok().map(|wait| wait.0.as_millis());
        assert_eq!(read("10s"), Some(10_000));
        assert_eq!(read("500ms"), Some(500));
        assert_eq!(read("0s"), Some(0));
        assert_eq!((read("30s"), read("30000ms")), (Some(30_000), Some(30_000)));
        for wrong in
            ["", "s", "ms", "10", "31s", "30001ms", "1.5s", "+1s", "-1s", " 1s", "1m", "00000001s"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        for huge in
            ["99999s", "99999999999999999s", "18446744073709551615s", "18446744073709551615ms"]
        {
            assert_eq!(read(huge), None, "{huge}");
        }
    }
}
