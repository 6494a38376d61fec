//! Reading the whole log, or the rest of it, in position order and in bounded memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec::IntoIter;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, TryStreamExt};
use pulsetrail_domain::Position;
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::copied::{self, copy_after, row};
use super::stored::Stored;
use super::{Event, StoreError};

/// The first page is small, so that the first event is there at once.
const FIRST_PAGE: i64 = 100;
const PAGE: i64 = 4_000;
/// How many rows are decoded by one task.
const CHUNK: usize = 500;
/// Pages that are read ahead of the one that is being handed out.
const AHEAD: usize = 1;

type Chunk = JoinHandle<Result<Vec<Event>, StoreError>>;

/// The events after a position, in order, up to where the log ended when the last of them was read.
///
/// The next pages are read and decoded while the present one is worked on. At most three pages are in
/// memory, however long the log is, and nothing is held open in the database between them. After an
/// error the stream ends; whoever wants to go on starts a new one after [`Replay::position`].
pub struct Replay {
    pages: mpsc::Receiver<Result<Vec<Chunk>, StoreError>>,
    /// Sends the pages. None once it has ended.
    reader: Option<JoinHandle<()>>,
    page: IntoIter<Chunk>,
    decoding: Option<Chunk>,
    events: IntoIter<Event>,
    position: Position,
    failed: bool,
}

impl Replay {
    /// The events after `after`. Must be called within a Tokio runtime.
    #[must_use]
    pub fn after(pool: &PgPool, after: Position) -> Self {
        let (sender, pages) = mpsc::channel(AHEAD);
        let reader = Some(tokio::spawn(read(pool.clone(), after, sender)));
        Self {
            pages,
            reader,
            page: Vec::new().into_iter(),
            decoding: None,
            events: Vec::new().into_iter(),
            position: after,
            failed: false,
        }
    }

    /// The position of the last event that was handed out.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next events; none at the end.
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<Event>>, StoreError>> {
        loop {
            if let Some(decoding) = &mut self.decoding {
                let decoded = ready!(decoding.poll_unpin(context));
                self.decoding = None;
                let decoded = decoded.map_err(|_| StoreError::Database(sqlx::Error::WorkerCrashed));
                return Poll::Ready(decoded.flatten().map(Some));
            }
            self.decoding = self.page.next();
            if self.decoding.is_none() {
                match ready!(self.pages.poll_recv(context)) {
                    Some(page) => self.page = page?.into_iter(),
                    None => return self.poll_reader(context).map(|ended| ended.map(|()| None)),
                }
            }
        }
    }

    /// How the reader has ended: after a panic the last page is not the end of the log.
    fn poll_reader(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StoreError>> {
        let Some(reader) = &mut self.reader else { return Poll::Ready(Ok(())) };
        let ended = ready!(reader.poll_unpin(context));
        self.reader = None;
        Poll::Ready(ended.map_err(|_| StoreError::Database(sqlx::Error::WorkerCrashed)))
    }
}

impl Stream for Replay {
    type Item = Result<Event, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.events.next() {
                self.position = event.position;
                return Poll::Ready(Some(Ok(event)));
            }
            if self.failed {
                return Poll::Ready(None);
            }
            match ready!(self.poll_chunk(context)) {
                Ok(Some(events)) => self.events = events.into_iter(),
                Ok(None) => return Poll::Ready(None),
                Err(error) => {
                    self.failed = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

async fn read(
    pool: PgPool,
    mut after: Position,
    pages: mpsc::Sender<Result<Vec<Chunk>, StoreError>>,
) {
    let mut size = FIRST_PAGE;
    loop {
        let page = read_page(&pool, &mut after, size).await;
        let is_last = page.as_ref().map_or(true, |(_, rows)| *rows < size);
        // Nobody is left to read for where the page cannot be handed over.
        if pages.send(page.map(|(chunks, _)| chunks)).await.is_err() || is_last {
            return;
        }
        size = PAGE;
    }
}

/// Reads a page and has it decoded while the rest of it arrives. Moves `after` to its last event.
///
/// It is not to be cut short: the connection would not know that the copy is not over.
async fn read_page(
    pool: &PgPool,
    after: &mut Position,
    size: i64,
) -> Result<(Vec<Chunk>, i64), StoreError> {
    let mut messages = pool.copy_out_raw(&copy_after(*after, size)).await?;
    let mut chunks = Vec::new();
    let mut chunk = Vec::with_capacity(CHUNK);
    let (mut count, mut last) = (0, None);
    while let Some(message) = messages.try_next().await? {
        if row(&message).is_none() {
            continue;
        }
        count += 1;
        last = Some(message.clone());
        chunk.push(message);
        if chunk.len() == CHUNK {
            chunks.push(decode(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))));
        }
    }
    if !chunk.is_empty() {
        chunks.push(decode(chunk));
    }
    if let Some(last) = last {
        *after = Position(columns(&last)?.position);
    }
    Ok((chunks, count))
}

fn decode(messages: Vec<Bytes>) -> Chunk {
    tokio::spawn(async move {
        messages.iter().map(|message| columns(message)?.event().map_err(StoreError::from)).collect()
    })
}

fn columns(message: &[u8]) -> Result<Stored<'_>, StoreError> {
    let malformed = || sqlx::Error::Protocol("a copied row is not of the known form".to_owned());
    Ok(row(message).and_then(copied::read).ok_or_else(malformed)?)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_reader_that_panics_is_an_error_and_not_the_end_of_the_log() {
        let replay = |reader: JoinHandle<()>| Replay {
            pages: mpsc::channel(AHEAD).1,
            reader: Some(reader),
            page: Vec::new().into_iter(),
            decoding: None,
            events: Vec::new().into_iter(),
            position: Position::START,
            failed: false,
        };
        let mut whole = replay(tokio::spawn(async {}));
        assert!(whole.next().await.is_none() && whole.next().await.is_none());
        let mut broken = replay(tokio::spawn(async { panic!("a bug") }));
        assert!(matches!(broken.next().await, Some(Err(StoreError::Database(_)))));
        assert!(broken.next().await.is_none());
    }
}
