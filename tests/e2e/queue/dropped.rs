//! Jobs that come too late.

use chrono::TimeDelta;
use pulsetrail_domain::MonitorId;
use pulsetrail_harness::{Target, User, eventually};
use pulsetrail_infra::messages::Job;
use serde_json::Value;
use uuid::Uuid;

use super::jobs::{job, schedule};
use crate::corner;

const LATE: usize = 40;
const IN_TIME: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_past_their_deadline_are_dropped_and_counted() {
    let corner = corner().await;
    assert!(corner.command(["migrate"]).output().await.unwrap().status.success());
    let server = corner.role("server").await.until_ready().await;
    let prober = corner.role("prober").await.until_ready().await;
    let user = User::sign_up(&server.url).await;
    let target = Target::start().await;
    let jobs = |path: &str, count| {
        let url = format!("{}{path}", target.url());
        (0..count).map(|_| job(MonitorId(Uuid::now_v7()), &url)).collect::<Vec<_>>()
    };
    let late = jobs("late", LATE).into_iter().map(|job| {
        let an_hour = TimeDelta::hours(1);
        Job { scheduled_at: job.scheduled_at - an_hour, deadline: job.deadline - an_hour, ..job }
    });
    schedule(&corner.kafka(), late);
    // The control: the same jobs in time are made, and are not counted.
    schedule(&corner.kafka(), jobs("in-time", IN_TIME));
    eventually("those in time are made, and the others counted", async || {
        let dropped = prober.metric("pulsetrail_prober_jobs_dropped_total").await;
        let made = prober.metric("pulsetrail_prober_checks_total").await;
        (made == IN_TIME as f64 && dropped == LATE as f64).then_some(())
    })
    .await;
    assert_eq!(target.paths(), vec!["/in-time"; IN_TIME]);
    eventually("the installation tells so", async || {
        let system: Value = user.get("/api/v1/system").await.body;
        let jobs = &system["jobs"];
        (jobs["dropped"] == LATE && jobs["made"] == IN_TIME).then_some(())
    })
    .await;
    for role in [prober, server] {
        assert!(role.stop().await.success());
    }
}
