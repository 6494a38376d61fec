//! One cell with the read side running: relay, projector, views, and the HTTP interface.

use std::num::NonZeroU32;
use std::path::PathBuf;

use pulsetrail_domain::{OrganizationId, SessionId, Timestamp, UserId, timestamp_from_millis};
use pulsetrail_harness::{Corner, Feed, eventually, http_client};
use pulsetrail_infra::clickhouse::client;
use pulsetrail_infra::http::{AccessTokens, Authenticator, TokenClaims};
use pulsetrail_infra::instances::LiveProbers;
use pulsetrail_infra::relay;
use pulsetrail_infra::store::Store;
use pulsetrail_infra::supervised::Supervisor;
use pulsetrail_projections::{
    Installation, LiveHub, LiveLimits, QueryState, projector, router, views,
};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A moment, in seconds after the beginning of 2026.
pub(crate) fn at(seconds: i64) -> Timestamp {
    timestamp_from_millis(1_767_225_600_000 + seconds * 1_000)
}

/// What access tokens are signed with.
pub(crate) const SECRET: &[u8] = &[7; 32];
/// Connections to the live feed that a person may have to one server.
pub(crate) const CONNECTIONS: u32 = 8;

/// A running cell. Dropped, its roles are told to stop.
pub(crate) struct Cell {
    pub(crate) corner: Corner,
    pub(crate) store: Store,
    pub(crate) clickhouse: clickhouse::Client,
    pub(crate) url: String,
    tokens: AccessTokens,
    shutdown: CancellationToken,
    projector: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.stop_projector_soon();
    }
}

impl Cell {
    /// A cell of a test's own.
    pub(crate) async fn start() -> Self {
        let binary = chdb_server();
        let engines = pulsetrail_harness::engines(&binary).await;
        let corner = Corner::new(engines.urls(), &binary).await;
        let store = corner.store().await;
        store.migrate().await.unwrap();
        let kafka = corner.kafka();
        kafka.ensure_topics(&[]).await.unwrap();
        let clickhouse = client(&corner.urls.clickhouse_url.parse().unwrap(), &corner.name);
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let (relay_store, relay_kafka) = (store.clone(), kafka.clone());
        tokio::spawn(async move { relay::run(&relay_store, &relay_kafka, &stop).await });
        let (stop, views_store, views_kafka) = (shutdown.clone(), store.clone(), kafka.clone());
        tokio::spawn(async move { views::run(&views_store, &views_kafka, stop, || ()).await });

        let tokens = AccessTokens::new(SECRET, 3_600);
        let (url, projector) = (String::new(), None);
        let mut cell = Self { corner, store, clickhouse, url, tokens, shutdown, projector };
        cell.url = cell.another_server().await;
        cell.start_projector();
        cell
    }

    /// Starts a server, which remembers nothing of what was before, and returns its address.
    pub(crate) async fn another_server(&self) -> String {
        self.server_until(self.shutdown.clone()).await
    }

