//! What a consumer of the topic of events sees, and what it applies of that.

use pulsetrail_domain::Position;
use pulsetrail_harness::{Corner, within};
use pulsetrail_infra::kafka::event_from_message;
use pulsetrail_infra::store::Store;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::SETTLING;

/// A consumer that reads the topic from its beginning.
pub(crate) struct Topic {
    consumer: StreamConsumer,
    /// Every position that came, in the order in which it came.
    pub(crate) seen: Vec<Position>,
    /// The same without those at or below the last one applied: what consumers make of it (I1).
    pub(crate) applied: Vec<Position>,
    /// Which of the applied ones do not follow, in the log, the one applied before them.
    pub(crate) leaps: Vec<Position>,
}

impl Topic {
    pub(crate) fn of(corner: &Corner) -> Self {
        let kafka = corner.kafka();
        let consumer = kafka.lone_consumer().unwrap();
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&kafka.topics.events(), 0, Offset::Beginning).unwrap();
        consumer.assign(&place).unwrap();
        Self { consumer, seen: Vec::new(), applied: Vec::new(), leaps: Vec::new() }
    }

    /// Reads on until `enough` says so.
    pub(crate) async fn read_until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let read = async {
            while !enough(self) {
                // What fails for a moment, as where Kafka is away, is asked for again.
                let Ok(message) = self.consumer.recv().await else { continue };
                let (event, previous) = event_from_message(&message).unwrap();
                self.seen.push(event.position);
                let last = self.applied.last().copied().unwrap_or_default();
                if event.position > last {
                    if previous > last {
                        self.leaps.push(event.position);
                    }
                    self.applied.push(event.position);
                }
            }
        };
        let read = tokio::time::timeout(SETTLING, read).await;
        assert!(read.is_ok(), "{what}: {} seen", self.seen.len());
    }

    /// Reads on until the newest event of the log has come, and asserts that every event was applied
    /// once and in order.
    pub(crate) async fn until_complete(&mut self, store: &Store) {
        let stored = self.until_newest(store).await;
        assert_eq!(self.leaps, []);
        assert_eq!(self.applied, stored);
    }

    /// Reads on until the newest event of the log has come, and returns what should have been applied.
    pub(crate) async fn until_newest(&mut self, store: &Store) -> Vec<Position> {
        let stored: Vec<i64> = sqlx::query_scalar("select position from events order by position")
            .fetch_all(&store.read)
            .await
            .unwrap();
        let newest = Position(stored.last().copied().unwrap_or_default());
        let reached = |topic: &Self| topic.applied.last().copied().unwrap_or_default() >= newest;
        self.read_until("the newest event is published", reached).await;
        stored.into_iter().map(Position).collect()
    }

    /// How many came that were applied before.
    pub(crate) fn repeated(&self) -> usize {
        self.seen.len() - self.applied.len()
    }
}

/// How far the relay has noted that it published, and the epoch under which.
pub(crate) async fn checkpoint(store: &Store) -> (i64, i64) {
    sqlx::query_as("select position, epoch from checkpoints where consumer = 'relay'")
        .fetch_optional(&store.read)
        .await
        .unwrap()
        .unwrap_or_default()
}

/// Waits until the relay has noted everything that is stored as published.
pub(crate) async fn until_published(store: &Store) {
    within(SETTLING, "everything is published", async || {
        let (published, _) = checkpoint(store).await;
        let newest: Option<i64> = sqlx::query_scalar("select max(position) from events")
            .fetch_one(&store.read)
            .await
            .unwrap();
        (published >= newest.unwrap_or_default()).then_some(())
    })
    .await;
}
