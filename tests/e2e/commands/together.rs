//! Commands that come at the same time are stored together, and each has an outcome of its own.

use cqrs_es::CqrsFramework;
use cqrs_es::persist::PersistedEventStore;
use futures_util::future::join_all;
use futures_util::poll;
use postgres_es::PostgresEventRepository;
use pulsetrail_domain::monitor::{
    Monitor, MonitorCommand, MonitorConfig, MonitorError, MonitorRequest,
};
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::http::load_monitor_body;
use pulsetrail_infra::store::{APPEND_LOCK, MonitorCommands, MonitorFailure, Store, StoredMonitor};
use pulsetrail_infra::supervised::Supervisor;
use serde_json::json;
use tokio::task::unconstrained;
use uuid::Uuid;

use crate::corner;

const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(7));

fn config(name: &str) -> Box<MonitorConfig> {
    let config = json!({
        "name": name, "target": {"type": "http", "url": "https://example.com/"},
        "interval_seconds": 60, "timeout_ms": 1_000, "retries": {}, "confirmations": 1,
        "regions": ["default"], "tags": {},
    });
    Box::new(serde_json::from_value(config).unwrap())
}

fn register(monitor_id: MonitorId, name: &str) -> MonitorRequest {
    let config = config(name);
    let command = MonitorCommand::Register { monitor_id, organization_id: ORGANIZATION, config };
    MonitorRequest { expected_version: None, command }
}

fn rename(name: &str) -> MonitorRequest {
    let command = MonitorCommand::Reconfigure { config: config(name) };
    MonitorRequest { expected_version: Some(1), command }
}

/// Registers some monitor for an organization.
async fn register_for(
    commands: &MonitorCommands,
    organization_id: OrganizationId,
) -> Result<StoredMonitor, MonitorFailure> {
    let monitor_id = MonitorId(Uuid::now_v7());
    let config = config("one");
    let command = MonitorCommand::Register { monitor_id, organization_id, config };
    let request = MonitorRequest { expected_version: None, command };
    commands.execute(organization_id, monitor_id, request, [].into()).await
}

async fn execute(
    commands: &MonitorCommands,
    monitor: MonitorId,
    request: MonitorRequest,
) -> Result<StoredMonitor, MonitorFailure> {
    let metadata = [("actor".to_owned(), monitor.to_string())].into();
    commands.execute(ORGANIZATION, monitor, request, metadata).await
}

async fn store() -> (pulsetrail_harness::Corner, Store) {
    let corner = corner().await;
    let store = corner.store().await;
    store.migrate().await.unwrap();
    (corner, store)
}

