//! A stream that ends when its peer does not read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How much a peer has to take within the time, in bytes: less is as good as nothing.
const LEAST: usize = 16 * 1_024;

/// A stream whose writes fail with [`io::ErrorKind::TimedOut`] when its peer has left no room for them for
/// a time, within which it took less than 16 KiB. What was written and then flushed counts as taken.
/// It keeps something of its owner's as long as it lives, also where it is handed on as a WebSocket.
pub(super) struct WriteDeadline<S, K> {
    stream: S,
    time: Duration,
    blocked: Option<Blocked>,
    _kept: K,
}

/// Writes have to wait.
struct Blocked {
    until: Pin<Box<Sleep>>,
    /// How much was taken since then, in bytes.
    taken: usize,
}

impl<S, K> WriteDeadline<S, K> {
    /// Over a stream that itself holds nothing back: its flush is done at once.
    pub(super) fn new(stream: S, time: Duration, kept: K) -> Self {
        Self { stream, time, blocked: None, _kept: kept }
    }

    /// What becomes of a write.
    fn judge(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(blocked) = &mut self.blocked {
                    blocked.taken += bytes;
                    if blocked.taken >= LEAST {
                        self.blocked = None;
                    }
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let new = || Blocked { until: Box::pin(sleep(self.time)), taken: 0 };
                ready!(self.blocked.get_or_insert_with(new).until.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin, K: Unpin> AsyncRead for WriteDeadline<S, K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin, K: Unpin> AsyncWrite for WriteDeadline<S, K> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever flushes has handed over all that there was.
        self.blocked = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const TIME: Duration = Duration::from_secs(60);
    const PIPE: usize = 64 * 1_024;

    /// How the writing of a megabyte ends when the peer takes so many bytes every 10 s.
    async fn written(bytes_each: usize) -> Result<(), io::ErrorKind> {
        let (stream, mut peer) = duplex(PIPE);
        let mut stream = WriteDeadline::new(stream, TIME, ());
        let reading = tokio::spawn(async move {
            let mut buffer = vec![0; bytes_each];
            loop {
                sleep(Duration::from_secs(10)).await;
                if bytes_each > 0 && peer.read_exact(&mut buffer).await.is_err() {
                    return;
                }
            }
        });
        let written = stream.write_all(&vec![0; 1 << 20]).await;
        reading.abort();
        written.map_err(|error| error.kind())
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_or_next_to_nothing_is_cut_off() {
        assert_eq!(written(0).await, Err(io::ErrorKind::TimedOut));
        assert_eq!(written(1).await, Err(io::ErrorKind::TimedOut));
        assert_eq!(written(LEAST).await, Ok(()), "slow, and at work");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_begins_anew_with_each_answer() {
        let (stream, mut peer) = duplex(PIPE);
        let mut stream = WriteDeadline::new(stream, TIME, ());
        for _ in 0..3 {
            let answer = vec![0; PIPE + 1];
            let mut taken = vec![0; PIPE + 1];
            let (written, read) = tokio::join!(
                async {
                    stream.write_all(&answer).await?;
                    stream.flush().await
                },
                async {
                    sleep(TIME / 2).await;
                    peer.read_exact(&mut taken).await
                }
            );
            assert!(written.is_ok() && read.is_ok());
            sleep(TIME).await;
        }
    }
}
