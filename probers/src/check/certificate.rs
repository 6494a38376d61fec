//! What a server's certificates say (RFC 5280).

use chrono::{DateTime, TimeDelta};
use pulsetrail_domain::Timestamp;
use pulsetrail_domain::check::{Certificate, Warning, WarningCode};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

/// The longest distinguished name that is kept, in characters.
const MAX_NAME: usize = 200;
/// `id-ad-caIssuers` (RFC 5280, section 4.2.2.1): where the issuer's certificate can be had.
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
/// With fewer days left an HTTPS check warns.
pub(super) const WARN_DAYS: u16 = 14;

/// What is told of the first certificate of a chain; none where it cannot be read.
pub(super) fn facts(chain: &[CertificateDer<'_>], now: Timestamp) -> Option<Certificate> {
    let (_, shown) = X509Certificate::from_der(chain.first()?).ok()?;
    let expires_at = expires_at(&shown)?;
    Some(Certificate {
        expires_at,
        days_left: (expires_at - now).num_seconds().div_euclid(86_400),
        subject: name(shown.subject()),
        issuer: name(shown.issuer()),
        chain_length: u32::try_from(chain.len()).unwrap_or(u32::MAX),
    })
}

fn name(name: &X509Name<'_>) -> String {
    name.to_string().chars().take(MAX_NAME).collect()
}

/// Whom a certificate is for, as a distinguished name; none where it cannot be read.
pub(super) fn subject(one: &CertificateDer<'_>) -> Option<String> {
    let (_, one) = X509Certificate::from_der(one).ok()?;
    Some(name(one.subject()))
}

/// Why a certificate is not valid now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// It is not valid any more.
    Expired,
    /// It is not valid yet.
    Early,
}

/// Why a certificate is not valid `now`, in seconds since the epoch; none where it is, or cannot be read.
pub(super) fn lifetime(one: &CertificateDer<'_>, now: u64) -> Option<Lifetime> {
    let (_, one) = X509Certificate::from_der(one).ok()?;
    let now = i64::try_from(now).ok()?;
    if one.validity().not_after.timestamp() < now {
        Some(Lifetime::Expired)
    } else if one.validity().not_before.timestamp() > now {
        Some(Lifetime::Early)
    } else {
        None
    }
}

/// Whether a certificate says that it is its own issuer.
pub(super) fn is_self_signed(one: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(one).is_ok_and(|(_, one)| one.issuer() == one.subject())
}

/// How long the RSA key in a certificate is, in bits; none where it is another key.
pub(super) fn rsa_bits(one: &CertificateDer<'_>) -> Option<usize> {
    let (_, one) = X509Certificate::from_der(one).ok()?;
    match one.public_key().parsed().ok()? {
        PublicKey::RSA(key) => Some(key.key_size()),
        _ => None,
    }
}

/// Whether the first certificate of a chain has fewer than `days` days left.
pub(super) fn expires_within(chain: &[CertificateDer<'_>], days: u16, now: Timestamp) -> bool {
    let shown = chain.first().and_then(|first| X509Certificate::from_der(first).ok());
    let end = shown.and_then(|(_, shown)| expires_at(&shown));
    end.is_some_and(|end| end - now < TimeDelta::days(days.into()))
}

fn expires_at(shown: &X509Certificate<'_>) -> Option<Timestamp> {
    DateTime::from_timestamp(shown.validity().not_after.timestamp(), 0)
}

/// The warning of a certificate of `host` that expires in fewer than `warn_days` days.
pub(super) fn warning(host: &str, shown: &Certificate, warn_days: u16) -> Option<Warning> {
    if shown.days_left >= i64::from(warn_days) {
        return None;
    }
    let days = shown.days_left;
    let detail = match days {
        ..0 => format!("The certificate of {host} has expired."),
        0 => format!("The certificate of {host} expires within a day."),
        1 => format!("The certificate of {host} expires in 1 day."),
        _ => format!("The certificate of {host} expires in {days} days."),
    };
    Some(Warning { code: WarningCode::CertificateExpiresSoon, detail })
}

/// Whether the last certificate of a chain has an issuer, says where its certificate can be had, and
/// came without it: then one is left out between the server's own and a trusted one.
pub(super) fn leaves_one_out(last: &CertificateDer<'_>) -> bool {
    let Ok((_, last)) = X509Certificate::from_der(last) else { return false };
    let says_where = last.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => {
            access.iter().any(|one| one.access_method.to_id_string() == CA_ISSUERS)
        }
        _ => false,
    });
    says_where && last.issuer() != last.subject()
}
