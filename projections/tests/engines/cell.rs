//! One cell with the read side running: relay, projector, views, and the HTTP interface.

use std::path::PathBuf;

use pulsetrail_domain::{OrganizationId, SessionId, Timestamp, UserId, timestamp_from_millis};
use pulsetrail_harness::{Corner, Feed, eventually, http_client};
use pulsetrail_infra::clickhouse::client;
use pulsetrail_infra::http::{AccessTokens, Authenticator, TokenClaims};
use pulsetrail_infra::relay;
use pulsetrail_infra::store::Store;
use pulsetrail_projections::{LiveHub, QueryState, projector, router, views};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A moment, in seconds after the beginning of 2026.
pub(crate) fn at(seconds: i64) -> Timestamp {
    timestamp_from_millis(1_767_225_600_000 + seconds * 1_000)
}

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

        let tokens = AccessTokens::new(&[7; 32], 3_600);
        let (url, projector) = (String::new(), None);
        let mut cell = Self { corner, store, clickhouse, url, tokens, shutdown, projector };
        cell.url = cell.another_server().await;
        cell.start_projector();
        cell
    }

    /// Starts a server, which remembers nothing of what was before, and returns its address.
    pub(crate) async fn another_server(&self) -> String {
        let (store, shutdown) = (self.store.clone(), self.shutdown.clone());
        let hub = LiveHub::start(store.clone(), self.corner.kafka(), shutdown);
        let authenticator = Authenticator::new(self.tokens.clone(), store.read.clone());
        let state = QueryState::new(store, self.clickhouse.clone(), authenticator, hub);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router(state)).await });
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
    cell: &'a Cell,
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
        Reader { cell: self, organization_id, token }
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

    /// A monitor that was registered at a moment.
    pub(crate) async fn monitor(&self, seconds: i64, name: &str, tags: Value) -> Monitor<'_> {
        let monitor = Monitor { reader: self, id: Uuid::new_v4() };
        let config = json!({
            "name": name, "target": {"type": "http", "url": format!("https://{name}.example/")},
            "interval_seconds": 60, "timeout_ms": 10_000, "retries": {}, "confirmations": 1,
            "regions": ["default"], "tags": tags,
        });
        let payload = json!({"monitor_id": monitor.id, "organization_id": self.organization_id,
                             "config": config});
        monitor.append(seconds, "monitor", "MonitorRegistered", payload).await;
        monitor
    }
}

/// A monitor whose history is written by hand.
pub(crate) struct Monitor<'a> {
    reader: &'a Reader<'a>,
    pub(crate) id: Uuid,
}

impl Monitor<'_> {
    /// Appends an event that was recorded at a moment, and returns its position.
    pub(crate) async fn append(
        &self,
        seconds: i64,
        aggregate: &str,
        name: &str,
        payload: Value,
    ) -> i64 {
        sqlx::query_scalar(
            "insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                                 event_type, event_version, payload, metadata, recorded_at)
             select $1, $2, 1 + coalesce(max(sequence), 0), $3, $4, '1.0', $5, '{}', $6
             from events where aggregate_type = $1 and aggregate_id = $2
             returning position",
        )
        .bind(aggregate)
        .bind(self.id.to_string())
        .bind(self.reader.organization_id)
        .bind(name)
        .bind(payload)
        .bind(at(seconds))
        .fetch_one(&self.reader.cell.store.write)
        .await
        .unwrap()
    }

    /// A check of a slot, recorded a second after it.
    pub(crate) async fn check(&self, slot: i64, outcome: &str) -> i64 {
        let mut payload = json!({
            "check_id": Uuid::new_v4(), "region": "default", "scheduled_at": at(slot),
            "started_at": at(slot), "outcome": outcome, "attempts": 1, "config_version": 1,
            "timings_us": {"dns": 1, "connect": 2, "tls": 3, "first_byte": 4, "total": 10},
            "valid_for_ms": 130_000,
        });
        if outcome == "down" {
            payload["failure"] = json!({"cause": "connect_refused", "detail": "refused"});
        }
        self.append(slot + 1, "health", "CheckCompleted", payload).await
    }

    pub(crate) async fn went_down(&self, since: i64) -> i64 {
        let cause = json!({"cause": "connect_refused", "detail": "refused"});
        let payload = json!({"since": at(since), "cause": cause, "check_id": Uuid::new_v4()});
        self.append(since + 1, "health", "WentDown", payload).await
    }

    pub(crate) async fn recovered(&self, since: i64, until: i64) -> i64 {
        let payload = json!({"since": at(since), "down_for_ms": (until - since) * 1_000,
                             "check_id": Uuid::new_v4()});
        self.append(until + 1, "health", "Recovered", payload).await
    }

    pub(crate) async fn command(&self, seconds: i64, name: &str) -> i64 {
        self.append(seconds, "monitor", name, json!({})).await
    }

    /// A path below the monitor.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/monitors/{}{rest}", self.id)
    }
}

/// `chdb-server` beside this test's own program.
fn chdb_server() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(std::path::Path::parent).unwrap().join("chdb-server");
    assert!(binary.exists(), "{} is missing: cargo build -p chdb-server", binary.display());
    binary
}
