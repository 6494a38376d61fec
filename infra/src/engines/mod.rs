//! The three engines that Pulsetrail stands on. An engine whose address is set is external and is only
//! asked whether it answers; any other is started as a private, supervised child under the data
//! directory, reachable from this machine alone.

mod clickhouse;
mod data_dir;
mod error;
mod installed;
mod kafka;
mod leftover;
mod postgres;
mod probe;
mod process;
mod settings;
pub mod supervisor;

use std::net::SocketAddr;
use std::path::Path;

pub use data_dir::{DataDir, kept_secret};
pub use error::EngineError;
pub use settings::{Engine, EngineSettings, EngineUrls, Progress};

use supervisor::Child;

/// The engines of one installation, answering. Dropped without [`Engines::stop`], the private ones are
/// ended at once, as they are when this process dies.
#[derive(Debug)]
pub struct Engines {
    urls: EngineUrls,
    private: Vec<Private>,
    data_dir: DataDir,
}

/// A private engine.
#[derive(Debug)]
struct Private {
    engine: Engine,
    child: Child,
    addresses: Vec<SocketAddr>,
}

/// What starting one engine gives.
#[derive(Debug)]
struct Started {
    url: String,
    private: Option<Private>,
}

/// Where the private PostgreSQL of a data directory is while `up` runs there; none where there never was
/// one.
///
/// # Errors
/// [`EngineError::DataDir`] where the directory cannot be read.
pub fn private_database_url(data_dir: &Path) -> Result<Option<String>, EngineError> {
    postgres::of_data_dir(data_dir)
}

/// Starts the engines that have no address, side by side, and waits until all three answer.
///
/// # Errors
/// The first engine that does not answer, or a data directory that cannot be used; the engines started
/// before it are stopped again.
pub async fn start(
    settings: &EngineSettings,
    data_dir: &Path,
    progress: impl Fn(Progress) + Sync,
) -> Result<Engines, EngineError> {
    let data_dir = DataDir::open(data_dir)?;
    let (postgres, kafka, clickhouse) = tokio::join!(
        Box::pin(timed(
            &progress,
            Engine::Postgres,
            &settings.database_url,
            postgres::start(settings, &data_dir)
        )),
        Box::pin(timed(
            &progress,
            Engine::Kafka,
            &settings.kafka_brokers,
            kafka::start(settings, &data_dir)
        )),
        Box::pin(timed(
            &progress,
            Engine::ClickHouse,
            &settings.clickhouse_url,
            clickhouse::start(settings, &data_dir)
        )),
    );
    let mut urls = Vec::new();
    let mut private = Vec::new();
    let mut failure = None;
    for outcome in [postgres, kafka, clickhouse] {
        match outcome {
            Ok(started) => {
                urls.push(started.url);
                private.extend(started.private);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let urls: Result<[String; 3], _> = urls.try_into();
    match (failure, urls) {
        (None, Ok([database_url, kafka_brokers, clickhouse_url])) => {
            let urls = EngineUrls { database_url, kafka_brokers, clickhouse_url };
            Ok(Engines { urls, private, data_dir })
        }
        (failure, _) => {
            stop_all(&private).await;
            Err(failure.unwrap_or(EngineError::Interrupted))
        }
    }
}

/// Runs one engine's start and reports it.
async fn timed(
    progress: &(impl Fn(Progress) + Sync),
    engine: Engine,
    external: &Option<String>,
    start: impl Future<Output = Result<Started, EngineError>>,
) -> Result<Started, EngineError> {
    let since = tokio::time::Instant::now();
    if external.is_none() {
        progress(Progress::Starting { engine });
    }
    let started = start.await?;
    progress(match external {
        Some(_) => Progress::External { engine },
        None => Progress::Ready { engine, took: since.elapsed() },
    });
    Ok(started)
}

async fn stop_all(private: &[Private]) {
    futures_util::future::join_all(private.iter().map(|engine| engine.child.stop())).await;
}

impl Engines {
    /// Where the engines are, with the passwords of the private ones.
    pub fn urls(&self) -> &EngineUrls {
        &self.urls
    }

    /// The listeners of the private engines, which the shield refuses to dial.
    pub fn private_addresses(&self) -> Vec<SocketAddr> {
        self.private.iter().flat_map(|engine| engine.addresses.iter().copied()).collect()
    }

    /// The supervised children, by engine; external engines have none.
    pub fn children(&self) -> impl Iterator<Item = (Engine, &Child)> {
        self.private.iter().map(|engine| (engine.engine, &engine.child))
    }

    /// The supervised child of one engine, unless it is external.
    pub fn child(&self, engine: Engine) -> Option<&Child> {
        self.private.iter().find(|private| private.engine == engine).map(|private| &private.child)
    }

    /// The data directory, locked for as long as this value lives.
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Stops the private engines side by side, each with its time limit. Callers stop what uses the
    /// engines first. A second call does nothing.
    pub async fn stop(&self) {
        stop_all(&self.private).await;
    }
}
