use super::*;

const ONE: MonitorId = MonitorId(Uuid::from_u128(1));
const ADA: Viewer = Viewer(Uuid::from_u128(11));
const BOB: Viewer = Viewer(Uuid::from_u128(12));

fn tab(number: u64) -> ConnectionId {
    ConnectionId(number)
}

fn sorted(mut connections: Vec<ConnectionId>) -> Vec<ConnectionId> {
    connections.sort_unstable_by_key(|id| id.0);
    connections
}

#[tokio::test]
async fn a_person_comes_with_the_first_tab_and_goes_with_the_last() {
    let mut presence = Presence::default();
    presence.enter(ONE, tab(1), ADA);
    assert_eq!(presence.take_changes(), [(ONE, ADA, true)]);
    presence.enter(ONE, tab(2), ADA);
    presence.enter(ONE, tab(2), ADA);
    presence.leave(ONE, tab(1), ADA);
    presence.leave(ONE, tab(1), ADA);
    assert!(presence.take_changes().is_empty());
    assert_eq!(presence.everybody(), [(ONE, ADA)]);
    presence.leave(ONE, tab(2), ADA);
    assert_eq!(presence.take_changes(), [(ONE, ADA, false)]);
    assert!(presence.rooms.is_empty() && presence.to_count.is_empty());
}

#[tokio::test]
async fn who_comes_and_goes_between_two_looks_is_told_as_gone() {
    let mut presence = Presence::default();
    presence.enter(ONE, tab(1), ADA);
    presence.leave(ONE, tab(1), ADA);
    assert_eq!(presence.take_changes(), [(ONE, ADA, false)]);
}

#[tokio::test]
async fn everybody_is_told_of_a_change_and_a_newcomer_in_any_case() {
    let mut presence = Presence::default();
    presence.enter(ONE, tab(1), ADA);
    presence.enter(ONE, tab(2), BOB);
    assert_eq!(sorted(presence.counted(ONE, 2)), [tab(1), tab(2)]);
    presence.changed(ONE);
    assert!(presence.counted(ONE, 2).is_empty());
    presence.enter(ONE, tab(3), BOB);
    assert_eq!(presence.counted(ONE, 2), [tab(3)]);
    assert_eq!(sorted(presence.counted(ONE, 1)), [tab(1), tab(2), tab(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_crowded_room_is_counted_less_often() {
    let mut presence = Presence::default();
    for number in 0..10_000 {
        presence.enter(ONE, tab(number), Viewer(Uuid::from_u128(number.into())));
    }
    assert_eq!(presence.take_due(Instant::now()), [ONE]);
    assert!(presence.take_due(Instant::now()).is_empty(), "nothing has changed");
    presence.counted(ONE, 10_000);
    presence.changed(ONE);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(presence.take_due(Instant::now()).is_empty());
    tokio::time::advance(Duration::from_millis(200)).await;
    assert_eq!(presence.take_due(Instant::now()), [ONE]);
}

#[tokio::test]
async fn a_room_where_nobody_is_is_not_counted() {
    let mut presence = Presence::default();
    presence.changed(ONE);
    presence.all_changed();
    assert!(presence.take_due(Instant::now()).is_empty());
    assert!(presence.counted(ONE, 1).is_empty());
}
