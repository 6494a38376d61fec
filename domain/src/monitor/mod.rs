//! The `monitor` aggregate: what is checked, how, and whether at all.

mod archive;
mod config;
mod pause;
mod reconfigure;
mod register;
mod targets;

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use config::{LONGEST_TIMEOUT_MS, MonitorConfig, Retries, Violation};
pub use targets::{
    Assertion, ClientCertificate, DnsTarget, HeartbeatTarget, HttpAuth, HttpMethod, HttpTarget,
    HttpVersions, InvalidResolver, InvalidStatusRange, InvalidTargetHost, InvalidTargetUrl,
    JsonOperator, JsonPath, MAX_PATTERN_COST, MAX_PATTERNS_COST, MAX_URL_BYTES, Pattern,
    PatternBudget, RecordType, ResolverAddress, SECRET_HEADERS, SecretRef, ShortUrl, StatusRange,
    Target, TargetHost, TargetUrl, TcpTarget, TextOperator, TlsTarget, header_value_fault,
    json_path, whole_url,
};

use crate::catalogue::current_version;
use crate::{MonitorId, OrganizationId};

/// What can be asked of a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorCommand {
    /// Begin to watch a target.
    Register {
        /// The monitor's id, made by the caller.
        monitor_id: MonitorId,
        /// Whom it belongs to.
        organization_id: OrganizationId,
        /// How it is checked.
        config: Box<MonitorConfig>,
    },
    /// Change how it is checked.
    Reconfigure {
        /// The whole new configuration.
        config: Box<MonitorConfig>,
    },
    /// Stop checking for now.
    Pause,
    /// Check again.
    Resume,
    /// Stop for good; the history stays.
    Archive,
}

/// A command, and the version that its sender decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorRequest {
    /// The version that the monitor must have; any where it is none.
    pub expected_version: Option<i64>,
    /// What is asked.
    pub command: MonitorCommand,
}

/// What has happened to a monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MonitorEvent {
    /// It exists and is checked from now on.
    MonitorRegistered {
        /// The monitor.
        monitor_id: MonitorId,
        /// Whom it belongs to.
        organization_id: OrganizationId,
        /// How it is checked.
        config: Box<MonitorConfig>,
    },
    /// It is checked in another way from the next slot on.
    MonitorReconfigured {
        /// The whole new configuration.
        config: Box<MonitorConfig>,
    },
    /// It is not checked for now.
    MonitorPaused {},
    /// It is checked again.
    MonitorResumed {},
    /// It is not checked any more.
    MonitorArchived {},
}

impl DomainEvent for MonitorEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        self.version().to_owned()
    }
}

impl MonitorEvent {
    /// The event's type, as the store names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::MonitorRegistered { .. } => "MonitorRegistered",
            Self::MonitorReconfigured { .. } => "MonitorReconfigured",
            Self::MonitorPaused {} => "MonitorPaused",
            Self::MonitorResumed {} => "MonitorResumed",
            Self::MonitorArchived {} => "MonitorArchived",
        }
    }

    /// The version of the event's shape, from the catalogue.
    #[must_use]
    pub fn version(&self) -> &'static str {
        current_version(Monitor::AGGREGATE, self.name()).unwrap_or_default()
    }
}

/// Why a command was refused. To an API caller `NotFound` is 404, `VersionMismatch` 412, `Invalid` 422
/// and the rest 409.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MonitorError {
    /// The id is taken.
    #[error("the monitor is registered already")]
    AlreadyRegistered,
    /// No such monitor.
    #[error("there is no such monitor")]
    NotFound,
    /// It was archived.
    #[error("the monitor is archived")]
    Archived,
    /// It has moved on from the version that the sender decided on.
    #[error("the monitor is at version {current}")]
    VersionMismatch {
        /// The version it has.
        current: i64,
    },
    /// Values outside their limits, all of them.
    #[error("the monitor's configuration is not valid")]
    Invalid(Vec<Violation>),
}

/// A monitor as its events tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// How many events it has: its version. 0 is a monitor that does not exist.
    pub version: i64,
    /// Whom it belongs to.
    pub organization_id: OrganizationId,
    /// How it is checked; none before it is registered.
    pub config: Option<MonitorConfig>,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it is archived.
    pub archived: bool,
}

impl Monitor {
    /// The aggregate type, as the store names it.
    pub const AGGREGATE: &'static str = "monitor";

    /// The secrets that its checks need: none once it is archived.
    pub fn secrets(&self) -> impl Iterator<Item = SecretRef> {
        let active = self.config.iter().filter(|_| !self.archived);
        active.flat_map(|config| config.target.secrets())
    }

    /// The state after one more event.
    pub fn apply_event(&mut self, event: MonitorEvent) {
        self.version += 1;
        match event {
            MonitorEvent::MonitorRegistered { organization_id, config, .. } => {
                self.organization_id = organization_id;
                self.config = Some(*config);
            }
            MonitorEvent::MonitorReconfigured { config } => self.config = Some(*config),
            MonitorEvent::MonitorPaused {} => self.paused = true,
            MonitorEvent::MonitorResumed {} => self.paused = false,
            MonitorEvent::MonitorArchived {} => self.archived = true,
        }
    }

    /// The events that a command leads to; none when it changes nothing.
    ///
    /// # Errors
    /// What forbids the command; see [`MonitorError`].
    pub fn decide(&self, command: MonitorCommand) -> Result<Option<MonitorEvent>, MonitorError> {
        match command {
            MonitorCommand::Register { monitor_id, organization_id, config } => {
                register::decide(self, monitor_id, organization_id, config).map(Some)
            }
            MonitorCommand::Reconfigure { config } => reconfigure::decide(self, config),
            MonitorCommand::Pause => pause::decide(self, true),
            MonitorCommand::Resume => pause::decide(self, false),
            MonitorCommand::Archive => archive::decide(self),
        }
    }

    /// As [`Monitor::decide`], if the monitor is still at the version that the sender decided on.
    ///
    /// # Errors
    /// What forbids the command; see [`MonitorError`].
    pub fn decide_at(&self, request: MonitorRequest) -> Result<Option<MonitorEvent>, MonitorError> {
        match request.expected_version {
            Some(expected) if self.config.is_some() && expected != self.version => {
                Err(MonitorError::VersionMismatch { current: self.version })
            }
            _ => self.decide(request.command),
        }
    }

    /// The configuration of a monitor that can be changed.
    fn active(&self) -> Result<&MonitorConfig, MonitorError> {
        match &self.config {
            None => Err(MonitorError::NotFound),
            Some(_) if self.archived => Err(MonitorError::Archived),
            Some(config) => Ok(config),
        }
    }
}

impl Aggregate for Monitor {
    const TYPE: &'static str = Self::AGGREGATE;
    type Command = MonitorRequest;
    type Event = MonitorEvent;
    type Error = MonitorError;
    type Services = ();

    async fn handle(
        &mut self,
        request: Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        if let Some(event) = self.decide_at(request)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Self::Event) {
        self.apply_event(event);
    }
}
