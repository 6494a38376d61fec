//! What waits for one connection: bounded in number and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc;

use super::event::LiveEvent;
use super::presence::Watched;

/// Messages that wait for one connection at most.
pub(super) const QUEUE: usize = 1_024;
/// Bytes that wait for one connection at most; a single message may be longer. The bytes of a message
/// are there once, however many connections it waits for.
const QUEUE_BYTES: usize = 1 << 20;

/// Something to send.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Event(Arc<LiveEvent>),
    Watched(Arc<Watched>),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.message.len(),
            Self::Watched(watched) => watched.message.len(),
        }
    }

    /// The whole message. Its bytes are shared, not copied.
    pub(super) fn into_text(self) -> Utf8Bytes {
        match self {
            Self::Event(event) => event.message.clone(),
            Self::Watched(watched) => watched.message.clone(),
        }
    }
}

/// A connection's end of its queue. It ends when the connection was too slow to empty it.
#[derive(Debug)]
pub(super) struct Queue {
    items: mpsc::Receiver<Item>,
    bytes: Arc<AtomicUsize>,
}

/// The end that things are put in at.
#[derive(Debug)]
pub(super) struct Feeder {
    items: mpsc::Sender<Item>,
    bytes: Arc<AtomicUsize>,
}

/// There is no room.
#[derive(Debug)]
pub(super) struct Full;

pub(super) fn queue() -> (Feeder, Queue) {
    let (sender, items) = mpsc::channel(QUEUE);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Feeder { items: sender, bytes: Arc::clone(&bytes) }, Queue { items, bytes })
}

impl Feeder {
    pub(super) fn put(&self, item: Item) -> Result<(), Full> {
        let size = item.bytes();
        let waiting = self.bytes.fetch_add(size, Ordering::Relaxed);
        let fits = waiting == 0 || waiting + size <= QUEUE_BYTES;
        if fits && self.items.try_send(item).is_ok() {
            return Ok(());
        }
        // What does not wait does not count.
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        Err(Full)
    }
}

impl Queue {
    /// The next item, when there is one; none where the queue has ended. Dropping the future loses
    /// nothing.
    pub(super) async fn next(&mut self) -> Option<Item> {
        let item = self.items.recv().await;
        self.taken(item)
    }

    /// The next item, if there is one now.
    pub(super) fn next_now(&mut self) -> Option<Item> {
        let item = self.items.try_recv().ok();
        self.taken(item)
    }

    fn taken(&self, item: Option<Item>) -> Option<Item> {
        if let Some(item) = &item {
            self.bytes.fetch_sub(item.bytes(), Ordering::Relaxed);
        }
        item
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether nothing more comes than what is in it.
    pub(super) fn has_ended(&self) -> bool {
        self.items.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::live;
    use super::*;

    fn item(position: i64, bytes: usize) -> Item {
        let event = LiveEvent { message: "x".repeat(bytes).into(), ..live(position, 1, 1) };
        Item::Event(Arc::new(event))
    }

    #[test]
    fn a_queue_holds_so_many_bytes_and_no_more() {
        let (feeder, mut queue) = queue();
        assert!(feeder.put(item(1, 2 * QUEUE_BYTES)).is_ok(), "one may be longer");
        assert!(queue.next_now().is_some());
        assert!(feeder.put(item(2, QUEUE_BYTES - 10)).is_ok());
        assert!(feeder.put(item(3, 10)).is_ok());
        assert!(feeder.put(item(4, 1)).is_err());
    }

    #[test]
    fn what_a_full_queue_refuses_does_not_count_as_waiting() {
        let (feeder, mut queue) = queue();
        let mut accepted = 0;
        for position in 0..2 * QUEUE as i64 {
            accepted += i32::from(feeder.put(item(position, 100)).is_ok());
        }
        assert_eq!(accepted, QUEUE as i32);
        assert_eq!(queue.bytes.load(Ordering::Relaxed), QUEUE * 100);
        assert!(feeder.put(item(0, QUEUE_BYTES)).is_err());
        while queue.next_now().is_some() {}
        assert_eq!(queue.bytes.load(Ordering::Relaxed), 0);
        assert!(feeder.put(item(0, QUEUE_BYTES)).is_ok());
    }

    #[test]
    fn a_queue_holds_so_many_messages_and_no_more() {
        let (feeder, mut queue) = queue();
        for position in 0..QUEUE as i64 {
            assert!(feeder.put(item(position, 1)).is_ok());
        }
        assert!(feeder.put(item(0, 1)).is_err());
        assert!(queue.next_now().is_some());
    }
}
