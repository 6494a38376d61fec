//! What the tests of the engines share.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clickhouse::Client;
use pulsetrail_infra::engines::{EngineSettings, EngineUrls, Engines, Progress, start};
use pulsetrail_infra::kafka::Brokers;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use sqlx::{Connection, PgConnection};

/// Polls until a check holds, at most 60 s.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !check().await {
        assert!(Instant::now() < deadline, "{what}: not within 60 s");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// `chdb-server` beside this test's own program, or the one that `CHDB_SERVER` names.
pub(crate) fn settings() -> EngineSettings {
    let built = || {
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().join("chdb-server").into_os_string()
    };
    let program: OsString = std::env::var_os("CHDB_SERVER").unwrap_or_else(built);
    assert!(
        Path::new(&program).exists(),
        "{} is missing: cargo build -p chdb-server",
        PathBuf::from(program).display()
    );
    EngineSettings { clickhouse_program: vec![program], ..EngineSettings::default() }
}

/// Starts engines and prints how long each took.
pub(crate) async fn start_in(directory: &Path) -> Engines {
    let settings = settings();
    let started = start(&settings, directory, |progress| {
        if let Progress::Ready { engine, took } = progress {
            println!("{engine} answers after {} ms", took.as_millis());
        }
    });
    match started.await {
        Ok(engines) => engines,
        Err(error) => panic!("{error}\n{}", logs(directory)),
    }
}

fn logs(directory: &Path) -> String {
    let read = |entry: fs::DirEntry| fs::read_to_string(entry.path()).unwrap_or_default();
    fs::read_dir(directory.join("logs"))
        .map(|logs| logs.flatten().map(read).collect())
        .unwrap_or_default()
}

/// One fact in every engine.
pub(crate) async fn write_everywhere(urls: &EngineUrls) {
    let mut postgres = PgConnection::connect(&urls.database_url).await.unwrap();
    sqlx::raw_sql("create table kept (n int); insert into kept values (7)")
        .execute(&mut postgres)
        .await
        .unwrap();

    let kafka = kafka(urls);
    let admin: AdminClient<DefaultClientContext> = kafka.create().unwrap();
    let topic = NewTopic::new("kept", 1, TopicReplication::Fixed(1));
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let producer: BaseProducer = kafka.create().unwrap();
    producer.send(BaseRecord::<(), str>::to("kept").payload("7")).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();

    let clickhouse = clickhouse(urls);
    clickhouse
        .query("create table kept (n Int32) engine = MergeTree order by n")
        .execute()
        .await
        .unwrap();
    clickhouse.query("insert into kept values (7)").execute().await.unwrap();
}

/// Waits until every engine answers with its fact.
pub(crate) async fn read_everywhere(urls: &EngineUrls) {
    eventually("PostgreSQL has its row", async || postgres_has(urls).await.unwrap_or(false)).await;
    eventually("ClickHouse has its row", async || {
        matches!(clickhouse(urls).query("select n from kept").fetch_one::<i32>().await, Ok(7))
    })
    .await;
    let kafka = kafka(urls);
    let consumer: BaseConsumer = kafka.create().unwrap();
    eventually("Kafka has its message", async || {
        tokio::task::block_in_place(|| consumer.fetch_watermarks("kept", 0, Duration::from_secs(1)))
            .is_ok_and(|watermarks| watermarks == (0, 1))
    })
    .await;
}

async fn postgres_has(urls: &EngineUrls) -> Result<bool, sqlx::Error> {
    let mut connection = PgConnection::connect(&urls.database_url).await?;
    let kept: i32 = sqlx::query_scalar("select n from kept").fetch_one(&mut connection).await?;
    Ok(kept == 7)
}

fn kafka(urls: &EngineUrls) -> ClientConfig {
    let mut config = Brokers::from(&urls.kafka_brokers).client_config();
    config.set("reconnect.backoff.max.ms", "200");
    config
}

fn clickhouse(urls: &EngineUrls) -> Client {
    pulsetrail_infra::clickhouse::client(&urls.clickhouse_url.parse().unwrap(), "default")
}

/// Sends SIGKILL.
pub(crate) fn kill(pid: u32) {
    // SAFETY: a plain system call.
    let code = unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGKILL) };
    assert_eq!(code, 0, "process {pid} is there to be killed");
}

/// The living processes that work at or below a folder, or have it in their command line.
pub(crate) fn processes_of(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().unwrap();
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let of_directory = entries.filter_map(|entry| {
        let name = entry.file_name().to_str()?.to_owned();
        let _: u32 = name.parse().ok()?;
        let works = fs::read_link(entry.path().join("cwd")).ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        (name != own && (works.starts_with(directory) || command.contains(directory)))
            .then(|| format!("{name} {}", command.chars().take(80).collect::<String>()))
    });
    of_directory.collect()
}
