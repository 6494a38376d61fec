//! Reading the usual compact form: a scan from left to right, several times as fast as a parser of any
//! JSON. What is not exactly of the form that [`compact`](super::compact) writes is left to the parser.

use pulsetrail_domain::check::Outcome;

use super::{BEGINS_WITH, Compact};

/// A check that was up at its first attempt, in the default region, in its slot; none of any other text.
pub(super) fn scan_usual(payload: &str) -> Option<Compact<'static>> {
    let mut rest = Rest(payload);
    let at = rest.field(BEGINS_WITH)?;
    let started = rest.optional(",\"started\":")?.unwrap_or_default();
    let us = match rest.skip(",\"us\":[") {
        true => {
            let mut us = [0; 5];
            for (value, before) in us.iter_mut().zip(["", ",", ",", ",", ","]) {
                *value = rest.field(before)?;
            }
            rest.skip("]").then_some(us)?
        }
        false => [0; 5],
    };
    let status = rest.optional(",\"status\":")?;
    let config = rest.field(",\"config\":")?;
    let valid = rest.field(",\"valid\":")?;
    (rest.0 == "}").then_some(Compact {
        at,
        started,
        us,
        status,
        config,
        valid,
        outcome: Outcome::Up,
        failure: None,
        attempts: 1,
        region: None,
        check: None,
        found: None,
    })
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// Goes past a text, if it stands here.
    fn skip(&mut self, text: &str) -> bool {
        let after = self.0.strip_prefix(text);
        self.0 = after.unwrap_or(self.0);
        after.is_some()
    }

    /// The number behind a text that must stand here.
    fn field<N: std::str::FromStr>(&mut self, name: &str) -> Option<N> {
        if !self.skip(name) {
            return None;
        }
        let digits = |byte: u8| byte.is_ascii_digit() || byte == b'-';
        let end = self.0.bytes().position(|byte| !digits(byte))?;
        let (number, after) = self.0.split_at_checked(end)?;
        self.0 = after;
        number.parse().ok()
    }

    /// The number behind a text that may stand here; an error where what follows it is none.
    fn optional<N: std::str::FromStr>(&mut self, name: &str) -> Option<Option<N>> {
        if self.0.starts_with(name) { self.field(name).map(Some) } else { Some(None) }
    }
}
