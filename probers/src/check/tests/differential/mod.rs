//! The prober beside curl: every answer of a corpus is given to both, and they must come to the same
//! verdict, or the difference is listed with its reason. A difference that is not listed fails the test, and
//! so does a listed one that no longer occurs.

mod corpus;
mod http2;
mod known;
mod questions;
mod tls;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::target::{TestTarget, read_head, serving};
use super::*;
use corpus::Case;

/// What came of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    /// The final status, where the target is up.
    up: Option<u16>,
    /// Why it is not, for people.
    why: String,
}

/// A server that answers as the case has it.
async fn server(case: &Case) -> TestTarget {
    let answer = Arc::clone(&case.answer);
    serving(move |mut stream, _| {
        let answer = Arc::clone(&answer);
        async move {
            let head = read_head(&mut stream).await;
            // The client may have seen enough and be gone.
            let _ = stream.write_all(&answer(&head)).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// What came of a check.
fn verdict(result: &CheckResult) -> Verdict {
    let up = result.http_status.filter(|_| result.outcome == Outcome::Up);
    let why = result.failure.as_ref().map_or_else(String::new, |failure| failure.detail.clone());
    Verdict { up, why }
}

async fn of_the_prober(case: &Case) -> Verdict {
    let server = server(case).await;
    verdict(&check_within(get(&url("http", server.address, "/")), 5_000).await)
}

/// curl as it is used to watch a site: it follows redirects, keeps cookies, and decodes.
fn curl() -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--location", "--max-redirs", "5", "--compressed"])
        .args(["--cookie", "", "--max-time", "5", "--proto-redir", "=http,https", "--noproxy", "*"])
        .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    curl
}

/// What curl makes of what it was given.
async fn verdict_of(mut curl: Command) -> Verdict {
    let ended = curl.output().await.expect("curl is installed");
    let status = String::from_utf8_lossy(&ended.stdout).parse::<u16>().ok();
    let good = status.filter(|status| ended.status.success() && (200..300).contains(status));
    let why = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Verdict { up: good, why: format!("{status:?} {why}") }
}

async fn of_curl(case: &Case) -> Verdict {
    let server = server(case).await;
    let mut curl = curl();
    curl.arg(url("http", server.address, "/"));
    verdict_of(curl).await
}

/// How many cases are judged at once: some wait for a time limit.
const AT_ONCE: usize = 8;

/// How many cases are up for curl, and those of which the prober says otherwise; of each case the verdict of the
/// prober and of curl.
fn differences(verdicts: Vec<(String, Verdict, Verdict)>) -> (usize, BTreeMap<String, String>) {
    let mut found = BTreeMap::new();
    let up = verdicts.iter().filter(|(_, _, theirs)| theirs.up.is_some()).count();
    for (name, ours, theirs) in verdicts {
        if ours.up == theirs.up {
            continue;
        }
        let told =
            format!("prober {:?} ({}), curl {:?} ({})", ours.up, ours.why, theirs.up, theirs.why);
        assert!(found.insert(name.clone(), told).is_none(), "{name} is there twice");
    }
    (up, found)
}

/// The differences that there are must be the listed ones.
fn compare(found: &BTreeMap<String, String>, listed: &[(&str, &str)]) {
    let reasons: BTreeMap<_, _> = listed.iter().copied().collect();
    assert_eq!(reasons.len(), listed.len(), "a difference is listed once");
    let unlisted: Vec<_> =
        found.iter().filter(|(name, _)| !reasons.contains_key(name.as_str())).collect();
    let gone: Vec<_> = reasons.keys().filter(|name| !found.contains_key(**name)).collect();
    assert!(unlisted.is_empty() && gone.is_empty(), "not listed: {unlisted:#?}\ngone: {gone:#?}");
}

#[tokio::test]
async fn the_prober_and_curl_come_to_the_same_verdict() {
    let cases = corpus::cases();
    let count = cases.len();
    let judged = async |case: Case| {
        let (ours, theirs) = tokio::join!(of_the_prober(&case), of_curl(&case));
        (case.name, ours, theirs)
    };
    let verdicts = stream::iter(cases).map(judged).buffer_unordered(AT_ONCE);
    let (up, found) = differences(verdicts.collect().await);
    // Positive control: the corpus has both good and bad answers in numbers.
    assert!(up >= 50 && count - up >= 50, "{up} of {} are up", count);
    compare(&found, known::DIFFERENCES);
}

/// The positive control: what is not listed and what is gone are told.
#[test]
fn a_difference_that_is_not_listed_or_is_gone_is_told() {
    let found =
        |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
    compare(&found(&["a"]), &[("a", "reason")]);
    assert!(std::panic::catch_unwind(|| compare(&found(&["a", "b"]), &[("a", "reason")])).is_err());
    assert!(std::panic::catch_unwind(|| compare(&found(&[]), &[("a", "reason")])).is_err());
}
