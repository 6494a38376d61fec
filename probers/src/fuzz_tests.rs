//! The entries of `probers/fuzz`, with good inputs broken at random.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use futures_util::stream::{self, StreamExt as _};
use pulsetrail_probers::check::Checker;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[path = "../fuzz/src/entries.rs"]
pub(crate) mod entries;

/// The good inputs of an entry, which the fuzzer begins with, too.
fn seeds(entry: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(entry);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.collect::<BTreeSet<_>>().iter().map(|file| fs::read(file).unwrap()).collect()
}

/// How many inputs there are: few enough for every day, or many.
fn inputs(few: usize, many: usize) -> usize {
    if std::env::var_os("PULSETRAIL_SOAK").is_some() { many } else { few }
}

/// A good input with some of its bytes changed, left out, doubled or taken from another.
fn broken(seeds: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let seed = |random: &mut StdRng| seeds[random.random_range(0..seeds.len())].clone();
    let mut bytes = seed(random);
    for _ in 0..random.random_range(0..6) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(0..8)).min(bytes.len());
        match random.random_range(0..5) {
            0 => drop(bytes.splice(at..end, [random.random::<u8>()])),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            3 => bytes.truncate(at.max(1)),
            _ => {
                let other = seed(random);
                let from = random.random_range(0..other.len());
                drop(bytes.splice(at..end, other[from..].iter().copied()));
            }
        }
    }
    bytes
}

#[test]
fn no_text_gets_a_special_address_past_the_intake() {
    let (mut random, seeds) = (StdRng::seed_from_u64(5), seeds("url_intake"));
    for _ in 0..inputs(20_000, 20_000_000) {
        let bytes = broken(&seeds, &mut random);
        entries::url_intake(&String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_target_answers_the_check_ends_with_a_reason() {
    let (mut random, seeds) = (StdRng::seed_from_u64(7), seeds("response"));
    let answers: Vec<Vec<u8>> =
        (0..inputs(2_000, 500_000)).map(|_| broken(&seeds, &mut random)).collect();
    let checker = &entries::checker();
    stream::iter(&answers).for_each_concurrent(32, |bytes| entries::response(checker, bytes)).await;
}

/// Runs every seed as it is, and then some broken ones.
async fn hostile(entry: &str, seed: u64, few: usize, check: impl AsyncFn(&Checker, &[u8])) {
    let (mut random, seeds) = (StdRng::seed_from_u64(seed), seeds(entry));
    let more = (0..inputs(few, 50_000)).map(|_| broken(&seeds, &mut random)).collect::<Vec<_>>();
    let checker = &entries::checker();
    let each = stream::iter(seeds.iter().chain(&more));
    each.for_each_concurrent(8, |bytes| check(checker, bytes)).await;
}

#[tokio::test]
async fn whatever_path_is_asserted_of_whatever_document_the_check_ends() {
    hostile("json_path", 11, 60, entries::json_path).await;
}

#[tokio::test]
async fn whatever_pattern_is_looked_for_in_whatever_text_the_check_ends() {
    hostile("pattern", 13, 60, entries::pattern).await;
}

#[tokio::test]
async fn however_a_body_is_encoded_the_check_ends() {
    hostile("encoded", 17, 60, entries::encoded).await;
}

#[tokio::test]
async fn whatever_the_dns_answers_the_check_ends() {
    hostile("dns_answer", 19, 60, entries::dns_answer).await;
}

#[tokio::test]
async fn whatever_certificate_a_server_shows_the_check_ends() {
    hostile("certificate", 23, 60, entries::certificate).await;
}
