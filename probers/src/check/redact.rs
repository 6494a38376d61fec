//! Taking secrets out of what is reported: a target can send back what it was sent, in a body that an
//! assertion shows or in the address of a redirect.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::attempt::Attempt;

/// What stands in the place of a secret.
const HIDDEN: &str = "[secret]";
/// Anything shorter is found by chance, and to replace it everywhere would tell what it is.
const SHORTEST: usize = 4;
/// A text that ends with so much of a secret has been cut in it.
const SHORTEST_START: usize = 4;
/// What the WHATWG URL standard encodes in a query, and little else.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\'');
/// The same in a path.
const PATH: &AsciiSet = &QUERY.add(b'?').add(b'`').add(b'{').add(b'}').add(b'^');
/// What RFC 3986 does not reserve stays, as `encodeURIComponent` has it.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The secrets of a check, in every form in which they are looked for.
#[derive(Default)]
pub(super) struct Redactor {
    /// The longest first, so that none hides a part of another.
    forms: Vec<Zeroizing<String>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Redactor({} forms)", self.forms.len())
    }
}

impl Redactor {
    /// Looks for one more secret: as it is, percent-encoded, in base64, and as JSON and HTML write it.
    pub(super) fn hide(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut forms = vec![secret.to_owned(), STANDARD.encode(secret)];
        forms.extend([STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret)]);
        for set in [QUERY, PATH, COMPONENT, NON_ALPHANUMERIC] {
            let encoded = utf8_percent_encode(secret, set).to_string();
            forms.extend([encoded.replace("%20", "+"), lower_hex(&encoded), encoded]);
        }
        let json = serde_json::Value::from(secret).to_string();
        forms.push(json.trim_matches('"').to_owned());
        forms.push(secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;"));
        // What a certificate's or a file's text would show of bytes that are no ASCII.
        forms.push(secret.escape_debug().to_string());
        self.forms.extend(forms.into_iter().map(Zeroizing::new));
        self.forms.sort_unstable_by(|one, other| {
            other.len().cmp(&one.len()).then_with(|| one.cmp(other))
        });
        self.forms.dedup();
    }

    /// Takes the secrets out of everything in an attempt that comes from the target.
    pub(super) fn clean(&self, attempt: &mut Attempt) {
        if self.forms.is_empty() {
            return;
        }
        if let Some(failure) = &mut attempt.failure {
            self.clean_text(&mut failure.detail);
        }
        if let Some(refusal) = &mut attempt.refusal {
            self.clean_text(&mut refusal.url);
        }
        if let Some(assertion) = &mut attempt.findings.assertion {
            self.clean_text(&mut assertion.expected);
            if let Some(got) = &mut assertion.got {
                self.clean_text(got);
            }
        }
        if let Some(certificate) = &mut attempt.findings.certificate {
            self.clean_text(&mut certificate.subject);
            self.clean_text(&mut certificate.issuer);
        }
        for warning in &mut attempt.findings.warnings {
            self.clean_text(&mut warning.detail);
        }
    }

    /// Takes the secrets out of a text, and the beginning of one at its end: there it was cut.
    fn clean_text(&self, text: &mut String) {
        for form in &self.forms {
            if text.contains(form.as_str()) {
                *text = text.replace(form.as_str(), HIDDEN);
            }
        }
        // Each sentence about what was cut ends with a full stop.
        let end = text.trim_end_matches('.').len();
        let cut = self.forms.iter().filter_map(|form| {
            let starts = form.char_indices().map(|(at, _)| at).filter(|at| *at >= SHORTEST_START);
            starts.rev().find(|at| text[..end].ends_with(&form[..*at]))
        });
        if let Some(longest) = cut.max() {
            text.replace_range(end - longest..end, HIDDEN);
        }
    }
}

fn lower_hex(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        lower.push('%');
        lower.push_str(&hex.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn cleaned(secret: &str, text: &str) -> String {
        let mut redactor = Redactor::default();
        redactor.hide(secret);
        let mut text = text.to_owned();
        redactor.clean_text(&mut text);
        text
    }

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        let secret = "pa ss/w\u{f6}rd+\"1";
        for form in [
            secret,
            "cGEgc3Mvd8O2cmQrIjE=",
            "cGEgc3Mvd8O2cmQrIjE",
            "pa%20ss%2Fw%C3%B6rd%2B%221",
            "pa%20ss%2fw%c3%b6rd%2b%221",
            "pa+ss%2Fw%C3%B6rd%2B%221",
            "pa%20ss/w%C3%B6rd+%221",
            r#"pa ss/wörd+\"1"#,
            "pa ss/wörd+&quot;1",
        ] {
            let text = format!("to http://a.example/?{form}&{form}.");
            assert_eq!(cleaned(secret, &text), "to http://a.example/?[secret]&[secret].");
        }
    }

    #[test]
    fn a_secret_that_was_cut_is_hidden_too() {
        assert_eq!(cleaned("hunter2-planted", "got hunter2-pl"), "got [secret]");
        assert_eq!(cleaned("hunter2-planted", "got hunter2-pl."), "got [secret].");
        // In base64: of the whole, and as far as it was kept.
        assert_eq!(cleaned("hunter2-planted", "aHVudGVyMi1wb"), "[secret]");
    }

    #[test]
    fn what_is_no_secret_stays() {
        assert_eq!(cleaned("hunter2", "the hunt is over"), "the hunt is over");
        assert_eq!(cleaned("1", "The status is 401."), "The status is 401.");
    }
}
