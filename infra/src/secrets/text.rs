//! A text that is never printed.

use std::fmt;

use url::Url;
use zeroize::Zeroizing;

/// A secret in clear. It prints as `[secret]`, is written nowhere by serde, and its memory is wiped when it
/// goes. Two of them are not compared: nothing here has to.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The secret itself, for where it is sealed or sent to the target.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

/// A URL with a password in it. It prints as `[secret]`.
#[derive(Clone)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// The URL itself, for whoever connects to it.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl From<Url> for SecretUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = SecretText::from("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "[secret] Some(\n    [secret],\n)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
