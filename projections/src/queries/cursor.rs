//! Cursors of lists. Opaque to callers: each names its list and the key of the last item on a page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pulsetrail_domain::{AnnotationId, MonitorId, Timestamp};
use pulsetrail_infra::http::Problem;

/// After a monitor, in the order of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MonitorCursor(pub(super) MonitorId);

/// After a monitor, in the uptimes of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UptimeCursor(pub(super) MonitorId);

/// Before an annotation, the latest times first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AnnotationCursor {
    pub(super) from: Timestamp,
    pub(super) id: AnnotationId,
}

impl AnnotationCursor {
    pub(super) fn encode(self) -> String {
        let from = self.from.timestamp_micros();
        URL_SAFE_NO_PAD.encode(format!("annotations:{from}:{}", self.id))
    }

    /// # Errors
    /// 400 for what this list did not give out.
    pub(super) fn decode(text: &str) -> Result<Self, Problem> {
        let parse = || {
            let fields = fields(text, "annotations")?;
            let (from, id) = fields.split_once(':')?;
            let from = Timestamp::from_timestamp_micros(from.parse().ok()?)?;
            Some(Self { from, id: id.parse().ok()? })
        };
        parse().ok_or_else(unknown)
    }
}

/// Before an outage, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OutageCursor {
    /// In microseconds since the epoch.
    pub(super) started_at: i64,
    pub(super) monitor_id: MonitorId,
}

/// Before a check, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckCursor {
    /// In microseconds since the epoch.
    pub(super) scheduled_at: i64,
    pub(super) position: i64,
}

/// Before a refusal, newest first: its sequence in the organization's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockCursor(pub(super) i64);

impl BlockCursor {
    pub(super) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("blocks:{}", self.0))
    }

    /// # Errors
    /// 400 for what this list did not give out.
    pub(super) fn decode(text: &str) -> Result<Self, Problem> {
        let sequence = fields(text, "blocks").and_then(|sequence| sequence.parse().ok());
        sequence.map(Self).ok_or_else(unknown)
    }
}

impl UptimeCursor {
    pub(super) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("uptime:{}", self.0))
    }

    /// # Errors
    /// 400 for what this list did not give out.
    pub(super) fn decode(text: &str) -> Result<Self, Problem> {
        let id = fields(text, "uptime").and_then(|id| id.parse().ok());
        id.map(Self).ok_or_else(unknown)
    }
}

impl OutageCursor {
    pub(super) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("outages:{}:{}", self.started_at, self.monitor_id))
    }

    /// # Errors
    /// 400 for what this list did not give out.
    pub(super) fn decode(text: &str) -> Result<Self, Problem> {
        let parse = || {
            let fields = fields(text, "outages")?;
            let (started_at, monitor_id) = fields.split_once(':')?;
            let started_at = started_at.parse().ok()?;
            Some(Self { started_at, monitor_id: monitor_id.parse().ok()? })
        };
        parse().ok_or_else(unknown)
    }
}

impl MonitorCursor {
    pub(super) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("monitors:{}", self.0))
    }

    /// # Errors
    /// 400 for what this list did not give out.
    pub(super) fn decode(text: &str) -> Result<Self, Problem> {
        let id = fields(text, "monitors").and_then(|id| id.parse().ok());
        id.map(Self).ok_or_else(unknown)
    }
}

impl CheckCursor {
    pub(super) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("checks:{}:{}", self.scheduled_at, self.position))
    }

    /// # Errors
    /// 400 for what this list did not give out.
    pub(super) fn decode(text: &str) -> Result<Self, Problem> {
        let parse = || {
            let fields = fields(text, "checks")?;
            let (scheduled_at, position) = fields.split_once(':')?;
            Some(Self {
                scheduled_at: scheduled_at.parse().ok()?,
                position: position.parse().ok()?,
            })
        };
        parse().ok_or_else(unknown)
    }
}

fn fields(text: &str, list: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    text.strip_prefix(list)?.strip_prefix(':').map(str::to_owned)
}

fn unknown() -> Problem {
    Problem::bad_request("cursor must be the next_cursor of a page of this list")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_cursor_leads_back_to_where_it_was_made() {
        let monitor = MonitorCursor(MonitorId(Uuid::from_u128(7)));
        assert_eq!(MonitorCursor::decode(&monitor.encode()).unwrap(), monitor);
        let check = CheckCursor { scheduled_at: -1_700_000_000_000_123, position: 42 };
        assert_eq!(CheckCursor::decode(&check.encode()).unwrap(), check);
        assert_eq!(BlockCursor::decode(&BlockCursor(9).encode()).unwrap(), BlockCursor(9));
        assert_eq!(BlockCursor::decode(&monitor.encode()).unwrap_err().status, 400);
        let uptime = UptimeCursor(MonitorId(Uuid::from_u128(7)));
        assert_eq!(UptimeCursor::decode(&uptime.encode()).unwrap(), uptime);
        assert_eq!(UptimeCursor::decode(&monitor.encode()).unwrap_err().status, 400);
        let from = Timestamp::from_timestamp_micros(-5).unwrap();
        let annotation = AnnotationCursor { from, id: AnnotationId(Uuid::from_u128(7)) };
        assert_eq!(AnnotationCursor::decode(&annotation.encode()).unwrap(), annotation);
        let outage = OutageCursor { started_at: -5, monitor_id: MonitorId(Uuid::from_u128(7)) };
        assert_eq!(OutageCursor::decode(&outage.encode()).unwrap(), outage);
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let monitor = MonitorCursor(MonitorId(Uuid::from_u128(7))).encode();
        let half = URL_SAFE_NO_PAD.encode("checks:5");
        for text in ["", "?", "AAAA", &monitor, &half] {
            assert_eq!(CheckCursor::decode(text).unwrap_err().status, 400, "{text}");
        }
    }
}
