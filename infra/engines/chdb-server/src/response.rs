//! HTTP responses as ClickHouse makes them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;

use crate::engine::Engine;
use crate::exception::Exception;
use crate::format::content_type;
use crate::output::{Head, Piece};

const PLAIN_TEXT: &str = "text/plain; charset=UTF-8";
const DISPLAY_NAME: HeaderName = HeaderName::from_static("x-clickhouse-server-display-name");
const EXCEPTION_CODE: HeaderName = HeaderName::from_static("x-clickhouse-exception-code");
const EXCEPTION_TAG: HeaderName = HeaderName::from_static("x-clickhouse-exception-tag");
const FORMAT: HeaderName = HeaderName::from_static("x-clickhouse-format");
const QUERY_ID: HeaderName = HeaderName::from_static("x-clickhouse-query-id");
const SUMMARY: HeaderName = HeaderName::from_static("x-clickhouse-summary");
const TIME_ZONE: HeaderName = HeaderName::from_static("x-clickhouse-timezone");
const TAG_LENGTH: usize = 16;

/// The body of a response.
pub(crate) enum Answer {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<Piece>),
    /// The query failed: the last piece is handed over; at the next turn, when it has been written to
    /// the socket, the connection is broken off.
    Broken {
        told: bool,
    },
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Pieces(pieces) => match pieces.poll_recv(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(Piece::Data(data))) => Poll::Ready(Some(Ok(Frame::data(data)))),
                Poll::Ready(Some(Piece::Last(data))) => {
                    *self = Self::Broken { told: false };
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
            },
            Self::Broken { told: told @ false } => {
                *told = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Broken { told: true } => Poll::Ready(Some(Err(io::Error::other(
                "the query failed while its answer was sent",
            )))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            _ => SizeHint::default(),
        }
    }
}

/// A status without more words.
pub(crate) fn status(status: StatusCode) -> Response<Answer> {
    let mut response = text("");
    *response.status_mut() = status;
    response
}

/// A short text.
pub(crate) fn text(text: &'static str) -> Response<Answer> {
    let body = Some(Bytes::from_static(text.as_bytes())).filter(|body| !body.is_empty());
    let mut response = Response::new(Answer::Whole(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN_TEXT));
    response
}

/// The answer to a query that failed before its answer began.
pub(crate) fn exception(
    exception: &Exception,
    engine: &Engine,
    query_id: &str,
) -> Response<Answer> {
    let body = Bytes::from(exception.body(&engine.version));
    let mut response = Response::new(Answer::Whole(Some(body)));
    *response.status_mut() = exception.status();
    insert(&mut response, CONTENT_TYPE, PLAIN_TEXT);
    insert(&mut response, EXCEPTION_CODE, &exception.code.to_string());
    identify(&mut response, engine, query_id);
    response
}

/// The answer to a query that is complete.
pub(crate) fn complete(
    head: &Head,
    body: Bytes,
    engine: &Engine,
    query_id: &str,
) -> Response<Answer> {
    let body = Some(body).filter(|body| !body.is_empty());
    let mut response = Response::new(Answer::Whole(body));
    describe(&mut response, head);
    identify(&mut response, engine, query_id);
    response
}

/// The answer to a query that is still running.
pub(crate) fn streaming(
    head: &Head,
    pieces: mpsc::Receiver<Piece>,
    engine: &Engine,
    query_id: &str,
    tag: &str,
) -> Response<Answer> {
    let mut response = Response::new(Answer::Pieces(pieces));
    describe(&mut response, head);
    insert(&mut response, EXCEPTION_TAG, tag);
    identify(&mut response, engine, query_id);
    response
}

/// Marks the place of an exception at the end of a body; nobody can guess it and write it into a row.
pub(crate) fn exception_tag() -> String {
    let mut tag = uuid::Uuid::new_v4().simple().to_string();
    tag.truncate(TAG_LENGTH);
    tag
}

/// The value, or an empty one when it cannot be a header's.
pub(crate) fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn describe(response: &mut Response<Answer>, head: &Head) {
    insert(response, CONTENT_TYPE, content_type(&head.format));
    insert(response, FORMAT, &head.format);
    if let Some(encoding) = head.encoding.header() {
        insert(response, CONTENT_ENCODING, encoding);
    }
    insert(response, SUMMARY, &summary(head));
}

fn identify(response: &mut Response<Answer>, engine: &Engine, query_id: &str) {
    insert(response, QUERY_ID, query_id);
    insert(response, DISPLAY_NAME, &engine.display_name);
    insert(response, TIME_ZONE, &engine.time_zone);
}

/// ClickHouse writes every number of the summary as a string.
fn summary(head: &Head) -> String {
    let counters = &head.counters;
    json!({
        "read_rows": counters.read_rows.to_string(),
        "read_bytes": counters.read_bytes.to_string(),
        "written_rows": counters.written_rows.to_string(),
        "written_bytes": counters.written_bytes.to_string(),
        "total_rows_to_read": counters.read_rows.to_string(),
        "result_rows": counters.result_rows.to_string(),
        "result_bytes": counters.result_bytes.to_string(),
        "elapsed_ns": head.elapsed.as_nanos().to_string(),
    })
    .to_string()
}

fn insert(response: &mut Response<Answer>, name: HeaderName, value: &str) {
    response.headers_mut().insert(name, header_value(value));
}
