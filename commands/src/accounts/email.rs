//! The address that a person signs in with.

use std::fmt;

use pulsetrail_domain::text::is_blank;

/// An e-mail address, trimmed and in lower case, so that one person has one account. Whether mail
/// arrives there, nothing but a mail can tell: the form is checked no further than that it can.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text is no e-mail address.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be an e-mail address of at most 254 characters, such as ada@example.com")]
pub struct InvalidEmail;

/// The longest address that can be mailed to (RFC 5321, 4.5.3.1.3, less its two brackets).
const MAX_BYTES: usize = 254;
/// The longest part before the `@` (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;

impl Email {
    /// The address as text, normalised.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or(self.0.as_str(), |(local, _)| local)
    }
}

impl TryFrom<&str> for Email {
    type Error = InvalidEmail;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let text = text.trim().to_lowercase();
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        // No joiner or variation selector either: in an address they are of no use but to deceive.
        let visible = |text: &str| {
            !text.chars().any(|one| one.is_whitespace() || is_blank(one.encode_utf8(&mut [0; 4])))
        };
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|character| character.is_alphanumeric() || character == '-')
        };
        let good = text.len() <= MAX_BYTES
            && (1..=MAX_LOCAL_BYTES).contains(&local.len())
            && !local.contains('@')
            && visible(&text)
            && domain.split('.').all(label);
        if good { Ok(Self(text)) } else { Err(InvalidEmail) }
    }
}

/// Personal data stays out of logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_is_one_address_however_it_is_typed() {
        let email = Email::try_from("  Ada.Lovelace@Example.COM ").unwrap();
        assert_eq!(email.as_str(), "ada.lovelace@example.com");
        assert_eq!(email.local_part(), "ada.lovelace");
    }

    #[test]
    fn what_no_mail_can_reach_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}com", "abcdefgh.".repeat(30));
        let refused =
            ["", "ada", "@example.com", "ada@", "a b@example.com", "a@b@example.com", "ada@.com"];
        for text in refused.into_iter().chain([long.as_str(), longer.as_str(), "a@ex ample.com"]) {
            assert_eq!(Email::try_from(text), Err(InvalidEmail), "{text:?}");
        }
        for hidden in ['\u{200b}', '\u{200d}', '\u{202e}', '\u{ad}', '\u{3164}', '\u{fe0f}'] {
            for text in [format!("a{hidden}da@example.com"), format!("ada@exam{hidden}ple.com")] {
                assert_eq!(Email::try_from(text.as_str()), Err(InvalidEmail), "{text:?}");
            }
        }
        for text in ["ada@localhost", "o'neil+tag@sub.example.co.uk", "jörg@bücher.example"] {
            assert!(Email::try_from(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn an_address_does_not_show_in_a_log() {
        let email = Email::try_from("ada@example.com").unwrap();
        assert!(!format!("{email:?}").contains("ada"));
    }
}
