//! Somebody with an account, who uses the HTTP interface.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Feed, eventually};

/// A client that uses no proxy.
///
/// # Panics
/// Never on a machine with sockets.
pub fn http_client() -> reqwest::Client {
    client(None)
}

/// The same, which connects from an address of this machine.
///
/// # Panics
/// Never on a machine with sockets.
pub fn http_client_from(address: IpAddr) -> reqwest::Client {
    client(Some(address))
}

fn client(address: Option<IpAddr>) -> reqwest::Client {
    // The tests and the program are one process tree; whoever is first installs the provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .local_address(address)
        .build()
        .expect("a client")
}

/// A signed-up user.
#[derive(Clone)]
pub struct User {
    /// The interface: `http://127.0.0.1:port`.
    pub url: String,
    /// The access token.
    pub token: String,
    /// Their organization's id.
    pub organization: String,
    client: reqwest::Client,
}

/// What a request was answered with.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body; null where it is empty or no JSON.
    pub body: Value,
}

impl User {
    /// Signs somebody new up.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn sign_up(url: &str) -> Self {
        let client = http_client();
        let account = json!({
            "email": format!("{}@example.com", Uuid::new_v4()),
            "password": "correct horse battery",
        });
        let session: Value = client
            .post(format!("{url}/api/v1/auth/register"))
            .json(&account)
            .send()
            .await
            .expect("an answer")
            .error_for_status()
            .expect("a new account")
            .json()
            .await
            .expect("a body");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            url: url.to_owned(),
            token: text(&session["access_token"]),
            organization: text(&session["organization"]["id"]),
            client,
        }
    }

    /// The same user at another address of the interface.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// The same user, whose requests come from another address of loopback.
    #[must_use]
    pub fn from_address(&self, address: IpAddr) -> Self {
        Self { client: client(Some(address)), ..self.clone() }
    }

    /// A user with another access token, of the given organization.
    #[must_use]
    pub fn with_token(&self, token: &str, organization: &str) -> Self {
        let (token, organization) = (token.to_owned(), organization.to_owned());
        Self { token, organization, ..self.clone() }
    }

    /// A request of theirs.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.text().await.expect("a body");
        Answer { status, headers, body: serde_json::from_str(&body).unwrap_or_default() }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST path` with a body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Registers a monitor of `url` that is checked every second, and returns its id.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn watch(&self, url: &str) -> String {
        let body = json!({ "url": url, "interval_seconds": 1, "timeout_ms": 900 });
        let answer = self.post("/api/v1/monitors", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.body["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until the monitor has the status.
    ///
    /// # Panics
    /// When it does not get it in time.
    pub async fn until_status(&self, monitor: &str, status: &str) -> Value {
        eventually(&format!("{monitor} is {status}"), async || {
            let answer = self.get(&format!("/api/v1/monitors/{monitor}")).await;
            (answer.body["status"] == status).then_some(answer.body)
        })
        .await
    }

    /// Every stored event of a monitor, oldest first.
    ///
    /// # Panics
    /// When a page is refused.
    pub async fn events(&self, monitor: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let mut after = "0".to_owned();
        loop {
            let path = format!("/api/v1/monitors/{monitor}/events?limit=1000&after={after}");
            let answer = self.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            events.extend(answer.body["items"].as_array().expect("items").iter().cloned());
            match answer.body["next_cursor"].as_str() {
                Some(next) => after = next.to_owned(),
                None => return events,
            }
        }
    }

    /// Opens the live feed.
    pub async fn live(&self) -> Feed {
        Feed::open(&self.url, &self.token).await
    }
}
