//! Reading an answer's body: what its encoding holds, and never more of it than a limit.

use std::io;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pulsetrail_domain::check::FailureCause;

use super::attempt::Fault;
use super::decode::{Content, Encoding, MAX_ENCODINGS, Undecodable, decode};
use super::exchange;
use super::work::{Exceeded, Work};

/// How much of a body is looked at at most, in bytes, after it was decoded; and as much of it before.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The encodings that are understood, as `Accept-Encoding` says it.
pub(super) const ACCEPTED_ENCODINGS: &str = "gzip, deflate, br, zstd";

/// Reads a body, or its first [`MAX_BODY_BYTES`]. They are decoded, and dropped unless they are to be kept.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    keep: bool,
    work: &Work,
) -> Result<Content, Fault> {
    let encodings = encodings(headers)?;
    let keep_encoded = keep || !encodings.is_empty();
    let encoded = plain(body, is_delimited(headers), keep_encoded).await?;
    // The answer to HEAD, or one that has no body, has no encoded one either.
    if encodings.is_empty() || encoded.bytes.is_empty() {
        return Ok(encoded);
    }
    let decoded = work.run(move |budget| match decode(&encoded, &encodings, keep, budget) {
        Ok(content) => Ok(Ok(content)),
        Err(Undecodable::Broken(what)) => Ok(Err(what)),
        Err(Undecodable::Exceeded(exceeded)) => Err(exceeded),
    });
    match decoded.await {
        Ok(Ok(content)) => Ok(content),
        Ok(Err(what)) => {
            let detail = format!("The body cannot be decoded: {what}.");
            Err(Fault::failed(FailureCause::HttpInvalid, detail))
        }
        Err(Exceeded::Steps) => {
            let detail = "The body takes more work to decode than a check may do.";
            Err(Fault::failed(FailureCause::HttpTooLarge, detail))
        }
        Err(Exceeded::Time) => {
            let detail = "The body could not be decoded in time.";
            Err(Fault::failed(FailureCause::HttpTimeoutBody, detail))
        }
    }
}

/// Whether the answer itself says where its body ends (RFC 9112, section 6.3).
fn is_delimited(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

/// A body as it is sent.
async fn plain(mut body: Incoming, delimited: bool, keep: bool) -> Result<Content, Fault> {
    let mut content = Content::default();
    let mut length = 0;
    while let Some(data) = next(&mut body, delimited).await {
        let data = data.map_err(|error| exchange::fault(&error))?;
        let taken = data.len().min(MAX_BODY_BYTES - length);
        if keep {
            content.bytes.extend_from_slice(data.get(..taken).unwrap_or_default());
        }
        length += taken;
        if taken < data.len() || !keep && length == MAX_BODY_BYTES {
            content.is_cut = true;
            break;
        }
    }
    Ok(content)
}

/// The next bytes of a body.
async fn next(body: &mut Incoming, delimited: bool) -> Option<hyper::Result<Bytes>> {
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
            // Many servers end TLS without saying so; where the end of the connection is the end of
            // the body, browsers take it as such.
            Err(error)
                if !delimited
                    && exchange::io_kind(&error) == Some(io::ErrorKind::UnexpectedEof) =>
            {
                return None;
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// The encodings of a body in the order in which they were applied; none where one is unknown, whose
/// bytes are taken as they are.
fn encodings(headers: &HeaderMap) -> Result<Vec<Encoding>, Fault> {
    let mut found = Vec::new();
    let texts = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for name in texts.flat_map(|text| text.split(',')).map(str::trim) {
        found.push(match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Encoding::Gzip,
            "deflate" => Encoding::Deflate,
            "br" => Encoding::Brotli,
            "zstd" => Encoding::Zstd,
            "" | "identity" => continue,
            _ => return Ok(Vec::new()),
        });
    }
    if found.len() > MAX_ENCODINGS {
        let detail = format!("The body is encoded more than {MAX_ENCODINGS} times.");
        return Err(Fault::failed(FailureCause::HttpInvalid, detail));
    }
    Ok(found)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn encodings_of(values: &[&str]) -> Option<Vec<Encoding>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, value.parse().unwrap());
        }
        encodings(&headers).ok()
    }

    #[test]
    fn encodings_are_read_in_their_order() {
        use Encoding::{Brotli, Deflate, Gzip, Zstd};
        assert_eq!(encodings_of(&[]), Some(vec![]));
        assert_eq!(encodings_of(&["GZip, br", "zstd"]), Some(vec![Gzip, Brotli, Zstd]));
        assert_eq!(encodings_of(&["identity, deflate"]), Some(vec![Deflate]));
        assert_eq!(encodings_of(&["gzip, rot13"]), Some(vec![]));
        assert_eq!(encodings_of(&["gzip, gzip, gzip"]), Some(vec![Gzip; 3]));
        assert_eq!(encodings_of(&["gzip, gzip, gzip, gzip"]), None);
    }
}
