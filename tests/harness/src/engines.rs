//! Private engines that all tests of one process share.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io, process, thread};

use pulsetrail_infra::engines::{DataDir, EngineSettings, EngineUrls, Engines, start};
use tokio::sync::{OnceCell, oneshot};

static ENGINES: OnceCell<TestEngines> = OnceCell::const_new();

/// The engines of this test process. They end with it; what they wrote is swept away by the next run.
#[derive(Debug)]
pub struct TestEngines {
    engines: Engines,
}

impl TestEngines {
    /// Where they are.
    pub fn urls(&self) -> &EngineUrls {
        self.engines.urls()
    }

    /// The engines themselves, to look at their children or to kill one.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }
}

/// Starts the engines at the first call of this process. `pulsetrail` is the built binary, whose
/// subcommand `chdb-server` serves ClickHouse; a `chdb-server` of its own does as well.
///
/// # Panics
/// When an engine does not start; the message says which and why.
pub async fn engines(pulsetrail: &Path) -> &'static TestEngines {
    engines_with(pulsetrail, &[]).await
}

/// The same with settings of PostgreSQL's, such as `("fsync", "off")` where no test kills the machine.
/// The first call decides.
///
/// # Panics
/// When an engine does not start; the message says which and why.
#[allow(clippy::panic, reason = "a test without engines fails")]
pub async fn engines_with(
    pulsetrail: &Path,
    postgres_options: &[(&str, &str)],
) -> &'static TestEngines {
    let started = ENGINES.get_or_try_init(|| async {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = EngineSettings {
            clickhouse_program: clickhouse_program(pulsetrail),
            postgres_options: postgres_options.iter().map(own).collect(),
            ..EngineSettings::default()
        };
        let directory = fresh_directory(pulsetrail)?;
        start_apart(settings, directory).await
    });
    match started.await {
        Ok(engines) => engines,
        Err(error) => panic!("the engines do not start: {error}"),
    }
}

/// Starts the engines on a thread of its own, so that they do not depend on the runtime of the test that
/// happened to come first.
async fn start_apart(settings: EngineSettings, directory: PathBuf) -> io::Result<TestEngines> {
    let (sender, started) = oneshot::channel();
    thread::Builder::new().name("test-engines".to_owned()).spawn(move || {
        let outcome = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(
            |runtime| {
                let engines = runtime
                    .block_on(start(&settings, &directory, |_| {}))
                    .map_err(io::Error::other)?;
                Ok(TestEngines { engines })
            },
        );
        sender.send(outcome).ok();
    })?;
    started.await.map_err(io::Error::other)?
}

fn clickhouse_program(binary: &Path) -> Vec<OsString> {
    let mut program = vec![binary.as_os_str().to_owned()];
    if binary.file_name().is_none_or(|name| name != "chdb-server") {
        program.push("chdb-server".into());
    }
    program
}

/// `test-engines/<process>` beside the binary; those of processes that are gone are removed.
fn fresh_directory(binary: &Path) -> io::Result<PathBuf> {
    let all = binary.parent().unwrap_or(Path::new(".")).join("test-engines");
    fs::create_dir_all(&all)?;
    for entry in fs::read_dir(&all)?.flatten() {
        let gone = !Path::new("/proc").join(entry.file_name()).exists();
        // The lock is held by a living run, also one in another process namespace.
        if gone && DataDir::open(&entry.path()).is_ok() {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    let own = all.join(process::id().to_string());
    fs::remove_dir_all(&own).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary() -> PathBuf {
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().join("chdb-server")
    }

    /// Two runtimes, one after the other or side by side, get the same engines, and these outlive the first.
    #[test]
    fn every_test_of_a_process_gets_the_same_engines() {
        let in_a_runtime_of_its_own = || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { engines(&binary()).await.urls().clone() })
        };
        let side_by_side = std::thread::spawn(in_a_runtime_of_its_own);
        let first = in_a_runtime_of_its_own();
        assert_eq!(side_by_side.join().unwrap(), first);
        assert_eq!(in_a_runtime_of_its_own(), first);
        let shared = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let children =
            shared.block_on(async { engines(&binary()).await.engines().children().count() });
        assert_eq!(children, 3);
    }
}
