//! The page at `/`.

use pulsetrail_harness::http_client;

use crate::corner;

/// Every value of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!("{attribute}=\"");
    page.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_home_page_says_what_this_is_and_every_link_of_it_leads_somewhere() {
    let corner = corner().await;
    let app = corner.start().await;
    let get = async |path: &str| {
        let answer = http_client().get(format!("{}{path}", app.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer
    };
    let answer = get("/").await;
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = answer.text().await.unwrap();
    assert!(page.contains("uptime monitor"), "{page}");
    // The policy allows neither.
    assert!(!page.contains("<style") && !page.contains("<script") && !page.contains("style="));
    let links = [values(&page, "href"), values(&page, "src")].concat();
    assert!(links.contains(&"/docs"), "{links:?}");
    for link in links {
        get(link).await;
    }
    let style = get("/home.css").await;
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
    app.stop().await;
}
