//! The HTTP check: one attempt, hop by hop, each on a fresh connection through the shield.

use bytes::Bytes;
use chrono::Utc;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use http_body_util::Full;
use pulsetrail_domain::check::{FailureCause, Findings, HttpVersion};
use pulsetrail_domain::monitor::{HttpTarget, HttpVersions, SECRET_HEADERS};
use pulsetrail_domain::timestamp_from_millis;
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;
use url::Position;

use super::assertions::{self, Answered, Failed};
use super::attempt::{Attempt, Fault, Stopwatch};
use super::body::ACCEPTED_ENCODINGS;
use super::certificate;
use super::cookies::CookieJar;
use super::credentials::Credentials;
use super::exchange::{Answer, Reading, exchange};
use super::redirect::{Step, Trail, is_redirect};
use super::tls::{Handshake, Protocol, TlsClients};
use super::wire::Wire;
use super::work::Work;
use crate::shield::Shield;

/// What a check calls itself.
const AGENT: &str = concat!("pulsetrail/", env!("CARGO_PKG_VERSION"));

/// Makes one attempt, which ends at `deadline` at the latest.
pub(super) async fn attempt(
    shield: &Shield,
    tls: &TlsClients,
    target: &HttpTarget,
    credentials: &Credentials,
    work: Work,
) -> Attempt {
    let mut way = Way {
        shield,
        tls,
        target,
        credentials,
        deadline: work.deadline,
        work,
        began: Instant::now(),
        stopwatch: Stopwatch::start(),
        status: None,
        cookies: CookieJar::default(),
        findings: Findings::default(),
    };
    let ended = match way.follow().await {
        Ok(answer) => way.conclude(answer).await,
        Err(fault) => Err(fault),
    };
    Attempt::ended(way.stopwatch, way.status, ended, way.findings)
}

struct Way<'a> {
    shield: &'a Shield,
    tls: &'a TlsClients,
    target: &'a HttpTarget,
    credentials: &'a Credentials,
    deadline: Instant,
    work: Work,
    began: Instant,
    stopwatch: Stopwatch,
    /// The last answer's.
    status: Option<u16>,
    cookies: CookieJar,
    findings: Findings,
}

