//! Who runs the installation, named on the command line.

use pulsetrail_harness::Corner;
use reqwest::Method;
use serde_json::Value;

use super::Commands;
use super::access::{register, request, text};
use crate::corner;

/// What the command says, and whether it succeeded.
async fn operator(corner: &Corner, arguments: &[&str]) -> (bool, String) {
    let arguments = [&["operator"], arguments].concat();
    let output = corner.command(arguments).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_the_machine_names_who_runs_the_installation() {
    let corner = corner().await;
    let commands = Commands::start(&corner).await;
    let (first, _) = register(&commands).await;
    let (second, session) = register(&commands).await;
    let token = text(&session["access_token"]);
    let runs_it = async || {
        let me = request(&commands, Method::GET, "me", &token, &Value::Null).await;
        me.body["user"]["operator"].as_bool().unwrap()
    };
    assert!(!runs_it().await);
    let (granted, said) = operator(&corner, &["grant", &second.to_uppercase()]).await;
    assert!(granted && said.contains("runs the installation"), "{said}");
    assert!(runs_it().await, "it counts at once");
    let (_, listed) = operator(&corner, &["list"]).await;
    assert!(listed.contains(&first) && listed.contains(&second), "{listed}");
    // Twice is once.
    assert!(operator(&corner, &["grant", &second]).await.1.contains("already"));

    assert!(operator(&corner, &["revoke", &second]).await.0);
    assert!(!runs_it().await);
    let (_, said) = operator(&corner, &["revoke", &first]).await;
    assert!(said.contains("nobody runs it now"), "{said}");
    let (good, said) = operator(&corner, &["grant", "nobody@example.com"]).await;
    assert!(!good && said.contains("nobody has an account"), "{said}");
    let (good, said) = operator(&corner, &["grant", "nobody"]).await;
    assert!(!good && said.contains("e-mail address"), "{said}");

    let events = commands.events_of("account").await;
    let granted_and_revoked = ["OperatorGranted", "OperatorRevoked", "OperatorRevoked"];
    assert_eq!(events[2..], granted_and_revoked);
    let log: String =
        sqlx::query_scalar("select string_agg(payload::text || metadata::text, ' ') from events")
            .fetch_one(&commands.store.read)
            .await
            .unwrap();
    assert!(log.contains("command line") && !log.contains('@'), "{log}");
}
