//! One request and its answer over a connection of their own.

use std::error::Error as _;
use std::io;
use std::pin::pin;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pulsetrail_domain::check::FailureCause;
use tokio::time::{Instant, timeout_at};

use super::attempt::{Fault, Stopwatch};
use super::decode::Content;
use super::tls::alert_fault;
use super::wire::{Observed, Wire};
use super::work::Work;
use super::{body, http2};

/// The largest header of an answer, in bytes.
pub(super) const MAX_HEADER_BYTES: usize = 64 * 1024;
/// The fields of a header at most. As hyper has it by itself: given as a setting, it would be slower.
pub(super) const MAX_HEADER_FIELDS: usize = 100;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    /// The body, where it was to be kept.
    pub(super) body: Content,
    /// What went wrong after the head.
    pub(super) body_fault: Option<Fault>,
}

/// How much of an answer is read.
pub(super) struct Reading<F> {
    /// Whether the body of an answer of that status is read.
    pub(super) reads_body: F,
    /// Whether what is read is kept.
    pub(super) keeps_body: bool,
    /// What decodes it.
    pub(super) work: Work,
}

/// Sends a request and reads its answer.
pub(super) async fn exchange(
    wire: Wire,
    request: Request<Full<Bytes>>,
    reading: Reading<impl Fn(StatusCode) -> bool>,
    deadline: Instant,
    stopwatch: &mut Stopwatch,
) -> Result<Answer, Fault> {
    let speaks_http2 = wire.speaks_http2();
    let io = Observed::new(wire);
    if speaks_http2 {
        // Boxed: most answers come in HTTP/1.1 and need not make room for it.
        return Box::pin(http2::exchange(io, request, reading, deadline, stopwatch)).await;
    }
    let marks = io.marks();
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEADER_BYTES)
        // What browsers and curl take (RFC 9112, section 5.2): fields that go on in the next line, a space
        // before the colon, and lines that are no fields, which are left out.
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
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
        with_body(response, reading, deadline).await
    };
    alongside(talk, connection).await
}

/// The answer whose head came, with as much of its body as is wanted.
pub(super) async fn with_body(
    response: Response<Incoming>,
    reading: Reading<impl Fn(StatusCode) -> bool>,
    deadline: Instant,
) -> Result<Answer, Fault> {
    let (head, body) = response.into_parts();
    let read = if (reading.reads_body)(head.status) {
        let reading = body::read(&head.headers, body, reading.keeps_body, &reading.work);
        let read = timeout_at(deadline, reading).await;
        read.unwrap_or_else(|_elapsed| Err(timeout(FailureCause::HttpTimeoutBody, "body")))
    } else {
        Ok(Content::default())
    };
    let (body, body_fault) = match read {
        Ok(body) => (body, None),
        Err(fault) => (Content::default(), Some(fault)),
    };
    let (status, version, headers) = (head.status, head.version, head.headers);
    Ok(Answer { status, version, headers, body, body_fault })
}

/// Works while the connection is driven beside it. How the connection ends, the work learns itself.
pub(super) async fn alongside<T, E>(
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

pub(super) fn timeout(cause: FailureCause, what: &str) -> Fault {
    let how = if what == "answer" { "begin" } else { "end" };
    Fault::failed(cause, format!("The {what} did not {how} in time."))
}

pub(super) fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    io_error(error).map(io::Error::kind)
}

/// The error of the connection that is behind one of HTTP.
fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io);
        }
        source = inner.source();
    }
    None
}

pub(super) fn header_too_large() -> Fault {
    let detail = format!(
        "The answer's header has more than {MAX_HEADER_BYTES} bytes or {MAX_HEADER_FIELDS} fields."
    );
    Fault::failed(FailureCause::HttpTooLarge, detail)
}

pub(super) fn fault(error: &hyper::Error) -> Fault {
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
    if let Some(fault) = io_error(error).and_then(alert_fault) {
        fault
    } else if let Some(fault) = http2::fault_of(error) {
        fault
    } else if error.is_parse_too_large() {
        header_too_large()
    } else if closed {
        let detail = "The connection was closed before the answer ended.";
        Fault::failed(FailureCause::HttpClosedEarly, detail)
    } else {
        Fault::failed(FailureCause::HttpInvalid, format!("The answer is not valid HTTP: {error}."))
    }
}
