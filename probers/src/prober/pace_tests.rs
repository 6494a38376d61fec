use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;
use tokio::time::advance;

use super::*;

const LEFT: Duration = Duration::from_secs(4);
const BACKLOG: usize = 2_000;

/// A pace that has seen a schedule of 100 jobs a second for some seconds.
async fn paced(seconds: i64) -> Arc<Pace> {
    let pace = Arc::new(Pace::new());
    for job in 0..seconds * 100 {
        assert!(pace.admit(job * 10, Duration::ZERO));
        advance(Duration::from_millis(10)).await;
    }
    pace
}

/// Kafka was away for 20 s, whose jobs all come at once and have 4 s left. How many are made shortly before
/// half of that is gone, and how many shortly after, while the schedule goes on or not.
async fn made_of_a_backlog(pace: &Arc<Pace>, schedule_goes_on: bool) -> [usize; 2] {
    let made = Arc::new(AtomicUsize::new(0));
    for job in 3_000..3_000 + BACKLOG as i64 {
        assert!(!pace.admit(job * 10, Duration::from_secs(1)));
        let (pace, made) = (Arc::clone(pace), Arc::clone(&made));
        tokio::spawn(async move {
            pace.turn(LEFT).await;
            made.fetch_add(1, Ordering::Relaxed);
        });
    }
    let mut looks = [0; 2];
    for (look, jobs) in looks.iter_mut().zip([5_000..5_195, 5_195..5_205]) {
        for job in jobs {
            if schedule_goes_on {
                assert!(pace.admit(job * 10, Duration::ZERO));
            }
            sleep(Duration::from_millis(10)).await;
        }
        *look = made.load(Ordering::Relaxed);
    }
    looks
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_calm_for_half_of_its_time_and_is_made_then() {
    let [calm, all] = made_of_a_backlog(&paced(30).await, true).await;
    assert!((30..=50).contains(&calm), "{calm} in 1.95 s, beside 100 a second");
    assert_eq!(all, BACKLOG);
    let [calm, all] = made_of_a_backlog(&paced(30).await, false).await;
    assert!((220..=250).contains(&calm), "{calm} in 1.95 s, alone");
    assert_eq!(all, BACKLOG);
}

#[tokio::test(start_paused = true)]
async fn a_single_late_job_waits_for_nothing() {
    let pace = paced(10).await;
    advance(Duration::from_secs(1)).await;
    assert!(!pace.admit(10_000, Duration::from_secs(1)));
    let began = Instant::now();
    pace.turn(Duration::from_secs(1)).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

fn rate_of(counts: &[u32]) -> f64 {
    schedule_rate(&(0..).zip(counts.iter().copied()).collect())
}

#[test]
fn the_rate_is_the_mean_of_uneven_seconds() {
    // 120 monitors at 4 s, whose phases chance has spread unevenly.
    let uneven: Vec<u32> = [22, 34, 37, 27].into_iter().cycle().take(40).collect();
    assert!((30.0..32.0).contains(&rate_of(&uneven)), "{}", rate_of(&uneven));
    assert_eq!(rate_of(&[10, 10, 10, 5_000]), 12.5);
    assert_eq!(rate_of(&[]), 1.0);
}

#[test]
fn monitors_that_were_added_count_before_half_of_the_seconds_know_them() {
    assert_eq!(rate_of(&[vec![5; 42], vec![50; 10]].concat()), 50.0);
    assert_eq!(rate_of(&[vec![50; 50], vec![5; 10]].concat()), 42.5, "and calm holds for a while");
}

#[tokio::test(start_paused = true)]
async fn many_monitors_registered_at_once_do_not_count_as_the_schedule() {
    let pace = paced(60).await;
    for _ in 0..5_000 {
        assert!(pace.admit(60_500, Duration::ZERO));
    }
    assert!(pace.bucket().rate < 135.0, "{}", pace.bucket().rate);
}

/// How a late job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// As [`Pace::turn`] has it.
    HalfOfItsTime,
    /// For a token of a rate that the last minute alone tells, until its deadline.
    UntilItsDeadline,
}

const STALL: Duration = Duration::from_millis(400);

/// 100 monitors at 20 s, 900 more after 65 s, and from 18 s later on five stalls of the prober, 4 s apart.
/// How many jobs came late, and how many of those had no turn before their deadline.
async fn late_and_lost(rule: Rule) -> (usize, usize) {
    let interval = Duration::from_secs(20);
    let mut jobs: Vec<Duration> = Vec::new();
    for (monitors, from_second) in [(100, 0), (900, 65)] {
        let slots = (0..monitors).flat_map(|monitor| {
            let phase = interval * monitor / monitors;
            (0..6).map(move |slot| phase + slot * interval)
        });
        jobs.extend(slots.filter(|slot| slot.as_secs() >= from_second));
    }
    // The 900 have their first check at once.
    jobs.extend([Duration::from_secs(65); 900]);
    jobs.sort_unstable();
    let stalls: Vec<Duration> = (0..5).map(|n| Duration::from_secs(83 + 4 * n)).collect();
    let pace = Arc::new(Pace::new());
    let began = Instant::now();
    let (mut late, mut turns) = (0, JoinSet::new());
    for slot in jobs {
        let stall = stalls.iter().find(|stall| (**stall..**stall + STALL).contains(&slot));
        let comes = stall.map_or(slot, |stall| *stall + STALL);
        tokio::time::sleep_until(began + comes).await;
        let slot_ms = i64::try_from(slot.as_millis()).unwrap();
        let is_on_time = pace.admit(slot_ms, comes - slot);
        if rule == Rule::UntilItsDeadline {
            let mut bucket = pace.bucket();
            bucket.rate = mean(bucket.jobs_of_second.values().copied()).max(1.0) * ABOVE;
        }
        if !is_on_time {
            late += 1;
            let (pace, left) = (Arc::clone(&pace), slot + interval - comes);
            turns.spawn(async move {
                match rule {
                    Rule::HalfOfItsTime => {
                        let began = Instant::now();
                        pace.turn(left).await;
                        began.elapsed() < left
                    }
                    Rule::UntilItsDeadline => timeout(left, pace.token()).await.is_ok(),
                }
            });
        }
    }
    (late, turns.join_all().await.into_iter().filter(|had_turn| !had_turn).count())
}

#[tokio::test(start_paused = true)]
async fn stalls_after_monitors_were_added_lose_no_check() {
    let (late, lost) = late_and_lost(Rule::HalfOfItsTime).await;
    assert!(late >= 30, "{late} jobs came late");
    assert_eq!(lost, 0);
    let (_, lost) = late_and_lost(Rule::UntilItsDeadline).await;
    assert!(lost >= 20, "the control: a rate that lags behind loses checks, and lost {lost}");
}
