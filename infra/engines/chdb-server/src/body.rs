//! From a request's query and body to a statement and, for an INSERT, a file of its rows.

use std::io::{self, Read, Write};

use crate::exception::{Exception, Kind};
use crate::native_frame;
use crate::spool::{Spool, SpoolFile};
use crate::statement::{self, Statement};

/// An INSERT's own text lies within so many bytes of a body.
const HEAD_SIZE: u64 = 1 << 20;
/// A statement without data is not longer than this, whatever `max_query_size` says.
const MAX_STATEMENT_SIZE: u64 = 64 << 20;
const COPY_BUFFER_SIZE: usize = 256 << 10;

/// What a request asks the engine to do.
pub(crate) struct Prepared {
    pub(crate) statement: Statement,
    /// The rows of an INSERT.
    pub(crate) rows: Option<SpoolFile>,
}

/// A reader of the body without its `Content-Encoding` and without native framing.
///
/// # Errors
/// An encoding that is not known here.
pub(crate) fn decoded<'body>(
    body: impl Read + 'body,
    content_encoding: &str,
    native_frames: bool,
) -> Result<Box<dyn Read + 'body>, Exception> {
    let plain: Box<dyn Read + 'body> = match content_encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => Box::new(body),
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(body)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(body)),
        "lz4" => Box::new(lz4_flex::frame::FrameDecoder::new(body)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(body)?),
        other => {
            return Err(Exception::new(
                Kind::Unsupported,
                format_args!("Content-Encoding {other} is not supported"),
            ));
        }
    };
    Ok(if native_frames { Box::new(native_frame::Decoder::new(plain)) } else { plain })
}

/// Reads the statement, which is `query`, a line end, and the body; spools an INSERT's rows.
///
/// # Errors
/// What [`statement::parse`] refuses, a broken body, or a full disk.
pub(crate) fn prepare(
    query: &[u8],
    mut body: impl Read,
    spool: &Spool,
) -> Result<Prepared, Exception> {
    let mut source = query.to_vec();
    if !query.is_empty() {
        source.push(b'\n');
        // The usual INSERT has its text in the query, and its body is not looked into.
        if let Ok(Statement::Insert(insert)) = statement::parse(&source) {
            let start = source.get(insert.data_start..).unwrap_or_default();
            let rows = spooled(start, body, spool)?;
            return Ok(Prepared { statement: Statement::Insert(insert), rows: Some(rows) });
        }
    }
    body.by_ref().take(HEAD_SIZE).read_to_end(&mut source)?;
    if let Ok(Statement::Insert(insert)) = statement::parse(&source) {
        let start = source.get(insert.data_start..).unwrap_or_default();
        let rows = spooled(start, body, spool)?;
        return Ok(Prepared { statement: Statement::Insert(insert), rows: Some(rows) });
    }
    body.by_ref().take(MAX_STATEMENT_SIZE).read_to_end(&mut source)?;
    if source.len() as u64 > MAX_STATEMENT_SIZE {
        return Err(Exception::new(
            Kind::QueryIsTooLarge,
            format_args!("The query is longer than {MAX_STATEMENT_SIZE} bytes"),
        ));
    }
    Ok(Prepared { statement: statement::parse(&source)?, rows: None })
}

fn spooled(start: &[u8], mut rest: impl Read, spool: &Spool) -> Result<SpoolFile, Exception> {
    let mut rows = spool.create().map_err(on_disk)?;
    rows.file.write_all(start).map_err(on_disk)?;
    let mut buffer = vec![0; COPY_BUFFER_SIZE];
    loop {
        let count = match rest.read(&mut buffer) {
            Ok(0) => return Ok(rows),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        rows.file.write_all(buffer.get(..count).unwrap_or_default()).map_err(on_disk)?;
    }
}

fn on_disk(error: io::Error) -> Exception {
    Exception::internal(format_args!("the rows of an INSERT cannot be spooled: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(query: &str, body: &[u8]) -> Result<Option<Vec<u8>>, Exception> {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path().join("spool")).unwrap();
        let prepared = prepare(query.as_bytes(), body, &spool)?;
        let path = |rows: &SpoolFile| String::from_utf8(rows.path_bytes().to_vec()).unwrap();
        Ok(prepared.rows.map(|rows| std::fs::read(path(&rows)).unwrap()))
    }

    #[test]
    fn rows_are_what_follows_the_statement_wherever_it_is() {
        let data = b" \n;\0\xff";
        assert_eq!(rows("INSERT INTO t FORMAT RowBinary", data).unwrap().unwrap(), data);
        let mut body = b"INSERT INTO t FORMAT RowBinary\n".to_vec();
        body.extend_from_slice(data);
        assert_eq!(rows("", &body).unwrap().unwrap(), data);
        assert_eq!(rows("INSERT INTO t VALUES (1),", b"(2)").unwrap().unwrap(), b" (1),\n(2)");
        assert_eq!(rows("INSERT INTO t", b"VALUES (1)").unwrap().unwrap(), b" (1)");
        assert_eq!(rows("SELECT 1", b"").unwrap(), None);
    }

    #[test]
    fn a_body_longer_than_the_head_is_spooled_whole() {
        let mut body = b"INSERT INTO t FORMAT CSV\n".to_vec();
        body.resize(3 << 20, b'x');
        assert_eq!(rows("", &body).unwrap().unwrap().len(), (3 << 20) - 25);
    }

    #[test]
    fn encodings_are_undone() {
        use flate2::{Compression, write};
        let plain = b"rows ".repeat(1000);
        let mut gzip = write::GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        let mut frames = Vec::new();
        native_frame::encode(&plain, &mut frames);
        let zstd = zstd::bulk::compress(&plain, 1).unwrap();
        for (encoding, native, bytes) in [
            ("gzip", false, gzip.finish().unwrap()),
            ("lz4", false, lz4.finish().unwrap()),
            ("zstd", false, zstd),
            ("", true, frames),
        ] {
            let mut read = Vec::new();
            decoded(&bytes[..], encoding, native).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, plain, "{encoding}");
        }
        assert!(decoded(&b""[..], "br", false).is_err());
    }
}
