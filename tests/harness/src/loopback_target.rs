//! A target on every address of loopback that does what its path says, good or harmful.

use std::fmt;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What the target does, by the path that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It answers at once.
    Answer,
    /// It never answers.
    Hang,
    /// It answers after so many milliseconds.
    Slow(u32),
    /// It sends its answer byte by byte, without end.
    Drip,
    /// It sends a few kilobytes that are many gigabytes of Zstandard frames without content.
    Bomb,
    /// It sends an array of half a million numbers as JSON.
    LargeJson,
    /// It sends an array of 2,000 texts as JSON.
    Texts,
}

impl fmt::Display for Behaviour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => formatter.write_str("answer"),
            Self::Hang => formatter.write_str("hang"),
            Self::Slow(ms) => write!(formatter, "slow-{ms}"),
            Self::Drip => formatter.write_str("drip"),
            Self::Bomb => formatter.write_str("bomb"),
            Self::LargeJson => formatter.write_str("large-json"),
            Self::Texts => formatter.write_str("texts"),
        }
    }
}

/// The target, on every address of loopback. Dropped, it closes its port and its connections.
pub struct LoopbackTarget {
    port: u16,
    requests: Arc<AtomicU64>,
    open: CancellationToken,
}

impl LoopbackTarget {
    /// Starts it on a free port.
    ///
    /// # Panics
    /// When loopback has no port left.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        let port = listener.local_addr().expect("the listener's address").port();
        let (requests, open) = (Arc::<AtomicU64>::default(), CancellationToken::new());
        let answers = Arc::new(Answers::new());
        let (counted, closed) = (requests.clone(), open.clone());
        let accepting = async move {
            loop {
                // Out of files, it waits for its own connections to end.
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let serving = serve(stream, answers.clone(), counted.clone());
                tokio::spawn(closed.clone().run_until_cancelled_owned(serving));
            }
        };
        tokio::spawn(open.clone().run_until_cancelled_owned(accepting));
        Self { port, requests, open }
    }

    /// A URL at one of its hosts.
    pub fn url(&self, host: Ipv4Addr, behaviour: Behaviour) -> String {
        format!("http://{host}:{}/{behaviour}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many requests have come.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for LoopbackTarget {
    fn drop(&mut self) {
        self.open.cancel();
    }
}

/// The longer answers, made once.
struct Answers {
    bomb: Vec<u8>,
    large_json: Vec<u8>,
    texts: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let json = |body: String| answer("content-type: application/json\r\n", body.as_bytes());
        let coding = "content-encoding: zstd, zstd, gzip\r\n";
        Self {
            bomb: answer(coding, &bomb().expect("memory can be written to")),
            large_json: json(format!("[{}0]", "0,".repeat(499_990))),
            texts: json(format!("[{}\"\"]", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",".repeat(2_000))),
        }
    }

    fn of(&self, path: &str) -> &[u8] {
        const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nup";
        match path {
            "/bomb" => &self.bomb,
            "/large-json" => &self.large_json,
            "/texts" => &self.texts,
            _ => FINE,
        }
    }
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// 16 GiB of Zstandard frames that have no content (RFC 8878, 3.1.1), compressed twice.
fn bomb() -> io::Result<Vec<u8>> {
    const EMPTY_FRAME: [u8; 9] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x00, 0x01, 0x00, 0x00];
    let mebibyte = EMPTY_FRAME.repeat((1 << 20) / EMPTY_FRAME.len());
    let compressed = zstd::encode_all(&mebibyte[..], 3)?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..16 << 10 {
        encoder.write_all(&compressed)?;
    }
    encoder.finish()
}

async fn serve(mut stream: TcpStream, answers: Arc<Answers>, requests: Arc<AtomicU64>) {
    let mut head = Vec::with_capacity(1_024);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    requests.fetch_add(1, Ordering::Relaxed);
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    if path == "/hang" {
        // Until the other side gives up.
        let _ = stream.read_u8().await;
        return;
    }
    if path == "/drip" {
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            sent = stream.write_all(b"y").await;
        }
        return;
    }
    if let Some(ms) = path.strip_prefix("/slow-").and_then(|ms| ms.parse().ok()) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    // The other side may have gone.
    let _ = stream.write_all(answers.of(path)).await;
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_bomb_is_small_and_holds_frames_without_content() {
        let bomb = bomb().unwrap();
        assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
        let unzipped = flate2::read::GzDecoder::new(&bomb[..]);
        let mut outer = zstd::Decoder::new(unzipped).unwrap();
        let mut frames = vec![0; 900];
        outer.read_exact(&mut frames).unwrap();
        assert_eq!(zstd::decode_all(&frames[..]).unwrap(), b"");
    }
}
