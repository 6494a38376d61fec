use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::slot::phase_ms;

type History = Vec<(i64, Change)>;
type Slots = BTreeSet<(Region, i64)>;
/// How somebody reads a history.
type Reading = fn(History) -> History;

/// The slots that the runs name; each must be named once.
fn named(runs: &[SlotRun]) -> Slots {
    let mut slots = Slots::new();
    for run in runs {
        let mut slot_ms = run.first_ms;
        while slot_ms <= run.last_ms {
            for region in &run.regions {
                assert!(slots.insert((region.clone(), slot_ms)), "{slot_ms} is named twice");
            }
            slot_ms += run.interval_ms;
        }
    }
    let checks: u64 = runs.iter().map(SlotRun::checks).sum();
    assert_eq!(checks, slots.len() as u64);
    slots
}

/// The naive oracle: asks at every millisecond of the window what the history says.
fn oracle(monitor: MonitorId, history: &History, window: SlotWindow) -> Slots {
    let mut clamped: History = Vec::new();
    for (at_ms, change) in history {
        let before = clamped.last().map_or(i64::MIN, |(before, _)| *before);
        clamped.push((before.max(*at_ms), change.clone()));
    }
    let archived = clamped.iter().find(|(_, change)| *change == Change::Archived);
    let known_until_ms = archived.map_or(i64::MAX, |(at_ms, _)| *at_ms).min(window.known_until_ms);
    let mut slots = Slots::new();
    for now_ms in window.from_ms..window.to_ms {
        // The configuration before this moment, whether it is active, and what began just now.
        let (mut cadence, mut active): (Option<&Cadence>, bool) = (None, false);
        let before = clamped.iter().take_while(|(at_ms, _)| *at_ms < now_ms).count();
        let mut due: Option<&Cadence> = None;
        for (place, (at_ms, change)) in clamped.iter().enumerate() {
            if place == before {
                due = cadence.filter(|one| active && is_on_grid(monitor, one, now_ms));
            }
            if *at_ms > now_ms {
                break;
            }
            match change {
                Change::Registered(new) => (cadence, active) = (Some(new), true),
                Change::Reconfigured(new) => cadence = Some(new),
                Change::Paused => active = false,
                Change::Resumed => active = true,
                Change::Archived => cadence = None,
            }
            let begins = matches!(change, Change::Registered(_) | Change::Resumed);
            let is_free = due.is_none_or(|one| one.regions.is_empty());
            if place >= before && begins && is_free {
                due = cadence;
            }
        }
        if before == clamped.len() {
            due = cadence.filter(|one| active && is_on_grid(monitor, one, now_ms));
        }
        let Some(due) = due else { continue };
        let over_ms = now_ms + due.interval_ms.min(60_000) + due.timeout_ms + RECORDED_WITHIN_MS;
        if over_ms <= known_until_ms {
            slots.extend(due.regions.iter().map(|region| (region.clone(), now_ms)));
        }
    }
    slots
}

fn is_on_grid(monitor: MonitorId, cadence: &Cadence, now_ms: i64) -> bool {
    now_ms.rem_euclid(cadence.interval_ms) == phase_ms(monitor, cadence.interval_ms)
}

fn region(number: usize) -> Region {
    format!("region-{number}").parse().unwrap()
}

fn cadence() -> impl Strategy<Value = Cadence> {
    (1..12_i64, 0..5_i64, 0..3_usize).prop_map(|(interval_ms, timeout_ms, regions)| Cadence {
        interval_ms,
        timeout_ms,
        regions: (0..regions).map(region).collect(),
    })
}

/// A history as commands allow it: registered once, paused and resumed in turn, archived at the end.
fn history() -> impl Strategy<Value = History> {
    let step = (-3..25_i64, 0..4_u8, cadence());
    (0..60_i64, cadence(), vec(step, 0..10), any::<bool>()).prop_map(
        |(begin_ms, first, steps, is_archived)| {
            let mut history = vec![(begin_ms, Change::Registered(first))];
            let (mut at_ms, mut paused) = (begin_ms, false);
            for (wait_ms, kind, cadence) in steps {
                at_ms += wait_ms;
                if kind == 0 {
                    history.push((at_ms, Change::Reconfigured(cadence)));
                } else {
                    paused = !paused;
                    history.push((at_ms, if paused { Change::Paused } else { Change::Resumed }));
                }
            }
            if is_archived {
                history.push((at_ms + 7, Change::Archived));
            }
            history
        },
    )
}

