//! Questions to the DNS whose answers are what a check wants to know.

use std::net::SocketAddr;

use hickory_resolver::proto::rr::{Name, RData, RecordType};
use pulsetrail_domain::monitor::DnsTarget;
use tokio::time::{Instant, timeout_at};
use url::Host;

use super::resolve::{Resolver, cause, not_too_many};
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
            None => self.inner.resolver.records(name, record_type, deadline).await,
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
        Ok(records.iter().map(ToString::to_string).collect())
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
        let found = timeout_at(deadline, self.resolver.lookup(name, record_type));
        let found = found.await.map_err(|_| DnsError::Timeout)?.map_err(|error| cause(&error))?;
        let of_type = found.answers().iter().filter(|record| record.record_type() == record_type);
        not_too_many(of_type.map(|record| record.data.clone()).collect())
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
