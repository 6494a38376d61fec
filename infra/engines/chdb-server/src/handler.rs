//! From HTTP requests to jobs, and from replies to HTTP responses.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::{BodyDataStream, BodyExt};
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::io::AsyncRead;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::authentication::Account;
use crate::encoding::Encoding;
use crate::engine::Engine;
use crate::exception::{Exception, Kind};
use crate::execute::{self, Job};
use crate::output::{Output, Reply};
use crate::parameters::{Parameters, pairs_of_url};
use crate::response::{self, Answer};
use crate::session::Sessions;

/// What is read and thrown away of a body that nobody wants, so that its sender sees the answer.
const DRAIN_SIZE: usize = 8 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// As ClickHouse's `http_max_field_value_size`, with room for larger statements.
const MAX_FIELDS_SIZE: u64 = 64 << 20;

/// Everything that requests share.
pub(crate) struct Service {
    pub(crate) engine: Engine,
    pub(crate) sessions: Sessions,
    pub(crate) account: Account,
    /// One permit a running statement.
    pub(crate) permits: Arc<Semaphore>,
}

type BodyReader = Box<dyn AsyncRead + Send + Unpin>;

impl Service {
    /// Answers one request.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Answer> {
        let method = request.method().clone();
        match (request.uri().path(), &method) {
            ("/ping" | "/replicas_status", &Method::GET | &Method::HEAD) => response::text("Ok.\n"),
            ("/", &Method::GET | &Method::HEAD)
                if request.uri().query().is_none_or(str::is_empty) =>
            {
                response::text("Ok.\n")
            }
            ("/", &Method::GET | &Method::POST) => self.query(request).await,
            ("/", _) => {
                let mut response = response::status(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, response::header_value("GET, HEAD, POST"));
                response
            }
            _ => response::status(StatusCode::NOT_FOUND),
        }
    }

    async fn query(self: Arc<Self>, request: Request<Incoming>) -> Response<Answer> {
        let (parts, body) = request.into_parts();
        let mut pairs = pairs_of_url(parts.uri.query().unwrap_or_default());
        let mut body = Some(body);
        let result = self.prepare(&parts.method, &parts.headers, &mut pairs, &mut body).await;
        let (job, reader) = match result {
            Ok(prepared) => prepared,
            Err(exception) => {
                drain(body).await;
                let id = query_id(None);
                return response::exception(&exception, &self.engine, &id);
            }
        };
        let id = query_id(job.parameters.query_id.clone());
        let accepted = parts.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let encoding = match accepted {
            _ if job.parameters.compress => Encoding::NativeFrames,
            Some(accepted) if !job.parameters.no_http_compression => Encoding::accepted(accepted),
            _ => Encoding::Plain,
        };
        let tag = response::exception_tag();
        let reply = self.clone().start(job, reader, encoding, tag.clone()).await;
        match reply {
            Reply::Failed(exception) => response::exception(&exception, &self.engine, &id),
            Reply::Complete(head, body) => response::complete(&head, body, &self.engine, &id),
            Reply::Streaming(head, pieces) => {
                response::streaming(&head, pieces, &self.engine, &id, &tag)
            }
        }
    }

    /// Checks the password, then reads the parameters; those of a form come in the body.
    async fn prepare(
        &self,
        method: &Method,
        headers: &HeaderMap,
        pairs: &mut Vec<(Vec<u8>, Vec<u8>)>,
        body: &mut Option<Incoming>,
    ) -> Result<(Job, BodyReader), Exception> {
        // Before anything else is looked at, and again nothing of a form can change it.
        self.account.check(headers, &Parameters::credentials(pairs))?;
        let header =
            |name| headers.get(name).map(|value: &hyper::header::HeaderValue| value.as_bytes());
        let content_type = header(CONTENT_TYPE.as_str())
            .map(String::from_utf8_lossy)
            .unwrap_or_default()
            .into_owned();
        let reader: BodyReader = match multer::parse_boundary(&content_type) {
            Ok(boundary) => {
                let Some(body) = body.take() else {
                    return Err(Exception::internal("the body was read already"));
                };
                pairs.extend(form_fields(body, boundary).await?);
                Box::new(tokio::io::empty())
            }
            Err(_) => match body.take() {
                Some(body) => {
                    let stream = BodyDataStream::new(body).map_err(std::io::Error::other);
                    Box::new(StreamReader::new(stream))
                }
                None => Box::new(tokio::io::empty()),
            },
        };
        let mut parameters = Parameters::from_pairs(std::mem::take(pairs))?;
        if parameters.database.is_none() {
            parameters.database = header("x-clickhouse-database").map(<[u8]>::to_vec);
        }
        let format = execute::default_format(&parameters, header("x-clickhouse-format"))?;
        let content_encoding = header(CONTENT_ENCODING.as_str())
            .map(String::from_utf8_lossy)
            .unwrap_or_default()
            .into_owned();
        let job = Job { parameters, format, content_encoding, read_only: method == Method::GET };
        Ok((job, reader))
    }

    /// Runs the job on a thread of its own; returns when it is known how to answer.
    async fn start(
        self: Arc<Self>,
        job: Job,
        reader: BodyReader,
        encoding: Encoding,
        tag: String,
    ) -> Reply {
        let (sender, receiver) = oneshot::channel();
        let directory = self.engine.spool.directory();
        let output =
            match Output::new(sender, encoding, job.parameters.wait_end_of_query, directory) {
                Ok(output) => output,
                Err(error) => return Reply::Failed(Exception::internal(error)),
            };
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let permits = self.permits.clone();
            let permit = || runtime.block_on(permits.acquire_owned()).ok();
            let body = SyncIoBridge::new_with_handle(reader, runtime.clone());
            execute::run(&self.engine, &self.sessions, &job, body, permit, output, &tag);
        });
        receiver.await.unwrap_or_else(|_| {
            Reply::Failed(Exception::internal("the query ended without an answer"))
        })
    }
}

/// A GET without an id gets a new one.
fn query_id(given: Option<String>) -> String {
    given.unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

async fn form_fields(
    body: Incoming,
    boundary: String,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Exception> {
    let broken = |error: multer::Error| {
        Exception::new(Kind::IncorrectData, format_args!("Cannot read the form: {error}"))
    };
    let limits = multer::SizeLimit::new().whole_stream(MAX_FIELDS_SIZE);
    let constraints = multer::Constraints::new().size_limit(limits);
    let mut form =
        multer::Multipart::with_constraints(BodyDataStream::new(body), boundary, constraints);
    let mut fields = Vec::new();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        if field.file_name().is_some() {
            return Err(Exception::new(Kind::Unsupported, "External tables are not supported"));
        }
        let name = field.name().unwrap_or_default().as_bytes().to_vec();
        fields.push((name, field.bytes().await.map_err(broken)?.to_vec()));
    }
    Ok(fields)
}

/// Reads what a client still sends, within bounds, so that it gets to read its answer.
async fn drain(body: Option<Incoming>) {
    let Some(mut body) = body else {
        return;
    };
    let read = async {
        let mut size = 0;
        while let Some(Ok(frame)) = body.frame().await {
            size += frame.data_ref().map_or(0, Bytes::len);
            if size > DRAIN_SIZE {
                break;
            }
        }
    };
    // Running out of time is one way to end it.
    let _ = tokio::time::timeout(DRAIN_TIME, read).await;
}
