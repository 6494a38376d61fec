//! Where a cluster is, and what its clients say of themselves.

use std::fmt;

use rdkafka::ClientConfig;

use crate::secrets::SecretText;

/// The brokers of a cluster: comma-separated `host:port`, behind `user:password@` if they ask for a password. It is
/// shown with SASL/PLAIN, without TLS. Whatever prints this leaves the password out.
#[derive(Clone)]
pub struct Brokers {
    addresses: String,
    account: Option<Account>,
}

#[derive(Clone)]
struct Account {
    user: String,
    password: SecretText,
}

impl Brokers {
    /// Comma-separated `host:port`.
    #[must_use]
    pub fn addresses(&self) -> &str {
        &self.addresses
    }

    /// The least that a client needs to be let in.
    #[must_use]
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.addresses);
        if let Some(Account { user, password }) = &self.account {
            config
                .set("security.protocol", "sasl_plaintext")
                .set("sasl.mechanism", "PLAIN")
                .set("sasl.username", user)
                .set("sasl.password", password.expose());
        }
        config
    }
}

impl From<&str> for Brokers {
    fn from(text: &str) -> Self {
        let Some((account, addresses)) = text.rsplit_once('@') else {
            return Self { addresses: text.to_owned(), account: None };
        };
        let (user, password) = account.split_once(':').unwrap_or((account, ""));
        let account = Account { user: user.to_owned(), password: password.to_owned().into() };
        Self { addresses: addresses.to_owned(), account: Some(account) }
    }
}

impl From<&String> for Brokers {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Debug for Brokers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_stands_before_the_addresses_and_is_not_printed() {
        let brokers = Brokers::from("pulsetrail:se:c@ret@127.0.0.1:1,127.0.0.1:2");
        let config = brokers.client_config();
        let expected = [
            ("bootstrap.servers", "127.0.0.1:1,127.0.0.1:2"),
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "pulsetrail"),
            ("sasl.password", "se:c@ret"),
        ];
        for (name, value) in expected {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
        assert_eq!(format!("{brokers:?}"), "127.0.0.1:1,127.0.0.1:2");
        config.create::<rdkafka::consumer::BaseConsumer>().unwrap();
    }

    #[test]
    fn without_an_account_nothing_is_shown() {
        let config = Brokers::from("a:1,b:2").client_config();
        assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(config.get("security.protocol"), None);
    }
}