fn window() -> impl Strategy<Value = SlotWindow> {
    (0..120_i64, 0..200_i64, 0..250_i64).prop_map(|(from_ms, length_ms, wait_ms)| SlotWindow {
        from_ms,
        to_ms: from_ms + length_ms,
        // Sometimes long after the window, sometimes before its last slots are over.
        known_until_ms: from_ms + RECORDED_WITHIN_MS + wait_ms,
    })
}

fn monitors() -> impl Strategy<Value = MonitorId> {
    any::<u128>().prop_map(|bits| MonitorId(Uuid::from_u128(bits)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_slots_are_those_that_a_walk_over_every_moment_finds(
        monitor in monitors(), history in history(), window in window(),
    ) {
        let runs = slots_due(monitor, history.clone(), window);
        prop_assert_eq!(named(&runs), oracle(monitor, &history, window));
        prop_assert!(runs.windows(2).all(|pair| pair[0].last_ms < pair[1].first_ms));
    }
}

/// The control: each way to read a history wrongly is found out.
#[test]
fn a_broken_reading_of_the_history_is_found_out() {
    let broken: [(&str, Reading); 4] = [
        ("pauses do not count", |history| {
            let is_pause = |one: &Change| matches!(one, Change::Paused | Change::Resumed);
            history.into_iter().filter(|(_, change)| !is_pause(change)).collect()
        }),
        ("a change counts a moment early", |history| {
            history.into_iter().map(|(at_ms, change)| (at_ms - 1, change)).collect()
        }),
        ("the archiving does not count", |history| {
            history.into_iter().filter(|(_, change)| *change != Change::Archived).collect()
        }),
        ("only the first configuration counts", |history| {
            let is_new = |one: &Change| matches!(one, Change::Reconfigured(_));
            history.into_iter().filter(|(_, change)| !is_new(change)).collect()
        }),
    ];
    for (name, read_wrongly) in broken {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let found = runner.run(&(monitors(), history(), window()), |(monitor, history, window)| {
            let runs = slots_due(monitor, read_wrongly(history.clone()), window);
            prop_assert_eq!(named(&runs), oracle(monitor, &history, window));
            Ok(())
        });
        assert!(found.is_err(), "{name}");
    }
}

const MINUTE_MS: i64 = 60_000;

fn every_minute() -> Cadence {
    Cadence { interval_ms: MINUTE_MS, timeout_ms: 10_000, regions: vec![region(1), region(2)] }
}

#[test]
fn each_region_of_a_slot_is_a_check_and_the_newest_slots_are_not_over() {
    let day_ms = 1_440 * MINUTE_MS;
    let monitor = MonitorId(Uuid::from_u128(7));
    let window = SlotWindow { from_ms: day_ms, to_ms: 2 * day_ms, known_until_ms: 2 * day_ms };
    let checks = |window| -> u64 {
        let history = [(0, Change::Registered(every_minute()))];
        slots_due(monitor, history, window).iter().map(SlotRun::checks).sum()
    };
    assert_eq!(checks(SlotWindow { known_until_ms: 3 * day_ms, ..window }), 2 * 1_440);
    let newest = checks(window);
    assert!(newest == 2 * 1_438 || newest == 2 * 1_439, "{newest}");
}

#[test]
fn a_heartbeat_has_no_slots() {
    let silent = Cadence { regions: Vec::new(), ..every_minute() };
    let window = SlotWindow { from_ms: 0, to_ms: i64::MAX, known_until_ms: i64::MAX };
    let history = [(5, Change::Registered(silent))];
    assert_eq!(slots_due(MonitorId::default(), history, window), []);
}

#[test]
fn a_run_is_the_sum_of_its_parts() {
    let run =
        SlotRun { first_ms: 7, last_ms: 97, interval_ms: 10, regions: vec![Region::default()] };
    let slots =
        |from_ms, to_ms| run.within(from_ms, to_ms).map(|part| (part.first_ms, part.last_ms));
    assert_eq!(slots(i64::MIN, i64::MAX), Some((7, 97)));
    assert_eq!(slots(8, 17), None);
    assert_eq!(slots(8, 18), Some((17, 17)));
    assert_eq!(slots(17, 97), Some((17, 87)));
    assert_eq!(slots(98, 200), None);
    for border in 0..110 {
        let parts = [run.within(0, border), run.within(border, 200)];
        let checks: u64 = parts.iter().flatten().map(SlotRun::checks).sum();
        assert_eq!(checks, run.checks(), "{border}");
    }
}
