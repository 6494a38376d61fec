//! A recorder that hangs between its insert and its commit holds the lock that every writer needs.

use std::time::Duration;

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_domain::monitor::MonitorCommand;
use pulsetrail_harness::{Corner, Dice, RoleProcess, eventually};
use pulsetrail_infra::store::{MonitorFailure, Store};
use sqlx::PgConnection;

use super::judge::faults;
use super::load::{Load, until_taken_in};
use super::prepare;
use crate::corner;

/// What the test holds while the recorder's insert is to wait.
const GATE: i64 = 4_711;
/// How long a hung writer may delay the others.
const DELAY: Duration = Duration::from_secs(2);

/// A recorder that stands between insert and commit, and the process of the server that serves it.
struct Hung {
    recorder: RoleProcess,
    backend: i32,
    /// When the server began to wait for the recorder, in seconds of its clock.
    since: f64,
}

/// Has a recorder insert, and stops it before it can commit. `also` is done by its connection before.
async fn hang(corner: &Corner, store: &Store, load: &Load, also: &str) -> Hung {
    sqlx::raw_sql(&format!(
        "create function wait_at_the_gate() returns trigger language plpgsql as $$
         begin
             if exists (select from inserted where aggregate_type = 'health') then
                 {also}
                 perform pg_advisory_xact_lock_shared({GATE});
             end if;
             return null;
         end $$;
         create trigger wait_at_the_gate after insert on events referencing new table as inserted
             for each statement execute function wait_at_the_gate();"
    ))
    .execute(&store.read)
    .await
    .unwrap();
    let recorder = corner.role("recorder").await.until_ready().await;
    let mut gate = store.read.acquire().await.unwrap();
    lock("pg_advisory_lock", &mut gate).await;
    load.send(1, Duration::from_millis(1), &mut Dice(1)).await;
    let backend: i32 = eventually("the recorder's insert waits at the gate", async || {
        sqlx::query_scalar(
            "select pid from pg_locks
             where locktype = 'advisory' and objid = $1::bigint and not granted
               and database = (select oid from pg_database where datname = current_database())",
        )
        .bind(GATE)
        .fetch_optional(&store.write)
        .await
        .unwrap()
    })
    .await;
    recorder.signal("-STOP");
    lock("pg_advisory_unlock", &mut gate).await;
    let since = eventually("the server waits for the recorder to commit", async || {
        sqlx::query_scalar(
            "select extract(epoch from state_change)::float8 from pg_stat_activity
             where pid = $1 and state = 'idle in transaction'",
        )
        .bind(backend)
        .fetch_optional(&store.write)
        .await
        .unwrap()
    })
    .await;
    Hung { recorder, backend, since }
}

async fn lock(function: &str, connection: &mut PgConnection) {
    let statement = format!("select {function}({GATE})");
    sqlx::query(&statement).execute(connection).await.unwrap();
}

impl Hung {
    /// The server's time in seconds, and whether it still serves the recorder's transaction.
    async fn look(&self, store: &Store) -> (f64, bool) {
        sqlx::query_as(
            "select extract(epoch from clock_timestamp())::float8,
                    exists (select from pg_stat_activity where pid = $1)",
        )
        .bind(self.backend)
        .fetch_one(&store.read)
        .await
        .unwrap()
    }

    /// Lets the recorder go on, and waits until everything is recorded.
    async fn go_on(self, corner: &Corner) {
        self.recorder.signal("-CONT");
        until_taken_in(corner, RECORDER).await;
        assert!(self.recorder.stop().await.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorder_stopped_between_insert_and_commit_delays_others_for_two_seconds_at_most() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let load = Load::new(&corner, 3).await;
    let hung = hang(&corner, &store, &load, "").await;
    let (written, ended_at) =
        tokio::join!(load.command(load.monitors[0], MonitorCommand::Pause), async {
            eventually("the server has ended the hung transaction", async || {
                let (now, is_there) = hung.look(&store).await;
                (!is_there).then_some(now)
            })
            .await
        });
    written.unwrap();
    let delay = ended_at - hung.since;
    assert!(delay < DELAY.as_secs_f64(), "others were kept waiting for {delay} s");
    hung.go_on(&corner).await;
    let sent = load.checks(1);
    assert_eq!(faults(&store, &sent).await, []);
}

/// The positive control: with a server that waits for the recorder as long as it takes, nobody else
/// writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_time_limit_a_stopped_recorder_keeps_everybody_from_writing() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let load = Load::new(&corner, 3).await;
    let no_limit = "perform set_config('idle_in_transaction_session_timeout', '0', false);";
    let hung = hang(&corner, &store, &load, no_limit).await;
    let refused = load.command(load.monitors[0], MonitorCommand::Pause).await;
    assert!(matches!(refused, Err(MonitorFailure::Unavailable(_))), "{refused:?}");
    let (now, is_there) = hung.look(&store).await;
    assert!(is_there && now - hung.since > DELAY.as_secs_f64(), "{} s", now - hung.since);
    hung.go_on(&corner).await;
    load.command(load.monitors[0], MonitorCommand::Pause).await.unwrap();
}
