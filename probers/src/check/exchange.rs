//! One request and its answer over a connection of their own.

use std::error::Error as _;
use std::io;
use std::pin::pin;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pulsetrail_domain::check::FailureCause;
use tokio::time::{Instant, timeout_at};

use super::attempt::{Fault, Stopwatch};
use super::wire::{Observed, Wire};

/// The largest header of an answer, in bytes; it may have at most 100 fields.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How much of a body is read at most, in bytes. A longer one counts as having ended there.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The body, where it was to be kept.
    pub(super) body: Vec<u8>,
    /// What went wrong after the head.
    pub(super) body_fault: Option<Fault>,
}

/// How much of an answer is read.
pub(super) struct Reading<F> {
    /// Whether the body of an answer of that status is read.
    pub(super) reads_body: F,
    /// Whether what is read is kept; it must then be whole.
    pub(super) keeps_body: bool,
}

/// Sends a request and reads its answer.
pub(super) async fn exchange(
    wire: Wire,
    request: Request<Full<Bytes>>,
    reading: Reading<impl Fn(StatusCode) -> bool>,
    deadline: Instant,
    stopwatch: &mut Stopwatch,
) -> Result<Answer, Fault> {
    let (io, marks) = Observed::new(wire);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEADER_BYTES)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|error| fault(&error))?;
    let talk = async {
        let answered = timeout_at(deadline, sender.send_request(request)).await;
        stopwatch.first_byte(marks.first_byte());
        let response = match answered {
            Ok(answered) => answered.map_err(|error| fault(&error))?,
            Err(_elapsed) if marks.has_answer() => {
                return Err(timeout(FailureCause::HttpTimeoutBody, "header"));
            }
            Err(_elapsed) => return Err(timeout(FailureCause::HttpTimeoutFirstByte, "answer")),
        };
        let (head, body) = response.into_parts();
        let mut kept = Vec::new();
        let body_fault = if (reading.reads_body)(head.status) {
            let keep = reading.keeps_body.then_some(&mut kept);
            match timeout_at(deadline, read(body, is_delimited(&head.headers), keep)).await {
                Ok(read) => read.err(),
                Err(_elapsed) => Some(timeout(FailureCause::HttpTimeoutBody, "body")),
            }
        } else {
            None
        };
        Ok(Answer { status: head.status, headers: head.headers, body: kept, body_fault })
    };
    alongside(talk, connection).await
}

/// Works while the connection is driven beside it. How the connection ends, the work learns itself.
async fn alongside<T, E>(
    work: impl Future<Output = T>,
    connection: impl Future<Output = Result<(), E>>,
) -> T {
    let (mut work, mut connection) = (pin!(work), pin!(connection));
    tokio::select! {
        biased;
        done = &mut work => return done,
        _ended = &mut connection => {}
    }
    work.await
}

/// Whether the answer itself says where its body ends (RFC 9112, section 6.3).
fn is_delimited(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

/// Reads a body, or its first [`MAX_BODY_BYTES`], and drops it; one that is to be kept must not be
/// longer.
async fn read(
    mut body: Incoming,
    delimited: bool,
    mut keep: Option<&mut Vec<u8>>,
) -> Result<(), Fault> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let Some(data) = frame.data_ref() else { continue };
                bytes += data.len();
                if let Some(kept) = &mut keep {
                    if bytes > MAX_BODY_BYTES {
                        let detail = format!("The body has more than {MAX_BODY_BYTES} bytes.");
                        return Err(Fault::failed(FailureCause::HttpTooLarge, detail));
                    }
                    kept.extend_from_slice(data);
                    continue;
                }
            }
            // Many servers end TLS without saying so; where the end of the connection is the end of
            // the body, browsers take it as such.
            Err(error) if !delimited && io_kind(&error) == Some(io::ErrorKind::UnexpectedEof) => {
                return Ok(());
            }
            Err(error) => return Err(fault(&error)),
        }
        if bytes >= MAX_BODY_BYTES {
            return Ok(());
        }
    }
    Ok(())
}

fn timeout(cause: FailureCause, what: &str) -> Fault {
    let how = if what == "answer" { "begin" } else { "end" };
    Fault::failed(cause, format!("The {what} did not {how} in time."))
}

fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = inner.source();
    }
    None
}

fn fault(error: &hyper::Error) -> Fault {
    use io::ErrorKind as Kind;
    let closed = error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || matches!(
            io_kind(error),
            Some(
                Kind::UnexpectedEof
                    | Kind::ConnectionReset
                    | Kind::ConnectionAborted
                    | Kind::BrokenPipe
                    | Kind::NotConnected
            )
        );
    if error.is_parse_too_large() {
        let detail =
            format!("The answer's header has more than {MAX_HEADER_BYTES} bytes or 100 fields.");
        Fault::failed(FailureCause::HttpTooLarge, detail)
    } else if closed {
        let detail = "The connection was closed before the answer ended.";
        Fault::failed(FailureCause::HttpClosedEarly, detail)
    } else {
        Fault::failed(FailureCause::HttpInvalid, format!("The answer is not valid HTTP: {error}."))
    }
}
