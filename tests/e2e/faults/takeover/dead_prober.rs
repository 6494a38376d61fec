//! A prober that dies: its jobs are another's within ten seconds.

use chrono::Utc;
use pulsetrail_harness::within;

use super::slots::Log;
use super::{INTERVAL_MS, register, target};
use crate::corner;
use crate::faults::{SETTLING, prepare};

/// A prober's death is known to its group after 6 s without a sign of life; then the others share what it
/// had.
const TAKEOVER_MS: i64 = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_probers_monitors_are_checked_by_another_within_ten_seconds() {
    let corner = corner().await;
    prepare(&corner).await;
    let _others = [
        corner.role("relay").await.until_ready().await,
        corner.role("recorder").await.until_ready().await,
        corner.role("scheduler").await.until_ready().await,
    ];
    let doomed = corner.role("prober").await.until_ready().await;
    let survivor = corner.role("prober").await.until_ready().await;
    let monitors = register(&corner, 40, target().await).await;
    let store = corner.store().await;
    let mut log = Log::default();
    let all_since = async |log: &mut Log, begin_ms: i64| {
        within(SETTLING, "every monitor is checked", async || {
            log.read_on(&store).await;
            monitors.iter().all(|monitor| log.newest(*monitor) >= begin_ms).then_some(())
        })
        .await;
    };
    within(SETTLING, "both make checks", async || {
        let made = async |prober: &pulsetrail_harness::RoleProcess| {
            prober.metric("pulsetrail_prober_checks_total").await > 0.0
        };
        (made(&doomed).await && made(&survivor).await).then_some(())
    })
    .await;
    all_since(&mut log, Utc::now().timestamp_millis()).await;

    doomed.kill().await;
    all_since(&mut log, Utc::now().timestamp_millis() + TAKEOVER_MS + 3 * INTERVAL_MS).await;
    let missed = log.gaps(2 * INTERVAL_MS);
    let longest_ms = missed.iter().map(|(.., gap_ms)| *gap_ms).max();
    println!("{} monitors were the dead prober's, for {longest_ms:?} ms at most", missed.len());
    assert!(!missed.is_empty(), "the one that died had nothing to do");
    assert_eq!(log.twice(), []);
    assert_eq!(log.gaps(TAKEOVER_MS + INTERVAL_MS), [], "times without a check");

    // The control: a hole of that length is found.
    log.forget(monitors[0], TAKEOVER_MS + INTERVAL_MS);
    assert_eq!(log.gaps(TAKEOVER_MS + INTERVAL_MS).len(), 1);
}
