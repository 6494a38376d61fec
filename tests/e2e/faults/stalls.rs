//! Every slot is accounted for: a stall of a role or an engine costs none, and what a crash of everything
//! costs is shown.

mod accounts;
mod drops;
mod installation;

use std::time::Duration;

use pulsetrail_harness::{is_soak, within};
use pulsetrail_infra::engines::Engine;
use tokio::time::sleep;

use self::accounts::Accounts;
use self::drops::Drops;
use self::installation::{Installation, ROLES};
use super::{SETTLING, short_or_long};

const ENGINES: [Engine; 3] = [Engine::Kafka, Engine::Postgres, Engine::ClickHouse];

/// A schedule of a few monitors, to which nine times as many are added in bulk, a while before the first stall.
struct Scale {
    monitors: usize,
    interval_seconds: u32,
    before: Duration,
    after: Duration,
    /// How long the stalls last.
    stalls: &'static [Duration],
    /// From the end of a stall to the next one.
    rest: Duration,
}

fn scale() -> Scale {
    const STALLS: [Duration; 3] =
        [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];
    let (short, long) = (
        Scale {
            monitors: 10,
            interval_seconds: 5,
            before: Duration::from_secs(7),
            after: Duration::from_secs(3),
            stalls: &STALLS[..2],
            rest: Duration::from_secs(1),
        },
        Scale {
            monitors: 100,
            interval_seconds: 20,
            before: Duration::from_secs(65),
            after: Duration::from_secs(18),
            stalls: &STALLS,
            rest: Duration::from_secs(4),
        },
    );
    short_or_long(short, long)
}

/// In `make soak` no slot is lost. In `make test` other tests and compilers run beside it, and a machine that is too
/// slow may drop one: it must be counted, logged and shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stall_of_a_role_or_an_engine_costs_a_slot_in_silence() {
    let scale = scale();
    let mut installation = Installation::start().await;
    let user = installation.user().await;
    installation.register(&user, scale.monitors, scale.interval_seconds).await;
    sleep(scale.before).await;
    installation.register(&user, 9 * scale.monitors, scale.interval_seconds).await;
    sleep(scale.after).await;
    for stall in scale.stalls {
        for role in ROLES {
            installation.stall_role(role, *stall).await;
            sleep(scale.rest).await;
        }
        for engine in ENGINES {
            installation.stall_engine(engine, *stall).await;
            sleep(scale.rest).await;
        }
    }
    let end_ms = installation.until_checked_again().await;
    let store = installation.store().await;
    let accounts = Accounts::of(&store, end_ms).await;
    let (missed, drops) = (accounts.missed(), installation.drops().await);
    println!("{} slots were due, {} are missed: {drops:?}", accounts.due.len(), missed.len());
    assert!(accounts.due.len() > 20 * scale.monitors);
    assert_eq!(accounts.twice, [], "slots with two checks");
    if is_soak() {
        assert_eq!(missed, [], "slots without a check; drops: {drops:?}");
    }
    assert_eq!(drops.hides(&missed), None);
    accounts.until_the_interface_shows_them(&user).await;

    // The control: a check that is taken out of the log is missed, and nothing says why.
    let taken_out = accounts.take_one_out(&store, &installation.clickhouse()).await;
    let after = Accounts::of(&store, end_ms).await.missed();
    assert!(after.contains(&taken_out));
    let drops = Drops { counted: missed.len() as f64, ..installation.drops().await };
    assert!(drops.hides(&after).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_everything_costs_only_slots_that_are_shown_as_missed() {
    let mut installation = Installation::start().await;
    let user = installation.user().await;
    installation.register(&user, short_or_long(60, 600), 2).await;
    sleep(Duration::from_secs(6)).await;
    for round in 0..short_or_long(1, 5) {
        installation.kill_everything().await;
        // Once for longer than slots are made up for.
        sleep(Duration::from_secs(if round == 0 { 5 } else { 25 })).await;
        installation.start_roles().await;
        installation.until_checked_again().await;
    }
    let user = user.at(installation.url());
    let end_ms = installation.until_checked_again().await;
    let store = installation.store().await;
    let accounts = Accounts::of(&store, end_ms).await;
    let missed = accounts.missed();
    println!("{} slots were due, {} are missed", accounts.due.len(), missed.len());
    assert!(!missed.is_empty(), "nobody was there for longer than an interval");
    assert_eq!(accounts.twice, []);
    accounts.until_the_interface_shows_them(&user).await;
    within(SETTLING, "the scheduler tells of slots that it could not make up for", async || {
        let system = user.get("/api/v1/system").await.body;
        let away = system["jobs"]["not_emitted"]["scheduler_away"].as_i64();
        away.is_some_and(|slots| slots > 0).then_some(())
    })
    .await;

    // The control: a check that is taken out of the log is missed.
    let taken_out = accounts.take_one_out(&store, &installation.clickhouse()).await;
    let after = Accounts::of(&store, end_ms).await;
    assert_eq!(after.missed().len(), missed.len() + 1);
    assert!(after.missed().contains(&taken_out));
    after.until_the_interface_shows_them(&user).await;
}
