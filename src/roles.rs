//! The roles: what each needs, and how it is run alone or beside others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use pulsetrail_commands::{CommandState, recorder};
use pulsetrail_domain::Region;
use pulsetrail_infra::engines::kept_secret;
use pulsetrail_infra::http::{AccessTokens, Authenticator};
use pulsetrail_infra::instances::{Instance, LiveProbers, announce, announce_prober};
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::secrets::{Keyring, SecretText};
use pulsetrail_infra::settings::Settings;
use pulsetrail_infra::store::Store;
use pulsetrail_infra::{metrics, relay};
use pulsetrail_probers::{prober, scheduler, shield::Shield};
use pulsetrail_projections::{Installation, LiveHub, LiveLimits, QueryState, projector, views};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::connect::{Connected, connect_when_there, kafka};
use crate::probe_http::{self, Metrics, Readiness, RoleReady};
use crate::server::ConnectionLimits;
use crate::{api_document, manners, server, shutdown};

/// Where `up` and `server` listen unless told otherwise.
pub(crate) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The names under which `up` keeps what tokens are signed with, and what secrets are sealed with.
pub(crate) const JWT_SECRET: &str = "jwt";
pub(crate) const SECRET_KEY: &str = "secret_key";
/// The same for what metrics are shown for.
pub(crate) const METRICS_TOKEN: &str = "metrics";

/// A role of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Recorder,
    Relay,
    Scheduler,
    Projector,
    Prober(Region),
}

impl Role {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Recorder => "recorder",
            Self::Relay => "relay",
            Self::Scheduler => "scheduler",
            Self::Projector => "projector",
            Self::Prober(_) => "prober",
        }
    }
}

/// Runs one role as this process, against engines given by URL.
pub(crate) async fn run_alone(role: Role, settings: Settings) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signals().context("signals cannot be listened to")?;
    let metrics = metrics::install().context("metrics cannot be recorded")?;
    let metrics = Metrics { handle: metrics, token: metrics_token(&settings)? };
    let default = if role == Role::Server { DEFAULT_LISTEN } else { ANY_PORT };
    let listener = server::listen(settings.listen.unwrap_or(default)).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    let readiness = Readiness::default();
    let ready = readiness.of_role(role.name());
    tracing::info!(role = role.name(), listen = %address, "starting");
    if let (Role::Prober(_) | Role::Server, Some(allowed)) = (&role, settings.allowed_egress()) {
        tracing::info!(egress.allowed = allowed, "the shield lets more through than its table");
    }

    if let Role::Prober(region) = &role {
        let (kafka, keyring) = (kafka(&settings)?, keyring(&settings)?);
        if keyring.is_none() {
            tracing::warn!("without PULSETRAIL_SECRET_KEY no check that needs a secret is made");
        }
        let routes = probe_http::router(readiness, metrics);
        let http = serve_beside(listener, routes, &settings, &shutdown);
        let mut own = settings.egress_deny.clone();
        own.push(address);
        let shield = Shield::new(settings.egress_allow.clone(), own)
            .context("names cannot be resolved on this machine")?;
        let concurrency = settings.prober_concurrency;
        let instance = Instance::new(role.name(), Some(region.clone()));
        let stop = shutdown.clone();
        let (announced, probed) =
            tokio::join!(announce_prober(&kafka, instance, || ready.get(), &stop), async {
                let _on_every_way_out = stop.clone().drop_guard();
                let roots = settings.trusted_roots.as_deref();
                let opens = (&shield, keyring, roots);
                prober::run(&kafka, region, opens, concurrency, shutdown, || ready.set(true)).await
            },);
        probed?;
        announced.context("PULSETRAIL_KAFKA_BROKERS")?;
        return http.await.context("HTTP ended")?;
    }

    let Some(connected) = connect_when_there(&settings, &shutdown).await? else { return Ok(()) };
    if role == Role::Server {
        return serve(&settings, &connected, listener, readiness, metrics, shutdown, &[]).await;
    }
    let routes = probe_http::router(readiness, metrics);
    let http = serve_beside(listener, routes, &settings, &shutdown);
    work(&role, &settings, &connected, &shutdown, &ready).await?;
    http.await.context("HTTP ended")?
}

/// Serves `routes` beside a role's work. If that ends before the shutdown, it is a shutdown too: the role
/// stops, and the process ends with the reason.
fn serve_beside(
    listener: TcpListener,
    routes: Router,
    settings: &Settings,
    shutdown: &CancellationToken,
) -> JoinHandle<anyhow::Result<()>> {
    let (limits, shutdown) = (ConnectionLimits::of(settings), shutdown.clone());
    tokio::spawn(async move {
        let _on_every_way_out = shutdown.clone().drop_guard();
        server::serve(listener, routes, limits, shutdown).await
    })
}

/// Runs a role that serves no HTTP of its own, until `shutdown`, and announces it meanwhile.
pub(crate) async fn work(
    role: &Role,
    settings: &Settings,
    connected: &Connected,
    shutdown: &CancellationToken,
    ready: &RoleReady,
) -> anyhow::Result<()> {
    let ended = shutdown.child_token();
    let instance = Instance::new(role.name(), None);
    let (worked, ()) = tokio::join!(
        async {
            let _on_every_way_out = ended.clone().drop_guard();
            work_on(role, settings, connected, shutdown, ready).await
        },
        announce(&connected.store.read, instance, || ready.get(), &ended),
    );
    worked
}

