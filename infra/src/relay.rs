//! The relay publishes the log to Kafka, in position order, to one partition.
//!
//! One relay of a cell is active. Reading, publishing and acknowledgement go on side by side: an event
//! is sent as soon as it is read, and does not wait until Kafka has acknowledged those before it. The
//! checkpoint follows the acknowledgements, in order. A relay that died in between publishes some events
//! twice, and one that was superseded without knowing may publish late: consumers drop both by position.
//! The checkpoint is claimed with the lease's epoch, so that only the newest relay moves it.
//!
//! A message that cannot be sent, or a producer that says that it is broken for good, ends the work. It
//! begins anew from the checkpoint, with another producer.

mod republish;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::Position;
use rdkafka::error::KafkaError;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

pub use republish::republish;

use crate::kafka::{Kafka, event_headers, traced};
use crate::lease::{Lease, work_under_lease};
use crate::metrics;
use crate::store::{
    Event, Store, StoreError, Tail, claim_checkpoint, save_claimed_checkpoint, traces_of,
    unpublished,
};
use crate::trace::Traceparent;
use crate::vitals::Stage;

/// The relay's name among the leases and the checkpoints.
pub const RELAY: &str = "relay";
/// How many events are read at a time.
const PAGE: i64 = 1_000;
/// How many pages may wait for their acknowledgement.
const PAGES_IN_FLIGHT: usize = 16;
/// How often the checkpoint moves at most: so much is published again after a crash.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(100);
/// How often the lag is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// How long a relay that is told to stop waits for acknowledgements.
const DRAIN: Duration = Duration::from_millis(500);

/// The relay cannot work for now; it goes on from its checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Kafka.
    #[error("the events cannot be published: {0}")]
    Kafka(#[from] KafkaError),
    /// Another relay has claimed the checkpoint.
    #[error("another relay has taken over")]
    Superseded,
}

/// Runs the relay until `shutdown`: as the active one or as a standby.
pub async fn run(store: &Store, kafka: &Kafka, shutdown: &CancellationToken) {
    run_with(store, kafka, || kafka.prompt_producer(), shutdown).await;
}

/// As [`run`], with producers of the caller's: a new one is asked for with each lease, for a fatal error
/// of the old one must not outlive it.
pub async fn run_with(
    store: &Store,
    kafka: &Kafka,
    mut producer: impl FnMut() -> Result<FutureProducer, KafkaError>,
    shutdown: &CancellationToken,
) {
    work_under_lease(&store.read, RELAY, shutdown, |lease| {
        publish(store, kafka, producer(), lease)
    })
    .await;
}

/// Events that were handed to the producer, up to `last`.
struct Sent {
    last: Position,
    /// The sum of the times at which they were stored, in ms.
    stored_ms: i64,
    deliveries: Vec<DeliveryFuture>,
}

async fn publish(
    store: &Store,
    kafka: &Kafka,
    producer: Result<FutureProducer, KafkaError>,
    lease: Lease,
) -> Result<(), RelayError> {
    let producer = producer?;
    let checkpoint = claim_checkpoint(&store.write, RELAY, lease.epoch).await?;
    let acknowledged = AtomicI64::new(checkpoint.0);
    let (sender, sent) = mpsc::channel(PAGES_IN_FLIGHT);
    let finished = CancellationToken::new();
    let _on_every_way_out = finished.clone().drop_guard();
    tokio::try_join!(
        send(store, kafka, &producer, &lease.lost, checkpoint, sender),
        async {
            let acknowledging = acknowledge(store, sent, &lease, &acknowledged).await;
            finished.cancel();
            acknowledging
        },
        measure_lag(store, &acknowledged, &finished),
    )?;
    Ok(())
}

/// Reads what was stored after `published`, page by page, and hands it to the producer.
async fn send(
    store: &Store,
    kafka: &Kafka,
    producer: &FutureProducer,
    lost: &CancellationToken,
    mut published: Position,
    sent: mpsc::Sender<Sent>,
) -> Result<(), RelayError> {
    let topic = kafka.topics.events();
    let mut tail = Tail::new(store.read.clone(), published);
    while !lost.is_cancelled() {
        let page = tokio::select! {
            () = lost.cancelled() => break,
            page = tail.next_batch(PAGE) => page?,
        };
        let Some(last) = page.last().map(|event| event.position) else { continue };
        let traces = traces_of(&store.read, &page).await?;
        let stored_ms = page.iter().map(|event| event.recorded_at.timestamp_millis()).sum();
        let deliveries = hand_over(producer, &topic, &page, &traces, published)?;
        published = last;
        tokio::select! {
            () = lost.cancelled() => {}
            // The other side ends only with an error of its own.
            _ = sent.send(Sent { last, stored_ms, deliveries }) => {}
        }
    }
    Ok(())
}

