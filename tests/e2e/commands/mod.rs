//! The REST command API on real PostgreSQL and Apache Kafka.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod access;
mod accounts;
mod api_keys;
mod bulk;
mod check;
mod guessing;
mod limits;
mod monitors;
mod operators;
mod reconfigure;
mod secrecy;
mod sessions;
mod together;
mod tokens;
mod users;

use std::net::SocketAddr;

use axum::Router;
use pulsetrail_commands::accounts::PasswordHasher;
use pulsetrail_commands::{CommandState, InstallationRules, router};
use pulsetrail_harness::Corner;
use pulsetrail_infra::http::{AccessTokens, Authenticator, Ingress};
use pulsetrail_infra::secrets::{Keyring, SecretText};
use pulsetrail_infra::store::Store;
use pulsetrail_infra::supervised::Supervisor;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The keys of every such installation.
fn keyring() -> Keyring {
    Keyring::new(&SecretText::from("a key that only tests know".to_owned()), &[]).unwrap()
}

/// The write side alone, served in this process. It ends with the test.
pub(crate) struct Commands {
    pub(crate) url: String,
    store: Store,
    passwords: PasswordHasher,
    server: JoinHandle<()>,
}

impl Commands {
    /// In a corner, for anybody who comes.
    pub(crate) async fn start(corner: &Corner) -> Self {
        Self::with_registration(corner, true).await
    }

    async fn with_registration(corner: &Corner, registration_open: bool) -> Self {
        Self::with(corner, |rules| rules.registration_open = registration_open).await
    }

    /// With rules of a test's own.
    async fn with(corner: &Corner, change: impl FnOnce(&mut InstallationRules)) -> Self {
        let (store, kafka) = (corner.store().await, corner.kafka());
        store.migrate().await.unwrap();
        let mut rules = InstallationRules {
            regions: vec!["default".parse().unwrap(), "eu".parse().unwrap()],
            registration_open: true,
            ..InstallationRules::default()
        };
        change(&mut rules);
        let tokens = AccessTokens::new(&[7; 32], 900);
        let (pool, ingress) = (store.read.clone(), Ingress::default());
        let authenticator = Authenticator::with_limits(tokens, pool, ingress, rules.rates);
        let state = CommandState::with_rules(
            store.clone(),
            kafka,
            authenticator,
            keyring(),
            rules,
            &Supervisor::default(),
        );
        let state = state.unwrap();
        let passwords = state.passwords.clone();
        let routes: Router = router(state);
        let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, store, passwords, server }
    }

    /// How many events the log has of monitors.
    async fn events(&self) -> i64 {
        self.events_of("monitor").await.len() as i64
    }

    /// The names of the events of one kind of aggregate, in order.
    async fn events_of(&self, aggregate_type: &str) -> Vec<String> {
        let names = "select event_type from events where aggregate_type = $1 order by position";
        sqlx::query_scalar(names).bind(aggregate_type).fetch_all(&self.store.read).await.unwrap()
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.server.abort();
    }
}
