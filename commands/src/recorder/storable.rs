//! Texts that cannot be stored: JSON can say a NUL and half of a surrogate pair, and neither Postgres nor a
//! Rust string can hold both. A target can send either, and whatever it sends must end as a recorded
//! result, so that they are shown escaped instead.

/// A JSON text in whose strings each NUL reads `\000` and each lone surrogate as it was escaped, such as
/// `\ud800`; none where there is nothing to change, or it is not UTF-8.
pub(super) fn storable(json: &[u8]) -> Option<String> {
    let json = str::from_utf8(json).ok()?;
    let mut cleaned = String::new();
    let (mut copied, mut from) = (0, 0);
    // A backslash stands only in the strings of JSON, and always with what it escapes.
    while let Some(found) = json.get(from..).and_then(|rest| rest.find('\\')) {
        let at = from + found;
        let (length, shown) = match unit_at(json, at) {
            Some(0) => (UNIT, Some("\\\\000".to_owned())),
            Some(unit) if is_high(unit) && unit_at(json, at + UNIT).is_some_and(is_low) => {
                (2 * UNIT, None)
            }
            Some(unit) if is_high(unit) || is_low(unit) => (UNIT, Some(format!("\\\\u{unit:04x}"))),
            Some(_) => (UNIT, None),
            None => (2, None),
        };
        if let Some(shown) = shown {
            cleaned.push_str(json.get(copied..at)?);
            cleaned.push_str(&shown);
            copied = at + length;
        }
        from = at + length;
    }
    if copied == 0 {
        return None;
    }
    cleaned.push_str(json.get(copied..)?);
    Some(cleaned)
}

/// The length of `\u` and four digits.
const UNIT: usize = 6;

/// The UTF-16 code unit that is escaped at a place.
fn unit_at(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + UNIT)?.strip_prefix("\\u")?;
    // It takes a sign as well, which is not JSON.
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(json: &str) -> Option<String> {
        storable(json.as_bytes())
    }

    #[test]
    fn what_cannot_be_stored_is_shown_escaped() {
        for (json, expected) in [
            (r#""a\u0000b""#, r#""a\\000b""#),
            (r#""\ud800""#, r#""\\ud800""#),
            (r#""\uDFFFx""#, r#""\\udfffx""#),
            (r#""\ud800\ud83d\ude00\ud800""#, r#""\\ud800\ud83d\ude00\\ud800""#),
            (r#"{"\u0000":"\u0000\u0000"}"#, r#"{"\\000":"\\000\\000"}"#),
        ] {
            assert_eq!(cleaned(json).as_deref(), Some(expected), "{json}");
            let _: serde_json::Value = serde_json::from_str(expected).unwrap();
        }
    }

    #[test]
    fn what_can_be_stored_stays_as_it_is() {
        for json in [
            r#""plain""#,
            r#""\\u0000""#,
            r#""\\\\ud800""#,
            r#""\ud83d\ude00 \n \u0001 \" ü""#,
            r#""\u000"#,
            "\\",
            r#""\u+000""#,
        ] {
            assert_eq!(cleaned(json), None, "{json}");
        }
        assert_eq!(storable(&[b'"', 0xff, b'"']), None);
    }
}
