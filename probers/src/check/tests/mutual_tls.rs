//! Client certificates: shown to the monitor's own server if it asks, and to no other.

use std::path::Path;

use pulsetrail_domain::SecretId;
use pulsetrail_domain::monitor::{ClientCertificate, SecretRef, TargetHost, TlsTarget};
use pulsetrail_infra::secrets::{Keyring, SealedSecrets, SecretText};
use uuid::Uuid;

use super::openssl::{Certificates, FOR_LOOPBACK};
use super::target::{answering, redirect};
use super::*;

const KEY: SecretRef = SecretRef { secret: SecretId(Uuid::from_u128(1)) };
const DEMANDING: &str = "-CAfile authority.pem -Verify 1 -verify_return_error";

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Checks a target that shows this certificate, with this key.
async fn check_showing(
    made: &Certificates,
    target: impl Fn(ClientCertificate) -> Target,
    (certificate, key): (&str, &str),
) -> CheckResult {
    let keyring = Keyring::new(&SecretText::from("a".to_owned()), &[]).unwrap();
    let client = ClientCertificate { certificate: certificate.to_owned(), key: KEY };
    let job = Job { target: target(client), ..job(get("https://127.0.0.1/")) };
    let key = SecretText::from(key.to_owned());
    let sealed = keyring.seal(job.organization_id, KEY.secret, &key).unwrap();
    let job = Job { secrets: SealedSecrets([(KEY.secret, sealed)].into()), ..job };
    checker_trusting(made.roots("authority")).opening_with(keyring).run(&job).await.result
}

fn http(address: SocketAddr) -> impl Fn(ClientCertificate) -> Target {
    move |client| {
        let mut target = get(&url("https", address, "/"));
        target.client_certificate = Some(Box::new(client));
        Target::Http(target)
    }
}

fn tls(address: SocketAddr) -> impl Fn(ClientCertificate) -> Target {
    move |client| {
        let host = TargetHost::try_from(address.ip().to_string()).unwrap();
        let client_certificate = Some(Box::new(client));
        Target::Tls(TlsTarget { host, port: address.port(), warn_days: 0, client_certificate })
    }
}

#[tokio::test]
async fn a_server_that_demands_a_certificate_gets_that_of_the_monitor() {
    let made = Certificates::new();
    made.self_signed("authority", "rsa:2048", "").await;
    made.signed("leaf", "rsa:2048", "authority", FOR_LOOPBACK, "").await;
    let p256 = "ec -pkeyopt ec_paramgen_curve:prime256v1";
    made.signed("client", p256, "authority", "extendedKeyUsage=clientAuth", "").await;
    made.self_signed("stranger", p256, "").await;
    let of = |name: &str| {
        (read(made.path(), &format!("{name}.pem")), read(made.path(), &format!("{name}.key")))
    };
    let (client, stranger) = (of("client"), of("stranger"));
    for version in ["-tls1_2", "-tls1_3"] {
        let server = made.server("leaf", &format!("{version} {DEMANDING}")).await;
        let good = (client.0.as_str(), client.1.as_str());
        for result in [
            check_showing(&made, http(server.address), good).await,
            check_showing(&made, tls(server.address), good).await,
        ] {
            assert_eq!(result.outcome, Outcome::Up, "{version}: {result:?}");
        }
        // The controls: no certificate, one that the server does not trust, and one with another's key.
        let result = server.check(made.roots("authority")).await;
        assert_failed(&result, FailureCause::TlsClientCertificate);
        for (shown, words) in [
            ((stranger.0.as_str(), stranger.1.as_str()), "does not accept"),
            ((client.0.as_str(), stranger.1.as_str()), "belongs to another certificate"),
        ] {
            let result = check_showing(&made, http(server.address), shown).await;
            assert_failed(&result, FailureCause::TlsClientCertificate);
            let detail = result.failure.unwrap().detail;
            assert!(detail.contains(words), "{version}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_followed_without_the_certificate() {
    let made = Certificates::new();
    made.self_signed("authority", "rsa:2048", "").await;
    made.signed("leaf", "rsa:2048", "authority", FOR_LOOPBACK, "").await;
    made.signed("client", "rsa:2048", "authority", "extendedKeyUsage=clientAuth", "").await;
    let elsewhere = made.server("leaf", DEMANDING).await;
    let first = answering(redirect(302, &url("https", elsewhere.address, "/"))).await;
    let target = |client: ClientCertificate| {
        let mut target = get(&url("http", first.address, "/"));
        target.client_certificate = Some(Box::new(client));
        Target::Http(target)
    };
    let shown = (read(made.path(), "client.pem"), read(made.path(), "client.key"));
    let shown = (shown.0.as_str(), shown.1.as_str());
    let result = check_showing(&made, target, shown).await;
    assert_failed(&result, FailureCause::TlsClientCertificate);
    // The control: as the monitor's own origin it gets the certificate.
    let result = check_showing(&made, http(elsewhere.address), shown).await;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
}
