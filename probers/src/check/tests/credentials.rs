//! Who asks: sent to the monitor's own origin, and nowhere shown.

use std::sync::{Arc, Mutex};

use pulsetrail_domain::SecretId;
use pulsetrail_domain::monitor::{Assertion, HttpAuth, SecretRef, TextOperator};
use pulsetrail_infra::secrets::{Keyring, SealedSecrets, SecretText};
use uuid::Uuid;

use super::target::{OK, TestTarget, answering_by, redirect};
use super::*;

const PLANTED: &str = "hunter2+planted/value";
const TOKEN: SecretRef = SecretRef { secret: SecretId(Uuid::from_u128(1)) };

fn text(text: &str) -> SecretText {
    SecretText::from(text.to_owned())
}

fn keyring(key: &str) -> Keyring {
    Keyring::new(&text(key), &[]).unwrap()
}

/// A job with the planted secret, sealed with the key `a`.
fn sealed(target: HttpTarget) -> Job {
    let job = job(target);
    let sealed = keyring("a").seal(job.organization_id, TOKEN.secret, &text(PLANTED)).unwrap();
    Job { secrets: SealedSecrets([(TOKEN.secret, sealed)].into()), ..job }
}

async fn run(job: &Job) -> ResultMessage {
    checker().opening_with(keyring("a")).run(job).await
}

fn bearer(url: &str) -> HttpTarget {
    let auth = Some(HttpAuth::Bearer { token: TOKEN });
    let secret_headers = [("x-token".to_owned(), TOKEN)].into();
    HttpTarget { auth, secret_headers, ..get(url) }
}

/// Answers as `answer` says, and keeps the head of each request.
async fn hearing(
    answer: impl Fn(usize) -> String + Send + Sync + 'static,
) -> (TestTarget, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&heads);
    let target = answering_by(move |head, number| {
        heard.lock().unwrap().push(head.to_owned());
        answer(number)
    })
    .await;
    (target, heads)
}

#[tokio::test]
async fn a_target_is_told_who_asks() {
    let (server, heads) = hearing(|_| OK.to_owned()).await;
    let target = bearer(&url("http", server.address, "/"));
    let result = run(&sealed(target.clone())).await.result;
    assert_eq!(result.outcome, Outcome::Up);
    let basic = HttpAuth::Basic { username: "ada".to_owned(), password: TOKEN };
    run(&sealed(HttpTarget { auth: Some(basic), ..target })).await;
    let heads = heads.lock().unwrap();
    assert!(heads[0].contains(&format!("authorization: Bearer {PLANTED}\r\n")), "{}", heads[0]);
    assert!(heads[0].contains(&format!("x-token: {PLANTED}\r\n")), "{}", heads[0]);
    // RFC 7617: `ada:hunter2+planted/value`.
    let basic = "authorization: Basic YWRhOmh1bnRlcjIrcGxhbnRlZC92YWx1ZQ==\r\n";
    assert!(heads[1].contains(basic), "{}", heads[1]);
}

#[tokio::test]
async fn nobody_but_the_monitors_own_origin_is_told() {
    let (elsewhere, told_elsewhere) = hearing(|_| OK.to_owned()).await;
    let away = url("http", elsewhere.address, "/");
    // First within the origin, then to another port: that is another origin.
    let (server, told) =
        hearing(
            move |number| {
                if number == 0 { redirect(302, "/again") } else { redirect(307, &away) }
            },
        )
        .await;
    let result = run(&sealed(bearer(&url("http", server.address, "/")))).await.result;
    assert_eq!(result.outcome, Outcome::Up);
    let told = told.lock().unwrap();
    assert!(told.len() == 2 && told.iter().all(|head| head.matches(PLANTED).count() == 2));
    let elsewhere = told_elsewhere.lock().unwrap();
    assert_eq!(elsewhere.len(), 1);
    let head = elsewhere[0].to_ascii_lowercase();
    assert!(!head.contains("authorization") && !head.contains("x-token"), "{head}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_opened_ends_the_check_before_it_begins() {
    let (server, heads) = hearing(|_| OK.to_owned()).await;
    let job = sealed(bearer(&url("http", server.address, "/")));
    let gone = Job { secrets: SealedSecrets::default(), ..job.clone() };
    let foreign = Job { organization_id: OrganizationId(Uuid::from_u128(9)), ..job.clone() };
    let with_key = |key: &str| checker().opening_with(keyring(key));
    for (checker, job) in [
        (checker(), &job),
        (with_key("b"), &job),
        (with_key("a"), &gone),
        (with_key("a"), &foreign),
    ] {
        let result = checker.run(job).await.result;
        assert_failed(&result, FailureCause::SecretUnavailable);
        assert_eq!(result.attempts, 1);
    }
    assert_eq!((server.connections(), heads.lock().unwrap().len()), (0, 0));
    // What needs no secret is not kept from its check.
    let plain = get(&url("http", server.address, "/"));
    assert_eq!(check(plain).await.result.outcome, Outcome::Up);
}

/// A message as it goes to Kafka.
fn written(message: &ResultMessage) -> String {
    serde_json::to_string(message).unwrap() + &format!("{message:?}")
}

#[tokio::test]
async fn what_a_target_sends_back_is_not_reported() {
    let base64 = "aHVudGVyMitwbGFudGVkL3ZhbHVl";
    let percent = "hunter2%2Bplanted%2Fvalue";
    // In a body that an assertion shows, whole and cut.
    for before in [0, 185, 190] {
        let body = format!("{}{PLANTED} {percent} {base64}", "x".repeat(before));
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (server, _) = hearing(move |_| answer.clone()).await;
        let asked =
            Assertion::Body { operator: TextOperator::Equals, value: Some("ok".to_owned()) };
        let target = bearer(&url("http", server.address, "/"));
        let message = run(&sealed(HttpTarget { assertions: vec![asked], ..target })).await;
        assert_failed(&message.result, FailureCause::AssertionFailed);
        let written = written(&message);
        assert!(written.contains("[secret]") && !written.contains("hunter2"), "{written}");
        assert!(!written.contains("aHVudGVy"), "{written}");
    }
    // In the address of a redirect, to a loop and to an address that is refused.
    for to in [format!("/?a={percent}&b={base64}"), format!("http://10.0.0.1/{PLANTED}?{percent}")]
    {
        let (server, _) = hearing(move |_| redirect(302, &to)).await;
        let message = run(&sealed(bearer(&url("http", server.address, "/")))).await;
        let written = written(&message);
        assert!(written.contains("[secret]"), "{written}");
        assert!(!written.contains("hunter2") && !written.contains(base64), "{written}");
    }
}
