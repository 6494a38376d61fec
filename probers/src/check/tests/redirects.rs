use super::target::{OK, answering_by, redirect};
use super::*;

#[tokio::test]
async fn a_redirect_is_followed_to_its_answer_unless_it_is_the_answer() {
    let server = answering_by(|head, _| {
        if head.starts_with("GET /end ") { OK.to_owned() } else { redirect(302, "/end") }
    })
    .await;
    let mut target = get(&url("http", server.address, "/"));
    let result = check(target.clone()).await.result;
    assert_eq!((result.outcome, result.http_status), (Outcome::Up, Some(200)));
    assert_eq!(server.connections(), 2, "a fresh connection for each hop");
    target.follow_redirects = false;
    let result = check(target).await.result;
    assert_failed(&result, FailureCause::HttpStatusUnexpected);
    assert_eq!(result.http_status, Some(302));
}

#[tokio::test]
async fn a_way_that_comes_back_until_no_redirect_is_left_is_a_loop() {
    let server = answering_by(|head, _| {
        redirect(307, if head.starts_with("GET /a ") { "/b" } else { "/a" })
    })
    .await;
    let result = check(get(&url("http", server.address, "/a"))).await.result;
    assert_failed(&result, FailureCause::HttpRedirectLoop);
    assert_eq!(server.connections(), 6);
    assert_eq!(result.http_status, Some(307));
}

#[tokio::test]
async fn more_redirects_than_allowed_are_too_many() {
    let server = answering_by(|_, number| redirect(301, &format!("/{number}"))).await;
    let mut target = get(&url("http", server.address, "/start"));
    target.max_redirects = 3;
    let result = check(target).await.result;
    assert_failed(&result, FailureCause::HttpTooManyRedirects);
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_invalid() {
    for to in ["http://", "ftp://127.0.0.1/", "http://user:password@127.0.0.1/"] {
        let server = answering_by(move |_, _| redirect(302, to)).await;
        let result = check(get(&url("http", server.address, "/"))).await.result;
        assert_failed(&result, FailureCause::HttpRedirectInvalid);
    }
    let server = answering_by(|_, _| "HTTP/1.1 302 Found\r\n\r\n".to_owned()).await;
    let result = check(get(&url("http", server.address, "/"))).await.result;
    assert_failed(&result, FailureCause::HttpRedirectInvalid);
}

#[tokio::test]
async fn a_redirect_to_a_refused_address_is_blocked() {
    for (to, address, range) in [
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254", "169.254.169.254/32"),
        ("http://[::ffff:10.0.0.1]/", "::ffff:10.0.0.1", "10.0.0.0/8"),
        ("http://0xa000001/", "10.0.0.1", "10.0.0.0/8"),
        ("http://[::1]/", "::1", "::1/128"),
    ] {
        let server = answering_by(move |_, _| redirect(302, to)).await;
        let message = check(get(&url("http", server.address, "/"))).await;
        assert_failed(&message.result, FailureCause::ShieldRefused);
        let refusal = message.refusal.unwrap();
        assert_eq!((&*refusal.address, &*refusal.range), (address, range));
        assert!(refusal.url.starts_with("http://"));
        assert!(message.result.timings_us.first_byte > 0, "the first hop was measured");
    }
}
