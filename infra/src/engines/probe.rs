//! Asking an engine whether it answers, through the same clients that use it later.

use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::{Connection, PgConnection};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::supervisor::{self, Child, Phase};
use super::{Engine, EngineError};
use crate::kafka::Brokers;

/// How often a private engine may end before its start is given up: a leftover can make the first fail.
const EXITS: u32 = 3;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Why an engine did not answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It may answer later.
    NotYet(String),
    /// It answers and refuses us.
    Never(String),
}

/// Waits until a private engine answers; stops it when it does not.
pub(super) async fn private<F: Future<Output = Result<(), Refusal>>>(
    engine: Engine,
    child: &Child,
    log: &std::path::Path,
    limit: Duration,
    attempt: impl Fn() -> F,
) -> Result<(), EngineError> {
    let gone = async {
        child
            .status()
            .wait_for(|status| status.exits >= EXITS || status.phase == Phase::Ended)
            .await
            .ok();
    };
    let error = tokio::select! {
        biased;
        answered = answer_within(limit, Duration::from_millis(20), attempt) => match answered {
            Ok(()) => return Ok(()),
            Err(detail) => {
                EngineError::NotReady { engine, seconds: limit.as_secs(), log: log.to_owned(), detail }
            }
        },
        () = gone => EngineError::Ended { engine, log: log.to_owned(), last_line: supervisor::last_line(log) },
    };
    child.stop().await;
    Err(error)
}

/// Waits until an external engine answers.
pub(super) async fn external<F: Future<Output = Result<(), Refusal>>>(
    engine: Engine,
    address: &str,
    limit: Duration,
    attempt: impl Fn() -> F,
) -> Result<(), EngineError> {
    answer_within(limit, Duration::from_millis(250), attempt)
        .await
        .map_err(|detail| EngineError::Unreachable { engine, address: address.to_owned(), detail })
}

async fn answer_within<F: Future<Output = Result<(), Refusal>>>(
    limit: Duration,
    pause: Duration,
    attempt: impl Fn() -> F,
) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    loop {
        let given = ATTEMPT.min(deadline - Instant::now());
        let detail = match timeout(given, attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Refusal::Never(detail))) => return Err(detail),
            Ok(Err(Refusal::NotYet(detail))) => detail,
            Err(_) => "no answer in time".to_owned(),
        };
        if Instant::now() + pause >= deadline {
            return Err(one_line(&detail));
        }
        sleep(pause).await;
    }
}

/// PostgreSQL answers a query.
pub(super) async fn postgres(url: &str) -> Result<(), Refusal> {
    let answer = async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query("select 1").execute(&mut connection).await?;
        connection.close().await
    };
    answer.await.map_err(|error| match &error {
        // Class 57: starting up or shutting down; 53: too many connections.
        sqlx::Error::Database(database)
            if !database
                .code()
                .is_some_and(|code| code.starts_with("57") || code.starts_with("53")) =>
        {
            Refusal::Never(error.to_string())
        }
        sqlx::Error::Configuration(_) => Refusal::Never(error.to_string()),
        _ => Refusal::NotYet(error.to_string()),
    })
}

/// Kafka answers with at least one broker that is in service.
pub(super) async fn kafka(brokers: &Brokers) -> Result<(), Refusal> {
    // librdkafka connects in its own rhythm, so it is asked only when one broker listens.
    let mut listens = Err(Refusal::Never("the list of brokers is empty".to_owned()));
    for broker in brokers.addresses().split(',').map(str::trim).filter(|broker| !broker.is_empty())
    {
        match TcpStream::connect(with_port(broker)).await {
            Ok(_) => {
                listens = Ok(());
                break;
            }
            Err(error) => listens = Err(Refusal::NotYet(error.to_string())),
        }
    }
    listens?;
    let mut config = brokers.client_config();
    config.set_log_level(RDKafkaLogLevel::Emerg);
    let asked = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = config.create()?;
        client.fetch_metadata(None, ATTEMPT).map(|metadata| metadata.brokers().len())
    });
    match asked.await {
        Ok(Ok(0)) => Err(Refusal::NotYet("no broker is in service".to_owned())),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Refusal::NotYet(error.to_string())),
        Err(error) => Err(Refusal::NotYet(error.to_string())),
    }
}

fn with_port(broker: &str) -> String {
    if broker.contains(':') { broker.to_owned() } else { format!("{broker}:9092") }
}

/// ClickHouse answers a query.
pub(super) async fn clickhouse(url: &str) -> Result<(), Refusal> {
    let url =
        url::Url::parse(url).map_err(|error| Refusal::Never(format!("not a URL: {error}")))?;
    let answer =
        crate::clickhouse::client(&url, "default").query("select 1").fetch_one::<u8>().await;
    match answer {
        Ok(_) => Ok(()),
        Err(error @ clickhouse::error::Error::BadResponse(_)) => {
            Err(Refusal::Never(error.to_string()))
        }
        Err(error) => Err(Refusal::NotYet(with_sources(&error))),
    }
}

/// A message with those of its causes.
fn with_sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// The first 300 characters, on one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}
