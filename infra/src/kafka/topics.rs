//! The topics of an installation.

use std::time::{Duration, Instant};

use pulsetrail_domain::Region;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Kafka, METADATA_TIMEOUT};

/// Partitions of the topics that are sharded by monitor.
const SHARDS: i32 = 12;

/// Partitions of the topics of checks on demand, which are few.
const ON_DEMAND_SHARDS: i32 = 4;

/// The names of an installation's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
}

impl Topics {
    /// Names that begin with `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// What every name begins with; also what keeps the consumer groups of installations apart.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Domain events, in position order, in one partition.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// Checks to be made from a region.
    #[must_use]
    pub fn jobs(&self, region: &Region) -> String {
        format!("{}.jobs.{region}", self.prefix)
    }

    /// Checks to be made from a region before all those, because somebody asked for them.
    #[must_use]
    pub fn jobs_on_demand(&self, region: &Region) -> String {
        // No region's name has a dot.
        format!("{}.now", self.jobs(region))
    }

    /// What came of them.
    #[must_use]
    pub fn results(&self) -> String {
        format!("{}.results", self.prefix)
    }

    /// What probers say of themselves, who reach nothing but Kafka.
    #[must_use]
    pub fn probers(&self) -> String {
        format!("{}.probers", self.prefix)
    }

    /// A copy of the dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        format!("{}.dead-letters", self.prefix)
    }
}

impl Kafka {
    /// Creates every topic that is not there yet.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses.
    pub async fn ensure_topics(&self, regions: &[Region]) -> Result<(), KafkaError> {
        const HOUR_MS: i64 = 3_600_000;
        let topics = &self.topics;
        let mut wanted = vec![
            (topics.events(), 1, 7 * 24 * HOUR_MS),
            (topics.results(), SHARDS, 24 * HOUR_MS),
            (topics.probers(), 1, HOUR_MS),
            (topics.dead_letters(), 1, 30 * 24 * HOUR_MS),
        ];
        for region in regions {
            wanted.push((topics.jobs(region), SHARDS, HOUR_MS));
            wanted.push((topics.jobs_on_demand(region), ON_DEMAND_SHARDS, HOUR_MS));
        }
        let wanted: Vec<(String, i32, String)> = wanted
            .into_iter()
            .map(|(name, partitions, kept_ms)| (name, partitions, kept_ms.to_string()))
            .collect();
        let new: Vec<NewTopic<'_>> = wanted
            .iter()
            .map(|(name, partitions, kept_ms)| {
                // -1: the cluster's own default of replicas.
                NewTopic::new(name, *partitions, TopicReplication::Fixed(-1))
                    .set("retention.ms", kept_ms)
                    .set("message.timestamp.type", "CreateTime")
            })
            .collect();
        let admin: AdminClient<DefaultClientContext> = self.config().create()?;
        let options = AdminOptions::new()
            .operation_timeout(Some(METADATA_TIMEOUT))
            .request_timeout(Some(METADATA_TIMEOUT));
        for created in admin.create_topics(&new, &options).await? {
            match created {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(KafkaError::AdminOp(code)),
            }
        }
        let names: Vec<String> = wanted.into_iter().map(|(name, _, _)| name).collect();
        let visible = tokio::task::spawn_blocking(move || until_visible(&admin, &names));
        // The task is never aborted, and a panic in it is a defect of the client library.
        visible.await.map_err(|_| KafkaError::Canceled)?
    }
}

/// Waits until every partition of the topics has a leader: a consumer that subscribes before that joins
/// its group with nothing, and looks again only at its next refresh. Blocks.
fn until_visible(
    admin: &AdminClient<DefaultClientContext>,
    names: &[String],
) -> Result<(), KafkaError> {
    let deadline = Instant::now() + METADATA_TIMEOUT;
    for name in names {
        loop {
            let metadata = admin.inner().fetch_metadata(Some(name), METADATA_TIMEOUT)?;
            let led = metadata.topics().iter().any(|topic| {
                let partitions = topic.partitions();
                topic.error().is_none()
                    && !partitions.is_empty()
                    && partitions.iter().all(|partition| partition.leader() >= 0)
            });
            if led {
                break;
            }
            if Instant::now() > deadline {
                return Err(KafkaError::AdminOp(RDKafkaErrorCode::LeaderNotAvailable));
            }
            #[allow(clippy::disallowed_methods, reason = "this thread is there to be blocked")]
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}
