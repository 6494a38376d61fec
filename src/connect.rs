//! The engines that a process works with, from its settings.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clickhouse::Client;
use pulsetrail_infra::clickhouse as analytics;
use pulsetrail_infra::engines::private_database_url;
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::secrets::SecretText;
use pulsetrail_infra::settings::Settings;
use pulsetrail_infra::store::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Connections to Postgres of a process, for each of reading and writing.
const CONNECTIONS: u32 = 16;
/// How long Postgres is left alone after it did not answer; an attempt takes up to 10 s.
const PAUSE: Duration = Duration::from_millis(500);

/// The engines, connected.
#[derive(Clone)]
pub(crate) struct Connected {
    pub(crate) store: Store,
    pub(crate) kafka: Kafka,
    pub(crate) clickhouse: Client,
}

/// Connects to the engines that the settings name. None is started: only `up` does that.
pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<Connected> {
    let missing: Vec<&str> = [
        ("PULSETRAIL_DATABASE_URL", settings.database_url.is_none()),
        ("PULSETRAIL_KAFKA_BROKERS", settings.kafka_brokers.is_none()),
        ("PULSETRAIL_CLICKHOUSE_URL", settings.clickhouse_url.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, missing)| missing.then_some(name))
    .collect();
    let (Some(database_url), Some(url)) = (&settings.database_url, &settings.clickhouse_url) else {
        bail!("{} must be set: only `up` starts private engines", missing.join(", "));
    };
    let store = Store::connect(database_url.expose(), CONNECTIONS)
        .await
        .context("PULSETRAIL_DATABASE_URL")?;
    let clickhouse = analytics::client(url.expose(), &settings.clickhouse_database);
    Ok(Connected { store, kafka: kafka(settings)?, clickhouse })
}

/// The same to a database with this version's schema, waiting for Postgres as long as it is away; none when
/// `shutdown` came first. Kafka and ClickHouse are waited for by those who ask them.
pub(crate) async fn connect_when_there(
    settings: &Settings,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Connected>> {
    loop {
        let connected = tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            connected = connect_to_current(settings) => connected,
        };
        match connected {
            Err(error) if error.downcast_ref::<StoreError>().is_some_and(StoreError::is_away) => {
                tracing::warn!(error = format!("{error:#}"), "Postgres is away and is waited for");
                tokio::time::sleep(PAUSE).await;
            }
            connected => return connected.map(Some),
        }
    }
}

async fn connect_to_current(settings: &Settings) -> anyhow::Result<Connected> {
    let connected = connect(settings).await?;
    if !connected.store.schema_is_current().await.context("PULSETRAIL_DATABASE_URL")? {
        bail!("the database has another schema than this version: run `pulsetrail migrate` first");
    }
    Ok(connected)
}

/// Postgres alone, for who asks one thing: that of the settings, or else the private one of an `up` that
/// runs in the same data directory.
pub(crate) async fn store_for_one_question(settings: &Settings) -> anyhow::Result<Store> {
    let private = match &settings.database_url {
        Some(_) => None,
        None => private_database_url(&settings.data_dir)?.map(SecretText::from),
    };
    let Some(url) = settings.database_url.as_ref().or(private.as_ref()) else {
        bail!(
            "PULSETRAIL_DATABASE_URL must be set, or PULSETRAIL_DATA_DIR name the directory of `up`"
        );
    };
    let name = if private.is_some() { "PULSETRAIL_DATA_DIR" } else { "PULSETRAIL_DATABASE_URL" };
    Store::connect(url.expose(), 1).await.context(name)
}

/// Kafka alone, which is all that a prober needs.
pub(crate) fn kafka(settings: &Settings) -> anyhow::Result<Kafka> {
    let Some(brokers) = &settings.kafka_brokers else {
        bail!("PULSETRAIL_KAFKA_BROKERS must be set: only `up` starts private engines");
    };
    Ok(Kafka::new(brokers.expose(), &settings.topic_prefix))
}

/// Applies the schemas and creates the topics.
pub(crate) async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let connected = connect(settings).await?;
    // `connect` has found the URL.
    let url = settings.clickhouse_url.as_ref().context("PULSETRAIL_CLICKHOUSE_URL")?;
    apply_schemas(&connected, url.expose(), settings).await
}

/// Applies the schemas and creates the topics of the given engines.
pub(crate) async fn apply_schemas(
    connected: &Connected,
    clickhouse_url: &Url,
    settings: &Settings,
) -> anyhow::Result<()> {
    connected.store.migrate().await.context("PULSETRAIL_DATABASE_URL")?;
    connected
        .kafka
        .ensure_topics(&settings.regions)
        .await
        .context("PULSETRAIL_KAFKA_BROKERS: the topics cannot be created")?;
    analytics::migrate(clickhouse_url, &settings.clickhouse_database)
        .await
        .context("PULSETRAIL_CLICKHOUSE_URL: the schema cannot be applied")
}
