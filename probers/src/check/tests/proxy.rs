//! What the environment says of proxies is not for checks.

use std::ffi::OsStr;

use tokio::process::Command;

use super::target::{OK, answering};
use super::*;

/// What the process does that this test starts: the environment of a process is not changed while its
/// threads run.
const PART: &str = "PART_BEHIND_PROXY";
const URL: &str = "URL_BEHIND_PROXY";
const NAME: &str = "check::tests::proxy::a_proxy_that_the_environment_names_is_not_used";

async fn ask_behind(proxy: &str, url: &str, part: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME]).env(PART, part).env(URL, url).kill_on_drop(true);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env(name, proxy).env(name.to_uppercase(), proxy);
    }
    command.env_remove("no_proxy").env_remove("NO_PROXY").env_remove("REQUEST_METHOD");
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// What is done behind the proxy: a check, or the same request by a client that heeds the environment.
async fn behind_the_proxy(part: &OsStr, url: &str) {
    if part == "check" {
        let result = check(get(url)).await.result;
        assert_eq!(result.outcome, Outcome::Up, "{result:?}");
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::Client::builder().build().unwrap().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_proxy_that_the_environment_names_is_not_used() {
    if let Some(part) = std::env::var_os(PART) {
        return behind_the_proxy(&part, &std::env::var(URL).unwrap()).await;
    }
    let (proxy, server) = (answering(OK).await, answering(OK).await);
    let proxy_url = url("http", proxy.address, "");
    let server_url = url("http", server.address, "/");
    ask_behind(&proxy_url, &server_url, "check").await;
    assert_eq!((proxy.connections(), server.connections()), (0, 1));
    // Positive control: a client that heeds the environment reaches the proxy instead.
    ask_behind(&proxy_url, &server_url, "client").await;
    assert_eq!((proxy.connections(), server.connections()), (1, 1));
}
