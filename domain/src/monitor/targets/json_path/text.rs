//! The words of a JSON path: names, numbers and texts.

/// The largest index (RFC 9535, 2.1; RFC 7493): 2⁵³ − 1.
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// A place in a text.
pub(super) struct Cursor<'a> {
    text: &'a str,
    /// Always between two characters.
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Returns to a position that [`Self::position`] gave.
    pub(super) fn back_to(&mut self, position: usize) {
        self.at = position;
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    /// Moves behind `token` if it comes next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|one| matches!(one, ' ' | '\t' | '\n' | '\r'));
    }

    fn take_while(&mut self, good: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|one| !good(one)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn digits(&mut self) -> Option<&'a str> {
        let digits = self.take_while(|one| one.is_ascii_digit());
        (!digits.is_empty()).then_some(digits)
    }

    /// A name that needs no quotes.
    pub(super) fn member_name(&mut self) -> Option<&'a str> {
        let first = self.rest().chars().next()?;
        let good = |one: char| one.is_ascii_alphanumeric() || one == '_' || !one.is_ascii();
        (good(first) && !first.is_ascii_digit()).then(|| self.take_while(good))
    }

    /// `null`, `true`, `false`, or the name of a function.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let first = self.rest().chars().next()?;
        let good = |one: char| one.is_ascii_lowercase() || one == '_' || one.is_ascii_digit();
        first.is_ascii_lowercase().then(|| self.take_while(good))
    }

    /// An index.
    pub(super) fn integer(&mut self) -> Option<i64> {
        let start = self.at;
        let negative = self.eat("-");
        let digits = self.digits()?;
        let canonical = !digits.starts_with('0') || digits == "0" && !negative;
        let value: i64 = self.text.get(start..self.at)?.parse().ok()?;
        (canonical && (-MAX_INTEGER..=MAX_INTEGER).contains(&value)).then_some(value)
    }

    /// A number as JSON writes it.
    pub(super) fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.eat("-");
        let digits = self.digits()?;
        if digits.starts_with('0') && digits != "0" {
            return None;
        }
        if self.eat(".") {
            self.digits()?;
        }
        if self.eat("e") || self.eat("E") {
            if !self.eat("-") {
                self.eat("+");
            }
            self.digits()?;
        }
        self.text.get(start..self.at)
    }

    /// A text in single or double quotes.
    pub(super) fn string(&mut self) -> Option<String> {
        let quote = self.next()?;
        let mut text = String::new();
        loop {
            match self.next()? {
                end if end == quote => return Some(text),
                '\\' => text.push(self.escaped(quote)?),
                one if one < ' ' => return None,
                one => text.push(one),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn escaped(&mut self, quote: char) -> Option<char> {
        Some(match self.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.code_point(),
            one if one == quote || one == '/' || one == '\\' => one,
            _ => return None,
        })
    }

    /// Four hexadecimal digits, or twice four of a surrogate pair.
    fn code_point(&mut self) -> Option<char> {
        let first = self.code_unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        let second = if self.eat("\\u") { self.code_unit()? } else { return None };
        let low = (0xdc00..0xe000).contains(&second).then(|| second - 0xdc00)?;
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)
    }

    fn code_unit(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}
