//! A connection that notes when the request's last byte left and the answer's first byte came.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::tls::HTTP2;

/// A connection to a target.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Whether HTTP/2 was agreed on.
    pub(super) fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(HTTP2),
        }
    }
}

/// When bytes passed, in ns since the connection was handed over; 0 is never.
#[derive(Debug)]
pub(super) struct Marks {
    base: Instant,
    last_sent: AtomicU64,
    first_received: AtomicU64,
    /// Bytes that came.
    received: AtomicUsize,
}

impl Marks {
    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// Whether any byte of the answer came.
    pub(super) fn has_answer(&self) -> bool {
        self.first_received.load(Ordering::Relaxed) > 0
    }

    /// How many bytes came.
    pub(super) fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    /// From the request's last byte to the answer's first, or to now while there is none.
    pub(super) fn first_byte(&self) -> Duration {
        let received = match self.first_received.load(Ordering::Relaxed) {
            0 => self.now(),
            received => received,
        };
        Duration::from_nanos(received.saturating_sub(self.last_sent.load(Ordering::Relaxed)))
    }
}

/// A [`Wire`] with its [`Marks`].
pub(super) struct Observed {
    wire: Wire,
    marks: Arc<Marks>,
}

impl Observed {
    pub(super) fn new(wire: Wire) -> Self {
        let marks = Arc::new(Marks {
            base: Instant::now(),
            last_sent: AtomicU64::new(0),
            first_received: AtomicU64::new(0),
            received: AtomicUsize::new(0),
        });
        Self { wire, marks }
    }

    pub(super) fn marks(&self) -> Arc<Marks> {
        Arc::clone(&self.marks)
    }

    fn sent(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        // An answer may come before the request ends; what is sent after it counts no more.
        if matches!(written, Poll::Ready(Ok(_))) && !self.marks.has_answer() {
            self.marks.last_sent.store(self.marks.now(), Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Observed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        let came = buffer.filled().len() - before;
        if came > 0 && !self.marks.has_answer() {
            self.marks.first_received.store(self.marks.now(), Ordering::Relaxed);
        }
        self.marks.received.fetch_add(came, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Observed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