    /// The same, which goes away with `shutdown`.
    pub(crate) async fn server_until(&self, shutdown: CancellationToken) -> String {
        let store = self.corner.store().await;
        let authenticator = Authenticator::new(self.tokens.clone(), store.read.clone());
        let limits = LiveLimits { connections_per_person: NonZeroU32::new(CONNECTIONS).unwrap() };
        let tasks = Supervisor::default();
        let hub =
            LiveHub::start(store.clone(), authenticator.clone(), limits, &tasks, shutdown.clone());
        let installation =
            Installation::new(self.corner.kafka(), Vec::new(), LiveProbers::default());
        let clickhouse = self.clickhouse.clone();
        let state = QueryState::new(store, clickhouse, authenticator, hub, installation);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, router(state)).into_future() => {}
                () = shutdown.cancelled() => {}
            }
        });
        url
    }

    pub(crate) fn start_projector(&mut self) {
        let stop = self.shutdown.child_token();
        let (store, kafka) = (self.store.clone(), self.corner.kafka());
        let (clickhouse, stopped) = (self.clickhouse.clone(), stop.clone());
        let running = tokio::spawn(async move {
            projector::run(&store, &kafka, clickhouse, stopped, || ()).await;
        });
        self.projector = Some((running, stop));
    }

    fn stop_projector_soon(&mut self) -> Option<JoinHandle<()>> {
        let (running, stop) = self.projector.take()?;
        stop.cancel();
        Some(running)
    }

    pub(crate) async fn stop_projector(&mut self) {
        if let Some(running) = self.stop_projector_soon() {
            running.await.unwrap();
        }
    }

    /// Waits until everything in the log is in ClickHouse, as its own mark says, and in the views.
    pub(crate) async fn projected(&self) {
        let head = pulsetrail_infra::store::head(&self.store.read).await.unwrap().0;
        eventually("the projection is at the head", async || {
            let query = "select max(position) from projected where kind = 'mark'";
            let mark: i64 = self.clickhouse.query(query).fetch_one().await.ok()?;
            (mark >= head).then_some(())
        })
        .await;
        eventually("the views are at the head", async || {
            let registered: i64 = sqlx::query_scalar(
                "select count(*) from events where event_type = 'MonitorRegistered'
                 and aggregate_id not in (select monitor_id::text from monitor_view)",
            )
            .fetch_one(&self.store.read)
            .await
            .unwrap();
            (registered == 0).then_some(())
        })
        .await;
    }

    pub(crate) async fn log(&self) -> Vec<i64> {
        sqlx::query_scalar("select position from events order by position")
            .fetch_all(&self.store.read)
            .await
            .unwrap()
    }
}

/// Somebody who reads.
pub(crate) struct Reader<'a> {
    pub(crate) cell: &'a Cell,
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) token: String,
}

impl Cell {
    /// Somebody of an organization of their own.
    pub(crate) async fn reader(&self) -> Reader<'_> {
        let [user, organization_id, session] = [(); 3].map(|()| Uuid::new_v4());
        sqlx::query(
            "with person as (insert into users (user_id, email, password_hash)
                             values ($1, $1::text, '')),
                  theirs as (insert into organizations (organization_id, name) values ($2, '')),
                  member as (insert into members (organization_id, user_id, role)
                             values ($2, $1, 'viewer'))
             insert into sessions (session_id, user_id, organization_id, refresh_hash, expires_at)
             values ($3, $1, $2, '', 'infinity')",
        )
        .bind(user)
        .bind(organization_id)
        .bind(session)
        .execute(&self.store.read)
        .await
        .unwrap();
        let claims = TokenClaims {
            user_id: UserId(user),
            organization_id: OrganizationId(organization_id),
            session_id: SessionId(session),
        };
        let (token, _) = self.tokens.issue(&claims).unwrap();
        Reader { cell: self, user_id: user, session_id: session, organization_id, token }
    }
}

impl Reader<'_> {
    /// `GET path`: the status, the entity tag and the body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String, Value) {
        let request =
            http_client().get(format!("{}{path}", self.cell.url)).bearer_auth(&self.token);
        let response = request.send().await.unwrap();
        let etag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        (status, etag.unwrap_or_default(), serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// The body of a `GET` that succeeds.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let (status, _, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The code of a `GET` that is refused.
    pub(crate) async fn refusal(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.get(path).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    }

    /// A new ticket to the live feed.
    pub(crate) async fn ticket(&self) -> String {
        let url = format!("{}/api/v1/live/tickets", self.cell.url);
        let response = http_client().post(url).bearer_auth(&self.token).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 201);
        let body: Value = response.json().await.unwrap();
        body["ticket"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn live(&self) -> Feed {
        Feed::open(&self.cell.url, &self.token).await
    }
}

/// `chdb-server` beside this test's own program.
fn chdb_server() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(std::path::Path::parent).unwrap().join("chdb-server");
    assert!(binary.exists(), "{} is missing: cargo build -p chdb-server", binary.display());
    binary
}
