//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use pulsetrail_domain::{Position, Region};
use pulsetrail_infra::settings::Settings;
use pulsetrail_infra::{relay, settings, telemetry};

use crate::dead_letters::DeadLetters;
use crate::operator::Operators;
use crate::user::Users;
use crate::watch::Watch;
use crate::{connect, dead_letters, egress_policy, operator, roles, up, user, watch};

/// An event-sourced uptime monitor.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine, with private engines where none are set.
    Up {
        /// Also start sample targets on loopback, and watch them as a sample user. The data directory is
        /// `demo` below the usual one.
        #[arg(long)]
        demo: bool,
    },
    /// Serve HTTP: commands, queries and the live feed.
    Server,
    /// Turn results into events.
    Recorder,
    /// Publish the log to Kafka.
    Relay {
        /// Publish every event from this position on again, and end.
        #[arg(long, value_name = "POSITION")]
        from: Option<i64>,
    },
    /// Emit the jobs that are due.
    Scheduler,
    /// Check targets.
    Prober {
        /// The region whose jobs are taken.
        #[arg(long, default_value = "default")]
        region: Region,
    },
    /// Write the read models: ClickHouse and the view of the monitors.
    Projector,
    /// Apply the schemas of Postgres and ClickHouse, and create the topics.
    Migrate,
    /// Look at the messages that were themselves at fault, and have them tried again.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Say who runs the installation.
    #[command(subcommand)]
    Operator(Operators),
    /// Help people who have an account.
    #[command(subcommand)]
    User(Users),
    /// Show what happens, as it happens: a line an event, in colour on a terminal, else as JSON.
    ///
    /// Who asks is said by PULSETRAIL_TOKEN, an access token or an API key, and where by PULSETRAIL_URL.
    /// It comes back by itself when it is cut off, and then skips and repeats nothing.
    Watch(Watch),
    /// Show every setting: its value in force, where that comes from, and its meaning. Secrets are hidden.
    Settings {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the shield's table as rules, so that the network can enforce it too.
    EgressPolicy(egress_policy::Arguments),
    /// Serve the embedded ClickHouse engine over HTTP; `up` starts this by itself.
    #[command(hide = true)]
    ChdbServer(ChdbServer),
}

#[derive(Debug, clap::Args)]
struct ChdbServer {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    path: PathBuf,
    #[arg(long)]
    library: PathBuf,
    #[arg(long)]
    user: String,
}

pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::ChdbServer(arguments) => return serve_clickhouse(arguments),
        Command::Settings { json } => return show_settings(json),
        _ => {}
    }
    let settings = Settings::load()?;
    if let Command::EgressPolicy(arguments) = &cli.command {
        print!("{}", egress_policy::render(&settings, arguments));
        return Ok(());
    }
    telemetry::install(&settings.log, settings.log_format);
    // One provider of cryptography in the whole process; a second installation keeps the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Up { demo } => Box::pin(up::run(settings, demo)).await,
            Command::Server => Box::pin(roles::run_alone(roles::Role::Server, settings)).await,
            Command::Recorder => Box::pin(roles::run_alone(roles::Role::Recorder, settings)).await,
            Command::Relay { from: None } => {
                Box::pin(roles::run_alone(roles::Role::Relay, settings)).await
            }
            Command::Relay { from: Some(from) } => republish(&settings, from).await,
            Command::Scheduler => {
                Box::pin(roles::run_alone(roles::Role::Scheduler, settings)).await
            }
            Command::Projector => {
                Box::pin(roles::run_alone(roles::Role::Projector, settings)).await
            }
            Command::Prober { region } => {
                Box::pin(roles::run_alone(roles::Role::Prober(region), settings)).await
            }
            Command::Migrate => Box::pin(connect::migrate(&settings)).await,
            Command::Operator(asked) => Box::pin(operator::run(&settings, asked)).await,
            Command::User(asked) => Box::pin(user::run(&settings, asked)).await,
            Command::Watch(asked) => Box::pin(watch::run(&settings, asked)).await,
            Command::DeadLetters(asked) => Box::pin(dead_letters::run(&settings, asked)).await,
            Command::ChdbServer(_) | Command::Settings { .. } | Command::EgressPolicy(_) => Ok(()),
        }
    });
    // What waits for an engine that is away would wait for ever.
    runtime.shutdown_timeout(STUCK);
    ended
}

/// How long threads that wait for an engine are waited for at the end of the process.
const STUCK: Duration = Duration::from_secs(1);

fn show_settings(json: bool) -> anyhow::Result<()> {
    let variables = std::env::vars_os();
    let readable = |(key, value): (OsString, OsString)| {
        Some((key.into_string().ok()?, value.into_string().ok()?))
    };
    let (settings, faults) = settings::in_force(variables.filter_map(readable));
    if json {
        println!("{}", serde_json::to_string_pretty(&settings)?);
    } else {
        print!("{}", settings::as_text(&settings));
    }
    if faults.is_empty() { Ok(()) } else { Err(settings::SettingsError(faults).into()) }
}

async fn republish(settings: &Settings, from: i64) -> anyhow::Result<()> {
    let connected = connect::connect(settings).await?;
    let published =
        relay::republish(&connected.store, &connected.kafka, Position(from.max(0))).await?;
    println!("published {published} events again");
    Ok(())
}

fn serve_clickhouse(arguments: ChdbServer) -> anyhow::Result<()> {
    let ChdbServer { listen, path, library, user } = arguments;
    // From the environment: arguments are for everybody to see.
    let password = std::env::var("CHDB_PASSWORD").unwrap_or_default();
    match chdb_server::run(chdb_server::Config { listen, path, library, user, password })? {}
}
