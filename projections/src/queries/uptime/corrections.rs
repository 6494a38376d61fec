//! What people say about times of monitors, out of Postgres: what was committed counts at once.

use std::collections::HashMap;

use pulsetrail_domain::Timestamp;
use pulsetrail_domain::annotation::{AnnotationKind, Span};
use pulsetrail_domain::uptime::Corrections;
use pulsetrail_infra::http::Problem;
use uuid::Uuid;

use super::question::Question;
use super::read::Scope;
use crate::queries::QueryState;
use crate::queries::checks::storable;

/// What is known of some monitors.
#[derive(Debug, Default)]
pub(in crate::queries) struct Known {
    spans: HashMap<Uuid, Spans>,
}

/// In microseconds since the epoch.
#[derive(Clone, Debug, Default)]
struct Spans {
    excluded: Vec<(i64, i64)>,
    false_alarms: Vec<(i64, i64)>,
}

impl Known {
    /// Adds one more span.
    pub(in crate::queries) fn add(&mut self, monitor_id: Uuid, span: &Span) {
        let times = (span.from.timestamp_micros(), span.to.timestamp_micros());
        let spans = self.spans.entry(monitor_id).or_default();
        match span.kind {
            AnnotationKind::Maintenance => spans.excluded.push(times),
            AnnotationKind::FalseAlarm => spans.false_alarms.push(times),
            AnnotationKind::Note => {}
        }
    }

    /// The corrections of each of the monitors that has some.
    pub(super) fn corrections(&self) -> HashMap<Uuid, Corrections> {
        let of_monitor = |(monitor_id, spans): (&Uuid, &Spans)| {
            let corrections = Corrections {
                excluded: spans.excluded.iter().copied().collect(),
                false_alarms: spans.false_alarms.iter().copied().collect(),
            };
            (*monitor_id, corrections)
        };
        self.spans.iter().map(of_monitor).collect()
    }
}

/// The corrections that touch the window, of a page of monitors: those that stand, or for `as_of` those that
/// stood at its position. What is newer than the analytics counts already. With `from`, those alone that end
/// after it.
pub(in crate::queries) async fn load(
    state: &QueryState,
    scope: Scope<'_>,
    question: &Question,
    from: Option<Timestamp>,
) -> Result<Known, Problem> {
    let position = question.window.as_of.map(|_| question.position.0);
    let rows: Vec<(Uuid, Timestamp, Timestamp, String)> = sqlx::query_as(
        "select monitor_id, from_at, to_at, kind from annotations
         where organization_id = $1 and monitor_id = any($2) and kind <> 'note'
           and from_at < $3 and ($4::timestamptz is null or to_at > $4)
           and case when $5::bigint is null then withdrawn_position is null
                    else position <= $5 and coalesce(withdrawn_position > $5, true) end",
    )
    .bind(scope.organization_id)
    .bind(scope.monitors)
    .bind(storable(question.window.known_until))
    .bind(from.map(storable))
    .bind(position)
    .fetch_all(&state.store().read)
    .await?;
    let mut known = Known::default();
    for (monitor_id, from, to, kind) in rows {
        let spans = known.spans.entry(monitor_id).or_default();
        let times = (from.timestamp_micros(), to.timestamp_micros());
        match kind.as_str() {
            "maintenance" => spans.excluded.push(times),
            "false_alarm" => spans.false_alarms.push(times),
            // A newer version knows what it is.
            _ => {}
        }
    }
    Ok(known)
}
