//! Postgres goes away in the middle of a role's start.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::prepare;
use crate::corner;

/// What a role asks when it has just connected.
const QUESTION: &[u8] = b"_sqlx_migrations";

/// Passes on what a client says to Postgres and back. Who asks the question first is cut off.
async fn pass_on(mut client: TcpStream, postgres: &str, is_cut: &AtomicBool) -> io::Result<()> {
    let mut server = TcpStream::connect(postgres).await?;
    let (mut answers, mut asked) = server.split();
    let (mut from_client, mut to_client) = client.split();
    let questions = async {
        let mut said = vec![0; 8 << 10];
        loop {
            let count = from_client.read(&mut said).await?;
            let asks = said[..count].windows(QUESTION.len()).any(|words| words == QUESTION);
            if count == 0 || (asks && !is_cut.swap(true, Ordering::Relaxed)) {
                return Ok(());
            }
            asked.write_all(&said[..count]).await?;
        }
    };
    tokio::select! {
        ended = questions => ended,
        ended = copy(&mut answers, &mut to_client) => ended.map(drop),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_postgres_leaves_in_the_middle_of_its_start_waits_for_it() {
    let corner = corner().await;
    prepare(&corner).await;
    let mut url: Url = corner.urls.database_url.parse().unwrap();
    let postgres = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (postgres, cut) = (postgres.clone(), Arc::clone(&cut));
            tokio::spawn(async move { pass_on(client, &postgres, &cut).await });
        }
    });
    let role = corner.role_with("relay", &[("PULSETRAIL_DATABASE_URL", url.as_str())]).await;
    let role = role.until_ready().await;
    assert!(is_cut.load(Ordering::Relaxed), "it was left");
    assert!(role.log().contains("Postgres is away"), "{}", role.log());
    assert!(role.stop().await.success());
}
