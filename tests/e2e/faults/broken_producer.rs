//! A producer that is broken for good: the relay replaces it, and goes on from its checkpoint.

use std::sync::Mutex;

use pulsetrail_harness::{Corner, within};
use pulsetrail_infra::relay;
use pulsetrail_infra::store::Store;
use rdkafka::bindings::{rd_kafka_resp_err_t, rd_kafka_test_fatal_error};
use rdkafka::producer::{FutureProducer, Producer as _};
use tokio_util::sync::CancellationToken;

use super::relay::append;
use super::topic::{Topic, checkpoint, until_published};
use super::{SETTLING, prepare};
use crate::corner;

/// Breaks a producer as a gap in its sequence numbers would.
fn break_for_good(producer: &FutureProducer) {
    let code = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    // SAFETY: the caller holds the producer, and the reason is a C string.
    unsafe { rd_kafka_test_fatal_error(producer.client().native_ptr(), code, c"test".as_ptr()) };
    assert!(producer.client().fatal_error().is_some());
}

/// Has a relay publish, breaks its producer, appends more, and does `then`. A relay that is `thrifty` is
/// given the same producer again. Returns how many it was given.
async fn with_broken_producer(
    corner: &Corner,
    store: &Store,
    topic: &mut Topic,
    thrifty: bool,
    then: impl AsyncFnOnce(&mut Topic),
) -> usize {
    let (kafka, shutdown) = (corner.kafka(), CancellationToken::new());
    let given: Mutex<Vec<FutureProducer>> = Mutex::default();
    let producer = || {
        let mut given = given.lock().unwrap();
        let next = match given.first() {
            Some(first) if thrifty => first.clone(),
            _ => kafka.prompt_producer()?,
        };
        given.push(next.clone());
        Ok(next)
    };
    tokio::join!(Box::pin(relay::run_with(store, &kafka, producer, &shutdown)), async {
        append(store, 100, "").await;
        topic.until_complete(store).await;
        until_published(store).await;
        break_for_good(&given.lock().unwrap()[0]);
        append(store, 100, "").await;
        then(topic).await;
        shutdown.cancel();
    });
    given.into_inner().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_is_broken_for_good_is_replaced_and_nothing_is_missing() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let mut topic = Topic::of(&corner);
    let given = with_broken_producer(&corner, &store, &mut topic, false, async |topic| {
        topic.until_complete(&store).await;
        until_published(&store).await;
    })
    .await;
    assert_eq!((given, topic.applied.len()), (2, 200));
}

/// The positive control: with the same producer again, nothing is published ever after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_keeps_its_broken_producer_publishes_nothing_more() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let mut topic = Topic::of(&corner);
    let given = with_broken_producer(&corner, &store, &mut topic, true, async |_| {
        let (_, epoch) = checkpoint(&store).await;
        within(SETTLING, "the relay begins anew, twice", async || {
            (checkpoint(&store).await.1 >= epoch + 2).then_some(())
        })
        .await;
    })
    .await;
    let (published, _) = checkpoint(&store).await;
    assert!(given > 2, "{given}");
    assert_eq!((topic.applied.len(), published), (100, topic.applied[99].0));
}
