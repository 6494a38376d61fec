//! What the handlers work with.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use axum::http::StatusCode;
use pulsetrail_domain::egress::EgressPolicy;
use pulsetrail_domain::{OrganizationId, Region};
use pulsetrail_infra::awaited::AwaitedChecks;
use pulsetrail_infra::http::{
    AnnotationPreview, Authenticator, Problem, RateLimit, RateSettings, SharedLimit,
};
use pulsetrail_infra::instances::LiveProbers;
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::secrets::Keyring;
use pulsetrail_infra::settings::Settings;
use pulsetrail_infra::store::{MonitorCommands, Store};
use pulsetrail_infra::supervised::Supervisor;
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;

use super::monitors::{BodyReaders, MonitorCounts};
use crate::accounts::PasswordHasher;
use crate::annotations::{Annotations, annotations};

/// How long before the end of its time a request that waits is answered.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Retries of dead letters that an organization may ask one server for in a minute.
const RETRIES_A_MINUTE: NonZeroU32 = match NonZeroU32::new(60) {
    Some(number) => number,
    None => NonZeroU32::MIN,
};

/// Reports to one heartbeat monitor in a minute: five times what the shortest interval needs.
const REPORTS_A_MINUTE: NonZeroU32 = match NonZeroU32::new(300) {
    Some(number) => number,
    None => NonZeroU32::MIN,
};

/// What the handlers of commands work with. Cheap to clone.
#[derive(Clone)]
pub struct CommandState {
    /// Accounts, and what the log says.
    pub store: Store,
    /// Takes commands to monitors.
    pub monitors: Arc<MonitorCommands>,
    /// Takes commands to annotations.
    pub(super) annotations: Arc<Annotations>,
    /// Says what an annotation would change.
    previews: Option<Arc<dyn AnnotationPreview>>,
    /// Names the topics of jobs.
    pub kafka: Kafka,
    /// Sends jobs.
    pub producer: FutureProducer,
    /// Knows who asks.
    pub authenticator: Authenticator,
    /// Counts the sign-ins to each account from each address.
    pub sign_ins: SharedLimit,
    /// Counts the sign-ins to each account from addresses that are not known as its person's.
    pub(super) account_sign_ins: SharedLimit,
    /// Counts the targets of each organization that were refused.
    pub(super) refusals: SharedLimit,
    /// Hashes and verifies passwords.
    pub passwords: PasswordHasher,
    /// What the installation allows.
    pub rules: Arc<InstallationRules>,
    /// Seals what is secret.
    pub keyring: Arc<Keyring>,
    /// The checks whose results are waited for here.
    pub(super) awaited_checks: AwaitedChecks,
    /// The probers that are alive.
    pub(super) probers: LiveProbers,
    /// Counts the reports to each heartbeat monitor, by its token's hash.
    pub(super) reports: RateLimit<Vec<u8>>,
    /// Counts the retries of dead letters of each organization.
    pub(super) retries: RateLimit<OrganizationId>,
    /// Reads bodies with regular expressions.
    pub(super) readers: BodyReaders,
    /// How many monitors there are.
    limits: Arc<MonitorCounts>,
}

/// What the installation allows.
#[derive(Clone, Debug)]
pub struct InstallationRules {
    /// The regions that monitors can be checked from.
    pub regions: Vec<Region>,
    /// Which addresses may be dialled.
    pub egress: EgressPolicy,
    /// Whether anybody may register an account, or only the first person.
    pub registration_open: bool,
    /// How long a session lasts that is not used, in days.
    pub session_days: u32,
    /// Monitors that an organization may have at once.
    pub monitors_per_organization: i64,
    /// How long an answer may be held back for the result of a check.
    pub longest_wait: Duration,
    /// How often somebody may try to get in.
    pub rates: RateSettings,
}

impl Default for InstallationRules {
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            egress: EgressPolicy::default(),
            registration_open: false,
            session_days: 30,
            monitors_per_organization: 100_000,
            longest_wait: Duration::from_secs(30),
            rates: RateSettings::default(),
        }
    }
}