/// How many transactions stored the events that there are.
async fn transactions(store: &Store) -> i64 {
    sqlx::query_scalar("select count(distinct xmin::text) from events")
        .fetch_one(&store.read)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_wait_for_the_log_are_stored_in_one_transaction() {
    let (_corner, store) = store().await;
    let commands = MonitorCommands::new(store.clone(), &Supervisor::default());
    let monitors: Vec<MonitorId> = (0..20).map(|_| MonitorId(Uuid::now_v7())).collect();

    let mut holder = store.read.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock($1)";
    sqlx::query(lock).bind(APPEND_LOCK).execute(&mut *holder).await.unwrap();
    let mut waiting = Box::pin(join_all(
        monitors.iter().map(|monitor| execute(&commands, *monitor, register(*monitor, "one"))),
    ));
    // Each of them is on its way after one look.
    assert!(poll!(&mut waiting).is_pending());
    holder.rollback().await.unwrap();
    for (outcome, monitor) in waiting.await.into_iter().zip(&monitors) {
        let stored = outcome.unwrap();
        assert_eq!(stored.monitor.version, 1);
        // Its own metadata and its own read model, which the answer says the same of.
        let actor: String =
            sqlx::query_scalar("select metadata ->> 'actor' from events where aggregate_id = $1")
                .bind(monitor.to_string())
                .fetch_one(&store.read)
                .await
                .unwrap();
        assert_eq!(actor, monitor.to_string());
        let read = load_monitor_body(&store.read, ORGANIZATION, *monitor).await.unwrap().unwrap();
        assert_eq!(read.registered_at, stored.registered_at);
        assert_eq!(read.changed_at, stored.changed_at);
    }
    // The first ones may have left before the others came.
    assert!(transactions(&store).await <= 2);

    // The control: one after the other they are as many transactions.
    for monitor in &monitors[..5] {
        let pause = MonitorRequest { expected_version: None, command: MonitorCommand::Pause };
        execute(&commands, *monitor, pause).await.unwrap();
    }
    assert!(transactions(&store).await >= 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_commands_to_one_version_that_are_stored_together_one_is_refused() {
    let (_corner, store) = store().await;
    let commands = MonitorCommands::new(store.clone(), &Supervisor::default());
    let monitor = MonitorId(Uuid::now_v7());
    execute(&commands, monitor, register(monitor, "one")).await.unwrap();
    let names = ["a", "b", "c", "d"];
    let outcomes = join_all(names.map(|name| execute(&commands, monitor, rename(name)))).await;
    let (done, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 3));
    for failure in refused {
        let failure = failure.err().unwrap();
        let mismatch = MonitorError::VersionMismatch { current: 2 };
        assert!(matches!(failure, MonitorFailure::Refused(refused) if refused == mismatch));
    }
    // The one that was told so is the one that is kept.
    let kept = commands.load(ORGANIZATION, monitor).await.unwrap().monitor;
    assert_eq!(kept, done.into_iter().next().unwrap().unwrap().monitor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_postgres_refuses_harms_none_that_is_stored_with_it() {
    let (_corner, store) = store().await;
    let commands = MonitorCommands::new(store.clone(), &Supervisor::default());
    sqlx::raw_sql("alter table monitor_view add check (name <> 'refused')")
        .execute(&store.read)
        .await
        .unwrap();
    let names = ["a", "refused", "b", "refused", "c"];
    let outcomes = join_all(names.map(|name| async {
        let monitor = MonitorId(Uuid::now_v7());
        execute(&commands, monitor, register(monitor, name)).await
    }))
    .await;
    for (name, outcome) in names.iter().zip(outcomes) {
        assert_eq!(outcome.is_ok(), *name != "refused", "{name}");
    }
    let stored: i64 =
        sqlx::query_scalar("select count(*) from events").fetch_one(&store.read).await.unwrap();
    assert_eq!(stored, 3);
}

/// The table is the one that `postgres-es` expects: its repository appends to it unchanged, to the same
/// monitors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_es_appends_to_the_same_monitors() {
    let (_corner, store) = store().await;
    let commands = MonitorCommands::new(store.clone(), &Supervisor::default());
    let monitor = MonitorId(Uuid::now_v7());
    execute(&commands, monitor, register(monitor, "one")).await.unwrap();

    let repository = PostgresEventRepository::new(store.write.clone());
    let events = PersistedEventStore::<_, Monitor>::new_event_store(repository);
    let framework = CqrsFramework::new(events, Vec::new(), ());
    let metadata = [("organization_id".to_owned(), ORGANIZATION.to_string())].into();
    let id = monitor.to_string();
    framework.execute_with_metadata(&id, rename("two"), metadata).await.unwrap();

    let stored = commands.load(ORGANIZATION, monitor).await.unwrap();
    let config = stored.monitor.config.as_ref().unwrap();
    assert_eq!((config.name.as_str(), stored.monitor.version), ("two", 2));
    let pause = MonitorRequest { expected_version: Some(2), command: MonitorCommand::Pause };
    assert_eq!(execute(&commands, monitor, pause).await.unwrap().monitor.version, 3);
    // The view has missed nothing.
    let read = load_monitor_body(&store.read, ORGANIZATION, monitor).await.unwrap().unwrap();
    assert_eq!((read.name.as_str(), read.version, read.paused), ("two", 3, true));
}

/// Where a command stands in the log that was given after 1,000 of another organization.
async fn position_behind_a_thousand(commands: &MonitorCommands, store: &Store, whose: u128) -> i64 {
    let mut holder = store.read.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock($1)";
    sqlx::query(lock).bind(APPEND_LOCK).execute(&mut *holder).await.unwrap();
    let mut flood =
        Box::pin(unconstrained(join_all((0..1_000).map(|_| register_for(commands, ORGANIZATION)))));
    assert!(poll!(&mut flood).is_pending());
    let mut one = Box::pin(register_for(commands, OrganizationId(Uuid::from_u128(whose))));
    assert!(poll!(&mut one).is_pending());
    let before: i64 = sqlx::query_scalar("select coalesce(max(position), 0) from events")
        .fetch_one(&mut *holder)
        .await
        .unwrap();
    holder.rollback().await.unwrap();
    let (flood, one) = tokio::join!(flood, one);
    assert!(flood.iter().all(Result::is_ok), "the others are stored too");
    let recorded_at = one.unwrap().registered_at;
    let position: i64 =
        sqlx::query_scalar("select max(position) from events where recorded_at = $1")
            .bind(recorded_at)
            .fetch_one(&store.read)
            .await
            .unwrap();
    position - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_waits_for_no_flood_of_another_organization() {
    let (_corner, store) = store().await;
    let commands = MonitorCommands::new(store.clone(), &Supervisor::default());
    // At most two transactions of 256 are before the end of its own: what was taken before it came, and
    // those that take their turn together with it.
    let position = position_behind_a_thousand(&commands, &store, 8).await;
    assert!(position <= 2 * 256, "{position}");
    // In the line of the flood itself it is the last.
    let last = position_behind_a_thousand(&commands, &store, ORGANIZATION.0.as_u128()).await;
    assert!(last > 900, "{last}");
}

fn is_refused(outcome: &Result<StoredMonitor, MonitorFailure>) -> bool {
    matches!(outcome, Err(MonitorFailure::TooManyWait))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_has_no_more_commands_waiting_than_it_may() {
    let (_corner, store) = store().await;
    let commands = MonitorCommands::new(store.clone(), &Supervisor::default());
    let mut holder = store.read.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock($1)";
    sqlx::query(lock).bind(APPEND_LOCK).execute(&mut *holder).await.unwrap();
    let mut flood = Box::pin(unconstrained(join_all(
        (0..2_000).map(|_| register_for(&commands, ORGANIZATION)),
    )));
    assert!(poll!(&mut flood).is_pending());
    let mut other = Box::pin(register_for(&commands, OrganizationId(Uuid::from_u128(8))));
    assert!(poll!(&mut other).is_pending(), "it is taken in");
    holder.rollback().await.unwrap();
    let (flood, other) = tokio::join!(flood, other);
    let refused = flood.iter().filter(|outcome| is_refused(outcome)).count();
    // What the first transaction took before the line was full made room for more.
    assert!((2_000 - 1_024 - 256..=2_000 - 1_024).contains(&refused), "{refused}");
    assert!(!is_refused(&other));
}
