//! Engines of a test's own, which it may kill and take away.

use std::sync::Arc;
use std::time::Duration;

use pulsetrail_harness::{Corner, within};
use pulsetrail_infra::engines::{Engine, EngineSettings, EngineUrls, Engines, start};
use rdkafka::consumer::Consumer as _;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use super::SETTLING;

/// One engine, private to a test. Dropped, it ends.
pub(crate) struct OwnEngine {
    engine: Engine,
    settings: EngineSettings,
    directory: TempDir,
    running: Option<Engines>,
}

impl OwnEngine {
    /// Starts PostgreSQL or Kafka; `others` are asked for nothing but whether they answer.
    pub(crate) async fn start(engine: Engine, others: &EngineUrls) -> Self {
        let others = others.clone();
        let mut settings = EngineSettings {
            database_url: Some(others.database_url),
            kafka_brokers: Some(others.kafka_brokers),
            clickhouse_url: Some(others.clickhouse_url),
            ..EngineSettings::default()
        };
        match engine {
            Engine::Postgres => settings.database_url = None,
            Engine::Kafka => settings.kafka_brokers = None,
            Engine::ClickHouse => settings.clickhouse_url = None,
        }
        let directory = tempfile::tempdir().unwrap();
        let mut own = Self { engine, settings, directory, running: None };
        own.come_back().await;
        own
    }

    /// Where it is, beside the others.
    pub(crate) fn urls(&self) -> &EngineUrls {
        self.running.as_ref().unwrap().urls()
    }

    /// Ends it, and leaves nobody in its place.
    pub(crate) async fn go_away(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// Starts it again where it was, with what it had.
    pub(crate) async fn come_back(&mut self) {
        self.running = Some(start(&self.settings, self.directory.path(), |_| {}).await.unwrap());
    }

    /// Kills it as a crash would, once it runs; its supervisor starts it again.
    pub(crate) async fn kill(&self) {
        let child = self.running.as_ref().unwrap().child(self.engine).unwrap();
        let running = within(SETTLING, "its supervisor has started it again", async || child.pid());
        let pid = running.await.to_string();
        let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.unwrap().success());
    }
}

/// Waits until PostgreSQL lets somebody in.
pub(crate) async fn until_postgres_answers(urls: &EngineUrls) {
    within(SETTLING, "PostgreSQL answers", async || {
        let connection = PgConnection::connect(&urls.database_url);
        tokio::time::timeout(Duration::from_secs(1), connection).await.ok()?.ok()
    })
    .await;
}

/// Waits until Kafka knows where the results end.
pub(crate) async fn until_kafka_answers(corner: &Corner) {
    let kafka = corner.kafka();
    let (asker, topic) = (Arc::new(kafka.lone_consumer().unwrap()), kafka.topics.results());
    within(SETTLING, "Kafka answers", async || {
        let (asker, topic) = (asker.clone(), topic.clone());
        // The call blocks.
        let asked = tokio::task::spawn_blocking(move || {
            asker.fetch_watermarks(&topic, 0, Duration::from_secs(1)).ok()
        });
        asked.await.unwrap()
    })
    .await;
}
