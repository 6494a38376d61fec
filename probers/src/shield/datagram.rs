//! The sockets that DNS questions leave by.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime,
};
use tokio::net::UdpSocket;

/// The length of a message's header, in bytes (RFC 1035, section 4.1.1).
const HEADER_BYTES: usize = 12;
/// What a server says that does not understand a question: FORMERR and NOTIMP.
const NOT_UNDERSTOOD: [u8; 2] = [1, 4];

/// Tokio, whose UDP sockets are [`DnsSocket`]s.
#[derive(Clone, Default)]
pub(super) struct DnsRuntime(TokioRuntimeProvider);

impl RuntimeProvider for DnsRuntime {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = DnsSocket;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        bind: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        self.0.connect_tcp(server, bind, timeout)
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        server: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Udp>>>> {
        let bound = self.0.bind_udp(local, server);
        Box::pin(async { Ok(DnsSocket { socket: bound.await?, asked: Mutex::default() }) })
    }
}

/// A socket that puts the question back into an answer that a server, which did not understand the
/// question, left it out of (RFC 6891, section 7, and older servers): the resolver takes answers to its own
/// questions alone and would wait on.
pub(super) struct DnsSocket {
    socket: UdpSocket,
    /// The question that was sent last.
    asked: Mutex<Vec<u8>>,
}

impl DnsUdpSocket for DnsSocket {
    type Time = TokioTime;

    fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let (length, from) = ready!(DnsUdpSocket::poll_recv_from(&self.socket, context, buffer))?;
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(Ok((completed(buffer, length, &asked), from)))
    }

    fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(DnsUdpSocket::poll_send_to(&self.socket, context, bytes, target));
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = bytes.to_vec();
        Poll::Ready(sent)
    }
}

/// Puts the question into an answer of `length` bytes that says that it was not understood and has none.
/// The answer's new length.
fn completed(buffer: &mut [u8], length: usize, asked: &[u8]) -> usize {
    let is_refusal = match buffer.get(..length) {
        // The id, QR and the response code, and no question.
        Some([high, low, flags, code, 0, 0, ..]) if length >= HEADER_BYTES => {
            asked.starts_with(&[*high, *low])
                && flags & 0x80 != 0
                && NOT_UNDERSTOOD.contains(&(code & 0x0f))
        }
        _ => false,
    };
    let Some(question) = question(asked).filter(|_| is_refusal) else { return length };
    let end = HEADER_BYTES + question.len();
    let Some(([_, _, _, _, counts @ ..], place)) =
        buffer.get_mut(..end).and_then(|message| message.split_first_chunk_mut::<HEADER_BYTES>())
    else {
        return length;
    };
    *counts = [0, 1, 0, 0, 0, 0, 0, 0];
    place.copy_from_slice(question);
    end
}

/// The question of a message that has one: a name in labels, a type and a class.
fn question(message: &[u8]) -> Option<&[u8]> {
    let rest = message.get(HEADER_BYTES..)?;
    let mut at = 0;
    loop {
        match *rest.get(at)? {
            0 => return rest.get(..at + 5),
            label @ 1..=63 => at += usize::from(label) + 1,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01\0\0\x29\x04\xd0";

    fn completed_of(answer: &[u8]) -> Vec<u8> {
        let mut buffer = [answer, &[0; 64]].concat();
        let length = completed(&mut buffer, answer.len(), ASKED);
        buffer.truncate(length);
        buffer
    }

    #[test]
    fn a_bare_refusal_gets_its_question_back() {
        for code in NOT_UNDERSTOOD {
            let bare = [0x12, 0x34, 0x81, 0x80 | code, 0, 0, 0, 0, 0, 0, 0, 0];
            let whole = completed_of(&bare);
            assert_eq!(whole[..4], bare[..4]);
            assert_eq!(&whole[4..], b"\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01");
        }
    }

    #[test]
    fn what_is_no_such_refusal_stays() {
        for answer in [
            // Another id, a question, no answer, another code, cut off.
            &b"\x12\x35\x81\x81\0\0\0\0\0\0\0\0"[..],
            b"\x12\x34\x01\x81\0\0\0\0\0\0\0\0",
            b"\x12\x34\x81\x80\0\0\0\0\0\0\0\0",
            b"\x12\x34\x81\x81\0\x01\0\0\0\0\0\0",
            b"\x12\x34\x81\x81\0\0",
            b"",
        ] {
            assert_eq!(completed_of(answer), answer);
        }
    }
}
