//! Bytes in JSON, so that people can read them where they are a text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes: a JSON text where they are a readable one, else `{"base64": "…"}` (RFC 4648, section 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Shown {
    /// UTF-8 without control characters other than tab and line ends.
    Text(String),
    /// Anything else.
    Base64 {
        /// The bytes.
        base64: String,
    },
}

impl Shown {
    /// The bytes, to be shown.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let readable = |char: char| !char.is_control() || matches!(char, '\t' | '\n' | '\r');
        match std::str::from_utf8(bytes) {
            Ok(text) if text.chars().all(readable) => Self::Text(text.to_owned()),
            _ => Self::Base64 { base64: STANDARD.encode(bytes) },
        }
    }

    /// The bytes that are shown; none where the base64 is none.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Base64 { base64 } => STANDARD.decode(base64).ok(),
        }
    }
}

/// A header of a message. A key can occur several times, and its value can be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LetterHeader {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: Option<Shown>,
}

impl LetterHeader {
    /// A header whose value is a text.
    pub(super) fn text(key: &str, value: impl ToString) -> Self {
        Self { key: key.to_owned(), value: Some(Shown::of(value.to_string().as_bytes())) }
    }
}

/// The headers of a message, to be kept.
pub(super) fn kept(headers: &impl Headers) -> Vec<LetterHeader> {
    let kept = |header: Header<'_, &[u8]>| LetterHeader {
        key: header.key.to_owned(),
        value: header.value.map(Shown::of),
    };
    headers.iter().map(kept).collect()
}

/// Kept headers, to be sent again.
pub(super) fn sent_again(headers: &[LetterHeader]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len() + 1), |all, header| {
        let value = header.value.as_ref().and_then(Shown::bytes);
        all.insert(Header { key: &header.key, value: value.as_ref() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_of_bytes_comes_back() {
        for bytes in [&b"plain"[..], b"", "h\u{e4}".as_bytes(), b"\xff\x00", b"a\0b", b"\x1b[31m"] {
            let json = serde_json::to_string(&Shown::of(bytes)).unwrap();
            let back: Shown = serde_json::from_str(&json).unwrap();
            assert_eq!(back.bytes().as_deref(), Some(bytes), "{json}");
            // Postgres takes no text with such an escape.
            assert!(!json.contains("\\u0000"));
        }
        assert_eq!(serde_json::to_string(&Shown::of(b"{}\n")).unwrap(), r#""{}\n""#);
    }

    #[test]
    fn headers_come_back_in_their_order_also_those_without_a_value() {
        let bytes = |bytes: &'static [u8]| Some(bytes);
        let headers = OwnedHeaders::new()
            .insert(Header { key: "a", value: bytes(b"1") })
            .insert(Header { key: "a", value: bytes(b"\xff") })
            .insert(Header { key: "b", value: None::<&[u8]> });
        let kept = kept(&headers);
        assert_eq!(kept.len(), 3);
        assert_eq!(super::kept(&sent_again(&kept)), kept);
    }
}
