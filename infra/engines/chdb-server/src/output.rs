//! The way of an answer from the thread that runs the query to the HTTP connection.
//!
//! A result that is complete soon is answered in one piece, with its length and its final counters, and
//! an error before that has its HTTP status. A longer one is sent while it is made; each piece waits for
//! the next, so that most errors still come in time for a status.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::SpooledTempFile;
use tokio::sync::{mpsc, oneshot};

use crate::encoding::{Encoder, Encoding};
use crate::exception::Exception;
use crate::ffi::Counters;

/// How long a small result is held back.
const HOLD: Duration = Duration::from_millis(10);
/// So much is sent at once.
const PIECE_SIZE: usize = 256 << 10;
/// What `wait_end_of_query` keeps in memory before it goes on in a file.
const MEMORY_SIZE: usize = 16 << 20;
/// So many pieces wait for a slow reader before the query waits too.
const QUEUED_PIECES: usize = 4;

/// How a request is answered.
pub(crate) enum Reply {
    Failed(Exception),
    Complete(Head, Bytes),
    Streaming(Head, mpsc::Receiver<Piece>),
}

/// What is known when the answer begins.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) format: String,
    pub(crate) encoding: Encoding,
    pub(crate) counters: Counters,
    pub(crate) elapsed: Duration,
}

/// A part of a streamed answer.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    /// The query failed; the connection has to be broken off after this.
    Last(Bytes),
}

/// The client is gone, or its answer cannot be made.
#[derive(Debug)]
pub(crate) struct Stopped;

/// Where a query's output goes.
pub(crate) struct Output {
    reply: Option<oneshot::Sender<Reply>>,
    pieces: Option<mpsc::Sender<Piece>>,
    encoding: Encoding,
    encoder: Encoder,
    pending: Vec<u8>,
    waiting: Option<SpooledTempFile>,
    format: String,
    counters: Counters,
    started: Instant,
    sent: Instant,
}

impl Output {
    /// `wait` holds everything back until the end, beyond a size in a file in `directory`.
    pub(crate) fn new(
        reply: oneshot::Sender<Reply>,
        encoding: Encoding,
        wait: bool,
        directory: &Path,
    ) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            reply: Some(reply),
            pieces: None,
            encoding,
            encoder: Encoder::new(encoding)?,
            pending: Vec::new(),
            waiting: wait.then(|| tempfile::spooled_tempfile_in(MEMORY_SIZE, directory)),
            format: String::new(),
            counters: Counters::default(),
            started: now,
            sent: now,
        })
    }

    /// Names the format; before the first output.
    pub(crate) fn set_format(&mut self, format: &str) {
        format.clone_into(&mut self.format);
    }

    /// Adds what a part of the query did.
    pub(crate) fn count(&mut self, part: Counters) {
        let total = &mut self.counters;
        total.result_rows += part.result_rows;
        total.result_bytes += part.result_bytes;
        total.read_rows += part.read_rows;
        total.read_bytes += part.read_bytes;
        total.written_rows += part.written_rows;
        total.written_bytes += part.written_bytes;
    }

    /// Adds a part of the result.
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<(), Stopped> {
        if let Some(file) = &mut self.waiting {
            return file.write_all(data).map_err(stopped);
        }
        if self.is_due(data.len()) {
            self.send_pending()?;
        }
        self.pending.extend_from_slice(data);
        Ok(())
    }

    /// Ends the answer.
    pub(crate) fn finish(mut self) {
        // A failure here means that the client is gone: there is nobody to tell.
        let _ = self.try_finish();
    }

    /// Ends the answer with an exception, as a status when it is not too late.
    pub(crate) fn fail(mut self, exception: Exception, tag: &str, version: &str) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(Reply::Failed(exception));
            return;
        }
        let _ = self.send_pending();
        let block = exception.trailing_block(tag, version);
        let Some(pieces) = self.pieces.take() else {
            return;
        };
        // On its own, because clients look for it at the end of a piece.
        if let Ok(mut last) = self.encoder.encode(block.as_bytes()).map(Vec::from) {
            last.extend(self.encoder.finish().unwrap_or_default());
            let _ = pieces.blocking_send(Piece::Last(last.into()));
        }
    }

    fn is_due(&self, coming: usize) -> bool {
        let is_large = self.pending.len() + coming > PIECE_SIZE;
        !self.pending.is_empty() && (is_large || self.sent.elapsed() > HOLD)
    }

    fn try_finish(&mut self) -> Result<(), Stopped> {
        if let Some(mut file) = self.waiting.take() {
            let length = file.seek(SeekFrom::End(0)).map_err(stopped)?;
            file.rewind().map_err(stopped)?;
            if length <= MEMORY_SIZE as u64 {
                file.read_to_end(&mut self.pending).map_err(stopped)?;
            } else {
                let mut buffer = vec![0; PIECE_SIZE];
                loop {
                    let count = file.read(&mut buffer).map_err(stopped)?;
                    if count == 0 {
                        break;
                    }
                    self.send_pending()?;
                    self.pending.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
            }
        }
        let encoder = std::mem::replace(&mut self.encoder, Encoder::Plain);
        if self.reply.is_none() {
            self.encoder = encoder;
            self.send_pending()?;
            let encoder = std::mem::replace(&mut self.encoder, Encoder::Plain);
            return self.send(Piece::Data(encoder.finish().map_err(stopped)?));
        }
        let body = if self.pending.is_empty() {
            self.encoding = Encoding::Plain;
            Bytes::new()
        } else if self.encoding == Encoding::Plain {
            std::mem::take(&mut self.pending).into()
        } else {
            let mut encoder = encoder;
            let mut body = Vec::from(encoder.encode(&self.pending).map_err(stopped)?);
            body.extend(encoder.finish().map_err(stopped)?);
            body.into()
        };
        let head = self.head();
        match self.reply.take() {
            Some(reply) => reply.send(Reply::Complete(head, body)).map_err(|_| Stopped),
            None => Ok(()),
        }
    }

    fn head(&self) -> Head {
        Head {
            format: self.format.clone(),
            encoding: self.encoding,
            counters: self.counters,
            elapsed: self.started.elapsed(),
        }
    }

    fn send_pending(&mut self) -> Result<(), Stopped> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Some(reply) = self.reply.take() {
            let (sender, receiver) = mpsc::channel(QUEUED_PIECES);
            self.pieces = Some(sender);
            let head = self.head();
            reply.send(Reply::Streaming(head, receiver)).map_err(|_| Stopped)?;
        }
        let data = if self.encoding == Encoding::Plain {
            std::mem::take(&mut self.pending).into()
        } else {
            let data = self.encoder.encode(&self.pending).map_err(stopped)?;
            self.pending.clear();
            data
        };
        self.sent = Instant::now();
        self.send(Piece::Data(data))
    }

    fn send(&self, piece: Piece) -> Result<(), Stopped> {
        match &self.pieces {
            Some(pieces) => pieces.blocking_send(piece).map_err(|_| Stopped),
            None => Ok(()),
        }
    }
}

fn stopped(error: io::Error) -> Stopped {
    tracing::warn!(%error, "an answer could not be made");
    Stopped
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
