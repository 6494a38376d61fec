//! The checks that are one connection: TCP, and TLS with the certificate that it shows.

use std::sync::Arc;

use pulsetrail_domain::check::Findings;
use pulsetrail_domain::monitor::{Target, TcpTarget, TlsTarget};
use pulsetrail_domain::timestamp_from_millis;
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};
use url::Host;

use super::attempt::{Attempt, Fault, Stopwatch};
use super::certificate;
use super::tls::{Handshake, Protocol, TlsClients};
use crate::shield::{Dialled, Shield};

/// Connects, and closes the connection.
pub(super) async fn tcp(shield: &Shield, target: &TcpTarget, deadline: Instant) -> Attempt {
    let mut stopwatch = Stopwatch::start();
    let whole = Target::Tcp(target.clone());
    let dialled =
        dial(shield, &whole, target.host.host(), target.port, deadline, &mut stopwatch).await;
    Attempt::ended(stopwatch, None, dialled.map(drop), Findings::default())
}

/// Connects, shakes hands, and looks at the certificate.
pub(super) async fn tls(
    shield: &Shield,
    clients: &TlsClients,
    target: &TlsTarget,
    client: Option<&Arc<CertifiedKey>>,
    deadline: Instant,
) -> Attempt {
    let mut stopwatch = Stopwatch::start();
    let mut findings = Findings::default();
    let whole = Target::Tls(target.clone());
    let shaken = async {
        let host = target.host.host();
        let dialled = dial(shield, &whole, host, target.port, deadline, &mut stopwatch).await?;
        let began = Instant::now();
        let name = target.host.to_string();
        let how = Handshake { verify: true, protocol: Protocol::Any, client };
        let shaken = clients.handshake(dialled.stream, &name, how, deadline).await;
        stopwatch.tls(began.elapsed());
        let mut stream = shaken?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let now = timestamp_from_millis(chrono::Utc::now().timestamp_millis());
        findings.certificate = certificate::facts(chain, now);
        findings.warnings.extend(
            findings
                .certificate
                .as_ref()
                .and_then(|shown| certificate::warning(&name, shown, target.warn_days)),
        );
        // Says that the connection ends on purpose (RFC 8446, section 6.1). What the server makes of it is
        // not looked at.
        let _ = timeout_at(deadline, stream.shutdown()).await;
        Ok(())
    };
    let ended = shaken.await;
    Attempt::ended(stopwatch, None, ended, findings)
}

async fn dial(
    shield: &Shield,
    target: &Target,
    host: Host<&str>,
    port: u16,
    deadline: Instant,
    stopwatch: &mut Stopwatch,
) -> Result<Dialled, Fault> {
    match shield.connect(host, port, deadline).await {
        Ok(dialled) => {
            stopwatch.dns(dialled.dns);
            stopwatch.connect(dialled.connect);
            Ok(dialled)
        }
        Err(failed) => {
            stopwatch.dns(failed.dns);
            stopwatch.connect(failed.connect);
            Err(Fault::of_target(&failed.reason, target))
        }
    }
}
