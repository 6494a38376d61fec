//! Names that lead to one place when they are judged and to another when they are dialled, with
//! listeners on this machine that nobody may reach.

mod canaries;
mod zone;

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use pulsetrail_domain::CheckId;
use pulsetrail_domain::check::Outcome;
use pulsetrail_domain::egress::EgressEvent;
use pulsetrail_domain::monitor::{HttpTarget, Retries, TargetUrl};
use pulsetrail_infra::messages::Job;
use tokio::net::TcpStream;
use tokio::time::Instant;
use uuid::Uuid;

use super::resolve::Resolver;
use super::*;
use crate::check::Checker;
use crate::fuzz_tests::entries;
use canaries::{Canaries, GOOD};
use zone::{KINDS, Kind, Zone};

/// Tries under way at once.
const CONCURRENCY: usize = 64;

/// How many tries there are: few enough for every day, or many.
fn tries() -> usize {
    if std::env::var_os("PULSETRAIL_SOAK").is_some() { 1_000_000 } else { 20_000 }
}

struct Scene {
    canaries: Canaries,
    shield: Shield,
    name_server: SocketAddr,
}

impl Scene {
    async fn set() -> Self {
        let canaries = Canaries::listen().await;
        let name_server = Zone::serve(GOOD, canaries.addresses.clone()).await;
        let allow = vec![IpNet::from(IpAddr::from(GOOD))];
        let shield = Shield::with_name_servers(allow, vec![], &[name_server]).unwrap();
        Self { canaries, shield, name_server }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(60)
    }
}

/// What became of tries of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    dialled: usize,
    refused: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_ever_leads_to_where_nobody_may_go() {
    let scene = Scene::set().await;
    let port = scene.canaries.port;
    let scene_ref = &scene;
    let mut tallies = [Tally::default(); KINDS.len()];
    let mut ended = stream::iter(0..tries())
        .map(|number| async move {
            let place = number % KINDS.len();
            let name = KINDS[place].name(number);
            let host = Host::Domain(name.as_str());
            (place, scene_ref.shield.connect(host, port, scene_ref.deadline()).await)
        })
        .buffer_unordered(CONCURRENCY);
    while let Some((place, ended)) = ended.next().await {
        match ended {
            Ok(dialled) => {
                assert_eq!(dialled.stream.peer_addr().unwrap(), SocketAddr::from((GOOD, port)));
                tallies[place].dialled += 1;
            }
            Err(DialFailure { reason: DialFailureReason::Refused(verdict), .. }) => {
                assert_ne!(verdict.address.ip(), IpAddr::from(GOOD));
                tallies[place].refused += 1;
            }
            Err(other) => panic!("{}: {other:?}", KINDS[place].label),
        }
    }
    drop(ended);
    assert_eq!(scene.canaries.hits().await, 0);
    for (Kind { label, always_refused }, tally) in KINDS.into_iter().zip(tallies) {
        let expected = match label {
            _ if always_refused => tally.dialled == 0 && tally.refused > 0,
            "honest" => tally.refused == 0 && tally.dialled > 0,
            // By its good address it is dialled while the refused one is not known yet.
            "mixed6" => tally.refused > tally.dialled,
            // One answer in two is good.
            "flip" => tally.refused > 0 && tally.dialled > 0,
            // The first answer is the one that is dialled.
            _ => tally.dialled > 0,
        };
        assert!(expected, "{label}: {tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resolves_again_to_dial_is_caught() {
    let scene = Scene::set().await;
    let again = Resolver::with_name_servers(&[scene.name_server]).unwrap();
    let mut passed = 0;
    for number in 0..50 {
        let name = KINDS[0].name(number);
        let judged = again.addresses(&name, scene.deadline()).await.unwrap();
        if scene.shield.judge_all(&judged.known, scene.canaries.port).is_err() {
            continue;
        }
        passed += 1;
        for ip in again.addresses(&name, scene.deadline()).await.unwrap().known {
            TcpStream::connect((ip, scene.canaries.port)).await.unwrap();
        }
    }
    assert!(passed > 0 && scene.canaries.hits().await >= passed, "{passed}");
}

fn job(number: usize, host: &str, port: u16) -> Job {
    let url = TargetUrl::try_from(format!("http://{host}:{port}/")).unwrap();
    Job {
        check_id: CheckId(Uuid::from_u128(number as u128)),
        timeout_ms: 60_000,
        retries: Retries { max_attempts: 3, ..Retries::default() },
        ..entries::job(HttpTarget::get(url))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_check_that_is_refused_has_one_refusal_for_the_log_and_no_other_has() {
    let scene = Scene::set().await;
    let (checker, port) = (Checker::new(scene.shield.clone()).unwrap(), scene.canaries.port);
    let checker = &checker;
    // Addresses as they can be written in a URL, beside the names.
    let literals = [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "[::1]",
        "127.0.0.1.",
        "１２７.0.0.1",
    ];
    let hosts = (0..tries()).map(|number| match number % 10 {
        9 => literals[number / 10 % literals.len()].to_owned(),
        kind => KINDS[kind].name(number),
    });
    let mut results = stream::iter(hosts.enumerate())
        .map(|(number, host)| async move { checker.run(&job(number, &host, port)).await })
        .buffer_unordered(CONCURRENCY);
    let (mut refused, mut up) = (0, 0);
    while let Some(message) = results.next().await {
        match message.result.outcome {
            Outcome::Up => up += 1,
            Outcome::Blocked => refused += 1,
            other => panic!("{other:?}: {message:?}"),
        }
        let blocked = message.blocked();
        assert_eq!(blocked.is_some(), message.result.outcome == Outcome::Blocked, "{message:?}");
        if let Some(EgressEvent::EgressBlocked { check_id, .. }) = blocked {
            assert_eq!(check_id, Some(message.result.check_id));
            assert_eq!(message.result.attempts, 1, "a refusal is final");
        }
    }
    drop(results);
    assert_eq!(scene.canaries.hits().await, 0);
    assert!(refused >= tries() * 2 / 3 && up > 0, "{refused} refused, {up} up");
}
