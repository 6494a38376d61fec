use rdkafka::bindings::{rd_kafka_resp_err_t, rd_kafka_test_fatal_error};
use rdkafka::producer::Producer;

use super::*;

#[tokio::test]
async fn a_producer_that_is_broken_for_good_takes_no_event_and_says_so() {
    let kafka = Kafka::new("127.0.0.1:1", "test");
    let producer = kafka.producer().unwrap();
    let code = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    // SAFETY: the producer lives until the end of the test, and the reason is a C string.
    unsafe { rd_kafka_test_fatal_error(producer.client().native_ptr(), code, c"test".as_ptr()) };
    let event = Event {
        position: Position(1),
        organization_id: Default::default(),
        aggregate_type: "health".to_owned(),
        aggregate_id: "a".to_owned(),
        sequence: 1,
        event_type: "WentDown".to_owned(),
        event_version: "1.0".to_owned(),
        recorded_at: Default::default(),
        payload: serde_json::value::to_raw_value("").unwrap(),
    };
    let handed_over = hand_over(&producer, "test.events", &[event], &[None], Position::START);
    let error = match handed_over {
        Ok(deliveries) => acknowledged_by_kafka(deliveries).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(!crate::kafka::is_passing(&error), "{error}");
}
