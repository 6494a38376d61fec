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
    let there: Vec<String> = answers.iter().map(|one| comparable(record_type, one)).collect();
    let missing = target.expected.iter().find(|one| !there.contains(&comparable(record_type, one)));
    let Some(missing) = missing else { return Ok(()) };
    let name = &target.name;
    let detail = format!(
        "{missing:?} was expected among the {record_type} records of {name}, which are: {}.",
        answers.join(", ").chars().take(100).collect::<String>()
    );
    Err(Fault::failed(FailureCause::DnsAnswerUnexpected, detail))
}

/// An answer in the form in which two that mean the same are the same: addresses as such, texts
/// without their quotes, names in lower case and without the dot of the root.
fn comparable(record_type: RecordType, answer: &str) -> String {
    match record_type {
        RecordType::A | RecordType::Aaaa => answer
            .parse::<IpAddr>()
            .map_or_else(|_| answer.to_owned(), |address| address.to_string()),
        RecordType::Txt => answer.replace('"', ""),
        _ => {
            let words = answer.split_whitespace();
            let plain = |word: &str| {
                let word = word.trim_matches('"').to_ascii_lowercase();
                word.strip_suffix('.').map(str::to_owned).unwrap_or(word)
            };
            words.map(plain).collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn two_answers_that_mean_the_same_are_the_same() {
        let same = |record_type, one, other| {
            assert_eq!(comparable(record_type, one), comparable(record_type, other));
        };
        same(RecordType::Mx, "10 mail.example.com.", "10  MAIL.example.com");
        same(RecordType::Aaaa, "2001:db8::1", "2001:0db8:0:0::1");
        same(RecordType::Txt, "\"v=spf1 -all\"", "v=spf1 -all");
        same(RecordType::Caa, "0 issue \"ca.example\"", "0 issue ca.example");
        assert_ne!(comparable(RecordType::Txt, "A"), comparable(RecordType::Txt, "a"));
    }
}
