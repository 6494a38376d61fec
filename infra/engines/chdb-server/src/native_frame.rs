//! ClickHouse's own compression framing, used with `compress=1` and `decompress=1`.
//!
//! A frame is a 16-byte CityHash 1.0.2 checksum of all that follows, then a method byte, the length of
//! the frame without the checksum, the length of the plain data (both 32-bit little-endian), and the
//! compressed data. Source: ClickHouse `src/Compression/CompressionInfo.h`.

use std::io::{self, Read};

use crate::exception::{Exception, Kind};

const CHECKSUM_SIZE: usize = 16;
const HEADER_SIZE: usize = 9;
const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;
/// ClickHouse refuses larger frames as well (`DBMS_MAX_COMPRESSED_SIZE`).
const MAX_SIZE: usize = 0x4000_0000;

/// Appends `plain` to `output` as one frame of LZ4.
pub(crate) fn encode(plain: &[u8], output: &mut Vec<u8>) {
    let compressed = lz4_flex::block::compress(plain);
    let mut frame = Vec::with_capacity(HEADER_SIZE + compressed.len());
    frame.push(METHOD_LZ4);
    frame.extend_from_slice(&length_bytes(HEADER_SIZE + compressed.len()));
    frame.extend_from_slice(&length_bytes(plain.len()));
    frame.extend_from_slice(&compressed);
    output.extend_from_slice(&checksum(&frame));
    output.extend_from_slice(&frame);
}

/// Reads frames and gives the plain data.
pub(crate) struct Decoder<R> {
    inner: R,
    plain: io::Cursor<Vec<u8>>,
}

impl<R: Read> Decoder<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, plain: io::Cursor::default() }
    }

    /// Reads the next frame; false at the end.
    fn read_frame(&mut self) -> io::Result<bool> {
        let mut head = [0_u8; CHECKSUM_SIZE + HEADER_SIZE];
        let mut filled = 0;
        while let Some(space) = head.get_mut(filled..).filter(|space| !space.is_empty()) {
            match self.inner.read(space)? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(corrupt("a compressed block ends early")),
                count => filled += count,
            }
        }
        let (expected, header) = head.split_at(CHECKSUM_SIZE);
        let &[method, a, b, c, d, e, f, g, h] = header else {
            return Err(corrupt("a compressed block has no header"));
        };
        let size = u32::from_le_bytes([a, b, c, d]) as usize;
        let plain_size = u32::from_le_bytes([e, f, g, h]) as usize;
        if !(HEADER_SIZE..=MAX_SIZE).contains(&size) || plain_size > MAX_SIZE {
            return Err(corrupt("a compressed block has an impossible length"));
        }
        // Grown as data arrives, so that a false length costs nothing.
        let mut frame = header.to_vec();
        let wanted = (size - HEADER_SIZE) as u64;
        let read = self.inner.by_ref().take(wanted).read_to_end(&mut frame)?;
        if read as u64 != wanted {
            return Err(corrupt("a compressed block ends early"));
        }
        if checksum(&frame) != expected {
            return Err(Exception::new(
                Kind::ChecksumMismatch,
                "Checksum doesn't match: corrupted data",
            )
            .into());
        }
        let compressed = frame.get(HEADER_SIZE..).unwrap_or_default();
        let plain = match method {
            METHOD_NONE => compressed.to_vec(),
            METHOD_LZ4 => lz4_flex::block::decompress(compressed, plain_size).map_err(corrupt)?,
            METHOD_ZSTD => zstd::bulk::decompress(compressed, plain_size)?,
            other => return Err(corrupt(format!("unknown compression method {other:#04x}"))),
        };
        if plain.len() != plain_size {
            return Err(corrupt("a compressed block has another length than it says"));
        }
        self.plain = io::Cursor::new(plain);
        Ok(true)
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.plain.read(buffer)?;
            if count > 0 || buffer.is_empty() || !self.read_frame()? {
                return Ok(count);
            }
        }
    }
}

fn corrupt(reason: impl std::fmt::Display) -> io::Error {
    Exception::new(Kind::IncorrectData, format_args!("Cannot decompress: {reason}")).into()
}

fn checksum(frame: &[u8]) -> [u8; CHECKSUM_SIZE] {
    let hash = cityhash_rs::cityhash_102_128(frame);
    // The low half is written first, and `cityhash-rs` returns it as the high half.
    hash.rotate_left(64).to_le_bytes()
}

fn length_bytes(length: usize) -> [u8; 4] {
    // Blocks are cut far below 4 GiB by every caller.
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(frames: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Decoder::new(frames).read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn frames_are_read_back() {
        let mut frames = Vec::new();
        encode(b"first, first, first, ", &mut frames);
        encode(b"second", &mut frames);
        assert_eq!(decode(&frames).unwrap(), b"first, first, first, second");
        assert_eq!(decode(b"").unwrap(), b"");
    }

    #[test]
    fn a_zstd_frame_is_read() {
        let compressed = zstd::bulk::compress(b"hello", 1).unwrap();
        let mut frame = vec![METHOD_ZSTD];
        frame.extend(length_bytes(HEADER_SIZE + compressed.len()));
        frame.extend(length_bytes(5));
        frame.extend(compressed);
        let mut frames = checksum(&frame).to_vec();
        frames.extend(frame);
        assert_eq!(decode(&frames).unwrap(), b"hello");
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut frames = Vec::new();
        encode(b"some data", &mut frames);
        for index in 0..frames.len() {
            let mut changed = frames.clone();
            changed[index] ^= 1;
            assert!(decode(&changed).is_err(), "byte {index}");
            assert!(index == 0 || decode(&frames[..index]).is_err(), "cut at {index}");
        }
    }
}
