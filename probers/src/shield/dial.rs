//! Connecting to the first of several judged addresses that answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustix::io::Errno;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// How long one address is waited for before the next is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// How long to wait when this machine lacks what a connection takes.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);
/// At most so many addresses are tried.
const MOST: usize = 8;

/// Why no address could be connected to: of several reasons, the one that says most about the target.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq, PartialOrd, Ord)]
pub enum DialError {
    /// There is no route.
    #[error("{0} cannot be reached")]
    Unreachable(SocketAddr),
    /// No answer in time.
    #[error("{0} did not answer in time")]
    Timeout(SocketAddr),
    /// The connection was reset while it was made.
    #[error("{0} reset the connection")]
    Reset(SocketAddr),
    /// Nobody listens.
    #[error("{0} refused the connection")]
    Refused(SocketAddr),
}

/// Tries the addresses in order, each a little after the one before, or at once when that failed.
pub(super) async fn first_of(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), DialError> {
    if let [only] = *addresses {
        let connected = timeout_at(deadline, connect(only)).await;
        return connected.unwrap_or(Err(DialError::Timeout(only)));
    }
    let mut waiting = addresses.iter().copied().take(MOST);
    let mut attempts = FuturesUnordered::new();
    let mut worst: Option<DialError> = None;
    let nobody = DialError::Unreachable(SocketAddr::from(([0, 0, 0, 0], 0)));
    let Some(first) = waiting.next() else { return Err(nobody) };
    let mut last = first;
    attempts.push(connect(first));
    let race = async {
        let mut next_at = Instant::now() + STAGGER;
        let mut more = waiting.len() > 0;
        loop {
            let failed = tokio::select! {
                ended = attempts.next() => match ended {
                    Some(Ok(connected)) => return Ok(connected),
                    Some(Err(error)) => Some(error),
                    None => return Err(worst.unwrap_or(nobody)),
                },
                () = sleep_until(next_at), if more => None,
            };
            worst = worst.max(failed);
            if let Some(next) = waiting.next() {
                last = next;
                attempts.push(connect(next));
                next_at = Instant::now() + STAGGER;
            }
            more = waiting.len() > 0;
        }
    };
    let ended = timeout_at(deadline, race).await;
    match ended {
        Ok(ended) => ended,
        Err(_elapsed) => Err(worst.max(Some(DialError::Timeout(last))).unwrap_or(nobody)),
    }
}

async fn connect(address: SocketAddr) -> Result<(TcpStream, SocketAddr), DialError> {
    loop {
        let error = match connect_once(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => error,
        };
        if is_own_shortage(&error) {
            // No fault of the target's: as long as there is time, it is dialled again.
            tracing::error!(%error, "this machine is too short of something to dial a target");
            sleep(SHORTAGE_PAUSE).await;
            continue;
        }
        return Err(match error.kind() {
            io::ErrorKind::ConnectionRefused => DialError::Refused(address),
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                DialError::Reset(address)
            }
            io::ErrorKind::TimedOut => DialError::Timeout(address),
            _ => DialError::Unreachable(address),
        });
    }
}

async fn connect_once(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// Whether it is this machine that lacks something: file descriptors or memory.
fn is_own_shortage(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::super::tests::silent;
    use super::*;

    async fn answering() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn an_address_that_says_nothing_does_not_keep_the_next_waiting() {
        let (_silent, _queue, nobody) = silent().await;
        let (_answering, somebody) = answering().await;
        let (_, reached) = first_of(&[nobody, nobody, somebody], soon()).await.unwrap();
        assert_eq!(reached, somebody);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next_at_once() {
        let (gone, refusing) = answering().await;
        drop(gone);
        let (_answering, somebody) = answering().await;
        let (_, reached) = first_of(&[refusing, refusing, somebody], soon()).await.unwrap();
        assert_eq!(reached, somebody);
        let failed = first_of(&[refusing], soon()).await.unwrap_err();
        assert_eq!(failed, DialError::Refused(refusing));
    }

    #[tokio::test]
    async fn who_is_reached_first_is_kept_and_the_others_are_given_up() {
        let (_silent, _queue, nobody) = silent().await;
        let (answering, somebody) = answering().await;
        let addresses = [somebody, nobody, somebody];
        let (stream, _) = first_of(&addresses, soon()).await.unwrap();
        let (_accepted, from) = answering.accept().await.unwrap();
        assert_eq!(stream.local_addr().unwrap(), from);
        let again = tokio::time::timeout(Duration::ZERO, answering.accept()).await;
        assert!(again.is_err(), "it was dialled once");
    }

    #[tokio::test]
    async fn the_time_is_for_all_addresses_together() {
        let (_silent, _queue, nobody) = silent().await;
        let deadline = Instant::now() + Duration::from_millis(300);
        let failed = first_of(&[nobody; 8], deadline).await.unwrap_err();
        assert_eq!(failed, DialError::Timeout(nobody));
    }
}
