use std::sync::Mutex;

use futures_util::future::join_all;
use uuid::Uuid;

use super::*;

const NO_DEADLINE: Duration = Duration::from_secs(3_600);

fn organization(number: u128) -> OrganizationId {
    OrganizationId(Uuid::from_u128(number))
}

fn work(pool: &Arc<Pool>, number: u128) -> Work {
    let deadline = Instant::now() + NO_DEADLINE;
    Work { pool: Arc::clone(pool), organization_id: organization(number), deadline }
}

#[test]
fn a_budget_ends_and_stays_at_its_end() {
    let mut budget = Budget::of_steps(10);
    assert_eq!(budget.spend(10), Ok(()));
    assert_eq!(budget.spend(1), Err(Exceeded::Steps));
    let mut budget = Budget::of_steps(10);
    assert_eq!(budget.spend(11), Err(Exceeded::Steps));
    assert_eq!(budget.spend(1), Err(Exceeded::Steps), "what was left is not left any more");
    let mut budget = Budget::new(1_000_000, Duration::ZERO);
    assert_eq!(budget.spend(1), Err(Exceeded::Time));
    assert_eq!(budget.spend(1), Err(Exceeded::Steps));
}

#[tokio::test]
async fn what_is_cheap_is_done_at_once_and_what_is_not_with_the_whole_budget() {
    let work = work(&Arc::new(Pool::new(1)), 1);
    let caller = std::thread::current().id();
    let on =
        |steps| work.run(move |budget| budget.spend(steps).map(|()| std::thread::current().id()));
    assert_eq!(on(10).await, Ok(caller));
    assert!(on(MAX_STEPS).await.is_ok_and(|thread| thread != caller));
    assert_eq!(on(MAX_STEPS + 1).await, Err(Exceeded::Steps));
}

#[tokio::test]
async fn organizations_take_turns_however_much_each_orders() {
    let pool = Arc::new(Pool::new(1));
    let order = Arc::new(Mutex::new(Vec::new()));
    let orders = [1, 1, 1, 1, 1, 2, 3].into_iter().map(|number| {
        let order = Arc::clone(&order);
        let work = work(&pool, number);
        async move {
            let task = move |budget: &mut Budget| {
                budget.spend(INLINE_STEPS + 1)?;
                order.lock().unwrap().push(number);
                Ok(())
            };
            work.run(task).await
        }
    });
    assert!(join_all(orders).await.iter().all(Result::is_ok));
    assert_eq!(*order.lock().unwrap(), [1, 2, 3, 1, 1, 1, 1]);
    assert!(pool.organizations() <= 3);
}

#[tokio::test]
async fn who_waits_for_a_turn_waits_until_the_deadline_at_the_longest() {
    let pool = Arc::new(Pool::new(1));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let holding = tokio::spawn({
        let work = work(&pool, 1);
        async move {
            let task = move |budget: &mut Budget| {
                budget.spend(INLINE_STEPS + 1)?;
                let _ = held.lock().unwrap().recv();
                Ok(())
            };
            work.run(task).await
        }
    });
    tokio::task::yield_now().await;
    let deadline = Instant::now() + Duration::from_millis(50);
    let waiting = Work { deadline, ..work(&pool, 2) };
    let waited = waiting.run(|budget| budget.spend(INLINE_STEPS + 1)).await;
    assert_eq!(waited, Err(Exceeded::Time));
    assert!(!holding.is_finished(), "the thread was never free");
    release.send(()).unwrap();
    assert_eq!(holding.await.unwrap(), Ok(()));
    // Positive control: the thread is free again.
    let again = work(&pool, 2);
    assert_eq!(again.run(|budget| budget.spend(INLINE_STEPS + 1)).await, Ok(()));
}
