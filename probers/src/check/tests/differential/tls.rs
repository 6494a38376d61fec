//! The prober beside curl on certificates, chains, versions and cipher suites of TLS, served by OpenSSL.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::super::openssl::{Certificates, FOR_LOOPBACK, WEAK};
use super::*;

/// One server.
struct TlsCase {
    name: &'static str,
    /// The key of its certificate.
    key: &'static str,
    /// Who signs it.
    by: &'static str,
    /// Its extensions besides the name.
    extensions: &'static str,
    /// More words for `openssl x509`.
    signing: &'static str,
    /// More words for `openssl s_server`.
    server: &'static str,
}

const RSA: &str = "rsa:2048";
const P256: &str = "ec -pkeyopt ec_paramgen_curve:prime256v1";

/// A certificate that nothing is wrong with, and its server.
const GOOD: TlsCase =
    TlsCase { name: "good", key: P256, by: "authority", extensions: "", signing: "", server: WEAK };

const fn key(name: &'static str, key: &'static str) -> TlsCase {
    TlsCase { name, key, ..GOOD }
}

const fn signing(name: &'static str, signing: &'static str) -> TlsCase {
    TlsCase { name, signing, ..GOOD }
}

const fn extensions(name: &'static str, extensions: &'static str) -> TlsCase {
    TlsCase { name, extensions, ..GOOD }
}

const fn server(name: &'static str, key: &'static str, server: &'static str) -> TlsCase {
    TlsCase { name, key, server, ..GOOD }
}

const fn by(name: &'static str, by: &'static str, server: &'static str) -> TlsCase {
    TlsCase { name, by, server, ..GOOD }
}

const CASES: &[TlsCase] = &[
    GOOD,
    key("key/RSA 1024", "rsa:1024"),
    key("key/RSA 2048", RSA),
    key("key/RSA 3072", "rsa:3072"),
    key("key/RSA 4096", "rsa:4096"),
    key("key/RSA-PSS", "rsa-pss -pkeyopt rsa_keygen_bits:2048"),
    key("key/P-224", "ec -pkeyopt ec_paramgen_curve:secp224r1"),
    key("key/P-384", "ec -pkeyopt ec_paramgen_curve:secp384r1"),
    key("key/P-521", "ec -pkeyopt ec_paramgen_curve:secp521r1"),
    key("key/secp256k1", "ec -pkeyopt ec_paramgen_curve:secp256k1"),
    key("key/Ed25519", "ed25519"),
    key("key/Ed448", "ed448"),
    signing("hash/SHA-1", "-sha1"),
    signing("hash/SHA-224", "-sha224"),
    signing("hash/SHA-384", "-sha384"),
    signing("hash/SHA-512", "-sha512"),
    signing("hash/RSA-PSS", "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32"),
    signing("time/over", "-days 0"),
    extensions("use/of servers", "extendedKeyUsage=serverAuth"),
    extensions("use/of clients", "extendedKeyUsage=clientAuth"),
    extensions("use/of code", "extendedKeyUsage=codeSigning"),
    extensions("use/any", "extendedKeyUsage=anyExtendedKeyUsage"),
    extensions("use/clients and servers", "extendedKeyUsage=clientAuth,serverAuth"),
    extensions("use/signatures", "keyUsage=critical,digitalSignature"),
    extensions("use/encryption alone", "keyUsage=critical,keyEncipherment"),
    extensions("use/certificates alone", "keyUsage=critical,keyCertSign"),
    extensions("kind/authority", "basicConstraints=critical,CA:TRUE"),
    extensions("kind/no authority", "basicConstraints=critical,CA:FALSE"),
    extensions("extension/unknown", "1.2.3.4=ASN1:UTF8String:a"),
    extensions("extension/unknown and critical", "1.2.3.4=critical,ASN1:UTF8String:a"),
    extensions("extension/must staple", "tlsfeature=status_request"),
    extensions("extension/policies", "certificatePolicies=1.2.3.4"),
    by("chain/intermediate given", "between", "-cert_chain between.pem"),
    by("chain/intermediate missing", "between", ""),
    by("chain/root given too", "authority", "-cert_chain authority.pem"),
    by("chain/unrelated given too", "authority", "-cert_chain other.pem"),
    by("chain/by a stranger", "other", ""),
    by("chain/by a stranger who is given", "other", "-cert_chain other.pem"),
    by("chain/intermediate is no authority", "leaf", "-cert_chain leaf.pem"),
    by("chain/intermediate is over", "over", "-cert_chain over.pem"),
    by("chain/intermediate of SHA-1", "weak", "-cert_chain weak.pem"),
    by("chain/intermediate below pathlen:0", "deep", "-cert_chain deep_chain.pem"),
    by("chain/in the wrong order", "deep", "-cert_chain deep_disorder.pem"),
    by("chain/names permitted", "permits", "-cert_chain permits.pem"),
    by("chain/names excluded", "excludes", "-cert_chain excludes.pem"),
    server("version/TLS 1.0", RSA, "-tls1 -cipher ALL:@SECLEVEL=0"),
    server("version/TLS 1.1", RSA, "-tls1_1 -cipher ALL:@SECLEVEL=0"),
    server("version/TLS 1.2", RSA, "-tls1_2"),
    server("version/TLS 1.3", RSA, "-tls1_3"),
    server("suite/ECDHE-RSA-AES128-GCM", RSA, "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256"),
    server("suite/ECDHE-RSA-AES256-GCM", RSA, "-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384"),
    server("suite/ECDHE-RSA-CHACHA20", RSA, "-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305"),
    server("suite/ECDHE-ECDSA-AES128-GCM", P256, "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256"),
    server("suite/ECDHE-RSA-AES128-CBC", RSA, "-tls1_2 -cipher ECDHE-RSA-AES128-SHA256"),
    server("suite/DHE-RSA-AES128-GCM", RSA, "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256"),
    server("suite/AES128-GCM", RSA, "-tls1_2 -cipher AES128-GCM-SHA256"),
    server("suite/TLS_AES_128_GCM", RSA, "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256"),
    server("suite/TLS_AES_256_GCM", RSA, "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384"),
    server("suite/TLS_CHACHA20", RSA, "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256"),
    server("suite/TLS_AES_128_CCM", RSA, "-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256"),
    server("group/X25519", RSA, "-tls1_3 -groups X25519"),
    server("group/P-256", RSA, "-tls1_3 -groups P-256"),
    server("group/P-384", RSA, "-tls1_3 -groups P-384"),
    server("group/P-521", RSA, "-tls1_3 -groups P-521"),
    server("group/X448", RSA, "-tls1_3 -groups X448"),
    server("group/P-384 with TLS 1.2", RSA, "-tls1_2 -groups P-384"),
    server("client/asked for a certificate", RSA, "-tls1_3 -verify 1"),
    server("client/must have a certificate", RSA, "-tls1_3 -Verify 1 -verify_return_error"),
    server("client/must have one with TLS 1.2", RSA, "-tls1_2 -Verify 1 -verify_return_error"),
    server("renegotiation/no secure one", RSA, "-tls1_2 -legacy_renegotiation"),
    server("tickets/none", RSA, "-tls1_3 -no_ticket"),
    server("tickets/many", RSA, "-tls1_3 -num_tickets 8"),
    server("record/small fragments", RSA, "-tls1_3 -split_send_frag 512 -max_send_frag 512"),
];

