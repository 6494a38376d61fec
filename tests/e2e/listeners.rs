//! Every listener of `up` asks for a credential, or tells nothing that is anybody's.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use pulsetrail_harness::{App, http_client, metrics};
use pulsetrail_infra::engines::{kept_secret, private_database_url};
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::corner;

/// A port that a process listens on, and the process.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Listener {
    address: SocketAddr,
    command: String,
}

/// A process and everything that it has started.
fn family(root: u32) -> BTreeSet<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything: the state, and the parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let pids = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
    };
    let mut family = BTreeSet::from([root]);
    loop {
        let more: Vec<u32> = pids()
            .filter(|pid| {
                !family.contains(pid) && parent(*pid).is_some_and(|p| family.contains(&p))
            })
            .collect();
        if more.is_empty() {
            return family;
        }
        family.extend(more);
    }
}

/// Where the processes listen, by the tables of the kernel (proc(5), `/proc/net/tcp`).
fn listeners(pids: &BTreeSet<u32>) -> Vec<Listener> {
    let mut found = BTreeSet::new();
    for pid in pids {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let sockets: BTreeSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .map(|link| link.to_string_lossy().into_owned())
            .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        for table in ["tcp", "tcp6"] {
            let lines = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
            for line in lines.lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let (Some(local), Some(state), Some(inode)) =
                    (fields.get(1), fields.get(3), fields.get(9))
                else {
                    continue;
                };
                if *state == "0A" && sockets.contains(*inode) {
                    let address = address(local);
                    found.insert(Listener { address, command: command.clone() });
                }
            }
        }
    }
    found.into_iter().collect()
}

/// `0100007F:1F90` is 127.0.0.1:8080; of IPv6, only mapped IPv4 is expected here.
fn address(text: &str) -> SocketAddr {
    let (ip, port) = text.rsplit_once(':').unwrap();
    let v4 = u32::from_str_radix(&ip[ip.len() - 8..], 16).unwrap();
    let mapped = ip.len() == 8 || ip.starts_with("0000000000000000FFFF0000");
    assert!(mapped, "{text} is no address of IPv4");
    (Ipv4Addr::from(v4.to_be()), u16::from_str_radix(port, 16).unwrap()).into()
}

async fn status(url: &str) -> u16 {
    http_client().get(url).send().await.unwrap().status().as_u16()
}

/// What a Kafka listener answers to one request (the protocol guide of Kafka, "Protocol Primitive Types"); none if it
/// closes the connection.
async fn kafka(stream: &mut TcpStream, api: i16, version: i16, body: &[u8]) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    // A correlation id, and no client id.
    request.extend([0, 0, 0, 7, 0xff, 0xff]);
    request.extend(body);
    stream.write_i32(i32::try_from(request.len()).unwrap()).await.ok()?;
    stream.write_all(&request).await.ok()?;
    let length = stream.read_i32().await.ok()?;
    let mut answer = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut answer).await.ok()?;
    Some(answer)
}

/// The error that a Kafka listener answers to a password with; 0 if it lets its client in.
async fn kafka_error(address: SocketAddr, password: &str) -> Option<i16> {
    const HANDSHAKE: i16 = 17;
    const AUTHENTICATE: i16 = 36;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let handshake = kafka(&mut stream, HANDSHAKE, 1, b"\0\x05PLAIN").await?;
    assert_eq!(handshake[4..6], [0, 0], "PLAIN is known");
    let credentials = format!("\0pulsetrail\0{password}");
    let length = i32::try_from(credentials.len()).unwrap().to_be_bytes();
    let body = [&length[..], credentials.as_bytes()].concat();
    let answer = kafka(&mut stream, AUTHENTICATE, 0, &body).await?;
    Some(i16::from_be_bytes([answer[4], answer[5]]))
}

async fn kafka_asks_for_a_password(address: SocketAddr, data_dir: &Path) {
    const METADATA: i16 = 3;
    const FAILED: i16 = 58;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Of all topics.
    let asked = kafka(&mut stream, METADATA, 1, &[0xff; 4]);
    let asked = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap();
    assert_eq!(asked, None, "{address}");
    assert_eq!(kafka_error(address, "guessed").await, Some(FAILED), "{address}");
    let password = kept_secret(data_dir, "kafka-password").unwrap().unwrap();
    assert_eq!(kafka_error(address, &password).await, Some(0), "{address}: the control");
}

async fn postgres_asks_for_a_password(address: SocketAddr, data_dir: &Path) {
    for user in ["pulsetrail", "postgres"] {
        let url = format!("postgres://{user}@{address}/pulsetrail?sslmode=disable");
        let refused = PgConnection::connect(&url).await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("28P01"), "{refused}");
    }
    let url = private_database_url(data_dir).unwrap().unwrap();
    PgConnection::connect(&url).await.unwrap().close().await.unwrap();
}

async fn clickhouse_asks_for_a_password(address: SocketAddr, data_dir: &Path) {
    let query = "?query=select%2041%2B1";
    assert_eq!(status(&format!("http://{address}/{query}")).await, 403);
    let password = kept_secret(data_dir, "clickhouse-password").unwrap().unwrap();
    let url = format!("http://{address}/{query}&user=pulsetrail&password={password}");
    let answer = http_client().get(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, "42\n", "the control");
}

async fn http_tells_only_whether_it_is_well(address: SocketAddr) {
    let url = format!("http://{address}");
    assert_eq!(status(&format!("{url}/healthz")).await, 200);
    assert_eq!(status(&format!("{url}/readyz")).await, 200);
    assert_eq!(status(&format!("{url}/metrics")).await, 401);
    assert!(metrics(&url).await.is_some(), "the control");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listener_refuses_a_client_without_a_credential() {
    let corner = corner().await;
    let mut command = corner.command(["up"]);
    for engine in ["DATABASE_URL", "KAFKA_BROKERS", "CLICKHOUSE_URL"] {
        command.env_remove(format!("PULSETRAIL_{engine}"));
    }
    let data_dir = corner.data_dir.path();
    let app = App::start(command, &data_dir.join("test.log")).await;
    let found = listeners(&family(app.pid()));
    let mut kinds = Vec::new();
    for Listener { address, command } in &found {
        assert!(address.ip().is_loopback(), "{address} of {command}");
        kinds.push(if command.contains(" up ") {
            http_tells_only_whether_it_is_well(*address).await;
            for path in ["monitors", "system", "me", "live/sse", "dead-letters"] {
                assert_eq!(status(&format!("http://{address}/api/v1/{path}")).await, 401, "{path}");
            }
            "server"
        } else if command.contains(" prober ") {
            http_tells_only_whether_it_is_well(*address).await;
            assert_eq!(status(&format!("http://{address}/api/v1/monitors")).await, 404);
            "prober"
        } else if command.contains("chdb-server") {
            clickhouse_asks_for_a_password(*address, data_dir).await;
            "clickhouse"
        } else if command.contains("kafka.Kafka") {
            kafka_asks_for_a_password(*address, data_dir).await;
            "kafka"
        } else if command.contains("postgres") {
            postgres_asks_for_a_password(*address, data_dir).await;
            "postgres"
        } else {
            panic!("nobody knows what {command} listens for on {address}")
        });
    }
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        ["clickhouse", "kafka", "kafka", "postgres", "prober", "server"],
        "{found:?}"
    );

    // The password is in two files, which nobody else reads.
    for file in ["secrets/kafka-password", "kafka/server.properties"] {
        let mode = fs::metadata(data_dir.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
    assert!(app.stop().await.success());
}
