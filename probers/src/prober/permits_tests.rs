use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::*;

fn organization(number: u128) -> OrganizationId {
    OrganizationId(Uuid::from_u128(number))
}

fn permits(total: usize, times_free: usize) -> Arc<SharedPermits> {
    SharedPermits::new(Limits { total, per_organization: total, times_free })
}

fn now(permits: &Arc<SharedPermits>, number: u128, lane: Lane) -> Option<Permit> {
    permits.acquire(organization(number), lane).now_or_never().flatten()
}

/// As many permits as an organization gets without waiting.
fn all(permits: &Arc<SharedPermits>, number: u128, lane: Lane) -> Vec<Permit> {
    std::iter::from_fn(|| now(permits, number, lane)).take(2_000).collect()
}

#[test]
fn one_organization_gets_three_quarters_and_the_next_of_the_rest() {
    let permits = permits(1_000, 3);
    let held: Vec<Vec<Permit>> =
        (0..5).map(|number| all(&permits, number, Lane::Scheduled)).collect();
    let counts: Vec<usize> = held.iter().map(Vec::len).collect();
    // A tenth is kept for checks on demand.
    assert_eq!(counts, [675, 169, 42, 11, 3]);
    assert_eq!(permits.held(), 900);
}

#[test]
fn a_check_on_demand_waits_for_no_scheduled_one() {
    let permits = permits(20, 3);
    let held: Vec<_> = (0..20).flat_map(|number| all(&permits, number, Lane::Scheduled)).collect();
    assert_eq!(held.len(), 18);
    assert!(now(&permits, 99, Lane::Scheduled).is_none());
    let on_demand = [now(&permits, 98, Lane::OnDemand), now(&permits, 99, Lane::OnDemand)];
    assert!(on_demand.iter().all(Option::is_some));
    assert!(now(&permits, 97, Lane::OnDemand).is_none());
    // The reserve is for so many checks on demand, not for as many again.
    drop(held);
    assert_eq!(all(&permits, 1, Lane::Scheduled).len(), 14);
}

#[test]
fn a_single_permit_is_reserved_for_no_lane() {
    let permits = permits(1, 3);
    let only = now(&permits, 1, Lane::Scheduled).unwrap();
    assert!(now(&permits, 1, Lane::OnDemand).is_none());
    drop(only);
    assert!(now(&permits, 2, Lane::OnDemand).is_some());
}

#[tokio::test(start_paused = true)]
async fn permits_go_in_turn_to_the_organizations_that_wait() {
    let permits = permits(1, 3);
    let only = permits.acquire(organization(0), Lane::Scheduled).await;
    let served = Arc::new(Mutex::new(Vec::new()));
    for number in [1, 1, 1, 2, 2, 3] {
        let (permits, served) = (Arc::clone(&permits), Arc::clone(&served));
        tokio::spawn(async move {
            let permit = permits.acquire(organization(number), Lane::Scheduled).await;
            served.lock().unwrap().push(number);
            sleep(Duration::from_millis(1)).await;
            drop(permit);
        });
    }
    sleep(Duration::from_millis(1)).await;
    drop(only);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(*served.lock().unwrap(), [1, 2, 3, 1, 2, 1]);
    assert!(permits.state().organizations.is_empty(), "nothing is kept of the idle");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_no_more_gets_no_permit_and_loses_none() {
    let permits = permits(1, 3);
    let only = permits.acquire(organization(0), Lane::Scheduled).await;
    let gone = permits.acquire(organization(1), Lane::Scheduled);
    assert!(timeout(Duration::from_millis(5), gone).await.is_err());
    // This one is given its permit, and is gone before it looks.
    let mut late = Box::pin(permits.acquire(organization(2), Lane::Scheduled));
    assert!((&mut late).now_or_never().is_none());
    drop(only);
    assert_eq!(permits.held(), 1, "the one that is gone keeps no turn from the next");
    drop(late);
    assert_eq!(permits.held(), 0);
    assert!(now(&permits, 3, Lane::Scheduled).is_some());
}

/// 1,100 monitors of one organization at 20 s hang for as long, and another has one monitor at 5 s. How many of
/// its 20 checks begin within their 5 s, if the hanging monitors are of the organization `hostile`.
async fn checks_beside_hanging_ones(permits: Arc<SharedPermits>, hostile: u128) -> usize {
    let begins = Instant::now();
    for monitor in 0..1_100 {
        let permits = Arc::clone(&permits);
        let interval = Duration::from_secs(20);
        tokio::spawn(async move {
            for slot in 0..5 {
                tokio::time::sleep_until(begins + interval * monitor / 1_100 + slot * interval)
                    .await;
                let permits = Arc::clone(&permits);
                tokio::spawn(async move {
                    let permit = permits.acquire(organization(hostile), Lane::Scheduled);
                    let Ok(permit) = timeout(interval, permit).await else { return };
                    sleep(interval).await;
                    drop(permit);
                });
            }
        });
    }
    let mut made = 0;
    for slot in 0..20 {
        let slot = begins + slot * Duration::from_secs(5);
        tokio::time::sleep_until(slot).await;
        let permit = permits.acquire(organization(1), Lane::Scheduled);
        made += usize::from(timeout(Duration::from_secs(5), permit).await.is_ok());
    }
    made
}

#[tokio::test(start_paused = true)]
async fn hanging_checks_of_one_organization_keep_no_permit_from_another() {
    assert_eq!(checks_beside_hanging_ones(permits(1_000, 3), 2).await, 20);
    // The control: the same checks without regard to their organizations.
    let made = checks_beside_hanging_ones(permits(1_000, usize::MAX), 1).await;
    assert!(made < 15, "{made}");
}
