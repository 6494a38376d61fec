//! The private ClickHouse: `chdb-server`, the real engine behind ClickHouse's HTTP interface.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use super::data_dir::at;
use super::settings::address_of;
use super::supervisor::{self, ChildSpec};
use super::{
    DataDir, Engine, EngineError, EngineSettings, Private, Started, installed, leftover, probe,
};

const ENGINE: Engine = Engine::ClickHouse;
/// Analytics give way: a merge of parts must delay neither commands nor checks.
const NICENESS: u8 = 10;
/// How long it may take to close its tables.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// The user that the front lets in.
const USER: &str = "pulsetrail";

/// Asks the external ClickHouse, or starts a private one.
pub(super) async fn start(
    settings: &EngineSettings,
    data_dir: &DataDir,
) -> Result<Started, EngineError> {
    if let Some(url) = &settings.clickhouse_url {
        probe::external(ENGINE, &address_of(url), settings.external_timeout, || {
            probe::clickhouse(url)
        })
        .await?;
        return Ok(Started { url: url.clone(), private: None });
    }
    let library = installed::chdb_library(settings)?;
    let data = data_dir.folder(ENGINE.name())?.join("data");
    if !data.exists() {
        fs::DirBuilder::new().mode(0o700).create(&data).map_err(at(&data))?;
    }
    let password = data_dir.secret("clickhouse-password")?;
    leftover::wait_gone(ENGINE, &program_name(settings), &data).await?;

    let port = data_dir.port(ENGINE.name())?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let log = data_dir.log(ENGINE.name());
    let spec = program(settings, &log)
        .args([OsString::from("--listen"), address.to_string().into()])
        .args([OsString::from("--path"), data.into()])
        .args([OsString::from("--library"), library.into()])
        .args(["--user", USER])
        .env("CHDB_PASSWORD", &password);
    let spec = ChildSpec {
        niceness: NICENESS,
        // Nothing of this process's environment, which has passwords of others. It makes its data directory
        // its working directory by itself.
        inherit_env: false,
        current_dir: Some("/".into()),
        stop_timeout: STOP_TIMEOUT,
        ..spec
    };
    let child = supervisor::supervise(spec)
        .await
        .map_err(|error| EngineError::Start { engine: ENGINE, detail: error.to_string() })?;
    let url = format!("http://{USER}:{password}@{address}");
    probe::private(ENGINE, &child, &log, settings.start_timeout, || probe::clickhouse(&url))
        .await?;
    Ok(Started { url, private: Some(Private { engine: ENGINE, child, addresses: vec![address] }) })
}

fn program(settings: &EngineSettings, log: &Path) -> ChildSpec {
    match settings.clickhouse_program.split_first() {
        Some((program, args)) => ChildSpec::new(ENGINE.name(), program, log).args(args),
        None => ChildSpec::of_this_program(ENGINE.name(), log).args(["chdb-server"]),
    }
}

/// The name of the program's file, as a list of processes shows it.
fn program_name(settings: &EngineSettings) -> String {
    let program = match settings.clickhouse_program.first() {
        Some(program) => Some(program.into()),
        None => std::env::current_exe().ok(),
    };
    let name =
        program.and_then(|program| Some(program.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_default().trim_end_matches(" (deleted)").to_owned()
}
