//! How soon a group finds out that one of its members died.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::Kafka;

/// The shortest session that is asked for: shorter ones would end where a machine is busy for a moment.
const SHORTEST: Duration = Duration::from_secs(3);
/// The shortest session that Kafka lets members have where nobody set another.
const USUAL: Duration = Duration::from_secs(6);
/// How long the cluster is asked about it.
const PATIENCE: Duration = Duration::from_secs(2);

impl Kafka {
    /// As [`Kafka::group_config`], with a session as short as the cluster lets members have, down to 3 s:
    /// so long does the work of a member that died lie. 6 s where the cluster does not say.
    pub async fn prompt_group_config(&self, group: &str) -> ClientConfig {
        let session = self.shortest_session().await.unwrap_or(USUAL).max(SHORTEST);
        let mut config = self.group_config(group);
        config.set("session.timeout.ms", session.as_millis().to_string());
        config
    }

    /// The broker's `group.min.session.timeout.ms`; none where it does not answer, or may not say.
    async fn shortest_session(&self) -> Option<Duration> {
        let admin: AdminClient<DefaultClientContext> = self.config().create().ok()?;
        let (admin, broker) = tokio::task::spawn_blocking(move || {
            let metadata = admin.inner().fetch_metadata(None, PATIENCE).ok()?;
            let broker = metadata.brokers().first()?.id();
            Some((admin, broker))
        })
        .await
        .ok()??;
        let broker = ResourceSpecifier::Broker(broker);
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let described = admin.describe_configs([&broker], &options).await;
        // Ends its thread, and waits for it up to 100 ms.
        tokio::task::spawn_blocking(move || drop(admin));
        let broker = described.ok()?.pop()?.ok()?;
        let shortest = broker.get("group.min.session.timeout.ms")?.value.as_ref()?.parse().ok()?;
        Some(Duration::from_millis(shortest))
    }
}
