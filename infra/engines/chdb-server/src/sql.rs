//! Literals and names in ClickHouse's SQL.

/// `'…'`, with everything that could end it escaped.
pub(crate) fn text_literal(value: &[u8]) -> Vec<u8> {
    quoted(value, b'\'')
}

/// `` `…` ``, with everything that could end it escaped.
pub(crate) fn identifier(name: &[u8]) -> Vec<u8> {
    quoted(name, b'`')
}

fn quoted(value: &[u8], quote: u8) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len() + 2);
    text.push(quote);
    for &byte in value {
        match byte {
            0 => text.extend_from_slice(b"\\0"),
            _ if byte == quote || byte == b'\\' => text.extend_from_slice(&[b'\\', byte]),
            _ => text.push(byte),
        }
    }
    text.push(quote);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_backslashes_and_zeros_are_escaped() {
        assert_eq!(text_literal(b"a'b\\c\0`"), b"'a\\'b\\\\c\\0`'");
        assert_eq!(identifier(b"a`b'"), b"`a\\`b'`");
    }
}
