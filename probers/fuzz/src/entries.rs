//! What is asked of the prober for whatever strangers write. Each entry panics where that does not hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::check::Outcome;
use pulsetrail_domain::egress::EgressPolicy;
use pulsetrail_domain::monitor::{HttpTarget, Retries, Target, TargetUrl};
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Region};
use pulsetrail_infra::messages::Job;
use pulsetrail_probers::check::Checker;
use pulsetrail_probers::shield::Shield;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A text that somebody registers, or redirects to: where it is taken, its host is a name or is judged,
/// and no address that the standard library knows as special is accepted.
pub(super) fn url_intake(text: &str) {
    let base = TargetUrl::try_from("https://example.com/a/b".to_owned()).expect("a URL");
    let joined = base.url().join(text).map(String::from).unwrap_or_default();
    for text in [text.to_owned(), joined] {
        let Ok(url) = TargetUrl::try_from(text) else { continue };
        let written = String::from(url.clone());
        assert_eq!(TargetUrl::try_from(written).ok().filter(|again| *again != url), None);
        let verdict = EgressPolicy::default().judge_literal(&url);
        let host = url.url().host_str().expect("every target has a host");
        let bare = host.trim_matches(['[', ']']).trim_end_matches('.');
        assert_eq!(verdict.is_some(), bare.parse::<IpAddr>().is_ok(), "{host}");
        let Some(verdict) = verdict else { continue };
        if verdict.is_accepted() {
            assert!(!is_special(verdict.address.ip()), "{verdict}");
            assert_eq!(verdict.refusal(url.url()), None);
        } else {
            assert!(verdict.refusal(url.url()).is_some(), "{verdict}");
        }
    }
}

/// What the standard library can say about an address; less than the table does.
fn is_special(ip: IpAddr) -> bool {
    let v4 = |ip: Ipv4Addr| {
        ip.is_loopback()
            || ip.is_private()
            || ip.is_link_local()
            || ip.is_unspecified()
            || ip.is_multicast()
            || ip.is_broadcast()
            || ip.is_documentation()
    };
    let v6 = |ip: Ipv6Addr| {
        ip.is_loopback()
            || ip.is_unspecified()
            || ip.is_multicast()
            || ip.is_unique_local()
            || ip.is_unicast_link_local()
            || ip.to_ipv4().is_some_and(v4)
    };
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => v6(ip),
    }
}

/// A checker that may dial loopback.
pub(super) fn checker() -> Checker {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shield = Shield::new(vec!["127.0.0.0/8".parse().expect("a range")], vec![]);
    Checker::new(shield.expect("a resolver")).expect("usable cryptography")
}

/// Bytes that a target answers with: the check ends, up or down, and says why where it is down.
pub(super) async fn response(checker: &Checker, bytes: &[u8]) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = TargetUrl::try_from(format!("http://{address}/")).expect("a URL");
    let serving = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        // The request is read first, so that closing does not reset what was written.
        let _ = stream.read(&mut [0; 2048]).await;
        let _ = stream.write_all(bytes).await;
    };
    // Where the bytes would send it is no matter here.
    let target = HttpTarget { follow_redirects: false, ..HttpTarget::get(url) };
    let job = job(target);
    let (message, ()) = tokio::join!(checker.run(&job), serving);
    let result = message.result;
    assert_eq!(result.outcome == Outcome::Up, result.failure.is_none(), "{result:?}");
    assert_ne!(result.outcome, Outcome::Blocked, "{result:?}");
    assert_eq!((message.refusal, result.attempts), (None, 1));
    if result.outcome == Outcome::Up {
        assert!(result.http_status.is_some_and(|status| (200..300).contains(&status)));
    }
    if let Some(failure) = result.failure {
        assert!((1..=300).contains(&failure.detail.chars().count()), "{failure:?}");
    }
}

/// A job that asks for one attempt, now.
pub(crate) fn job(target: HttpTarget) -> Job {
    let scheduled_at = Utc::now();
    Job {
        check_id: CheckId::default(),
        monitor_id: MonitorId::default(),
        organization_id: OrganizationId::default(),
        region: Region::default(),
        scheduled_at,
        deadline: scheduled_at + Duration::from_secs(60),
        target: Target::Http(target),
        timeout_ms: 30_000,
        retries: Retries { max_attempts: 1, ..Retries::default() },
        config_version: 1,
        valid_for_ms: 130_000,
        secrets: Default::default(),
    }
}
