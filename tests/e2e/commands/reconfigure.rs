//! Changing how a monitor is checked.

use pulsetrail_harness::{Answer, User};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Commands;
use crate::corner;

/// A monitor of a user's.
#[derive(Clone)]
struct Theirs {
    user: User,
    path: String,
}

impl Theirs {
    async fn register(commands: &Commands) -> Self {
        let user = User::sign_up(&commands.url).await;
        let body = json!({"url": "https://example.com", "tags": {"team": "a"}});
        let answer = user.post("/api/v1/monitors", &body).await;
        let path = format!("/api/v1/monitors/{}", answer.body["id"].as_str().unwrap());
        Self { user, path }
    }

    async fn patch(&self, if_match: Option<&str>, patch: &Value) -> Answer {
        let mut request = self.user.request(Method::PATCH, &self.path).json(patch);
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        self.user.send(request).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let commands = Commands::start(&corner().await).await;
    let monitor = Theirs::register(&commands).await;
    let patch =
        json!({"interval_seconds": 30, "tags": {"env": "prod"}, "target": {"method": "HEAD"}});
    let after = monitor.patch(None, &patch).await;
    assert_eq!(after.status, StatusCode::OK, "{}", after.body);
    assert_eq!(after.headers["etag"], "\"2\"");
    assert_eq!(after.body["tags"], json!({"team": "a", "env": "prod"}));
    assert_eq!(after.body["target"]["method"], "HEAD");
    assert_eq!(after.body["name"], "example.com");
    // The same again changes nothing.
    assert_eq!(monitor.patch(None, &patch).await.body["version"], 2);
    let invalid = monitor.patch(None, &json!({"regions": ["mars"], "status": "up"})).await;
    assert_eq!(invalid.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", invalid.body);
    let blocked = monitor.patch(None, &json!({"url": "http://10.0.0.1"})).await;
    assert_eq!(blocked.body["code"], "egress_blocked", "{}", blocked.body);
    assert_eq!(blocked.body["errors"][0]["pointer"], "/url");
    assert_eq!(commands.events().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_would_be_lost_is_refused() {
    let commands = Commands::start(&corner().await).await;
    let monitor = Theirs::register(&commands).await;
    let first = monitor.patch(Some("\"1\""), &json!({"name": "first"})).await;
    assert_eq!((first.status, &first.body["version"]), (StatusCode::OK, &json!(2)));
    let second = monitor.patch(Some("\"1\""), &json!({"name": "second"})).await;
    assert_eq!(second.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(second.body["code"], "version_mismatch");
    assert_eq!(monitor.patch(Some("*"), &json!({"name": "third"})).await.body["version"], 3);
    let stale = monitor.user.request(Method::DELETE, &monitor.path).header("if-match", "\"2\"");
    assert_eq!(monitor.user.send(stale).await.status, StatusCode::PRECONDITION_FAILED);
    // Of several at once that saw the same version, one is done.
    let (one, other) = (json!({"name": "fourth"}), json!({"name": "also fourth"}));
    let both =
        tokio::join!(monitor.patch(Some("\"3\""), &one), monitor.patch(Some("\"3\""), &other));
    let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_of_different_fields_at_once_are_all_kept() {
    let commands = Commands::start(&corner().await).await;
    let monitor = Theirs::register(&commands).await;
    let patches = (0..4).map(|number| {
        let monitor = monitor.clone();
        tokio::spawn(async move {
            monitor.patch(None, &json!({"tags": {format!("tag-{number}"): "x"}})).await
        })
    });
    for patch in patches.collect::<Vec<_>>() {
        let answer = patch.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    let tags = monitor.patch(None, &json!({})).await.body["tags"].clone();
    assert_eq!(tags.as_object().unwrap().len(), 5, "{tags}");
    assert_eq!(commands.events().await, 5);
}

impl Theirs {
    /// Two people add a letter to the name at once, from the version that both of them saw; whoever is
    /// told that it is another one by now looks again. Returns the name, and how often that was told.
    async fn two_letters(&self, careful: bool) -> (String, usize) {
        let seen = self.patch(None, &json!({"name": "-"})).await;
        let add = async |letter: &str| {
            let (mut seen, mut refused) = ((seen.headers["etag"].clone(), "-".to_owned()), 0);
            loop {
                let name = format!("{}{letter}", seen.1);
                let tag = careful.then(|| seen.0.to_str().unwrap());
                let answer = self.patch(tag, &json!({"name": name})).await;
                if answer.status == StatusCode::OK {
                    return refused;
                }
                assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{}", answer.body);
                refused += 1;
                let current = self.patch(None, &json!({})).await;
                seen = (current.headers["etag"].clone(), name_of(&current));
            }
        };
        let (one, other) = tokio::join!(add("a"), add("b"));
        (name_of(&self.patch(None, &json!({})).await), one + other)
    }
}

fn name_of(answer: &Answer) -> String {
    answer.body["name"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_change_the_same_version_one_is_refused_and_nothing_is_lost() {
    let commands = Commands::start(&corner().await).await;
    let monitor = Theirs::register(&commands).await;
    for _ in 0..5 {
        let (name, refused) = monitor.two_letters(true).await;
        assert_eq!((name.len(), refused), (3, 1), "{name}");
        assert!(name.contains('a') && name.contains('b'), "{name}");
    }
    // Without If-Match the first letter is lost: that would be seen.
    let (name, refused) = monitor.two_letters(false).await;
    assert_eq!((name.len(), refused), (2, 0), "{name}");
}
