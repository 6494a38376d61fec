//! How the server hands out the dashboard's files. The dashboard must have been built: `make test` does so.

use pulsetrail_harness::http_client;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};

use crate::corner;

/// Every value of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!("{attribute}=\"");
    page.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_the_same_document_and_every_link_of_it_leads_somewhere() {
    let corner = corner().await;
    let app = corner.start().await;
    let client = http_client();
    let get = async |path: &str| {
        let answer = client.get(format!("{}{path}", app.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer
    };
    let answer = get("/").await;
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(answer.headers()[CACHE_CONTROL], "no-cache");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let tag = answer.headers()[ETAG].clone();
    let document = answer.text().await.unwrap();
    assert!(document.contains("<title>Pulsetrail</title>"), "{document}");
    // The policy allows neither.
    assert!(!document.contains("<style") && !document.contains("style="), "{document}");
    assert!(!document.contains("<script>"), "{document}");

    // What a browser has is asked about, and not sent again.
    let known = client.get(format!("{}/", app.url)).header(IF_NONE_MATCH, &tag);
    let known = known.send().await.unwrap();
    assert_eq!((known.status().as_u16(), &known.headers()[ETAG]), (304, &tag));
    assert_eq!(known.text().await.unwrap(), "");

    // A page has an address of its own, and a reader may come to it first.
    for page in ["/sign-in", "/monitors", "/monitors/new", "/monitors/1/checks/2", "/settings/keys"]
    {
        assert_eq!(get(page).await.text().await.unwrap(), document, "{page}");
    }

    let links = [values(&document, "href"), values(&document, "src")].concat();
    let scripts = links.iter().filter(|link| link.starts_with("/assets/")).count();
    assert!(scripts >= 2, "a script and a stylesheet in {links:?}");
    for link in links {
        let answer = get(link).await;
        if link.starts_with("/assets/") {
            let kept = &answer.headers()[CACHE_CONTROL];
            assert_eq!(kept, "public, max-age=31536000, immutable", "{link}");
        }
        if link.ends_with(".webmanifest") {
            let manifest: serde_json::Value = answer.json().await.unwrap();
            for icon in manifest["icons"].as_array().unwrap() {
                let icon_answer = get(icon["src"].as_str().unwrap()).await;
                assert_eq!(icon_answer.headers()[CONTENT_TYPE], icon["type"].as_str().unwrap());
            }
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_of_no_page_is_an_error_and_no_document() {
    let corner = corner().await;
    let app = corner.start().await;
    for path in ["/nothing", "/assets/nothing.js", "/assets/../index.html", "/api/v1/nothing"] {
        let answer = http_client().get(format!("{}{path}", app.url)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["code"], "not_found", "{path}");
    }
    app.stop().await;
}
