//! Questions to the DNS whose answers are what a check wants to know.

use std::net::SocketAddr;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use pulsetrail_domain::monitor::DnsTarget;
use tokio::time::{Instant, timeout_at};
use url::Host;

use super::resolve::{Resolver, not_too_many};
use super::{DialFailureReason, DnsError, Shield};

impl Shield {
    /// Asks a question, until `deadline`: of the resolver that is named, whose address is judged first,
    /// or else of this machine's. Every address that is answered is judged too: one that is refused
    /// refuses the whole answer. The answers are as zone files write them.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask(
        &self,
        question: &DnsTarget,
        deadline: Instant,
    ) -> Result<Vec<String>, DialFailureReason> {
        let name = name(question)?;
        let record_type: RecordType =
            question.record_type.as_str().parse().map_err(|_| DnsError::InvalidName)?;
        let asked = match question.resolver {
            None => self.inner.questions.records(name, record_type, deadline).await,
            Some(resolver) => {
                let verdict = self.judge(resolver.0);
                if !verdict.is_accepted() {
                    return Err(DialFailureReason::Refused(verdict));
                }
                let resolver = Resolver::with_name_servers(&[verdict.address])
                    .map_err(|_| DnsError::Timeout)?;
                resolver.records(name, record_type, deadline).await
            }
        };
        let records = asked?;
        for ip in records.iter().filter_map(RData::ip_addr) {
            let verdict = self.judge(SocketAddr::new(ip, 0));
            if !verdict.is_accepted() {
                return Err(DialFailureReason::Refused(verdict));
            }
        }
        Ok(records.iter().map(shown).collect())
    }
}

/// A record as zone files write it, but a text without quotes and in one piece: resolvers cut long ones.
fn shown(record: &RData) -> String {
    match record {
        RData::TXT(text) => escaped(&text.txt_data.concat()),
        other => other.to_string(),
    }
}

/// Bytes as a text in which each can be told: quotes and backslashes behind a backslash, and what is no
/// UTF-8 or a control character as `\DDD`, in decimals (RFC 1035, section 5.1).
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for one in chunk.valid().chars() {
            match one {
                '"' | '\\' => text.extend(['\\', one]),
                _ if one.is_control() => {
                    let mut buffer = [0; 4];
                    push_decimals(&mut text, one.encode_utf8(&mut buffer).as_bytes());
                }
                _ => text.push(one),
            }
        }
        push_decimals(&mut text, chunk.invalid());
    }
    text
}

fn push_decimals(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str(&format!("\\{byte:03}"));
    }
}

impl Resolver {
    /// The records of a type that a name has.
    async fn records(
        &self,
        name: Name,
        record_type: RecordType,
        deadline: Instant,
    ) -> Result<Vec<RData>, DnsError> {
        let found = timeout_at(deadline, self.lookup(name, record_type));
        let found = found.await.map_err(|_| DnsError::Timeout)??;
        let of_type = found.answers().iter().filter(|record| record.record_type() == record_type);
        let records: Vec<RData> = of_type.map(|record| record.data.clone()).collect();
        // An alias of a name that does not exist.
        if records.is_empty() && found.message().response_code == ResponseCode::NXDomain {
            return Err(DnsError::NxDomain);
        }
        not_too_many(records)
    }
}

/// The name that is asked for; of an address, the name that PTR records are at (RFC 1035, 3.5).
fn name(question: &DnsTarget) -> Result<Name, DnsError> {
    let mut name = match question.name.host() {
        Host::Domain(name) => Name::from_ascii(name).map_err(|_| DnsError::InvalidName)?,
        Host::Ipv4(address) => Name::from(std::net::IpAddr::from(address)),
        Host::Ipv6(address) => Name::from(std::net::IpAddr::from(address)),
    };
    // A name with its root is looked up as it is, in no search domain.
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_text_can_be_told() {
        assert_eq!(escaped(b"a\0b"), r"a\000b");
        assert_eq!(escaped("v=1; \"\\ grüß".as_bytes()), r#"v=1; \"\\ grüß"#);
        assert_eq!(escaped(b"\xffz\xed\xa0\x80\x7f"), r"\255z\237\160\128\127");
    }
}
