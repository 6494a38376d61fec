//! Undoing the encodings of a body, layer by layer: what goes into each layer and what comes out of the last
//! one is counted, also where nothing comes out.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use brotli::BrotliResult;
use brotli::enc::StandardAlloc;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::body::MAX_BODY_BYTES;
use super::work::{Budget, Exceeded};

/// Encodings of one body, one within another, at most.
pub(super) const MAX_ENCODINGS: usize = 3;
/// The binary logarithm of the largest window that a body in zstd may ask for: 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;
/// How much goes into a layer at once, in bytes.
const STEP: usize = 4 * 1024;
/// Steps for a byte that goes into a layer: blocks and members without output take that long.
const STEPS_PER_BYTE: u64 = 4;

/// A way in which a body can be encoded (RFC 9110, section 8.4.1; RFC 7932; RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `gzip`
    Gzip,
    /// `deflate`
    Deflate,
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
}

/// A body, or the beginning of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Its first bytes, up to [`MAX_BODY_BYTES`]; none if they are not to be kept.
    pub(crate) bytes: Vec<u8>,
    /// Whether it goes on after them.
    pub(crate) is_cut: bool,
}

/// Why there is no content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecodable {
    /// It takes too much.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// The encoding is broken.
    #[error("{0}")]
    Broken(String),
}

/// Decodes `encoded`, which was encoded in this order. It ends at [`MAX_BODY_BYTES`], and where more than that went
/// into a layer.
pub(crate) fn decode(
    encoded: &Content,
    encodings: &[Encoding],
    keep: bool,
    budget: &mut Budget,
) -> Result<Content, Undecodable> {
    let meter = Rc::new(RefCell::new(Meter { budget, exceeded: None }));
    let read = read(encoded, encodings, keep, &meter);
    match (meter.borrow().exceeded, read) {
        (Some(exceeded), _) => Err(exceeded.into()),
        (None, Err(error)) => Err(Undecodable::Broken(error.to_string())),
        (None, Ok(content)) => Ok(content),
    }
}

fn read<'a>(
    encoded: &'a Content,
    encodings: &[Encoding],
    keep: bool,
    meter: &Rc<RefCell<Meter<'a>>>,
) -> io::Result<Content> {
    let mut content = Content::default();
    let mut reader: Box<dyn BufRead + 'a> = Box::new(io::Cursor::new(&encoded.bytes));
    for (depth, encoding) in encodings.iter().rev().enumerate() {
        let layer = Layer {
            inner: reader,
            meter: Rc::clone(meter),
            bytes_left: MAX_BODY_BYTES,
            is_cut: depth == 0 && encoded.is_cut,
        };
        reader = decoder(*encoding, layer)?;
    }
    let mut length = 0;
    loop {
        let part = match reader.fill_buf() {
            Ok(part) => part,
            // A layer is at its limit: what came before counts.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                content.is_cut = true;
                return Ok(content);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if part.is_empty() {
            return Ok(content);
        }
        meter.borrow_mut().spend(1 + part.len() as u64 / 4)?;
        let taken = part.len().min(MAX_BODY_BYTES - length);
        if keep {
            content.bytes.extend_from_slice(part.get(..taken).unwrap_or_default());
        }
        if taken < part.len() {
            content.is_cut = true;
            return Ok(content);
        }
        length += taken;
        reader.consume(taken);
    }
}

/// What all layers of a body pay from.
struct Meter<'a> {
    budget: &'a mut Budget,
    exceeded: Option<Exceeded>,
}

impl Meter<'_> {
    fn spend(&mut self, steps: u64) -> io::Result<()> {
        self.budget.spend(steps).map_err(|exceeded| {
            self.exceeded = Some(exceeded);
            io::Error::other(exceeded)
        })
    }
}

/// What goes into a decoder: little at a time, counted, and not more than [`MAX_BODY_BYTES`].
struct Layer<'a> {
    inner: Box<dyn BufRead + 'a>,
    meter: Rc<RefCell<Meter<'a>>>,
    bytes_left: usize,
    /// Whether there is more than `inner` has.
    is_cut: bool,
}

impl BufRead for Layer<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.meter.borrow_mut().spend(1)?;
        let part = self.inner.fill_buf()?;
        if part.is_empty() && self.is_cut || !part.is_empty() && self.bytes_left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let length = part.len().min(STEP).min(self.bytes_left);
        Ok(part.get(..length).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(amount);
        self.inner.consume(amount);
        // What it costs too much, the next look says.
        let _ = self.meter.borrow_mut().spend(amount as u64 * STEPS_PER_BYTE);
    }
}

impl Read for Layer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = self.fill_buf()?;
        let length = part.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), part.get(..length)) {
            to.copy_from_slice(from);
        }
        self.consume(length);
        Ok(length)
    }
}

fn decoder<'a>(encoding: Encoding, mut layer: Layer<'a>) -> io::Result<Box<dyn BufRead + 'a>> {
    Ok(match encoding {
        Encoding::Gzip => Box::new(BufReader::new(MultiGzDecoder::new(layer))),
        Encoding::Deflate if is_zlib(layer.fill_buf()?) => {
            Box::new(BufReader::new(ZlibDecoder::new(layer)))
        }
        // Some servers leave the wrapping out.
        Encoding::Deflate => Box::new(BufReader::new(DeflateDecoder::new(layer))),
        Encoding::Brotli => Box::new(BufReader::new(BrotliDecoder::new(layer))),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(layer)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
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

type BrotliState = brotli::BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// Brotli with windows of at most 16 MiB (RFC 7932, section 9.1). The reader of the crate would accept windows of
/// 1 GiB.
struct BrotliDecoder<R> {
    inner: R,
    state: Box<BrotliState>,
    is_done: bool,
}

impl<R> BrotliDecoder<R> {
    fn new(inner: R) -> Self {
        let alloc = StandardAlloc::default;
        let state = Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()));
        Self { inner, state, is_done: false }
    }
}

impl<R: BufRead> Read for BrotliDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_done && !buffer.is_empty() {
            let input = self.inner.fill_buf()?;
            let (mut in_left, mut in_used) = (input.len(), 0);
            let (mut out_left, mut out_used) = (buffer.len(), 0);
            let result = brotli::BrotliDecompressStream(
                &mut in_left,
                &mut in_used,
                input,
                &mut out_left,
                &mut out_used,
                buffer,
                &mut 0,
                &mut self.state,
            );
            let at_end = input.is_empty();
            self.inner.consume(in_used);
            match result {
                BrotliResult::ResultSuccess => self.is_done = true,
                BrotliResult::NeedsMoreInput if at_end && out_used == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultFailure => return Err(io::Error::other("brotli error")),
            }
            if out_used > 0 {
                return Ok(out_used);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
#[path = "tests/decode.rs"]
mod tests;
