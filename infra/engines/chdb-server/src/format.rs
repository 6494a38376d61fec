//! What the server must know of output formats: their content type, and which of them can be sent block
//! by block.
//!
//! The engine formats every block of a streamed SELECT as a document of its own. For formats of plain
//! rows the documents add up to the whole; for formats that begin with a header, the header of every
//! block but the first is cut off; all other formats are made in one piece.

use crate::exception::Exception;

/// The format of an answer when nobody names one.
pub(crate) const DEFAULT: &str = "TabSeparated";

/// How blocks of a format are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// Blocks follow each other as they are.
    Plain,
    /// Blocks repeat this header.
    Header(Header),
    /// Blocks cannot be joined.
    Whole,
}

/// What a format writes before its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// So many lines, in which a line end between double quotes does not count.
    Lines(usize),
    /// A count, then so many strings a column, each behind its length.
    Binary(usize),
}

impl Joining {
    pub(crate) fn of(format: &str) -> Self {
        match format.to_ascii_lowercase().as_str() {
            "tabseparated"
            | "tsv"
            | "tabseparatedraw"
            | "tsvraw"
            | "raw"
            | "csv"
            | "jsoneachrow"
            | "jsonlines"
            | "ndjson"
            | "jsonstringseachrow"
            | "jsoncompacteachrow"
            | "jsoncompactstringseachrow"
            | "tskv"
            | "rowbinary"
            | "native"
            | "msgpack"
            | "lineasstring"
            | "null" => Self::Plain,
            "tabseparatedwithnames"
            | "tsvwithnames"
            | "csvwithnames"
            | "jsoncompacteachrowwithnames"
            | "jsoncompactstringseachrowwithnames" => Self::Header(Header::Lines(1)),
            "tabseparatedwithnamesandtypes"
            | "tsvwithnamesandtypes"
            | "csvwithnamesandtypes"
            | "jsoncompacteachrowwithnamesandtypes"
            | "jsoncompactstringseachrowwithnamesandtypes" => Self::Header(Header::Lines(2)),
            "rowbinarywithnames" => Self::Header(Header::Binary(1)),
            "rowbinarywithnamesandtypes" => Self::Header(Header::Binary(2)),
            _ => Self::Whole,
        }
    }

    /// The block without the header that it repeats.
    ///
    /// # Errors
    /// The header is not what the format says.
    pub(crate) fn without_header(self, block: &[u8]) -> Result<&[u8], Exception> {
        let length = match self {
            Self::Plain | Self::Whole => Some(0),
            Self::Header(Header::Lines(lines)) => lines_length(block, lines),
            Self::Header(Header::Binary(strings)) => binary_header_length(block, strings),
        };
        length
            .and_then(|length| block.get(length..))
            .ok_or_else(|| Exception::internal("a block of the result has no header"))
    }
}

/// The value of `Content-Type`.
pub(crate) fn content_type(format: &str) -> &'static str {
    let format = format.to_ascii_lowercase();
    if format.contains("eachrow") || format == "jsonlines" || format == "ndjson" {
        "application/x-ndjson; charset=UTF-8"
    } else if format.starts_with("json") {
        "application/json; charset=UTF-8"
    } else if format.starts_with("tsv") || format.starts_with("tabseparated") {
        "text/tab-separated-values; charset=UTF-8"
    } else if format.starts_with("csv") {
        "text/csv; charset=UTF-8"
    } else if format == "xml" {
        "application/xml; charset=UTF-8"
    } else if ["rowbinary", "native", "arrow", "parquet", "orc", "avro", "msgpack", "bson"]
        .iter()
        .any(|prefix| format.starts_with(prefix))
    {
        "application/octet-stream"
    } else {
        "text/plain; charset=UTF-8"
    }
}

fn lines_length(block: &[u8], lines: usize) -> Option<usize> {
    let mut remaining = lines;
    let mut quoted = false;
    for (index, byte) in block.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                remaining -= 1;
                if remaining == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

fn binary_header_length(block: &[u8], strings_per_column: usize) -> Option<usize> {
    let (columns, mut position) = variable_integer(block)?;
    for _ in 0..columns.checked_mul(strings_per_column)? {
        let (length, width) = variable_integer(block.get(position..)?)?;
        position = position.checked_add(width)?.checked_add(length)?;
    }
    (position <= block.len()).then_some(position)
}

/// A LEB128 number and how many bytes it takes.
fn variable_integer(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_header_is_cut_off() {
        let mut block = vec![2, 1, b'a'];
        block.extend([0x80, 0x01]);
        block.extend([b'b'; 128]);
        block.extend(b"\x05UInt8\x06Stringrows");
        let joining = Joining::of("RowBinaryWithNamesAndTypes");
        assert_eq!(joining.without_header(&block), Ok(&b"rows"[..]));
        assert!(joining.without_header(&block[..100]).is_err());
        assert!(joining.without_header(b"").is_err());
    }

    #[test]
    fn header_lines_are_cut_off() {
        let joining = Joining::of("CSVWithNamesAndTypes");
        assert_eq!(
            joining.without_header(b"\"a\nb\",\"c\"\"\"\n\"x\",\"y\"\n1\n"),
            Ok(&b"1\n"[..])
        );
        assert_eq!(Joining::of("TSVWithNames").without_header(b"a\\nb\n1\n"), Ok(&b"1\n"[..]));
        assert_eq!(Joining::of("TSV").without_header(b"1\n"), Ok(&b"1\n"[..]));
    }

    #[test]
    fn documents_are_made_in_one_piece() {
        for format in ["JSON", "Values", "Pretty", "Parquet", "Arrow", "XML", "Unknown"] {
            assert_eq!(Joining::of(format), Joining::Whole);
        }
    }
}
