//! How soon a group finds out that one of its members died.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use tokio::time::{sleep, timeout};

use super::Kafka;

/// The shortest session that is asked for: shorter ones would end where a machine is busy for a moment.
const SHORTEST: Duration = Duration::from_secs(3);
/// The shortest session that Kafka lets members have where nobody set another.
const USUAL: Duration = Duration::from_secs(6);
/// How long the cluster is asked about it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it is left alone where it did not answer.
const PAUSE: Duration = Duration::from_millis(200);

impl Kafka {
    /// As [`Kafka::calm_group_config`], with a session as short as the cluster lets members have, down to 3 s:
    /// so long does the work of a member that died lie. 6 s where the cluster may not say. While it is
    /// away it is waited for: a member that knew nothing better would keep its 6 s.
    pub async fn prompt_group_config(&self, group: &str) -> ClientConfig {
        let mut said = false;
        let session = loop {
            match self.shortest_session().await {
                Ok(session) => break session.unwrap_or(USUAL).max(SHORTEST),
                Err(error) if !said => tracing::warn!(%error, "Kafka is away and is waited for"),
                Err(_) => {}
            }
            said = true;
            sleep(PAUSE).await;
        };
        let mut config = self.calm_group_config(group);
        config.set("session.timeout.ms", session.as_millis().to_string());
        // How soon a member hears that the group changes, and joins it anew.
        config.set("heartbeat.interval.ms", (session / 6).as_millis().to_string());
        config
    }

    /// The broker's `group.min.session.timeout.ms`; none where it may not say. An error where it does not
    /// answer.
    async fn shortest_session(&self) -> Result<Option<Duration>, KafkaError> {
        // Settings that are refused here are refused to the member as well, who says so.
        let Ok(admin) = self.config().create::<AdminClient<DefaultClientContext>>() else {
            return Ok(None);
        };
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = admin.inner().fetch_metadata(None, PATIENCE)?;
            Ok::<_, KafkaError>((admin, metadata.brokers().first().map(|broker| broker.id())))
        });
        // The task is never aborted, and a panic in it is a defect of the client library.
        let (admin, broker) = asked.await.map_err(|_| KafkaError::Canceled)??;
        let Some(broker) = broker else { return Ok(None) };
        let broker = ResourceSpecifier::Broker(broker);
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let described = timeout(2 * PATIENCE, admin.describe_configs([&broker], &options)).await;
        // Ends its thread, and waits for it up to 100 ms.
        tokio::task::spawn_blocking(move || drop(admin));
        let described = described.map_err(|_elapsed| KafkaError::Canceled)?;
        let broker = described?.pop().and_then(Result::ok);
        let shortest =
            broker.as_ref().and_then(|broker| broker.get("group.min.session.timeout.ms"));
        let shortest_ms = shortest.and_then(|entry| entry.value.as_ref()?.parse().ok());
        Ok(shortest_ms.map(Duration::from_millis))
    }
}
