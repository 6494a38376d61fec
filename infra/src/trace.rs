//! W3C Trace Context: which trace a request, a message or an event is a part of.
//!
//! Nothing here records spans of its own, so that a caller's `traceparent` is passed on as it came: a
//! parent that nobody recorded would tear the caller's trace apart. Where none came one is made, which
//! says that it is not sampled.

use std::fmt;

use pulsetrail_domain::CheckId;

/// The header, of HTTP and of Kafka alike.
pub const TRACEPARENT: &str = "traceparent";

/// The value of a `traceparent` of version 00: `00-<trace id>-<parent id>-<flags>`, in lower-case hex.
#[derive(Clone, PartialEq, Eq)]
pub struct Traceparent(Box<str>);

/// The flags that the standard knows (Level 2, 3.2.2.5): sampled, and a random trace id.
const KNOWN_FLAGS: u8 = 0b11;
/// What follows the version: two ids, the flags, and what separates them.
const FIELDS_BYTES: usize = 32 + 1 + 16 + 1 + 2;

impl Traceparent {
    /// Reads a header's value; none where it is not well-formed. One of a later version is read as far
    /// as version 00 goes (Level 1, 4.3).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (version, fields) = text.split_once('-')?;
        let longer = fields.as_bytes().get(FIELDS_BYTES);
        let fields = fields.get(..FIELDS_BYTES)?;
        let ends_well = match (version, longer) {
            ("00", longer) => longer.is_none(),
            ("ff", _) => false,
            (_, longer) => longer.is_none_or(|byte| *byte == b'-'),
        };
        let mut parts = fields.split('-');
        let (trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let id =
            |text: &str, length| is_hex(text, length) && text.bytes().any(|digit| digit != b'0');
        let good =
            ends_well && is_hex(version, 2) && id(trace, 32) && id(parent, 16) && is_hex(flags, 2);
        let flags = u8::from_str_radix(flags, 16).ok()? & KNOWN_FLAGS;
        good.then(|| Self(format!("00-{trace}-{parent}-{flags:02x}").into()))
    }

    /// A new trace.
    #[must_use]
    pub fn random() -> Self {
        let (trace, parent): (u128, u64) = (rand::random(), rand::random());
        Self::of(trace.max(1), parent.max(1))
    }

    /// The trace of a check of the schedule, the same wherever it is asked for, so that it need not be
    /// kept: its id is the check's.
    #[must_use]
    pub fn of_check(check_id: CheckId) -> Self {
        let (_, low) = check_id.0.as_u64_pair();
        // Neither is 0: a UUID has a version and a variant.
        Self::of(check_id.0.as_u128().max(1), low.max(1))
    }

    fn of(trace: u128, parent: u64) -> Self {
        Self(format!("00-{trace:032x}-{parent:016x}-00").into())
    }

    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the trace, 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Debug for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(text: &str) -> Option<String> {
        Traceparent::parse(text).map(|trace| trace.as_str().to_owned())
    }

    #[test]
    fn only_a_well_formed_trace_is_read() {
        assert_eq!(read(GOOD).as_deref(), Some(GOOD));
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473ä-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0ä",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_the_first_goes() {
        let later = GOOD.replacen("00", "cc", 1).replace("-01", "-ff");
        let known = GOOD.replace("-01", "-03");
        assert_eq!(read(&later).as_deref(), Some(known.as_str()));
        assert_eq!(read(&format!("{later}-more")).as_deref(), Some(known.as_str()));
        assert_eq!(read(&format!("{later}more")), None);
    }

    #[test]
    fn what_is_made_can_be_read() {
        let check = CheckId(Uuid::new_v5(&Uuid::NAMESPACE_URL, b"a check"));
        for made in [Traceparent::random(), Traceparent::of_check(check)] {
            assert_eq!(Traceparent::parse(made.as_str()), Some(made));
        }
        assert_ne!(Traceparent::random(), Traceparent::random());
        assert_eq!(Traceparent::of_check(check).trace_id(), check.0.simple().to_string());
    }
}
