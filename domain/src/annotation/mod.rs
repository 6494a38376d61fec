//! The `annotation` aggregate: what people say about a time of a monitor, afterwards or in advance. Each
//! annotation is an aggregate of its own: it is made once, and may be withdrawn.

mod annotate;
mod withdraw;

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use annotate::{LONGEST_NOTE, LONGEST_SPAN_DAYS, Span};

use crate::catalogue::current_version;
use crate::monitor::Violation;
use crate::{MonitorId, Timestamp};

/// What is said about a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationKind {
    /// It was maintenance: the time does not count.
    Maintenance,
    /// What was reported was a false alarm: the time counts as up.
    FalseAlarm,
    /// Something to remember, which changes no figure.
    Note,
}

/// What can be asked of an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnotationCommand {
    /// Say something about a time.
    Annotate(Span),
    /// Take it back.
    Withdraw,
}

/// What has happened to an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AnnotationEvent {
    /// Something was said about a time of a monitor.
    SpanAnnotated {
        /// The monitor.
        monitor_id: MonitorId,
        /// The first moment.
        from: Timestamp,
        /// The moment after the last.
        to: Timestamp,
        /// What it was.
        kind: AnnotationKind,
        /// Why, for people; may be empty.
        note: String,
    },
    /// It was taken back.
    AnnotationWithdrawn {},
}

impl DomainEvent for AnnotationEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        current_version(Annotation::AGGREGATE, self.name()).unwrap_or_default().to_owned()
    }
}

impl AnnotationEvent {
    /// The event's type, as the store names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SpanAnnotated { .. } => "SpanAnnotated",
            Self::AnnotationWithdrawn {} => "AnnotationWithdrawn",
        }
    }
}

/// Why a command was refused. To an API caller `NotFound` is 404, `Invalid` 422 and the rest 409.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum AnnotationError {
    /// The id is taken.
    #[error("the annotation exists already")]
    AlreadyMade,
    /// No such annotation, or one that was withdrawn.
    #[error("there is no such annotation")]
    NotFound,
    /// Values outside their limits, all of them.
    #[error("the annotation is not valid")]
    Invalid(Vec<Violation>),
}

/// An annotation as its events tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// There is none.
    #[default]
    Unknown,
    Made,
    Withdrawn,
}

impl Annotation {
    /// The aggregate type, as the store names it.
    pub const AGGREGATE: &'static str = "annotation";
}

impl Aggregate for Annotation {
    const TYPE: &'static str = Self::AGGREGATE;
    type Command = AnnotationCommand;
    type Event = AnnotationEvent;
    type Error = AnnotationError;
    type Services = ();

    async fn handle(
        &mut self,
        command: Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        let event = match command {
            AnnotationCommand::Annotate(span) => annotate::decide(self.state, span)?,
            AnnotationCommand::Withdraw => withdraw::decide(self.state)?,
        };
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: Self::Event) {
        self.state = match event {
            AnnotationEvent::SpanAnnotated { .. } => State::Made,
            AnnotationEvent::AnnotationWithdrawn {} => State::Withdrawn,
        };
    }
}
