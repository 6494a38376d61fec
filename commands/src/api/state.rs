//! What the handlers work with.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRef;
use pulsetrail_domain::Region;
use pulsetrail_domain::egress::EgressPolicy;
use pulsetrail_infra::http::AccessTokens;
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::settings::Settings;
use pulsetrail_infra::store::{MonitorCommands, Store};
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;

use crate::accounts::PasswordHasher;

/// What the handlers of commands work with. Cheap to clone.
#[derive(Clone)]
pub struct CommandState {
    /// Accounts, and what the log says.
    pub store: Store,
    /// Takes commands to monitors.
    pub monitors: Arc<MonitorCommands>,
    /// Names the topics of jobs.
    pub kafka: Kafka,
    /// Sends jobs.
    pub producer: FutureProducer,
    /// Signs and reads access tokens.
    pub tokens: AccessTokens,
    /// Hashes and verifies passwords.
    pub passwords: PasswordHasher,
    /// What the installation allows.
    pub rules: Arc<InstallationRules>,
}

/// What the installation allows.
#[derive(Clone, Debug, Default)]
pub struct InstallationRules {
    /// The regions that monitors can be checked from.
    pub regions: Vec<Region>,
    /// Which addresses may be dialled.
    pub egress: EgressPolicy,
    /// Whether anybody may register an account, or only the first person.
    pub registration_open: bool,
}

impl CommandState {
    /// The state over a store and a Kafka cluster. `egress_deny` are the addresses of Pulsetrail's
    /// own, those of the settings included.
    ///
    /// # Errors
    /// When librdkafka refuses a setting of the producer.
    pub fn new(
        store: Store,
        kafka: Kafka,
        tokens: AccessTokens,
        settings: &Settings,
        egress_deny: Vec<SocketAddr>,
    ) -> Result<Self, KafkaError> {
        let rules = InstallationRules {
            regions: settings.regions.clone(),
            egress: EgressPolicy { allow: settings.egress_allow.clone(), own: egress_deny },
            registration_open: settings.registration_open,
        };
        Self::with_rules(store, kafka, tokens, rules)
    }

    /// The state over a store and a Kafka cluster, with the rules in hand.
    ///
    /// # Errors
    /// When librdkafka refuses a setting of the producer.
    pub fn with_rules(
        store: Store,
        kafka: Kafka,
        tokens: AccessTokens,
        rules: InstallationRules,
    ) -> Result<Self, KafkaError> {
        Ok(Self {
            monitors: Arc::new(MonitorCommands::new(store.clone())),
            producer: kafka.producer()?,
            passwords: PasswordHasher::default(),
            rules: Arc::new(rules),
            store,
            kafka,
            tokens,
        })
    }
}

impl FromRef<CommandState> for AccessTokens {
    fn from_ref(state: &CommandState) -> Self {
        state.tokens.clone()
    }
}
