//! The DNS check: one question, and whether its answer is the expected one.

use std::net::IpAddr;

use pulsetrail_domain::check::{FailureCause, Findings};
use pulsetrail_domain::monitor::{DnsTarget, RecordType, Target};
use tokio::time::Instant;

use super::attempt::{Attempt, Fault, Stopwatch};
use crate::shield::Shield;

/// Answers that are kept, and how long each may be, in characters.
const MAX_ANSWERS: usize = 20;
const MAX_ANSWER: usize = 255;

/// Asks the question.
pub(super) async fn attempt(shield: &Shield, target: &DnsTarget, deadline: Instant) -> Attempt {
    let mut stopwatch = Stopwatch::start();
    let mut findings = Findings::default();
    let began = Instant::now();
    let asked = shield.ask(target, deadline).await;
    stopwatch.dns(began.elapsed());
    let ended = match asked {
        Ok(mut answers) => {
            answers.sort_unstable();
            let ended = judge(target, &answers);
            let kept = answers.iter().take(MAX_ANSWERS);
            findings.answers =
                kept.map(|answer| answer.chars().take(MAX_ANSWER).collect()).collect();
            ended
        }
        Err(reason) => Err(Fault::of_target(&reason, &Target::Dns(target.clone()))),
    };
    Attempt::ended(stopwatch, None, ended, findings)
}

fn judge(target: &DnsTarget, answers: &[String]) -> Result<(), Fault> {
    let record_type = target.record_type;
    let is_there = |one: &&String| answers.iter().any(|answer| same(record_type, one, answer));
    let missing = target.expected.iter().find(|one| !is_there(one));
    let Some(missing) = missing else { return Ok(()) };
    let name = &target.name;
    let detail = format!(
        "{missing:?} was expected among the {record_type} records of {name}, which are: {}.",
        answers.join(", ").chars().take(100).collect::<String>()
    );
    Err(Fault::failed(FailureCause::DnsAnswerUnexpected, detail))
}

/// Whether an expected answer and one that is there mean the same. A text may be expected as it is, or as
/// zone files write it: in quotes, in several pieces, with escapes.
fn same(record_type: RecordType, expected: &str, answer: &str) -> bool {
    if record_type != RecordType::Txt {
        return comparable(record_type, expected) == comparable(record_type, answer);
    }
    let there = unescaped(answer.chars());
    expected.as_bytes() == there || text_bytes(expected) == there
}

/// An answer in the form in which two that mean the same are the same: addresses as such, names in lower
/// case and without the dot of the root.
fn comparable(record_type: RecordType, answer: &str) -> String {
    if let (RecordType::A | RecordType::Aaaa, Ok(address)) = (record_type, answer.parse::<IpAddr>())
    {
        return address.to_string();
    }
    let plain = |word: &str| {
        let word = word.trim_matches('"').to_ascii_lowercase();
        word.strip_suffix('.').map(str::to_owned).unwrap_or(word)
    };
    answer.split_whitespace().map(plain).collect::<Vec<_>>().join(" ")
}

/// The bytes of a text as zone files write it (RFC 1035, section 5.1).
fn text_bytes(text: &str) -> Vec<u8> {
    if !text.starts_with('"') {
        return unescaped(text.chars());
    }
    // The spaces between two pieces in quotes do not count.
    let (mut is_quoted, mut is_escaped) = (false, false);
    let inside = text.chars().filter(|one| {
        let is_kept = is_quoted && (*one != '"' || is_escaped);
        is_quoted ^= *one == '"' && !is_escaped;
        is_escaped = *one == '\\' && !is_escaped;
        is_kept
    });
    unescaped(inside.collect::<Vec<_>>().into_iter())
}

/// The bytes that characters stand for: `\DDD` for the one with that number, `\X` for X.
fn unescaped(characters: impl Iterator<Item = char> + Clone) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = characters;
    while let Some(one) = rest.next() {
        let kept = if one == '\\' {
            let digits: String = rest.clone().take(3).collect();
            match digits.parse::<u8>() {
                Ok(byte) if digits.len() == 3 && digits.bytes().all(|one| one.is_ascii_digit()) => {
                    rest.nth(2);
                    bytes.push(byte);
                    continue;
                }
                _ => rest.next().unwrap_or(one),
            }
        } else {
            one
        };
        bytes.extend_from_slice(kept.encode_utf8(&mut [0; 4]).as_bytes());
    }
    bytes
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn two_answers_that_mean_the_same_are_the_same() {
        let same = |record_type, one, other| assert!(super::same(record_type, one, other), "{one}");
        same(RecordType::Mx, "10 mail.example.com.", "10  MAIL.example.com");
        same(RecordType::Aaaa, "2001:db8::1", "2001:0db8:0:0::1");
        same(RecordType::Txt, "\"v=spf1 -all\"", "v=spf1 -all");
        same(RecordType::Caa, "0 issue \"ca.example\"", "0 issue ca.example");
        same(RecordType::Txt, "v=spf1 -all", "v=spf1 -all");
        same(RecordType::Txt, r#""v=DKIM1; " "p=abc""#, "v=DKIM1; p=abc");
        same(RecordType::Txt, r"a\000b", r"a\000b");
        same(RecordType::Txt, r#""say \"hi\" \\""#, r#"say \"hi\" \\"#);
        same(RecordType::Txt, r#"say "hi" \"#, r#"say \"hi\" \\"#);
        same(RecordType::Txt, r"gr\195\188\195\159", "grüß");
        for (one, other) in [("A", "a"), ("a", r"a\000"), ("zz", r"a\000b"), ("", "a")] {
            assert!(!super::same(RecordType::Txt, one, other), "{one}");
        }
    }
}
