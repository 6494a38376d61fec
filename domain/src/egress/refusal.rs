//! What is kept of a refusal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{EgressEvent, EgressOrigin, Verdict};
use crate::{CheckId, MonitorId};

/// A verdict that refuses, with where it was asked for. The event, the metric and the log line are made
/// from it, and a prober hands it on to the recorder in this form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The URL that was to be dialled, without a user name, a password or a fragment.
    pub url: String,
    /// The address that it led to.
    pub address: String,
    /// The refused range that the address lies in, such as `10.0.0.0/8`, or
    /// [`OWN_RANGE`](super::OWN_RANGE).
    pub range: String,
}

impl Verdict {
    /// What to keep of it where it refuses `url`; none where it accepts.
    #[must_use]
    pub fn refusal(&self, url: &Url) -> Option<Refusal> {
        let range = self.refused_range()?;
        let address = self.address.ip().to_string();
        Some(Refusal { url: without_secrets(url), address, range })
    }
}

impl EgressEvent {
    /// A refusal as it enters the log.
    #[must_use]
    pub fn blocked(
        origin: EgressOrigin,
        monitor_id: Option<MonitorId>,
        check_id: Option<CheckId>,
        refusal: Refusal,
    ) -> Self {
        let Refusal { url, address, range } = refusal;
        Self::EgressBlocked { origin, monitor_id, check_id, url, address, range }
    }
}

/// A URL without the parts that may hold a password, or that are never sent.
fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Refused only by URLs without a host, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::super::EgressPolicy;
    use super::*;

    fn refusal(url: &str) -> Option<Refusal> {
        let url = Url::parse(url).unwrap();
        EgressPolicy::default().judge_url_literal(&url)?.refusal(&url)
    }

    #[test]
    fn a_refusal_says_what_was_refused_and_why_and_keeps_no_password() {
        let kept = refusal("http://ada:secret@10.0.0.1:8080/a?b=c#secret").unwrap();
        assert_eq!(kept.url, "http://10.0.0.1:8080/a?b=c");
        assert_eq!((&*kept.address, &*kept.range), ("10.0.0.1", "10.0.0.0/8"));
        let kept = refusal("tcp://:secret@[::1]:22").unwrap();
        assert_eq!(kept.url, "tcp://[::1]:22");
    }

    #[test]
    fn what_is_accepted_leaves_nothing_to_keep() {
        assert_eq!(refusal("http://9.9.9.9/"), None);
    }
}
