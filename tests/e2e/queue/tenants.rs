//! Organizations that share a prober, one of which has monitors whose targets hang.

use std::net::Ipv4Addr;

use chrono::TimeDelta;
use pulsetrail_domain::{MonitorId, OrganizationId, Region};
use pulsetrail_harness::{Corner, RoleProcess, Target, eventually};
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::messages::Job;
use uuid::Uuid;

use super::crowd::Crowd;
use super::jobs::{ask_for, job, schedule};
use crate::corner;

const CONCURRENCY: &str = "100";
const ROUNDS: usize = 4;
/// Checks of the victim in a round: as many as an organization may have of one host at once.
const CHECKS: usize = 9;

/// A job whose check hangs, or waits, for as long as the test takes.
fn hanging(organization_id: OrganizationId, url: &str) -> Job {
    let job = job(MonitorId(Uuid::now_v7()), url);
    let deadline = job.scheduled_at + TimeDelta::minutes(10);
    Job { organization_id, deadline, timeout_ms: 300_000, ..job }
}

/// A prober whose permits are held by checks of `hostile` that hang, on the host of `127.0.0.1` and on others,
/// on demand and not, and more of them wait.
async fn beset(corner: &Corner, crowd: &Crowd, hostile: OrganizationId) -> RoleProcess {
    let kafka = corner.kafka();
    kafka.ensure_topics(&[Region::default()]).await.unwrap();
    let settings = [("PULSETRAIL_PROBER_CONCURRENCY", CONCURRENCY)];
    let prober = corner.role_with("prober", &settings).await.until_ready().await;
    let same_host = crowd.url_at(Ipv4Addr::LOCALHOST);
    schedule(&kafka, (0..100).map(|_| hanging(hostile, &same_host)));
    schedule(&kafka, (0..1_000).map(|number| hanging(hostile, &crowd.url(number as u8))));
    ask_for(&kafka, (0..100).map(|number| hanging(hostile, &crowd.url(number))));
    // Three quarters of the scheduled lane's 90; a job of the same organization waits from now on.
    eventually("most permits are held", async || (crowd.now() >= 67).then_some(())).await;
    prober
}

/// A slot's checks of the victim at the host where others hang: each is to begin within 5 s.
fn slot(kafka: &Kafka, victim: OrganizationId, target: &Target, on_demand: bool) {
    let jobs = (0..CHECKS).map(|_| {
        let job = job(MonitorId(Uuid::now_v7()), &target.url());
        let deadline = job.scheduled_at + TimeDelta::seconds(5);
        Job { organization_id: victim, deadline, timeout_ms: 4_000, ..job }
    });
    if on_demand { ask_for(kafka, jobs.take(1)) } else { schedule(kafka, jobs) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_of_one_organization_that_hang_cost_another_no_slot() {
    let [hostile, victim] = [1, 2].map(|number| OrganizationId(Uuid::from_u128(number)));
    let (corner, shared) = tokio::join!(corner(), corner());
    let (crowd, target) = (Crowd::start().await, Target::start().await);
    let prober = beset(&corner, &crowd, hostile).await;
    for round in 1..=ROUNDS {
        slot(&corner.kafka(), victim, &target, false);
        slot(&corner.kafka(), victim, &target, true);
        eventually("every check of the slot is made", async || {
            (target.requests().len() == round * (CHECKS + 1)).then_some(())
        })
        .await;
    }
    assert_eq!(prober.metric("pulsetrail_prober_jobs_dropped_total").await, 0.0);
    assert!(crowd.now() < 100, "some permits are left for the next organization");
    crowd.open();
    assert!(prober.stop().await.success());

    // The control: where the same checks are of one organization, there is nothing to share.
    let (crowd, target) = (Crowd::start().await, Target::start().await);
    let prober = beset(&shared, &crowd, victim).await;
    slot(&shared.kafka(), victim, &target, false);
    eventually("the checks of the slot are dropped", async || {
        let dropped = prober.metric("pulsetrail_prober_jobs_dropped_total").await;
        (dropped >= CHECKS as f64).then_some(())
    })
    .await;
    assert_eq!(target.requests().len(), 0);
    crowd.open();
    assert!(prober.stop().await.success());
}
