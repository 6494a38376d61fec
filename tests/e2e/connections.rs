//! Connections beyond what a process can open, from one address.

use std::net::IpAddr;

use pulsetrail_harness::{App, http_client_from, metrics_by};
use pulsetrail_infra::open_files;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::corner;

/// The limits of the server, the one that it may raise and the one that holds.
const OPEN_FILES: [&str; 2] = ["400", "700"];
const CLIENTS: usize = 1_000;

/// The same command in a process that may open few files.
fn limited(command: &Command) -> Command {
    let [soft, hard] = OPEN_FILES;
    let command = command.as_std();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.kill_on_drop(true);
    shell
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_that_do_not_read_keep_nobody_else_from_being_answered() {
    // For the clients, which are this process's own.
    open_files::raise_limit();
    let corner = corner().await;
    let log = corner.data_dir.path().join("test.log");
    let app = App::start(limited(&corner.command(["up"])), &log).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", app.pid())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let raised: Vec<&str> = limit.split_whitespace().skip(3).take(2).collect();
    assert_eq!(raised, [OPEN_FILES[1]; 2], "raised as far as it may be");

    let host = app.url.strip_prefix("http://").unwrap();
    let request = format!("GET /api/openapi.json HTTP/1.1\r\nhost: {host}\r\n\r\n").repeat(5);
    // Each time by a connection of its own.
    let elsewhere = || http_client_from(IpAddr::from([127, 0, 0, 2]));
    let mut clients = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        let mut client = TcpStream::connect(host).await.unwrap();
        // One that is refused may be gone already.
        let _ = client.write_all(request.as_bytes()).await;
        clients.push(client);
        if number % 50 == 0 {
            let health = elsewhere().get(format!("{}/healthz", app.url)).send().await.unwrap();
            assert_eq!(health.status(), 200, "with {number} clients");
        }
    }
    let metrics = metrics_by(&elsewhere(), &app.url).await.unwrap();
    assert!(metrics.contains("pulsetrail_http_connections_refused_total{limit=\"address\"}"));
    drop(clients);
    assert!(app.stop().await.success());
}
