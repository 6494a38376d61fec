//! The grammar of RFC 9535 as a recursive descent without backtracking.

use super::text::Cursor;
use super::{Comparison, JsonPath, Logical, MAX_PATH_DEPTH, Operand, Segment, Selector};

/// Why a text is no JSON path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is nested more deeply than [`MAX_PATH_DEPTH`].
    TooDeep,
    /// It does not follow the grammar from this byte on.
    Syntax(usize),
}

type Parsed<T> = Result<T, Fault>;

/// What stands on one side of a comparison, or alone.
enum Term {
    Value(Operand),
    Query(JsonPath),
    Logical(Logical),
}

pub(super) fn parse(text: &str) -> Parsed<JsonPath> {
    let mut parser = Parser { cursor: Cursor::new(text), depth: 0 };
    if !parser.cursor.eat("$") {
        return parser.fault();
    }
    let segments = parser.segments()?;
    if parser.cursor.is_at_end() {
        Ok(JsonPath { relative: false, segments })
    } else {
        parser.fault()
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    depth: usize,
}

impl Parser<'_> {
    fn fault<T>(&self) -> Parsed<T> {
        Err(Fault::Syntax(self.cursor.position()))
    }

    fn expect<T>(&self, found: Option<T>) -> Parsed<T> {
        found.map_or_else(|| self.fault(), Ok)
    }

    fn token(&mut self, token: &str) -> Parsed<()> {
        if self.cursor.eat(token) { Ok(()) } else { self.fault() }
    }

    /// Parses something that may contain itself.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_PATH_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.depth += 1;
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            // Blanks belong to the path only if a segment follows.
            let before = self.cursor.position();
            self.cursor.skip_blanks();
            let descendants = self.cursor.eat("..");
            let selectors = if self.cursor.eat("[") {
                self.bracketed()?
            } else if descendants || self.cursor.eat(".") {
                vec![self.shorthand()?]
            } else {
                self.cursor.back_to(before);
                return Ok(segments);
            };
            segments.push(Segment { descendants, selectors });
        }
    }

    fn shorthand(&mut self) -> Parsed<Selector> {
        if self.cursor.eat("*") {
            return Ok(Selector::Wildcard);
        }
        let name = self.cursor.member_name();
        Ok(Selector::Name(self.expect(name)?.to_owned()))
    }

    /// The selectors after `[`, and the bracket that ends them.
    fn bracketed(&mut self) -> Parsed<Vec<Selector>> {
        let mut selectors = Vec::new();
        loop {
            self.cursor.skip_blanks();
            selectors.push(self.selector()?);
            self.cursor.skip_blanks();
            if self.cursor.eat("]") {
                return Ok(selectors);
            }
            self.token(",")?;
        }
    }

    fn selector(&mut self) -> Parsed<Selector> {
        match self.cursor.peek() {
            Some(b'\'' | b'"') => {
                let name = self.cursor.string();
                Ok(Selector::Name(self.expect(name)?))
            }
            Some(b'*') => self.token("*").map(|()| Selector::Wildcard),
            Some(b'?') => {
                self.token("?")?;
                self.cursor.skip_blanks();
                Ok(Selector::Filter(self.nested(Self::or)?))
            }
            _ => self.index_or_slice(),
        }
    }

    fn index_or_slice(&mut self) -> Parsed<Selector> {
        let start = self.optional_integer()?;
        let before = self.cursor.position();
        self.cursor.skip_blanks();
        if !self.cursor.eat(":") {
            self.cursor.back_to(before);
            return self.expect(start.map(Selector::Index));
        }
        self.cursor.skip_blanks();
        let end = self.optional_integer()?;
        let before = self.cursor.position();
        self.cursor.skip_blanks();
        let mut step = None;
        if self.cursor.eat(":") {
            self.cursor.skip_blanks();
            step = self.optional_integer()?;
        } else {
            self.cursor.back_to(before);
        }
        Ok(Selector::Slice { start, end, step: step.unwrap_or(1) })
    }

    fn optional_integer(&mut self) -> Parsed<Option<i64>> {
        match self.cursor.peek() {
            Some(b'-' | b'0'..=b'9') => {
                let integer = self.cursor.integer();
                self.expect(integer).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn or(&mut self) -> Parsed<Logical> {
        self.joined("||", Self::and, Logical::Or)
    }

    fn and(&mut self) -> Parsed<Logical> {
        self.joined("&&", Self::basic, Logical::And)
    }

    /// One or several conditions with `operator` between them.
    fn joined(
        &mut self,
        operator: &str,
        part: fn(&mut Self) -> Parsed<Logical>,
        join: fn(Vec<Logical>) -> Logical,
    ) -> Parsed<Logical> {
        let first = part(self)?;
        let mut parts = vec![first];
        loop {
            let before = self.cursor.position();
            self.cursor.skip_blanks();
            if !self.cursor.eat(operator) {
                self.cursor.back_to(before);
                // One condition is itself.
                return Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) });
            }
            self.cursor.skip_blanks();
            parts.push(part(self)?);
        }
    }

    fn basic(&mut self) -> Parsed<Logical> {
        if self.cursor.peek() == Some(b'!') {
            self.token("!")?;
            self.cursor.skip_blanks();
            let inner = if self.cursor.peek() == Some(b'(') { self.paren()? } else { self.test()? };
            return Ok(Logical::Not(Box::new(inner)));
        }
        if self.cursor.peek() == Some(b'(') {
            return self.paren();
        }
        let left = self.term()?;
        let before = self.cursor.position();
        self.cursor.skip_blanks();
        let Some(comparison) = self.comparison() else {
            self.cursor.back_to(before);
            return self.alone(left);
        };
        self.cursor.skip_blanks();
        let right = self.term()?;
        Ok(Logical::Compare(self.operand(left)?, comparison, self.operand(right)?))
    }

    fn paren(&mut self) -> Parsed<Logical> {
        self.token("(")?;
        self.cursor.skip_blanks();
        let inner = self.nested(Self::or)?;
        self.cursor.skip_blanks();
        self.token(")")?;
        Ok(inner)
    }

    fn test(&mut self) -> Parsed<Logical> {
        let term = self.term()?;
        self.alone(term)
    }

    fn comparison(&mut self) -> Option<Comparison> {
        // The longer ones first: each starts with a shorter one.
        let all = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        all.into_iter().find_map(|(token, one)| self.cursor.eat(token).then_some(one))
    }

    /// A term that is a condition by itself.
    fn alone(&self, term: Term) -> Parsed<Logical> {
        match term {
            Term::Query(query) => Ok(Logical::Exists(query)),
            Term::Logical(logical) => Ok(logical),
            Term::Value(_) => self.fault(),
        }
    }

    /// A term that has one value at most.
    fn operand(&self, term: Term) -> Parsed<Operand> {
        match term {
            Term::Query(query) if query.is_singular() => Ok(Operand::Single(query)),
            Term::Value(value) => Ok(value),
            Term::Query(_) | Term::Logical(_) => self.fault(),
        }
    }

    fn term(&mut self) -> Parsed<Term> {
        match self.cursor.peek() {
            Some(b'$' | b'@') => self.query().map(Term::Query),
            Some(b'\'' | b'"') => {
                let text = self.cursor.string();
                Ok(Term::Value(Operand::Text(self.expect(text)?)))
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = self.cursor.number();
                Ok(Term::Value(Operand::Number(self.expect(number)?.to_owned())))
            }
            _ => {
                let word = self.cursor.word();
                match self.expect(word)? {
                    "null" => Ok(Term::Value(Operand::Null)),
                    "true" => Ok(Term::Value(Operand::Bool(true))),
                    "false" => Ok(Term::Value(Operand::Bool(false))),
                    name => self.nested(|parser| parser.call(name)),
                }
            }
        }
    }

    fn query(&mut self) -> Parsed<JsonPath> {
        let relative = self.cursor.eat("@");
        if !relative {
            self.token("$")?;
        }
        Ok(JsonPath { relative, segments: self.segments()? })
    }

    /// A call of one of the functions of RFC 9535, 2.4.
    fn call(&mut self, name: &str) -> Parsed<Term> {
        self.token("(")?;
        self.cursor.skip_blanks();
        let term = match name {
            "length" => {
                let of = self.argument()?;
                Term::Value(Operand::Length(Box::new(of)))
            }
            "count" => Term::Value(Operand::Count(self.query()?)),
            "value" => Term::Value(Operand::Value(self.query()?)),
            "match" | "search" => {
                let text = Box::new(self.argument()?);
                self.cursor.skip_blanks();
                self.token(",")?;
                self.cursor.skip_blanks();
                let pattern = Box::new(self.argument()?);
                Term::Logical(Logical::Matches { text, pattern, whole: name == "match" })
            }
            _ => return self.fault(),
        };
        self.cursor.skip_blanks();
        self.token(")")?;
        Ok(term)
    }

    fn argument(&mut self) -> Parsed<Operand> {
        let term = self.term()?;
        self.operand(term)
    }
}
