//! The relay publishes the log to Kafka, in position order, to one partition.
//!
//! One relay of a cell is active. It goes on from its checkpoint, which it moves only after every
//! message up to it was acknowledged. A relay that died in between publishes some events twice, and
//! one that was superseded without knowing may publish late: consumers drop both by position.

use std::time::Duration;

use futures_util::future::try_join_all;
use pulsetrail_domain::Position;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use crate::kafka::{Kafka, event_headers};
use crate::lease::{Lease, work_under_lease};
use crate::metrics;
use crate::store::{
    EVENTS_CHANNEL, Event, Store, StoreError, head, load_checkpoint, read_after, save_checkpoint,
};

/// The relay's name among the leases and the checkpoints.
pub const RELAY: &str = "relay";
/// How many events are published at a time.
const PAGE: i64 = 1_000;
/// How long the relay waits for a notification before it looks by itself.
const POLL_EVERY: Duration = Duration::from_millis(250);

/// The relay cannot work for now; it goes on from its checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Kafka.
    #[error("the events cannot be published: {0}")]
    Kafka(#[from] KafkaError),
}

/// Runs the relay until `shutdown`: as the active one or as a standby. `ready` is called when it is
/// either.
pub async fn run(store: &Store, kafka: &Kafka, shutdown: &CancellationToken) {
    work_under_lease(&store.read, RELAY, shutdown, |lease| publish(store, kafka, lease)).await;
}

async fn publish(store: &Store, kafka: &Kafka, lease: Lease) -> Result<(), RelayError> {
    // A new producer with each lease: a fatal error of the old one does not outlive it.
    let producer = kafka.producer()?;
    let topic = kafka.topics.events();
    let mut listener = PgListener::connect_with(&store.read).await.map_err(StoreError::from)?;
    listener.listen(EVENTS_CHANNEL).await.map_err(StoreError::from)?;
    let mut published = load_checkpoint(&store.read, RELAY).await?;
    while !lease.lost.is_cancelled() {
        let page = read_after(&store.read, published, PAGE).await?;
        let Some(last) = page.last().map(|event| event.position) else {
            metrics::relay_lag(0);
            wait(&mut listener, &lease.lost).await?;
            continue;
        };
        if page.len() as i64 == PAGE {
            metrics::relay_lag(head(&store.read).await?.0 - published.0);
        }
        publish_page(&producer, &topic, &page, published).await?;
        save_checkpoint(&store.write, RELAY, last).await?;
        metrics::relay_published(page.len());
        published = last;
    }
    Ok(())
}

async fn publish_page(
    producer: &FutureProducer,
    topic: &str,
    page: &[Event],
    mut previous: Position,
) -> Result<(), KafkaError> {
    let mut acknowledgements = Vec::with_capacity(page.len());
    for event in page {
        let record = FutureRecord::to(topic)
            .partition(0)
            .key(&event.aggregate_id)
            .payload(event.payload.get())
            .timestamp(event.recorded_at.timestamp_millis())
            .headers(event_headers(event, previous));
        previous = event.position;
        // The queue holds many pages: it is never full.
        acknowledgements.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    let acknowledged = acknowledgements.into_iter().map(|acknowledgement| async {
        match acknowledgement.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(error),
            Err(_producer_is_gone) => Err(KafkaError::Canceled),
        }
    });
    try_join_all(acknowledged).await?;
    Ok(())
}

async fn wait(listener: &mut PgListener, lost: &CancellationToken) -> Result<(), StoreError> {
    tokio::select! {
        () = lost.cancelled() => Ok(()),
        () = tokio::time::sleep(POLL_EVERY) => Ok(()),
        notified = listener.recv() => {
            notified?;
            // One look serves every notification that came meanwhile.
            while listener.next_buffered().is_some() {}
            Ok(())
        }
    }
}