/// The authorities that the cases name, all below `authority` but for `other`.
async fn authorities() -> Certificates {
    let made = Certificates::new();
    made.self_signed("authority", RSA, "").await;
    made.self_signed("other", RSA, "").await;
    let ca = "basicConstraints=critical,CA:TRUE";
    for (name, by, extensions, more) in [
        ("between", "authority", ca, ""),
        ("over", "authority", ca, "-days 0"),
        ("weak", "authority", ca, "-sha1"),
        ("leaf", "authority", "basicConstraints=critical,CA:FALSE", ""),
        ("shallow", "authority", "basicConstraints=critical,CA:TRUE,pathlen:0", ""),
        ("deep", "shallow", ca, ""),
        ("permits", "authority", "nameConstraints=critical,permitted;IP:127.0.0.0/255.0.0.0", ""),
        ("excludes", "authority", "nameConstraints=critical,excluded;IP:127.0.0.0/255.0.0.0", ""),
    ] {
        let extensions = if extensions.starts_with("name") {
            format!("{ca}\n{extensions}")
        } else {
            extensions.to_owned()
        };
        made.signed_for((name, name), RSA, by, &extensions, more).await;
    }
    let read = |name: &str| std::fs::read(made.path().join(name)).unwrap();
    let (shallow, deep) = (read("shallow.pem"), read("deep.pem"));
    let write = |name: &str, parts: [&[u8]; 2]| {
        std::fs::write(made.path().join(name), parts.concat()).unwrap();
    };
    write("deep_chain.pem", [&deep, &shallow]);
    write("deep_disorder.pem", [&shallow, &deep]);
    made
}

async fn of_curl(address: SocketAddr, made: &Certificates) -> Verdict {
    let roots = made.path().join("authority.pem");
    let mut curl = super::curl();
    curl.arg("--cacert").arg(roots).arg(url("https", address, "/"));
    super::verdict_of(curl).await
}

#[tokio::test]
async fn the_prober_and_curl_trust_the_same_servers() {
    let made = authorities().await;
    for (number, case) in CASES.iter().enumerate() {
        let extensions = format!("{FOR_LOOPBACK}\n{}", case.extensions);
        let name = format!("case{number}");
        made.signed(&name, case.key, case.by, &extensions, case.signing).await;
    }
    // What ends at once has to be over.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let judged = async |(number, case): (usize, &'static TlsCase)| {
        let strength = if case.server.contains("-cipher ") { "" } else { WEAK };
        let words = format!("{} {strength}", case.server);
        let server = made.server(&format!("case{number}"), &words).await;
        let (result, theirs) =
            tokio::join!(server.check(made.roots("authority")), of_curl(server.address, &made));
        (case.name.to_owned(), super::verdict(&result), theirs)
    };
    let verdicts = stream::iter(CASES.iter().enumerate()).map(judged).buffer_unordered(AT_ONCE);
    let (up, found) = differences(verdicts.collect().await);
    // Positive control: the corpus has both good and bad servers in numbers.
    assert!(up >= 15 && CASES.len() - up >= 15, "{up} of {} are up", CASES.len());
    compare(&found, known::OF_TLS);
}
