//! Starts a `chdb-server` from the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// ClickHouse's HTTP interface over the embedded ClickHouse engine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The loopback address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8123")]
    listen: SocketAddr,
    /// The data directory.
    #[arg(long)]
    path: PathBuf,
    /// The engine, libchdb.so.
    #[arg(long, env = "PULSETRAIL_CHDB_LIB")]
    library: PathBuf,
    /// The only user's name. Their password is taken from the variable CHDB_PASSWORD.
    #[arg(long, default_value = "default")]
    user: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = chdb_server::Config {
        listen: arguments.listen,
        path: arguments.path,
        library: arguments.library,
        user: arguments.user,
        password: std::env::var("CHDB_PASSWORD").unwrap_or_default(),
    };
    match chdb_server::run(config) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("chdb-server: {error}");
            ExitCode::FAILURE
        }
    }
}
