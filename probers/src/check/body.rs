//! Reading an answer's body: what its encoding holds, and never more of it than a limit.

use std::io;

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use async_compression::zstd::DParameter;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pulsetrail_domain::check::FailureCause;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio_util::io::StreamReader;

use super::attempt::Fault;
use super::exchange;

/// How much of a body is looked at at most, in bytes, after it was decoded; and as much of it before. A
/// longer one counts as having ended there, where it is not to be kept.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The encodings that are understood, as `Accept-Encoding` says it.
pub(super) const ACCEPTED_ENCODINGS: &str = "gzip, deflate, br, zstd";
/// Encodings of one body, one within another, at most.
const MAX_ENCODINGS: usize = 3;
/// The binary logarithm of the largest window that a body in zstd may ask for: 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;
/// How much is decoded at once, in bytes.
const STEP: usize = 16 * 1024;

/// Reads a body, or its first [`MAX_BODY_BYTES`], and drops it; one that is to be kept must not be
/// longer.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    keep: Option<&mut Vec<u8>>,
) -> Result<(), Fault> {
    let mut taken = Taken { bytes: 0, keep };
    let encodings = encodings(headers)?;
    let read = if encodings.is_empty() {
        plain(body, is_delimited(headers), &mut taken).await
    } else {
        encoded(body, is_delimited(headers), encodings, &mut taken).await
    };
    match read {
        Err(Stop::AtLimit) if taken.keep.is_some() => {
            let detail = format!("The body has more than {MAX_BODY_BYTES} bytes.");
            Err(Fault::failed(FailureCause::HttpTooLarge, detail))
        }
        Ok(()) | Err(Stop::AtLimit) => Ok(()),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

/// What was read until now.
struct Taken<'a> {
    bytes: usize,
    keep: Option<&'a mut Vec<u8>>,
}

/// Why a body was not read to its end.
enum Stop {
    /// It goes on beyond the limit.
    AtLimit,
    Fault(Fault),
}

impl Taken<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.bytes += bytes.len();
        if self.bytes > MAX_BODY_BYTES || self.keep.is_none() && self.bytes == MAX_BODY_BYTES {
            return Err(Stop::AtLimit);
        }
        if let Some(kept) = &mut self.keep {
            kept.extend_from_slice(bytes);
        }
        Ok(())
    }
}

/// Whether the answer itself says where its body ends (RFC 9112, section 6.3).
fn is_delimited(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

async fn plain(mut body: Incoming, delimited: bool, taken: &mut Taken<'_>) -> Result<(), Stop> {
    while let Some(data) = next(&mut body, delimited).await {
        let data = data.map_err(|error| Stop::Fault(exchange::fault(&error)))?;
        taken.take(&data)?;
    }
    Ok(())
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

/// A way in which a body can be encoded (RFC 9110, section 8.4.1; RFC 7932; RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
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

type Reader = Box<dyn AsyncBufRead + Send + Unpin>;

async fn encoded(
    body: Incoming,
    delimited: bool,
    encodings: Vec<Encoding>,
    taken: &mut Taken<'_>,
) -> Result<(), Stop> {
    let mut reader: Reader = Box::new(StreamReader::new(Box::pin(raw(body, delimited))));
    // The answer to HEAD, or one that has no body, has no encoded one either.
    if reader.fill_buf().await.map_err(stop)?.is_empty() {
        return Ok(());
    }
    for encoding in encodings.into_iter().rev() {
        reader = decoder(encoding, reader).await.map_err(stop)?;
    }
    let mut step = vec![0; STEP];
    loop {
        match reader.read(&mut step).await.map_err(stop)? {
            0 => return Ok(()),
            read => taken.take(&step[..read])?,
        }
    }
}

/// A body's own bytes, of which there may not be more than of the decoded ones.
fn raw(body: Incoming, delimited: bool) -> impl Stream<Item = io::Result<Bytes>> {
    futures_util::stream::unfold((body, 0), move |(mut body, bytes)| async move {
        let data = match next(&mut body, delimited).await? {
            Ok(data) => data,
            Err(error) => return Some((Err(io::Error::other(error)), (body, bytes))),
        };
        let bytes = bytes + data.len();
        let data =
            if bytes > MAX_BODY_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(data) };
        Some((data, (body, bytes)))
    })
}

async fn decoder(encoding: Encoding, mut reader: Reader) -> io::Result<Reader> {
    let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
    Ok(match encoding {
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::new(BufReader::new(decoder))
        }
        Encoding::Deflate if is_zlib(reader.fill_buf().await?) => {
            Box::new(BufReader::new(ZlibDecoder::new(reader)))
        }
        // Some servers leave the wrapping out.
        Encoding::Deflate => Box::new(BufReader::new(DeflateDecoder::new(reader))),
        Encoding::Brotli => Box::new(BufReader::new(BrotliDecoder::new(reader))),
        Encoding::Zstd => {
            let mut decoder = ZstdDecoder::with_params(reader, &[window]);
            decoder.multiple_members(true);
            Box::new(BufReader::new(decoder))
        }
    })
}

/// Whether a stream begins as RFC 1950, section 2.2 says: its method is 8, and its first two bytes are a
/// multiple of 31. A stream of RFC 1951 begins so only by chance.
fn is_zlib(begin: &[u8]) -> bool {
    match begin {
        [method, flags, ..] => {
            method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
        }
        [method] => method & 0x0f == 8,
        [] => false,
    }
}

/// Why decoding stopped: it was the connection, the limit, or the encoding itself.
fn stop(error: io::Error) -> Stop {
    let transport = error.get_ref().and_then(|inner| inner.downcast_ref::<hyper::Error>());
    match transport {
        Some(transport) => Stop::Fault(exchange::fault(transport)),
        None if error.kind() == io::ErrorKind::FileTooLarge => Stop::AtLimit,
        None => {
            let what = error.get_ref().and_then(|inner| inner.source()).map(ToString::to_string);
            let what = what.unwrap_or_else(|| error.to_string());
            let detail = format!("The body cannot be decoded: {what}.");
            Stop::Fault(Fault::failed(FailureCause::HttpInvalid, detail))
        }
    }
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
