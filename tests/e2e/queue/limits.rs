//! How many checks are under way at once, as their targets see it.

use pulsetrail_domain::{MonitorId, OrganizationId, Region};
use pulsetrail_harness::{Corner, eventually};
use pulsetrail_infra::messages::Job;
use uuid::Uuid;

use super::crowd::Crowd;
use super::jobs::{ask_for, job, schedule};
use crate::corner;

const SCHEDULED: u8 = 60;
const ON_DEMAND: u8 = 12;

/// A crowd that a prober with as many checks at once has come to: with jobs of as many organizations for as many
/// hosts, in turn.
async fn crowd(
    corner: &Corner,
    concurrency: usize,
    (organizations, hosts): (u8, u8),
    at_once: usize,
) -> Crowd {
    let kafka = corner.kafka();
    kafka.ensure_topics(&[Region::default()]).await.unwrap();
    let crowd = Crowd::start().await;
    let settings = [("PULSETRAIL_PROBER_CONCURRENCY", concurrency.to_string())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let prober = corner.role_with("prober", &settings).await.until_ready().await;
    let for_hosts = |count: u8| {
        let of_host = |number: u8| {
            let job = job(MonitorId(Uuid::now_v7()), &crowd.url(1 + number % hosts));
            let organization_id = OrganizationId(Uuid::from_u128((number % organizations).into()));
            Job { timeout_ms: 30_000, organization_id, ..job }
        };
        (0..count).map(of_host).collect::<Vec<_>>()
    };
    schedule(&kafka, for_hosts(SCHEDULED));
    ask_for(&kafka, for_hosts(ON_DEMAND));
    // Nobody is let go before: whoever waits for a place would have come in.
    eventually(&format!("{at_once} at once"), async || (crowd.now() >= at_once).then_some(()))
        .await;
    crowd.open();
    let all = usize::from(SCHEDULED + ON_DEMAND);
    eventually("everybody's turn comes", async || (crowd.ever() == all).then_some(())).await;
    assert!(prober.stop().await.success());
    crowd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_checks_are_under_way_than_a_prober_may_make_and_few_of_a_host() {
    let (few, many, shared) = tokio::join!(corner(), corner(), corner());
    // One in ten is kept for checks on demand, of which there are enough.
    let (limited, of_one_host, of_a_shared_host) = tokio::join!(
        crowd(&few, 20, (9, 40), 20),
        crowd(&many, 200, (1, 1), 10),
        crowd(&shared, 200, (12, 1), 25),
    );
    assert_eq!(limited.most(), 20);
    assert_eq!(of_one_host.most_at_a_host(), 10, "of one organization");
    let most = of_a_shared_host.most_at_a_host();
    assert!((25..=30).contains(&most), "{most} of all organizations");

    // The control: without the one limit and the other, all are there at once, and are counted.
    let unlimited = corner().await;
    let all = usize::from(SCHEDULED + ON_DEMAND);
    let crowd = crowd(&unlimited, 200, (9, 40), all).await;
    assert_eq!(crowd.most(), all);
    assert!(crowd.most_at_a_host() < 10, "{}", crowd.most_at_a_host());
}