/// Queues a page in order, each event with its trace. `previous` is the position of the event before it.
fn hand_over(
    producer: &FutureProducer,
    topic: &str,
    page: &[Event],
    traces: &[Option<Traceparent>],
    mut previous: Position,
) -> Result<Vec<DeliveryFuture>, KafkaError> {
    let now_ms = Utc::now().timestamp_millis();
    let queued = page.iter().zip(traces).map(|(event, trace)| {
        let headers = event_headers(event, previous);
        let headers = match trace {
            Some(trace) => traced(headers, trace),
            None => headers,
        };
        let record = FutureRecord::to(topic)
            .partition(0)
            .key(&event.aggregate_id)
            .payload(event.payload.get())
            // Brokers refuse a record from the future, and would keep all that was stored with it.
            .timestamp(event.recorded_at.timestamp_millis().min(now_ms))
            .headers(headers);
        previous = event.position;
        // The queue holds more than all pages in flight: it is never full.
        producer.send_result(record).map_err(|(error, _)| error)
    });
    queued.collect()
}

/// Waits until Kafka has acknowledged a page.
async fn acknowledged_by_kafka(deliveries: Vec<DeliveryFuture>) -> Result<(), KafkaError> {
    for delivery in deliveries {
        match delivery.await {
            Ok(Ok(_)) => {}
            Ok(Err((error, _))) => return Err(error),
            Err(_producer_is_gone) => return Err(KafkaError::Canceled),
        }
    }
    Ok(())
}

/// Moves the checkpoint behind what was acknowledged, until everything that was sent is.
async fn acknowledge(
    store: &Store,
    mut sent: mpsc::Receiver<Sent>,
    lease: &Lease,
    acknowledged: &AtomicI64,
) -> Result<(), RelayError> {
    let (mut reached, mut saved) = (Position::START, Position::START);
    let mut save_at = Instant::now();
    loop {
        let next = tokio::select! {
            next = sent.recv() => next,
            () = tokio::time::sleep_until(save_at), if reached > saved => {
                saved = reached;
                save(store, lease, saved).await?;
                save_at = Instant::now() + CHECKPOINT_EVERY;
                continue;
            }
        };
        let Some(Sent { last, stored_ms, deliveries }) = next else { break };
        let count = deliveries.len();
        tokio::select! {
            acknowledgement = acknowledged_by_kafka(deliveries) => acknowledgement?,
            () = async { lease.lost.cancelled().await; tokio::time::sleep(DRAIN).await } => break,
        }
        reached = last;
        acknowledged.store(last.0, Ordering::Relaxed);
        metrics::relay_published(count);
        let took_ms = Utc::now().timestamp_millis() * count as i64 - stored_ms;
        metrics::stage_passed(Stage::Published, count, took_ms * 1_000);
    }
    if reached > saved {
        // Whoever works next has it; without it, it publishes a little again.
        let _ = timeout(DRAIN, save(store, lease, reached)).await;
    }
    Ok(())
}

async fn save(store: &Store, lease: &Lease, reached: Position) -> Result<(), RelayError> {
    match save_claimed_checkpoint(&store.write, RELAY, lease.epoch, reached).await? {
        true => Ok(()),
        false => Err(RelayError::Superseded),
    }
}

/// Keeps the lag's metrics, also while Kafka is away.
async fn measure_lag(
    store: &Store,
    acknowledged: &AtomicI64,
    finished: &CancellationToken,
) -> Result<(), RelayError> {
    let mut clock = interval(MEASURE_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = finished.cancelled() => return Ok(()),
            _ = clock.tick() => {}
        }
        let position = Position(acknowledged.load(Ordering::Relaxed));
        let lag = tokio::select! {
            () = finished.cancelled() => return Ok(()),
            lag = unpublished(&store.read, position) => lag?,
        };
        metrics::relay_lag(lag.events, lag.seconds);
    }
}

#[cfg(test)]
mod tests;
