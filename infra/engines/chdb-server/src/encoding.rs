//! Compression of answers.

use std::io::{self, Write};

use bytes::Bytes;

use crate::native_frame;

/// How an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    /// ClickHouse's own frames, asked for with `compress=1`.
    NativeFrames,
    Gzip,
    Deflate,
    Lz4,
    Zstd,
}

impl Encoding {
    /// The first one of an `Accept-Encoding` that is known here.
    pub(crate) fn accepted(header: &str) -> Self {
        header
            .split(',')
            .filter_map(|choice| {
                let (name, quality) = choice.split_once(';').unwrap_or((choice, ""));
                let refused = quality.trim().strip_prefix("q=").is_some_and(|quality| {
                    quality.trim().parse::<f32>().is_ok_and(|quality| quality <= 0.0)
                });
                match name.trim().to_ascii_lowercase().as_str() {
                    _ if refused => None,
                    "gzip" | "x-gzip" => Some(Self::Gzip),
                    "deflate" => Some(Self::Deflate),
                    "lz4" => Some(Self::Lz4),
                    "zstd" => Some(Self::Zstd),
                    _ => None,
                }
            })
            .next()
            .unwrap_or(Self::Plain)
    }

    /// The value of `Content-Encoding`.
    pub(crate) fn header(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::NativeFrames => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
            Self::Lz4 => Some("lz4"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// Compresses an answer piece by piece; every piece can be read as soon as it arrives.
pub(crate) enum Encoder {
    Plain,
    NativeFrames,
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    pub(crate) fn new(encoding: Encoding) -> io::Result<Self> {
        let level = flate2::Compression::fast();
        Ok(match encoding {
            Encoding::Plain => Self::Plain,
            Encoding::NativeFrames => Self::NativeFrames,
            Encoding::Gzip => Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), level)),
            Encoding::Deflate => Self::Deflate(flate2::write::ZlibEncoder::new(Vec::new(), level)),
            Encoding::Lz4 => Self::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(Vec::new()))),
            Encoding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 1)?),
        })
    }

    /// The piece, compressed.
    pub(crate) fn encode(&mut self, plain: &[u8]) -> io::Result<Bytes> {
        let encoded = match self {
            Self::Plain => plain.to_vec(),
            Self::NativeFrames => {
                let mut frames = Vec::new();
                for part in plain.chunks(MAX_FRAME_SIZE) {
                    native_frame::encode(part, &mut frames);
                }
                frames
            }
            Self::Gzip(encoder) => {
                encoder.write_all(plain)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Deflate(encoder) => {
                encoder.write_all(plain)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Lz4(encoder) => {
                encoder.write_all(plain)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                encoder.write_all(plain)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
        };
        Ok(encoded.into())
    }

    /// What closes the compressed data.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Plain | Self::NativeFrames => Bytes::new(),
            Self::Gzip(encoder) => encoder.finish()?.into(),
            Self::Deflate(encoder) => encoder.finish()?.into(),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::other)?.into(),
            Self::Zstd(encoder) => encoder.finish()?.into(),
        })
    }
}

/// As ClickHouse's own `max_compress_block_size`.
const MAX_FRAME_SIZE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::decoded;

    #[test]
    fn the_first_known_encoding_is_taken() {
        assert_eq!(Encoding::accepted("br, zstd;q=0.9, gzip"), Encoding::Zstd);
        assert_eq!(Encoding::accepted("zstd;q=0, LZ4"), Encoding::Lz4);
        assert_eq!(Encoding::accepted("identity"), Encoding::Plain);
    }

    #[test]
    fn what_is_encoded_can_be_decoded() {
        for encoding in [
            Encoding::Plain,
            Encoding::NativeFrames,
            Encoding::Gzip,
            Encoding::Deflate,
            Encoding::Lz4,
            Encoding::Zstd,
        ] {
            let mut encoder = Encoder::new(encoding).unwrap();
            let mut encoded = encoder.encode(b"first ").unwrap().to_vec();
            encoded.extend(encoder.encode(b"second").unwrap());
            encoded.extend(encoder.finish().unwrap());
            let native = encoding == Encoding::NativeFrames;
            let mut plain = Vec::new();
            let mut reader =
                decoded(&encoded[..], encoding.header().unwrap_or_default(), native).unwrap();
            io::Read::read_to_end(&mut reader, &mut plain).unwrap();
            assert_eq!(plain, b"first second", "{encoding:?}");
        }
    }
}
