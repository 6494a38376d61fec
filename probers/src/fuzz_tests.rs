//! The entries of `probers/fuzz`, with good inputs broken at random.

use futures_util::stream::{self, StreamExt as _};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[path = "../fuzz/src/entries.rs"]
pub(crate) mod entries;

const URLS: &[&str] = &[
    "https://example.com:8443/a/b?c=d#e",
    "http://127.0.0.1/",
    "http://0x7f.1:80/../x",
    "http://[::ffff:127.0.0.1]:9/",
    "http://１２７。０。０。１/",
    "http://ada:secret@10.0.0.1/@",
    "//017700000001/x",
    "http:\\\\2130706433\\",
    "http://xn--bcher-kva.example./%00",
];

const ANSWERS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 302 Found\r\nlocation: http://10.0.0.1/\r\nset-cookie: a=b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\x02\x03\xcbH\xcd\xc9\xc9W\xc8@\
      \x90\0\x80\x88\xf9\xe5\x11\0\0\0",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\n\r\nx\x9c\xcbH\xcd\xc9\xc9W\xc8@\x90\0:.\x06}",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: zstd\r\n\r\n\x28\xb5\x2f\xfd\0\x38\x29\0\0hello",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n\x0b\x02\x80hello\x03",
    b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\nffffffffff\r\n",
];

/// How many inputs there are: few enough for every day, or many.
fn inputs(few: usize, many: usize) -> usize {
    if std::env::var_os("PULSETRAIL_SOAK").is_some() { many } else { few }
}

/// A good input with some of its bytes changed, left out, doubled or taken from another.
fn broken<Seed: AsRef<[u8]>>(seeds: &[Seed], random: &mut StdRng) -> Vec<u8> {
    let seed = |random: &mut StdRng| seeds[random.random_range(0..seeds.len())].as_ref().to_vec();
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
    let mut random = StdRng::seed_from_u64(5);
    for _ in 0..inputs(20_000, 20_000_000) {
        let bytes = broken(URLS, &mut random);
        entries::url_intake(&String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_target_answers_the_check_ends_with_a_reason() {
    let mut random = StdRng::seed_from_u64(7);
    let answers: Vec<Vec<u8>> =
        (0..inputs(2_000, 500_000)).map(|_| broken(ANSWERS, &mut random)).collect();
    let checker = &entries::checker();
    stream::iter(&answers).for_each_concurrent(32, |bytes| entries::response(checker, bytes)).await;
}