impl CommandState {
    /// The state over a store and a Kafka cluster. `egress_deny` are the addresses of Pulsetrail's
    /// own, those of the settings included. `tasks` owns the task that stores what commands decide.
    ///
    /// # Errors
    /// When librdkafka refuses a setting of the producer.
    pub fn new(
        store: Store,
        kafka: Kafka,
        authenticator: Authenticator,
        keyring: Keyring,
        settings: &Settings,
        egress_deny: Vec<SocketAddr>,
        tasks: &Supervisor,
    ) -> Result<Self, KafkaError> {
        let rules = InstallationRules {
            regions: settings.regions.clone(),
            egress: EgressPolicy { allow: settings.egress_allow.clone(), own: egress_deny },
            registration_open: settings.registration_open,
            session_days: settings.session_days,
            monitors_per_organization: settings.monitors_per_organization,
            // The answer has to be out before the server gives the request up.
            longest_wait: Duration::from_secs(u64::from(settings.request_seconds))
                .saturating_sub(LAST_MOMENT),
            rates: settings.rates,
        };
        Ok(Self {
            passwords: PasswordHasher::new(
                settings.argon2_memory_kib,
                settings.argon2_iterations,
                settings.argon2_parallelism,
            ),
            ..Self::with_rules(store, kafka, authenticator, keyring, rules, tasks)?
        })
    }

    /// The state over a store and a Kafka cluster, with the rules in hand.
    ///
    /// # Errors
    /// When librdkafka refuses a setting of the producer.
    pub fn with_rules(
        store: Store,
        kafka: Kafka,
        authenticator: Authenticator,
        keyring: Keyring,
        rules: InstallationRules,
        tasks: &Supervisor,
    ) -> Result<Self, KafkaError> {
        let RateSettings {
            sign_ins_a_minute,
            account_sign_ins_a_minute,
            organization_refusals_a_minute,
            ..
        } = rules.rates;
        let limit = |kind, number| SharedLimit::a_minute(kind, number, store.read.clone());
        Ok(Self {
            monitors: Arc::new(MonitorCommands::new(store.clone(), tasks)),
            annotations: Arc::new(annotations(store.clone())),
            previews: None,
            producer: kafka.producer()?,
            passwords: PasswordHasher::default(),
            rules: Arc::new(rules),
            keyring: Arc::new(keyring),
            awaited_checks: AwaitedChecks::default(),
            probers: LiveProbers::default(),
            reports: RateLimit::a_minute(REPORTS_A_MINUTE),
            retries: RateLimit::a_minute(RETRIES_A_MINUTE),
            readers: BodyReaders::default(),
            limits: Arc::default(),
            sign_ins: limit("account and address", sign_ins_a_minute),
            account_sign_ins: limit("account", account_sign_ins_a_minute),
            refusals: limit("refusals", organization_refusals_a_minute),
            store,
            kafka,
            authenticator,
        })
    }

    /// The same, where somebody who follows the log tells of the results that are waited for.
    #[must_use]
    pub fn told_by(self, awaited_checks: AwaitedChecks) -> Self {
        Self { awaited_checks, ..self }
    }

    /// The same with what says what a command would change.
    #[must_use]
    pub fn with_previews(self, previews: Arc<dyn AnnotationPreview>) -> Self {
        Self { previews: Some(previews), ..self }
    }

    /// The same, where somebody listens to `probers`.
    #[must_use]
    pub fn hearing(self, probers: LiveProbers) -> Self {
        Self { probers, ..self }
    }
}

impl CommandState {
    /// What says what a command would change.
    pub(super) fn previews(&self) -> Result<&dyn AnnotationPreview, Problem> {
        let none = || Problem::unavailable("there is no read side beside these commands");
        self.previews.as_deref().ok_or_else(none)
    }

    /// Refuses one more monitor where the organization has as many as it may.
    pub(super) async fn check_limit(&self, organization_id: OrganizationId) -> Result<(), Problem> {
        let most = self.rules.monitors_per_organization;
        if self.limits.has_room(&self.store.read, organization_id, most).await? {
            return Ok(());
        }
        let detail = format!("An organization may have {most} monitors here.");
        Err(Problem::new(StatusCode::FORBIDDEN, "monitor_limit_reached", detail))
    }
}

impl FromRef<CommandState> for Authenticator {
    fn from_ref(state: &CommandState) -> Self {
        state.authenticator.clone()
    }
}
