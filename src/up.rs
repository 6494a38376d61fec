//! `up`: every engine and every role on one machine.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use pulsetrail_domain::Region;
use pulsetrail_infra::engines::supervisor::{Child, ChildSpec, supervise};
use pulsetrail_infra::engines::{self, DataDir, EngineSettings, Engines, Progress};
use pulsetrail_infra::metrics;
use pulsetrail_infra::secrets::SecretText;
use pulsetrail_infra::settings::Settings;
use pulsetrail_infra::telemetry::LogFormat;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::connect::{Connected, apply_schemas, connect};
use crate::probe_http::{Metrics, Readiness, RoleReady};
use crate::roles::{self, DEFAULT_LISTEN, Role};
use crate::{demo, server, shutdown};

/// How long the roles may take to finish their work when the process stops.
const DRAIN: Duration = Duration::from_secs(12);

/// Runs everything until SIGINT or SIGTERM.
pub(crate) async fn run(mut settings: Settings, with_demo: bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    let shutdown = shutdown::on_signals().context("signals cannot be listened to")?;
    let metrics = metrics::install().context("metrics cannot be recorded")?;
    if with_demo {
        // What the sample user makes is no part of the installation that `up` keeps here.
        settings.data_dir.push("demo");
    }
    // First of all, so that a taken port is known before anything is started.
    let listener = server::listen(settings.listen.unwrap_or(DEFAULT_LISTEN)).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    println!("Pulsetrail {}, data in {}", env!("CARGO_PKG_VERSION"), settings.data_dir.display());

    let data_dir = settings.data_dir.clone();
    let engines = tokio::select! {
        started = start_engines(&settings, &data_dir) => started?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let demo = if with_demo {
        Some(demo::start_targets(&mut settings, engines.data_dir()).await?)
    } else {
        None
    };
    if let Some(allowed) = settings.allowed_egress() {
        println!("  the shield lets {allowed} through (PULSETRAIL_EGRESS_ALLOW)");
    }
    let urls = engines.urls().clone();
    let clickhouse_url = Url::parse(&urls.clickhouse_url).context("PULSETRAIL_CLICKHOUSE_URL")?;
    settings.database_url = Some(urls.database_url.into());
    settings.kafka_brokers = Some(urls.kafka_brokers.into());
    settings.clickhouse_url = Some(clickhouse_url.clone().into());
    if settings.jwt_secret.is_none() {
        settings.jwt_secret = Some(engines.data_dir().secret(roles::JWT_SECRET)?.into());
    }
    if settings.secret_key.is_none() {
        settings.secret_key = Some(engines.data_dir().secret(roles::SECRET_KEY)?.into());
    }
    if settings.metrics_token.is_none() {
        settings.metrics_token = Some(engines.data_dir().secret(roles::METRICS_TOKEN)?.into());
    }
    let metrics = Metrics { handle: metrics, token: settings.metrics_token.clone() };

    let result = async {
        let connected = connect(&settings).await?;
        apply_schemas(&connected, &clickhouse_url, &settings).await?;
        let mut own = engines.private_addresses();
        own.push(address);
        let readiness = Readiness::default();
        let probers =
            start_probers(&settings, engines.data_dir(), &own, &readiness, &shutdown).await?;
        let mut roles = start_roles(&settings, &connected, &readiness, &shutdown);
        let serving = tokio::spawn({
            let (settings, connected) = (settings.clone(), connected.clone());
            let (readiness, shutdown) = (readiness.clone(), shutdown.clone());
            async move {
                // If HTTP ends by mistake, everything stops, and the process ends with the reason.
                let _on_every_way_out = shutdown.clone().drop_guard();
                let own = own.as_slice();
                Box::pin(roles::serve(
                    &settings, &connected, listener, readiness, metrics, shutdown, own,
                ))
                .await
            }
        });
        until_ready(&readiness, &shutdown).await;
        if !shutdown.is_cancelled() {
            println!("Ready in {:.1} s: http://{address}", begun.elapsed().as_secs_f64());
            if let Some(demo) = demo {
                tokio::select! {
                    registered = demo.register(address) => registered?,
                    () = shutdown.cancelled() => {}
                }
            }
        }
        shutdown.cancelled().await;
        println!("Stopping");
        for prober in &probers {
            prober.stop().await;
        }
        let drained = async {
            while roles.join_next().await.is_some() {}
            serving.await.context("HTTP ended")?
        };
        let drained = tokio::time::timeout(DRAIN, drained).await.unwrap_or_else(|_| {
            tracing::warn!("some roles did not finish in time; nothing acknowledged is lost");
            Ok(())
        });
        // Before Postgres is stopped, so that it does not have to break connections.
        let _ = tokio::time::timeout(Duration::from_secs(2), connected.store.close()).await;
        drained
    }
    .await;
    engines.stop().await;
    result
}

async fn start_engines(settings: &Settings, data_dir: &Path) -> anyhow::Result<Engines> {
    let wanted = EngineSettings {
        database_url: settings.database_url.as_ref().map(|url| url.expose().to_owned()),
        kafka_brokers: settings.kafka_brokers.as_ref().map(|brokers| brokers.expose().to_owned()),
        clickhouse_url: settings.clickhouse_url.as_ref().map(|url| url.expose().to_string()),
        ..EngineSettings::default()
    };
    let started = engines::start(&wanted, data_dir, |progress| match progress {
        Progress::Starting { engine } => println!("  {engine:<11} starting"),
        Progress::Ready { engine, took } => {
            println!("  {engine:<11} ready after {:.1} s", took.as_secs_f64());
        }
        Progress::External { engine } => println!("  {engine:<11} external, answers"),
    });
    Ok(started.await?)
}

/// One prober for each region, as children: nothing that a target does can take the rest down.
async fn start_probers(
    settings: &Settings,
    data_dir: &DataDir,
    own: &[SocketAddr],
    readiness: &Readiness,
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<Child>> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let mut probers = Vec::new();
    for region in &settings.regions {
        let name = format!("prober-{region}");
        let listen = SocketAddr::from(([127, 0, 0, 1], data_dir.port(&name)?));
        let spec = prober_spec(settings, data_dir, own, region, listen);
        let started = supervise(spec).await;
        probers.push(started.with_context(|| format!("the prober of {region} cannot be started"))?);
        let (client, ready, stop) = (client.clone(), readiness.of_role(&name), shutdown.clone());
        let tasks = ready.tasks().clone();
        tasks.keep_running("prober-watch", shutdown, move || {
            let watching = watch_prober(client.clone(), listen, ready.clone());
            stop.clone().run_until_cancelled_owned(watching).map(|_| ())
        });
    }
    Ok(probers)
}

/// Keeps asking a prober whether it is ready: often until it is, then now and then.
async fn watch_prober(client: reqwest::Client, listen: SocketAddr, ready: RoleReady) {
    loop {
        let answer = client.get(format!("http://{listen}/readyz")).send().await;
        let is_ready = answer.is_ok_and(|answer| answer.status().is_success());
        ready.set(is_ready);
        let pause = if is_ready { 2_000 } else { 50 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// The child gets the settings that it needs and nothing else of this process's environment: it talks to
/// strangers, and the other engines' passwords are not for it.
fn prober_spec(
    settings: &Settings,
    data_dir: &DataDir,
    own: &[SocketAddr],
    region: &Region,
    listen: SocketAddr,
) -> ChildSpec {
    let listed = |addresses: &[SocketAddr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let allow: Vec<String> = settings.egress_allow.iter().map(ToString::to_string).collect();
    let deny = listed(&[own, &settings.egress_deny].concat());
    let format = match settings.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let name = format!("prober-{region}");
    let log = data_dir.log(&name);
    let mut spec = ChildSpec::of_this_program(name, log)
        .args(["prober", "--region", region.as_str()])
        .env("PULSETRAIL_LISTEN", listen.to_string())
        .env("PULSETRAIL_KAFKA_BROKERS", exposed(&settings.kafka_brokers))
        .env("PULSETRAIL_TOPIC_PREFIX", &settings.topic_prefix)
        .env("PULSETRAIL_EGRESS_ALLOW", allow.join(","))
        .env("PULSETRAIL_EGRESS_DENY", deny)
        .env("PULSETRAIL_SECRET_KEY", exposed(&settings.secret_key))
        .env("PULSETRAIL_SECRET_KEY_PREVIOUS", exposed(&settings.secret_key_previous))
        .env("PULSETRAIL_METRICS_TOKEN", exposed(&settings.metrics_token))
        .env("PULSETRAIL_PROBER_CONCURRENCY", settings.prober_concurrency.to_string())
        .env("PULSETRAIL_LOG", settings.log.to_string())
        .env("PULSETRAIL_LOG_FORMAT", format);
    spec.inherit_env = false;
    trusting(spec, settings.trusted_roots.as_deref(), std::env::var_os)
}

/// Which certificates a prober trusts: those of the machine, in the place that the environment names, and those
/// of a file.
fn trusting(
    mut spec: ChildSpec,
    file: Option<&Path>,
    variable: impl Fn(&'static str) -> Option<OsString>,
) -> ChildSpec {
    if let Some(file) = file.and_then(|file| std::path::absolute(file).ok()) {
        spec = spec.env("PULSETRAIL_TRUSTED_ROOTS", file);
    }
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if let Some(value) = variable(name) {
            spec = spec.env(name, value);
        }
    }
    spec
}

/// Keys, as a setting has them.
fn exposed<'a>(keys: impl IntoIterator<Item = &'a SecretText>) -> String {
    keys.into_iter().map(SecretText::expose).collect::<Vec<_>>().join(",")
}

/// The roles that live in this process. One that fails is started again.
fn start_roles(
    settings: &Settings,
    connected: &Connected,
    readiness: &Readiness,
    shutdown: &CancellationToken,
) -> JoinSet<()> {
    let mut roles = JoinSet::new();
    for role in [Role::Relay, Role::Projector, Role::Recorder, Role::Scheduler] {
        let ready = readiness.of_role(role.name());
        let (settings, connected) = (settings.clone(), connected.clone());
        let shutdown = shutdown.clone();
        roles.spawn(async move {
            keep_working(&role, &settings, &connected, &shutdown, &ready).await;
        });
    }
    roles
}

async fn keep_working(
    role: &Role,
    settings: &Settings,
    connected: &Connected,
    shutdown: &CancellationToken,
    ready: &RoleReady,
) {
    while !shutdown.is_cancelled() {
        let working = tokio::spawn({
            let (role, settings, connected) = (role.clone(), settings.clone(), connected.clone());
            let (shutdown, ready) = (shutdown.clone(), ready.clone());
            async move { Box::pin(roles::work(&role, &settings, &connected, &shutdown, &ready)).await }
        });
        let error = match working.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(panicked) => panicked.to_string(),
        };
        ready.set(false);
        tracing::error!(role = role.name(), error, "a role failed and is started again");
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

async fn until_ready(readiness: &Readiness, shutdown: &CancellationToken) {
    while !readiness.all() && !shutdown.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prober_trusts_what_its_parent_was_told_to() {
        let of = |file: Option<&str>, variables: &[(&str, &str)]| {
            let spec = ChildSpec::of_this_program("prober", "log");
            let variable = |name: &str| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            };
            trusting(spec, file.map(Path::new), variable).env
        };
        assert_eq!(of(None, &[("PATH", "/bin")]), []);
        let given = of(Some("/roots.pem"), &[("SSL_CERT_FILE", "/a.pem"), ("SSL_CERT_DIR", "/b")]);
        let expected = [
            ("PULSETRAIL_TRUSTED_ROOTS", "/roots.pem"),
            ("SSL_CERT_FILE", "/a.pem"),
            ("SSL_CERT_DIR", "/b"),
        ];
        assert_eq!(given, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
