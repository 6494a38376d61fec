//! Regular expressions whose cost is known before they are compiled.

use std::collections::HashMap;

use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    Ast, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, Flag, FlagsItemKind,
    GroupKind, RepetitionKind, RepetitionRange,
};
use regex_syntax::hir::translate::TranslatorBuilder;

/// The most that one pattern may cost.
pub const MAX_PATTERN_COST: u64 = 16_000;
/// The most that the patterns of one monitor, or of one request, may cost together.
pub const MAX_PATTERNS_COST: u64 = 32_000;
/// How deeply groups, classes and repetitions may be nested.
const MAX_DEPTH: u32 = 32;
/// How much memory a compiled pattern may take, in bytes.
const MAX_COMPILED_BYTES: usize = 2 * 1024 * 1024;
/// What a class of Unicode costs, such as `\pL`: it stands for some hundred ranges of characters.
const CLASS_COST: u64 = 320;
/// How much more a class costs of which the case does not matter.
const CASELESS_FACTOR: u64 = 4;

const NO_PATTERN: &str = "is no regular expression";
const TOO_COMPLEX: &str = "is too complex a regular expression";

/// A regular expression of the syntax of the crate `regex`, not yet compiled.
#[derive(Debug)]
pub struct Pattern<'a> {
    text: &'a str,
    ast: Ast,
    cost: u64,
}

impl<'a> Pattern<'a> {
    /// Parses a pattern, which takes little, whatever the pattern is.
    ///
    /// # Errors
    /// What is wrong with it, for people: it is none, or it costs more than [`MAX_PATTERN_COST`].
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let ast = ParserBuilder::new().nest_limit(MAX_DEPTH).build().parse(text);
        let ast = ast.map_err(|error| match error.kind() {
            regex_syntax::ast::ErrorKind::NestLimitExceeded(_) => TOO_COMPLEX,
            _ => NO_PATTERN,
        })?;
        let factor = if has_caseless_flag(&ast) { CASELESS_FACTOR } else { 1 };
        let cost = cost(&ast).saturating_mul(factor);
        if cost > MAX_PATTERN_COST {
            return Err(TOO_COMPLEX.to_owned());
        }
        Ok(Self { text, ast, cost })
    }

    /// An estimate of what it takes to compile it: about the number of states that the pattern gets.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn compile(&self) -> Result<NFA, String> {
        let hir = TranslatorBuilder::new().utf8(true).build().translate(self.text, &self.ast);
        let hir = hir.map_err(|_| NO_PATTERN)?;
        let config = thompson::Config::new()
            .nfa_size_limit(Some(MAX_COMPILED_BYTES))
            .which_captures(WhichCaptures::None);
        let compiled = thompson::Compiler::new().configure(config).build_from_hir(&hir);
        compiled.map_err(|_| TOO_COMPLEX.to_owned())
    }
}

/// What is left of [`MAX_PATTERNS_COST`]. What is refused costs as well; the same pattern costs once.
#[derive(Debug)]
pub struct PatternBudget {
    left: u64,
    /// What was wrong with each pattern that was compiled.
    known: HashMap<String, Option<String>>,
}

impl Default for PatternBudget {
    fn default() -> Self {
        Self { left: MAX_PATTERNS_COST, known: HashMap::new() }
    }
}

impl PatternBudget {
    /// What is wrong with a pattern; it is compiled only if the budget covers it.
    pub fn fault(&mut self, text: &str) -> Option<String> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let pattern = match Pattern::parse(text) {
            Ok(pattern) => pattern,
            Err(fault) => return Some(fault),
        };
        match self.left.checked_sub(pattern.cost()) {
            Some(left) => {
                self.left = left;
                let fault = pattern.compile().err();
                self.known.insert(text.to_owned(), fault.clone());
                fault
            }
            None => {
                self.left = 0;
                Some("makes the patterns of this request too complex together".to_owned())
            }
        }
    }
}

fn cost(ast: &Ast) -> u64 {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Assertion(_) => 1,
        Ast::Dot(_) => 10,
        Ast::ClassUnicode(_) => CLASS_COST,
        Ast::ClassPerl(class) => perl(class),
        Ast::ClassBracketed(class) => bracketed(class),
        Ast::Group(group) => cost(&group.ast),
        Ast::Alternation(parts) => sum(&parts.asts),
        Ast::Concat(parts) => sum(&parts.asts),
        Ast::Repetition(repetition) => {
            let times = match &repetition.op.kind {
                RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore => 1,
                RepetitionKind::OneOrMore => 2,
                RepetitionKind::Range(
                    RepetitionRange::Exactly(times) | RepetitionRange::Bounded(_, times),
                ) => u64::from(*times),
                RepetitionKind::Range(RepetitionRange::AtLeast(times)) => u64::from(*times) + 1,
            };
            cost(&repetition.ast).saturating_mul(times.max(1))
        }
    }
}

fn perl(class: &ClassPerl) -> u64 {
    match class.kind {
        ClassPerlKind::Digit => 40,
        ClassPerlKind::Space => 20,
        ClassPerlKind::Word => CLASS_COST,
    }
}

