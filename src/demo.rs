//! The demonstration: targets on loopback of every temper, and a user who watches them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use pulsetrail_infra::engines::DataDir;
use pulsetrail_infra::settings::Settings;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const EMAIL: &str = "demo@example.com";
/// Under which name the data directory keeps the sample user's password.
const PASSWORD: &str = "demo-password";

/// The sample targets, running.
pub(crate) struct Demo {
    /// The sample user's: on an empty installation the first user runs it, so nobody may guess it.
    password: String,
    targets: Vec<(&'static str, String)>,
}

/// Starts the targets, and lets the shield through to the one address that they are on.
pub(crate) async fn start_targets(
    settings: &mut Settings,
    data_dir: &DataDir,
) -> anyhow::Result<Demo> {
    let password = data_dir.secret(PASSWORD)?;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    settings.egress_allow.push(loopback.into());
    let served = Arc::new(AtomicU64::new(0));
    let flaky = async move || {
        // Down for 20 of every 60 answers.
        if served.fetch_add(1, Ordering::Relaxed) % 60 < 40 {
            (StatusCode::OK, "fine for now")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "one of those days")
        }
    };
    let slow = async || {
        tokio::time::sleep(Duration::from_millis(800)).await;
        "at last"
    };
    let routes = Router::new()
        .route("/healthy", get(async || "fine"))
        .route("/slow", get(slow))
        .route("/flaky", get(flaky))
        .route("/down", get(async || (StatusCode::INTERNAL_SERVER_ERROR, "broken")));
    let listener = TcpListener::bind(SocketAddr::new(loopback, 0))
        .await
        .context("the sample targets cannot be started")?;
    let address = listener.local_addr().context("the listener has no address")?;
    tokio::spawn(axum::serve(listener, routes).into_future());
    let url = |path: &str| format!("http://{address}/{path}");
    Ok(Demo {
        password,
        targets: vec![
            ("healthy", url("healthy")),
            ("slow", url("slow")),
            ("flaky", url("flaky")),
            ("down", url("down")),
            // The name leads to ::1 as well, which is not let through.
            ("refused by the shield", format!("http://localhost:{}/healthy", address.port())),
        ],
    })
}

impl Demo {
    /// Signs the sample user up, or in when the data directory has seen them before, and registers
    /// the targets at where they are this time.
    pub(crate) async fn register(&self, api: SocketAddr) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let account = json!({ "email": EMAIL, "password": self.password, "name": "Demo" });
        let credentials = json!({ "email": EMAIL, "password": self.password });
        let post = async |path: &str, token: &str, body: &Value| -> anyhow::Result<Value> {
            let response = client
                .post(format!("http://{api}/api/v1/{path}"))
                .bearer_auth(token)
                .json(body)
                .send()
                .await?;
            let (status, body) = (response.status(), response.text().await?);
            if !status.is_success() {
                bail!("{path} was answered with {status}: {body}");
            }
            Ok(serde_json::from_str(&body).unwrap_or_default())
        };
        let session = match post("auth/register", "", &account).await {
            Ok(session) => session,
            Err(_taken) => post("auth/login", "", &credentials).await?,
        };
        let token = session["access_token"].as_str().context("the sign-in gave no token")?;
        let existing: Value = client
            .get(format!("http://{api}/api/v1/monitors?limit=100"))
            .bearer_auth(token)
            .send()
            .await?
            .json()
            .await?;
        for (name, url) in &self.targets {
            let known = existing["items"]
                .as_array()
                .and_then(|items| items.iter().find(|item| item["name"] == *name));
            let target = json!({ "type": "http", "url": url });
            if let Some(id) = known.and_then(|item| item["id"].as_str()) {
                client
                    .patch(format!("http://{api}/api/v1/monitors/{id}"))
                    .bearer_auth(token)
                    .json(&json!({ "target": target }))
                    .send()
                    .await?
                    .error_for_status()?;
                continue;
            }
            let monitor = json!({
                "name": name,
                "target": target,
                "interval_seconds": 1,
                "timeout_ms": 900,
                "tags": { "demo": "yes" },
            });
            post("monitors", token, &monitor).await?;
        }
        println!("Signed up {EMAIL} with the password {}, who watches:", self.password);
        for (name, url) in &self.targets {
            println!("  {name:<22} {url}");
        }
        println!("Watch them with:");
        println!("  TOKEN={token}");
        println!("  curl -H \"Authorization: Bearer $TOKEN\" http://{api}/api/v1/monitors");
        Ok(())
    }
}
