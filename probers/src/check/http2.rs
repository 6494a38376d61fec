//! HTTP/2 (RFC 9113), for servers that choose it when TLS is agreed on: one stream over a connection of
//! its own.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use h2::Reason;
use http::header::{CONNECTION, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use pulsetrail_domain::check::FailureCause;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::attempt::{Fault, Stopwatch};
use super::exchange::{
    Answer, MAX_HEADER_BYTES, MAX_HEADER_FIELDS, Reading, alongside, fault, header_too_large,
    timeout, with_body,
};
use super::wire::Observed;

/// How much of an answer may be on its way unread, in bytes.
const WINDOW: u32 = 256 * 1024;
/// Up to this size a header is decoded, in bytes, so that what is too large is told from what is wrong.
const DECODED_HEADER_BYTES: u32 = 4 * MAX_HEADER_BYTES as u32;
/// What is said of one connection, beside `Connection` itself (RFC 9113, section 8.2.2).
const OF_ONE_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Sends a request and reads its answer.
pub(super) async fn exchange(
    io: Observed,
    request: Request<Full<Bytes>>,
    reading: Reading<impl Fn(StatusCode) -> bool>,
    deadline: Instant,
    stopwatch: &mut Stopwatch,
) -> Result<Answer, Fault> {
    let marks = io.marks();
    let request = adapted(request).ok_or_else(|| {
        Fault::failed(FailureCause::HttpInvalid, "No request over HTTP/2 can be made of it.")
    })?;
    let company = Company::default();
    let shaking = http2::Builder::new(company.clone())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(DECODED_HEADER_BYTES)
        .handshake(TokioIo::new(io));
    let _company = Dismissal(company);
    let shaken = timeout_at(deadline, shaking).await;
    let shaken = shaken.map_err(|_| timeout(FailureCause::HttpTimeoutFirstByte, "answer"))?;
    let (mut sender, connection) = shaken.map_err(|error| fault(&error))?;
    let talk = async {
        // Both sides greet each other with frames of their own: bytes alone say nothing of the answer.
        let asked_at = Instant::now();
        let answered = timeout_at(deadline, sender.send_request(request)).await;
        stopwatch.first_byte(asked_at.elapsed());
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if is_ours(&error) && marks.received() > MAX_HEADER_BYTES => {
                return Err(header_too_large());
            }
            Ok(Err(error)) => return Err(fault(&error)),
            Err(_elapsed) => return Err(timeout(FailureCause::HttpTimeoutFirstByte, "answer")),
        };
        if is_too_large(response.headers()) {
            return Err(header_too_large());
        }
        with_body(response, reading, deadline).await
    };
    alongside(talk, connection).await
}

/// The request as HTTP/2 has it: with a whole URL, and nothing about the connection.
fn adapted(mut request: Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
    let headers = request.headers_mut();
    let host = headers.remove(HOST)?;
    for name in OF_ONE_CONNECTION {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
    let path = request.uri().path_and_query().cloned();
    let uri = Uri::builder()
        .scheme(Scheme::HTTPS)
        .authority(Authority::try_from(host.as_bytes()).ok()?)
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()
        .ok()?;
    *request.uri_mut() = uri;
    Some(request)
}

/// Whether a header is larger than one of HTTP/1.1 may be; the size is counted as in RFC 9113, section
/// 6.5.2.
fn is_too_large(headers: &HeaderMap) -> bool {
    let size = |(name, value): (&HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.as_bytes().len() + 32
    };
    headers.len() > MAX_HEADER_FIELDS || headers.iter().map(size).sum::<usize>() > MAX_HEADER_BYTES
}

fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    error.source().and_then(|source| source.downcast_ref::<h2::Error>())
}

/// Whether it was the prober that broke off, over what the server sent.
fn is_ours(error: &hyper::Error) -> bool {
    cause(error).is_some_and(h2::Error::is_library)
}

/// What is wrong, where it is HTTP/2 that says so.
pub(super) fn fault_of(error: &hyper::Error) -> Option<Fault> {
    let error = cause(error)?;
    Some(match error.reason() {
        _ if error.is_io() => Fault::failed(
            FailureCause::HttpClosedEarly,
            "The connection was closed before the answer ended.",
        ),
        Some(Reason::HTTP_1_1_REQUIRED) if error.is_remote() => Fault::AsksForHttp11,
        Some(reason) if error.is_remote() => Fault::failed(
            FailureCause::HttpClosedEarly,
            format!("The server broke the answer off: {reason}."),
        ),
        _ => Fault::failed(
            FailureCause::HttpInvalid,
            format!("The answer is not valid HTTP/2: {error}."),
        ),
    })
}

/// What works beside an exchange, and ends with it.
#[derive(Clone, Debug, Default)]
struct Company(Arc<Mutex<Vec<AbortHandle>>>);

impl<F> Executor<F> for Company
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, work: F) {
        let handle = tokio::spawn(work).abort_handle();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
    }
}

/// Ends the company, whatever a server has it wait for.
struct Dismissal(Company);

impl Drop for Dismissal {
    fn drop(&mut self) {
        for work in self.0.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            work.abort();
        }
    }
}
