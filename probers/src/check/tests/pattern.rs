//! Patterns: what they find, as the crate `regex` says it, and that the search ends.

use super::super::pattern::{End, Searcher};
use super::super::work::{Budget, Exceeded, MAX_STEPS};

fn found(pattern: &str, text: &str, end: End, steps: u64) -> Result<bool, Exceeded> {
    let mut searcher = Searcher::new(pattern, &mut Budget::of_steps(MAX_STEPS)).unwrap().unwrap();
    searcher.is_match((text, end), &mut Budget::of_steps(steps))
}

#[test]
fn patterns_find_what_the_library_finds() {
    let patterns = [
        "",
        "a",
        "^a$",
        "a$",
        "(?m)^b$",
        "(?R)(?m)^b$",
        r"\bä",
        r"ä\b",
        r"\B",
        r"\bok\b",
        r"(?-u:\b)ok",
        r"\w+ \d{2,3}",
        "(?i)STRASSE",
        "(?i)ä",
        ".",
        "(?s:.)b",
        r"\p{Greek}+",
        "[^a]b",
        "x*y?z+",
        "(a|ab)(c|bcd)",
        r"^\s*$",
        r"\A\z",
        "(?x) a b # c",
        r"\b{start}k",
        "(?:a?){20}a{20}",
    ];
    let texts = [
        "",
        "a",
        "b",
        "ä",
        "ok",
        "so ok?",
        "äok",
        "ok ä",
        "a\nb\n",
        "a\r\nb\r\n",
        "xxz",
        "abcd",
        "STRASSE ä",
        "word 123",
        "αβγ",
        "  \t",
        "ab",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "\u{1f600}b",
    ];
    for pattern in patterns {
        let library = regex::Regex::new(pattern).unwrap();
        for text in texts {
            let ours = found(pattern, text, End::IsReached, 1_000_000).unwrap();
            assert_eq!(ours, library.is_match(text), "{pattern:?} in {text:?}");
        }
    }
}

#[test]
fn the_end_of_a_part_is_not_the_end_of_the_text() {
    for pattern in ["b$", r"b\z", r"b\b", "(?m)b$", r"äb\b"] {
        assert!(found(pattern, "äb", End::IsReached, 10_000).unwrap(), "{pattern}");
        assert!(!found(pattern, "äb", End::GoesOn, 10_000).unwrap(), "{pattern}");
    }
    assert!(found("ä", "äb", End::GoesOn, 10_000).unwrap());
}

#[test]
fn a_search_that_takes_long_is_stopped_by_its_steps_and_by_nothing_else() {
    // Marsaglia's xorshift: no part of it repeats.
    let mut random = 1_u32;
    let two_letters: String = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        if random & 1 == 0 { 'a' } else { 'b' }
    })
    .take(200_000)
    .collect();
    let accented = "äa".repeat(50_000);
    for (pattern, text) in [
        // Nearly every byte leads to a state that was not there before.
        (r"[ab]*a[ab]{200}c", &two_letters),
        // No automaton knows these boundaries.
        (r"(\b\w+\b.?){20}\d", &accented),
    ] {
        assert_eq!(
            found(pattern, text, End::IsReached, 1_000_000),
            Err(Exceeded::Steps),
            "{pattern}"
        );
        // Positive control: a short text takes few steps.
        let short: String = text.chars().take(20).collect();
        assert_eq!(found(pattern, &short, End::IsReached, 1_000_000), Ok(false), "{pattern}");
    }
    // And patterns of few states find the end of as long a text.
    for pattern in ["c", r"(?:a?){300}c"] {
        assert_eq!(found(pattern, &two_letters, End::IsReached, 1_000_000), Ok(false));
    }
}

#[test]
fn what_a_check_does_not_compile_is_no_pattern() {
    for pattern in ["(", r"(a)\1", r"(\w{1000}){1000}"] {
        assert!(Searcher::new(pattern, &mut Budget::of_steps(MAX_STEPS)).unwrap().is_none());
    }
    // A pattern is paid for before it is compiled.
    let stopped = Searcher::new(r"\w{30}", &mut Budget::of_steps(1_000));
    assert!(stopped.is_err_and(|exceeded| exceeded == Exceeded::Steps));
}
