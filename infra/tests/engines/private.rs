use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use pulsetrail_infra::engines::supervisor::Phase;
use pulsetrail_infra::engines::{Engine, EngineError, EngineSettings, private_database_url, start};

use super::support::{
    eventually, kill, processes_of, read_everywhere, settings, start_in, write_everywhere,
};

#[tokio::test(flavor = "multi_thread")]
async fn private_engines_come_back_after_a_kill_and_keep_data_and_ports() {
    let directory = tempfile::tempdir().unwrap();
    let engines = start_in(directory.path()).await;
    let urls = engines.urls().clone();
    write_everywhere(&urls).await;
    for (engine, child) in engines.children() {
        let pid = child.pid().unwrap();
        println!("{engine} holds {} MB", child.resident_bytes().unwrap() / 1_000_000);
        kill(pid);
        eventually("the child runs again", async || child.pid().is_some_and(|new| new != pid))
            .await;
    }
    read_everywhere(&urls).await;
    engines.stop().await;
    assert!(engines.children().all(|(_, child)| child.status().borrow().phase == Phase::Ended));
    assert_eq!(processes_of(directory.path()), Vec::<String>::new());
    drop(engines);

    println!("again:");
    let engines = start_in(directory.path()).await;
    assert_eq!(*engines.urls(), urls);
    read_everywhere(&urls).await;
    let found = private_database_url(directory.path()).unwrap();
    assert_eq!(found.as_ref(), Some(&urls.database_url), "another process finds it");
    let addresses = engines.private_addresses();
    engines.stop().await;
    drop(engines);

    println!("with every port taken:");
    let _taken: Vec<TcpListener> =
        addresses.iter().map(|address| TcpListener::bind(address).unwrap()).collect();
    let engines = start_in(directory.path()).await;
    assert!(engines.private_addresses().iter().all(|address| !addresses.contains(address)));
    read_everywhere(engines.urls()).await;
    engines.stop().await;
}

#[tokio::test]
async fn an_engine_that_ends_at_once_is_named_with_the_last_line_of_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let settings = EngineSettings {
        postgres_options: vec![("no_such_setting".to_owned(), "1".to_owned())],
        // The other two are left out of this: nothing listens there.
        kafka_brokers: Some("127.0.0.1:1".to_owned()),
        clickhouse_url: Some("http://127.0.0.1:1".to_owned()),
        external_timeout: Duration::from_secs(1),
        ..settings()
    };
    match start(&settings, directory.path(), |_| {}).await {
        Err(EngineError::Ended { engine: Engine::Postgres, last_line, .. }) => {
            assert!(last_line.contains("no_such_setting"), "{last_line}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(processes_of(directory.path()), Vec::<String>::new());
}

const PARENT: &str = "PULSETRAIL_TEST_PARENT_OF_ENGINES";

/// Not a test of its own: what the next one starts, to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn parent_of_engines() {
    let Some(directory) = std::env::var_os(PARENT).map(PathBuf::from) else { return };
    let engines = start_in(&directory).await;
    write_everywhere(engines.urls()).await;
    fs::write(directory.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_the_parent_leaves_no_child_and_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "private::parent_of_engines", "--nocapture"])
        .env(PARENT, directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ready: &Path = &directory.path().join("ready");
    eventually("the parent is ready", async || ready.exists()).await;
    assert!(
        processes_of(directory.path()).len() >= 3,
        "the control: they are seen while they live"
    );
    kill(parent.id());
    parent.wait().unwrap();
    let since = std::time::Instant::now();
    eventually("the children are gone", async || processes_of(directory.path()).is_empty()).await;
    println!("the last child was gone after {} ms", since.elapsed().as_millis());
    assert!(since.elapsed().as_secs() < 8);

    let engines = start_in(directory.path()).await;
    read_everywhere(engines.urls()).await;
    engines.stop().await;
}
