//! Saying something about a time.

use super::{AnnotationError, AnnotationEvent, AnnotationKind, State};
use crate::monitor::Violation;
use crate::{MonitorId, Timestamp};

/// The longest note, in characters.
pub const LONGEST_NOTE: usize = 1_000;
/// The longest span, in days.
pub const LONGEST_SPAN_DAYS: i64 = 366;

/// 2199-12-31T23:59:59Z, in seconds since the epoch.
const LATEST_FROM: i64 = 7_258_118_399;

/// What is said about a time of a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The monitor.
    pub monitor_id: MonitorId,
    /// The first moment.
    pub from: Timestamp,
    /// The moment after the last.
    pub to: Timestamp,
    /// What it was.
    pub kind: AnnotationKind,
    /// Why, for people.
    pub note: String,
}

impl Span {
    /// Refuses what is outside its limits.
    ///
    /// # Errors
    /// [`AnnotationError::Invalid`] with all of it.
    pub fn check(&self) -> Result<(), AnnotationError> {
        let violations = self.violations();
        if violations.is_empty() { Ok(()) } else { Err(AnnotationError::Invalid(violations)) }
    }

    fn violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.from < Timestamp::UNIX_EPOCH || self.from.timestamp() > LATEST_FROM {
            violations.push(Violation::new("/from", "must be in the years 1970 to 2199"));
        }
        if self.to <= self.from {
            violations.push(Violation::new("/to", "must be later than from"));
        } else if self.to - self.from > chrono::Duration::days(LONGEST_SPAN_DAYS) {
            violations.push(Violation::new("/to", "must not be more than 366 days after from"));
        }
        // A note may have several lines.
        let is_text = |character: char| !character.is_control() || character == '\n';
        if self.note.chars().count() > LONGEST_NOTE || !self.note.chars().all(is_text) {
            let detail = "must have at most 1000 characters, no control characters among them";
            violations.push(Violation::new("/note", detail));
        }
        violations
    }
}

pub(super) fn decide(state: State, span: Span) -> Result<AnnotationEvent, AnnotationError> {
    if state != State::Unknown {
        return Err(AnnotationError::AlreadyMade);
    }
    span.check()?;
    let Span { monitor_id, from, to, kind, note } = span;
    Ok(AnnotationEvent::SpanAnnotated { monitor_id, from, to, kind, note })
}

#[cfg(test)]
pub(super) mod tests {
    use cqrs_es::test::TestFramework;

    use super::super::{Annotation, AnnotationCommand};
    use super::*;
    use crate::timestamp_from_millis;

    fn span() -> Span {
        Span {
            monitor_id: MonitorId::default(),
            from: timestamp_from_millis(1_000),
            to: timestamp_from_millis(2_000),
            kind: AnnotationKind::FalseAlarm,
            note: "the load balancer\nwas moved".to_owned(),
        }
    }

    pub(in super::super) fn made() -> AnnotationEvent {
        let Span { monitor_id, from, to, kind, note } = span();
        AnnotationEvent::SpanAnnotated { monitor_id, from, to, kind, note }
    }

    #[test]
    fn a_span_is_annotated_once() {
        TestFramework::<Annotation>::with(())
            .given_no_previous_events()
            .when(AnnotationCommand::Annotate(span()))
            .then_expect_events(vec![made()]);
        for given in [vec![made()], vec![made(), AnnotationEvent::AnnotationWithdrawn {}]] {
            TestFramework::<Annotation>::with(())
                .given(given)
                .when(AnnotationCommand::Annotate(span()))
                .then_expect_error(AnnotationError::AlreadyMade);
        }
    }

    #[test]
    fn a_span_has_an_end_and_a_short_note() {
        let at = |days: i64| timestamp_from_millis(days * 86_400_000);
        let refused = |span: Span| {
            let pointers = span.violations().into_iter().map(|violation| violation.pointer);
            pointers.collect::<Vec<_>>()
        };
        assert_eq!(refused(span()), Vec::<String>::new());
        assert_eq!(refused(Span { from: at(0), to: at(366), ..span() }), Vec::<String>::new());
        assert_eq!(refused(Span { to: span().from, ..span() }), ["/to"]);
        assert_eq!(refused(Span { to: at(367), ..span() }), ["/to"]);
        assert_eq!(refused(Span { from: at(-1), ..span() }), ["/from"]);
        assert_eq!(refused(Span { note: "a".repeat(1_001), ..span() }), ["/note"]);
        assert_eq!(refused(Span { note: "ä".repeat(1_000), ..span() }), Vec::<String>::new());
        assert_eq!(refused(Span { note: "\0".to_owned(), ..span() }), ["/note"]);
        let invalid = Span { to: span().from, ..span() };
        TestFramework::<Annotation>::with(())
            .given_no_previous_events()
            .when(AnnotationCommand::Annotate(invalid.clone()))
            .then_expect_error(AnnotationError::Invalid(invalid.violations()));
    }
}
