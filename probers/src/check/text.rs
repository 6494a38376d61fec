//! The text that bytes of an answer stand for (WHATWG Encoding).

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// How far into a page its charset is looked for, in bytes (WHATWG HTML, 13.2.3.2).
const META_BYTES: usize = 1_024;

/// A decoded body.
pub(super) struct Text<'a> {
    pub(super) text: Cow<'a, str>,
    /// Whether every byte of it is of its charset.
    pub(super) is_sound: bool,
}

/// The text of a body. Its charset is that of the header, or else that of its byte order mark, or else that of the
/// page's `<meta>`, or else UTF-8. A byte order mark is no part of the text.
pub(super) fn of_body<'a>(headers: &HeaderMap, body: &'a [u8]) -> Text<'a> {
    let (text, had_errors) = if let Some(charset) = charset(headers) {
        charset.decode_with_bom_removal(body)
    } else if let Some((charset, mark)) = Encoding::for_bom(body) {
        charset.decode_without_bom_handling(body.get(mark..).unwrap_or_default())
    } else {
        charset_of_page(headers, body).unwrap_or(UTF_8).decode_without_bom_handling(body)
    };
    Text { text, is_sound: !had_errors }
}

/// The values of a header field, joined by commas: UTF-8, or else in the body's charset, or else Latin-1.
pub(super) fn of_header(headers: &HeaderMap, name: &str) -> String {
    let charset = charset(headers).unwrap_or(WINDOWS_1252);
    let values = headers.get_all(name).iter().map(|value| {
        let bytes = value.as_bytes();
        std::str::from_utf8(bytes)
            .map_or_else(|_| charset.decode_without_bom_handling(bytes).0, Cow::Borrowed)
    });
    values.collect::<Vec<_>>().join(", ")
}

fn charset(headers: &HeaderMap) -> Option<&'static Encoding> {
    let content_type = headers.get(CONTENT_TYPE)?.as_bytes();
    Encoding::for_label(after_charset(&content_type.to_ascii_lowercase())?)
}

fn charset_of_page(headers: &HeaderMap, body: &[u8]) -> Option<&'static Encoding> {
    let content_type = headers.get(CONTENT_TYPE)?.as_bytes().to_ascii_lowercase();
    find(&content_type, b"html")?;
    let begin = body.get(..body.len().min(META_BYTES))?.to_ascii_lowercase();
    let mut rest = begin.as_slice();
    while let Some(meta) = find(rest, b"<meta") {
        rest = rest.get(meta + 5..)?;
        let end = find(rest, b">").unwrap_or(rest.len());
        let charset = after_charset(rest.get(..end)?).and_then(Encoding::for_label);
        if charset.is_some() {
            return charset;
        }
    }
    None
}

/// The label after `charset=`.
fn after_charset(text: &[u8]) -> Option<&[u8]> {
    let rest = text.get(find(text, b"charset")? + 7..)?.trim_ascii_start();
    let rest = rest.strip_prefix(b"=")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
    rest.split(|byte| b"\"'; />,".contains(byte)).next()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn decoded(content_type: &str, body: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        of_body(&headers, body).text.into_owned()
    }

    #[test]
    fn the_header_names_the_charset_before_the_mark_and_the_mark_before_the_page() {
        let running = "运行正常";
        let (gb, ..) = encoding_rs::GB18030.encode(running);
        for content_type in [
            "text/html; charset=gb2312",
            "text/plain;charset=\"GB18030\"",
            "text/html; Charset = 'gbk'; x=y",
        ] {
            assert_eq!(decoded(content_type, &gb), running);
        }
        assert_ne!(decoded("text/html", &gb), running);
        for meta in [
            "<meta charset=gbk>",
            "<META name=x><meta http-equiv=a content='text/html; charset=gb2312'/>",
        ] {
            let page = [meta.as_bytes(), &gb].concat();
            assert!(decoded("text/html", &page).ends_with(running), "{meta}");
            assert!(!decoded("text/plain", &page).ends_with(running), "no page");
        }
        let marked = |text: &str| [b"\xef\xbb\xbf", text.as_bytes()].concat();
        assert_eq!(decoded("text/html", &marked("<meta charset=gbk>ä")), "<meta charset=gbk>ä");
        assert_eq!(decoded("application/json; charset=utf-8", &marked("ä")), "ä");
        assert_eq!(decoded("text/plain", b"\xff\xfeo\0k\0"), "ok");
        assert_eq!(decoded("text/html; charset=latin1", b"\xe4"), "ä");
        assert_eq!(decoded("text/html; charset=nothing", "ä".as_bytes()), "ä");
    }

    #[test]
    fn values_of_a_header_are_text_whatever_their_bytes() {
        let mut headers = HeaderMap::new();
        for value in [&b"a"[..], "ä".as_bytes(), b"\xe4"] {
            headers.append("x-one", http::HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(of_header(&headers, "X-One"), "a, ä, ä");
        assert_eq!(of_header(&headers, "x-two"), "");
    }
}