impl Way<'_> {
    /// Goes from answer to answer until one is final.
    async fn follow(&mut self) -> Result<Answer, Fault> {
        let mut step = Step {
            url: self.target.url.clone(),
            method: self.target.method,
            with_body: true,
            same_origin: true,
        };
        let HttpTarget { max_redirects, allow_redirects_to_http, .. } = self.target;
        let mut trail = Trail::begin(*max_redirects, *allow_redirects_to_http);
        loop {
            let mut answer = self.hop(&step).await?;
            self.status = Some(answer.status.as_u16());
            self.findings.http_version = match answer.version {
                Version::HTTP_2 => Some(HttpVersion::Http2),
                Version::HTTP_10 => Some(HttpVersion::Http10),
                _ => None,
            };
            if !self.follows(&answer) {
                return answer.body_fault.take().map_or(Ok(answer), Err);
            }
            self.cookies.keep(step.url.url(), &answer.headers);
            step = trail.next(&step, answer.status, &answer.headers)?;
        }
    }

    fn follows(&self, answer: &Answer) -> bool {
        self.target.follow_redirects && is_redirect(answer.status)
    }

    /// One request and its answer; once more over HTTP/1.1 where the server asks for that.
    async fn hop(&mut self, step: &Step) -> Result<Answer, Fault> {
        match self.exchange(step, self.target.http_versions).await {
            Err(Fault::AsksForHttp11) if self.target.http_versions == HttpVersions::Any => {
                self.exchange(step, HttpVersions::Http11).await
            }
            ended => ended,
        }
    }

    /// One connection, one request, one answer.
    async fn exchange(&mut self, step: &Step, versions: HttpVersions) -> Result<Answer, Fault> {
        let mut request = request(self.target, step)?;
        if step.same_origin {
            self.credentials.add_to(request.headers_mut());
        }
        self.cookies.add_to(step.url.url(), request.headers_mut());
        let url = step.url.url();
        // Both are there in every http and https URL.
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Fault::failed(FailureCause::HttpInvalid, "The URL names no host."));
        };
        let name = url.host_str().unwrap_or_default();
        let dialled = match self.shield.connect(host, port, self.deadline).await {
            Ok(dialled) => {
                self.stopwatch.dns(dialled.dns);
                self.stopwatch.connect(dialled.connect);
                dialled
            }
            Err(failed) => {
                self.stopwatch.dns(failed.dns);
                self.stopwatch.connect(failed.connect);
                return Err(Fault::of_dial(&failed.reason, url, name));
            }
        };
        let wire = if url.scheme() == "https" {
            let began = Instant::now();
            let verify = self.target.verify_tls;
            let client = self.credentials.client().filter(|_| step.same_origin);
            let how = Handshake { verify, protocol: Protocol::Http(versions), client };
            let stream = self.tls.handshake(dialled.stream, name, how, self.deadline).await;
            self.stopwatch.tls(began.elapsed());
            let stream = stream?;
            if verify {
                self.look_at(stream.get_ref().1.peer_certificates().unwrap_or_default(), name);
            }
            Wire::Tls(Box::new(stream))
        } else {
            Wire::Plain(dialled.stream)
        };
        let is_encrypted = matches!(wire, Wire::Tls(_));
        if is_encrypted && versions == HttpVersions::Http2 && !wire.speaks_http2() {
            let detail = format!("{name} does not speak HTTP/2.");
            return Err(Fault::failed(FailureCause::HttpInvalid, detail));
        }
        let HttpTarget { follow_redirects, read_body, .. } = *self.target;
        let reads_body = |status| read_body && !(follow_redirects && is_redirect(status));
        let keeps_body = assertions::need_body(&self.target.assertions);
        let reading = Reading { reads_body, keeps_body, work: self.work.clone() };
        exchange(wire, request, reading, self.deadline, &mut self.stopwatch).await
    }

    /// Warns of a certificate that expires soon.
    fn look_at(&mut self, chain: &[CertificateDer<'_>], host: &str) {
        let now = timestamp_from_millis(Utc::now().timestamp_millis());
        if !certificate::expires_within(chain, certificate::WARN_DAYS, now) {
            return;
        }
        let Some(shown) = certificate::facts(chain, now) else { return };
        if let Some(warning) = certificate::warning(host, &shown, certificate::WARN_DAYS) {
            self.findings.warnings = vec![warning];
            self.findings.certificate = Some(shown);
        }
    }

    /// What the final answer means.
    async fn conclude(&mut self, answer: Answer) -> Result<(), Fault> {
        let status = answer.status.as_u16();
        let expected = &self.target.expected_status;
        if !expected.iter().any(|range| range.contains(status)) {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            let detail = format!("The status is {status}; expected was {}.", expected.join(", "));
            return Err(Fault::failed(FailureCause::HttpStatusUnexpected, detail));
        }
        if self.target.assertions.is_empty() {
            return Ok(());
        }
        let answered = Answered {
            assertions: self.target.assertions.clone(),
            status,
            headers: answer.headers,
            body: answer.body,
            took: self.began.elapsed(),
        };
        let judged = self.work.run(move |budget| assertions::first_failed(&answered, budget)).await;
        let Some(failed) = judged.map_err(assertions::too_expensive)? else { return Ok(()) };
        let fault = assertions::fault(&failed);
        if let Failed::False(failed) = failed {
            self.findings.assertion = Some(failed);
        }
        Err(fault)
    }
}

fn request(target: &HttpTarget, step: &Step) -> Result<Request<Full<Bytes>>, Fault> {
    let unusable = |what: &str| {
        Fault::failed(FailureCause::HttpInvalid, format!("No request can be made with {what}."))
    };
    let url = step.url.url();
    let body = target.body.as_ref().filter(|_| step.with_body);
    let body = body.map_or_else(Bytes::new, |text| Bytes::copy_from_slice(text.as_bytes()));
    let mut request = Request::builder()
        .method(step.method.as_str())
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .body(Full::new(body))
        .map_err(|_| unusable("this URL"))?;
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| unusable("this host"))?);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED_ENCODINGS));
    // Whoever closes first keeps the port for a while: let that be the server.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    own_headers(target, step, headers).map_err(unusable)?;
    Ok(request)
}

/// Adds the monitor's headers; names the one that cannot be sent.
fn own_headers<'a>(
    target: &'a HttpTarget,
    step: &Step,
    headers: &mut HeaderMap,
) -> Result<(), &'a str> {
    for (name, value) in &target.headers {
        let key = HeaderName::try_from(name).map_err(|_| name.as_str())?;
        let private = key == HOST || SECRET_HEADERS.contains(&key.as_str());
        let about_body = key.as_str().starts_with("content-");
        if private && !step.same_origin || about_body && !step.with_body {
            continue;
        }
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| name.as_str())?;
        headers.insert(key, value);
    }
    Ok(())
}