fn sum(parts: &[Ast]) -> u64 {
    parts.iter().fold(1, |sum, part| sum.saturating_add(cost(part)))
}

/// Every level of a class is a set of its own.
fn bracketed(class: &ClassBracketed) -> u64 {
    let all_others = if class.negated { 10 } else { 1 };
    set(&class.kind).saturating_add(all_others)
}

fn set(set_of: &ClassSet) -> u64 {
    match set_of {
        ClassSet::Item(one) => item(one),
        ClassSet::BinaryOp(operation) => set(&operation.lhs).saturating_add(set(&operation.rhs)),
    }
}

fn item(one: &ClassSetItem) -> u64 {
    match one {
        ClassSetItem::Empty(_) | ClassSetItem::Literal(_) | ClassSetItem::Ascii(_) => 2,
        // A range of many characters has many cases.
        ClassSetItem::Range(_) => 10,
        ClassSetItem::Unicode(_) => CLASS_COST,
        ClassSetItem::Perl(class) => perl(class),
        ClassSetItem::Bracketed(class) => bracketed(class),
        ClassSetItem::Union(union) => {
            union.items.iter().fold(1, |sum, one| sum.saturating_add(item(one)))
        }
    }
}

/// Whether case does not matter somewhere in it.
fn has_caseless_flag(ast: &Ast) -> bool {
    let caseless = |flags: &regex_syntax::ast::Flags| {
        flags.items.iter().any(|item| item.kind == FlagsItemKind::Flag(Flag::CaseInsensitive))
    };
    match ast {
        Ast::Flags(set) => caseless(&set.flags),
        Ast::Group(group) => {
            matches!(&group.kind, GroupKind::NonCapturing(flags) if caseless(flags))
                || has_caseless_flag(&group.ast)
        }
        Ast::Repetition(repetition) => has_caseless_flag(&repetition.ast),
        Ast::Alternation(parts) => parts.asts.iter().any(has_caseless_flag),
        Ast::Concat(parts) => parts.asts.iter().any(has_caseless_flag),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(pattern: &str) -> Option<String> {
        PatternBudget::default().fault(pattern)
    }

    #[test]
    fn usual_patterns_are_taken() {
        for pattern in [
            r"^\d+ ms$",
            r"(?i)error|fatal|\bpanic\b",
            r"\w+@[\w.]+\.[a-z]{2,10}",
            r#""version":\s*"(\d+\.){2}\d+""#,
            r"^.{1,200}$",
            r"\p{Greek}+",
            &"a".repeat(1_024),
        ] {
            assert_eq!(fault(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_would_take_too_much_is_refused_before_it_is_compiled() {
        let nested = format!("{}a{}", "(".repeat(300), ")".repeat(300));
        let classes = format!("{}a{}", "[".repeat(300), "]".repeat(300));
        for pattern in [
            r"(\w{1000}){1000}",
            "(((((a{10}){10}){10}){10}){10}){10}",
            "((((a{1000}){1000}){1000}){1000}){1000000}",
            r"(?i)\w{100}",
            &r"\w".repeat(512),
            &format!("(?i:{})", r"[^\pL]".repeat(170)),
            &format!("[{}]", r"&&\pL".repeat(200)),
            &nested,
            &classes,
        ] {
            assert_eq!(fault(pattern).as_deref(), Some(TOO_COMPLEX), "{pattern}");
        }
        for pattern in [r"(a)\1", "(", "[z-a]", r"\p{Nothing}", "(?=a)"] {
            assert_eq!(fault(pattern).as_deref(), Some(NO_PATTERN), "{pattern}");
        }
    }

    #[test]
    fn patterns_of_one_request_share_a_budget_and_the_rest_is_not_compiled() {
        let mut budget = PatternBudget::default();
        let pattern = |number: u64| format!(r"\w{{30}}{number}");
        let covered = MAX_PATTERNS_COST / Pattern::parse(&pattern(0)).unwrap().cost();
        for number in 0..covered {
            assert_eq!(budget.fault(&pattern(number)), None);
        }
        assert_eq!(budget.fault(&pattern(0)), None, "the same one costs once");
        assert!(budget.fault(&pattern(covered)).unwrap().contains("together"));
        assert!(budget.fault("a").unwrap().contains("together"), "nothing is left");
        // Positive control: alone it is good.
        assert_eq!(fault(&pattern(covered)), None);
    }

    #[test]
    fn the_cost_bounds_what_is_compiled() {
        // States for each unit of cost at most; and memory within the limit.
        for pattern in [
            r"\w{50}",
            r"\W{50}",
            r"\d{400}",
            r"\D{400}",
            r"\S{800}",
            r"(?i)\pL{12}",
            r"[^a]{1000}",
            r"(?i)[a-z]{300}",
            r"(.a){1000}",
            r"(?s:.){1000}",
            &r"[\pL\pN]".repeat(24),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            let states = parsed.compile().unwrap().states().len() as u64;
            assert!(states <= 4 * parsed.cost(), "{pattern}: {states} of {}", parsed.cost());
        }
    }
}
