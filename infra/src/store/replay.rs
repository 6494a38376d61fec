//! Reading the whole log, or the rest of it, in position order and in bounded memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec::IntoIter;

use futures_util::{FutureExt, Stream, TryStreamExt};
use pulsetrail_domain::Position;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::read::{READ_AFTER, bare_event};
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
    page: IntoIter<Chunk>,
    decoding: Option<Chunk>,
    events: IntoIter<Event>,
    position: Position,
    failed: bool,
    reading: JoinHandle<()>,
}

impl Replay {
    /// The events after `after`. Must be called within a Tokio runtime.
    #[must_use]
    pub fn after(pool: &PgPool, after: Position) -> Self {
        let (sender, pages) = mpsc::channel(AHEAD);
        let reading = tokio::spawn(read(pool.clone(), after, sender));
        Self {
            pages,
            page: Vec::new().into_iter(),
            decoding: None,
            events: Vec::new().into_iter(),
            position: after,
            failed: false,
            reading,
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
                    None => return Poll::Ready(Ok(None)),
                }
            }
        }
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

impl Drop for Replay {
    fn drop(&mut self) {
        self.reading.abort();
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
async fn read_page(
    pool: &PgPool,
    after: &mut Position,
    size: i64,
) -> Result<(Vec<Chunk>, i64), StoreError> {
    let mut rows = sqlx::query(READ_AFTER).bind(after.0).bind(size).fetch(pool);
    let mut chunks = Vec::new();
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        count += 1;
        *after = Position(row.try_get(0)?);
        chunk.push(row);
        if chunk.len() == CHUNK {
            chunks.push(decode(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))));
        }
    }
    if !chunk.is_empty() {
        chunks.push(decode(chunk));
    }
    Ok((chunks, count))
}

fn decode(rows: Vec<PgRow>) -> Chunk {
    tokio::spawn(async move { rows.iter().map(|row| Ok(bare_event(row)?)).collect() })
}