async fn work_on(
    role: &Role,
    settings: &Settings,
    connected: &Connected,
    shutdown: &CancellationToken,
    ready: &RoleReady,
) -> anyhow::Result<()> {
    let Connected { store, kafka, clickhouse } = connected;
    let stop = shutdown.clone();
    match role {
        Role::Recorder => recorder::run(store, kafka, stop, || ready.set(true)).await?,
        Role::Relay => {
            ready.set(true);
            relay::run(store, kafka, shutdown).await;
        }
        Role::Scheduler => {
            scheduler::run(store, kafka, &settings.regions, stop, || ready.set(true)).await?;
        }
        Role::Projector => {
            let analytics =
                projector::run(store, kafka, clickhouse.clone(), stop.clone(), || ready.set(true));
            tokio::join!(analytics, views::run(store, kafka, stop, || ()));
        }
        Role::Server | Role::Prober(_) => bail!("{} is run in another way", role.name()),
    }
    ready.set(false);
    Ok(())
}

/// Serves the whole HTTP interface on `listener` until `shutdown`. `own` are more addresses of
/// Pulsetrail's own, which no monitor may be registered for.
pub(crate) async fn serve(
    settings: &Settings,
    connected: &Connected,
    listener: TcpListener,
    readiness: Readiness,
    metrics: Metrics,
    shutdown: CancellationToken,
    own: &[SocketAddr],
) -> anyhow::Result<()> {
    let secret = match &settings.jwt_secret {
        Some(given) => Some(given.clone()),
        None => kept_secret(&settings.data_dir, JWT_SECRET)?.map(Into::into),
    };
    let (Some(secret), Some(keyring)) = (secret, keyring(settings)?) else {
        bail!(
            "PULSETRAIL_JWT_SECRET and PULSETRAIL_SECRET_KEY must be set, or PULSETRAIL_DATA_DIR \
             name the directory of an `up`, which has made them"
        );
    };
    let ready = readiness.of_role("server");
    let Connected { store, kafka, clickhouse } = connected.clone();
    let mut tokens = AccessTokens::new(secret.expose().as_bytes(), settings.access_token_seconds);
    if let Some(previous) = &settings.jwt_secret_previous {
        tokens = tokens.also_read(previous.expose().as_bytes());
    }
    let authenticator = Authenticator::with_limits(
        tokens,
        store.read.clone(),
        settings.ingress.clone(),
        settings.rates,
    );
    let mut egress_deny = settings.egress_deny.clone();
    egress_deny.extend_from_slice(own);
    egress_deny.push(listener.local_addr().context("the listener has no address")?);
    let tasks = ready.tasks();
    let commands = CommandState::new(
        store.clone(),
        kafka.clone(),
        authenticator.clone(),
        keyring,
        settings,
        egress_deny,
        tasks,
    )
    .context("PULSETRAIL_KAFKA_BROKERS")?;
    let limits = LiveLimits { connections_per_person: settings.live_connections_per_person };
    let hub = LiveHub::start(store.clone(), authenticator.clone(), limits, tasks, shutdown.clone());
    let probers = LiveProbers::default();
    let commands = commands.told_by(hub.awaited_checks()).hearing(probers.clone());
    let installation = Installation::new(kafka.clone(), settings.regions.clone(), probers.clone());
    let queries =
        QueryState::new(store.clone(), clickhouse, authenticator, hub.clone(), installation)
            .with_egress_allow(&settings.egress_allow);
    let commands = commands.with_previews(Arc::new(queries.clone()));
    let announcing = tasks.keep_running("server-announcements", &shutdown, {
        let shutdown = shutdown.clone();
        move || announce_server(store.clone(), kafka.clone(), probers.clone(), shutdown.clone())
    });
    let routes = Router::new()
        .merge(pulsetrail_commands::router(commands))
        .merge(pulsetrail_projections::router(queries))
        .merge(api_document::router())
        .merge(pulsetrail_projections::dashboard::router())
        .merge(probe_http::router(readiness, metrics));
    ready.set(true);
    let routes = manners::with_manners(routes, settings);
    server::serve(listener, routes, ConnectionLimits::of(settings), shutdown).await?;
    // The upgraded connections say goodbye by themselves; axum does not wait for them.
    let _ = tokio::time::timeout(Duration::from_secs(3), hub.drained()).await;
    announcing.await.context("announcing ended")
}

/// The keys that secrets are sealed and opened with, if the settings name one or an `up` has left one in
/// the data directory.
fn keyring(settings: &Settings) -> anyhow::Result<Option<Keyring>> {
    let key = match &settings.secret_key {
        Some(given) => Some(given.clone()),
        None => kept_secret(&settings.data_dir, SECRET_KEY)?.map(Into::into),
    };
    Ok(key.map(|key| Keyring::new(&key, &settings.secret_key_previous)).transpose()?)
}

/// What metrics are shown for, if the settings say so or an `up` has left it in the data directory.
fn metrics_token(settings: &Settings) -> anyhow::Result<Option<SecretText>> {
    Ok(match &settings.metrics_token {
        Some(given) => Some(given.clone()),
        None => kept_secret(&settings.data_dir, METRICS_TOKEN)?.map(Into::into),
    })
}

/// Announces this server, and listens to the probers, until `shutdown`.
async fn announce_server(
    store: Store,
    kafka: Kafka,
    probers: LiveProbers,
    shutdown: CancellationToken,
) {
    let instance = Instance::new("server", None);
    tokio::join!(
        announce(&store.read, instance, || true, &shutdown),
        probers.listen(&kafka, &shutdown),
    );
}
