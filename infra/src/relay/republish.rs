//! Publishing again what was published before.

use futures_util::StreamExt;
use pulsetrail_domain::Position;

use super::{PAGE, RelayError, acknowledged_by_kafka, hand_over};
use crate::kafka::Kafka;
use crate::store::{Event, Replay, Store, head, position_before, traces_of};

/// Publishes every event from a position on, up to the newest one that there is, and returns how many
/// they were: for a topic that was lost, or a consumer outside that has to begin anew.
///
/// The active relay goes on meanwhile and its checkpoint stays. Who has applied an event before drops it
/// by its position.
///
/// # Errors
/// See [`RelayError`]; some of the events may have been published by then.
pub async fn republish(store: &Store, kafka: &Kafka, from: Position) -> Result<usize, RelayError> {
    let producer = kafka.producer()?;
    let topic = kafka.topics.events();
    let through = head(&store.read).await?;
    let mut previous = position_before(&store.read, from).await?;
    let mut pages = Replay::after(&store.read, previous)
        .take_while(|event| {
            let is_new = event.as_ref().is_ok_and(|event| event.position > through);
            std::future::ready(!is_new)
        })
        .boxed()
        .ready_chunks(PAGE as usize);
    let mut published = 0;
    while let Some(page) = pages.next().await {
        let page: Vec<Event> = page.into_iter().collect::<Result<_, _>>()?;
        let traces = traces_of(&store.read, &page).await?;
        acknowledged_by_kafka(hand_over(&producer, &topic, &page, &traces, previous)?).await?;
        previous = page.last().map_or(previous, |event| event.position);
        published += page.len();
    }
    Ok(published)
}
