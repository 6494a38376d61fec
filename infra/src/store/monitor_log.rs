//! Storing what commands to monitors decided: those that arrive while others are being stored are
//! stored together next.
//!
//! The log has one lock, and a commit waits for the disk. With a transaction for each command, commands
//! would wait for as many disk writes as there are commands before them. Here one task appends for the
//! whole process: while a transaction is under way commands queue up, and the next one takes many of them,
//! from each organization in turn, so that nobody waits for what another organization asks. Each is told
//! its own outcome. Who leaves before that (a client that hung up) does not undo it.

use std::collections::HashSet;
use std::sync::Arc;

use pulsetrail_domain::monitor::{Monitor, MonitorConfig};
use pulsetrail_domain::{MonitorId, OrganizationId, Timestamp};
use sqlx::PgPool;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::QueryAs;
use sqlx::types::Json;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::fair_queue::{FairQueue, LineFull};
use super::secrets::store_with_secrets;
use super::{NewEvent, StoreError};
use crate::secrets::SealedSecrets;
use crate::supervised::Supervisor;

/// Commands that are stored in one transaction at most.
const TOGETHER: usize = 256;
/// Commands of one organization that may wait to be stored.
const WAITING: usize = 1_024;

/// What a command decided.
#[derive(Clone, Debug)]
pub(super) struct MonitorAppend {
    pub(super) monitor_id: MonitorId,
    pub(super) organization_id: OrganizationId,
    /// The version that was decided from.
    pub(super) expected: i64,
    /// In order; not empty.
    pub(super) events: Vec<NewEvent>,
    /// Who asked, and in which request, as JSON.
    pub(super) metadata: String,
    /// How the monitor is after the events.
    pub(super) after: Monitor,
    /// None of a monitor that begins.
    pub(super) registered_at: Option<Timestamp>,
    /// The secrets that come with it.
    pub(super) sealed: SealedSecrets,
    /// Whether it has, had or gets any.
    pub(super) touches_secrets: bool,
}

/// What became of an append: when its last event was recorded; none where the monitor had moved on, and
/// nothing was stored.
pub(super) type Appended = Result<Option<Timestamp>, NotAppended>;

/// Why nothing was stored.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum NotAppended {
    /// As many commands of the organization wait as may.
    #[error("too many commands of the organization wait")]
    TooManyWait,
    /// The error of all that were stored together.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

#[derive(Debug)]
struct Waiting {
    append: MonitorAppend,
    answer: oneshot::Sender<Appended>,
}

/// The way of this process's commands into the log. Its task ends when it is dropped. If the task panics,
/// the commands that it was storing fail, the role is not ready, and the task is started again: the commands
/// that wait are stored then.
#[derive(Debug)]
pub(super) struct MonitorLog {
    queue: Arc<FairQueue<Waiting>>,
    dropped: CancellationToken,
}

impl MonitorLog {
    /// Over appending connections. Must be called within a Tokio runtime.
    pub(super) fn start(pool: PgPool, tasks: &Supervisor) -> Self {
        Self::start_with(tasks, move |queue| store_all(pool.clone(), queue))
    }

    /// The same with a task that answers what waits in the queue until the queue is closed.
    fn start_with<F>(
        tasks: &Supervisor,
        work: impl Fn(Arc<FairQueue<Waiting>>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let queue = Arc::new(FairQueue::new(WAITING));
        let dropped = CancellationToken::new();
        let waiting = queue.clone();
        tasks.keep_running("monitor-log", &dropped, move || work(waiting.clone()));
        Self { queue, dropped }
    }

    /// Stores what a command decided, with those of others that wait.
    pub(super) async fn append(&self, append: MonitorAppend) -> Appended {
        let (answer, outcome) = oneshot::channel();
        let gone = Arc::new(StoreError::Database(sqlx::Error::WorkerCrashed));
        let queued = self.queue.push(append.organization_id, Waiting { append, answer });
        queued.map_err(|LineFull| NotAppended::TooManyWait)?;
        outcome.await.map_err(|_| NotAppended::Store(gone))?
    }
}

impl Drop for MonitorLog {
    fn drop(&mut self) {
        self.dropped.cancel();
        self.queue.close();
    }
}

async fn store_all(pool: PgPool, queue: Arc<FairQueue<Waiting>>) {
    loop {
        let waiting = queue.take(TOGETHER).await;
        if waiting.is_empty() {
            return;
        }
        let (appends, answers): (Vec<MonitorAppend>, Vec<oneshot::Sender<Appended>>) =
            waiting.into_iter().map(|Waiting { append, answer }| (append, answer)).unzip();
        for (answer, outcome) in answers.into_iter().zip(store(&pool, &appends).await) {
            // Who has left is told nothing.
            let _ = answer.send(outcome);
        }
    }
}

/// Stores what waited together; one that Postgres refuses for what is in it harms no other.
async fn store(pool: &PgPool, appends: &[MonitorAppend]) -> Vec<Appended> {
    match store_together(pool, appends).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(error) if appends.len() > 1 && error.blames_the_data() => {
            let mut outcomes = Vec::with_capacity(appends.len());
            for append in appends {
                let alone = store_together(pool, std::slice::from_ref(append)).await;
                let alone = alone.map(|mut one| one.pop().flatten());
                outcomes.push(alone.map_err(|error| NotAppended::Store(Arc::new(error))));
            }
            outcomes
        }
        Err(error) => {
            let error = Arc::new(error);
            appends.iter().map(|_| Err(NotAppended::Store(error.clone()))).collect()
        }
    }
}

/// One transaction, in one round trip.
async fn store_together(
    pool: &PgPool,
    appends: &[MonitorAppend],
) -> Result<Vec<Option<Timestamp>>, StoreError> {
    let mut outcomes = vec![None; appends.len()];
    // Of two commands to one monitor the second is decided again, from what the first one leads to.
    let mut met = HashSet::with_capacity(appends.len());
    let (places, firsts): (Vec<usize>, Vec<&MonitorAppend>) =
        appends.iter().enumerate().filter(|(_, append)| met.insert(append.monitor_id)).unzip();
    let columns = Columns::of(&firsts);
    let stored = if firsts.iter().any(|append| append.touches_secrets) {
        store_with_secrets(columns, &firsts, pool).await?
    } else {
        columns.store(pool).await?
    };
    for (place, recorded_at) in stored {
        let among_all = usize::try_from(place - 1).ok().and_then(|place| places.get(place));
        if let Some(outcome) = among_all.and_then(|place| outcomes.get_mut(*place)) {
            *outcome = Some(recorded_at);
        }
    }
    Ok(outcomes)
}

/// A query for the places of the monitors that were stored, and when their last events were recorded.
type Append<'q> = QueryAs<'q, Postgres, (i64, Timestamp), PgArguments>;

/// The parameters of `monitors_append`: one row a monitor, and one an event.
#[derive(Default)]
pub(super) struct Columns<'a> {
    ids: Vec<String>,
    expected: Vec<i64>,
    organizations: Vec<Uuid>,
    reached: Vec<i64>,
    view_names: Vec<&'a str>,
    configs: Vec<Json<Option<&'a MonitorConfig>>>,
    are_paused: Vec<bool>,
    are_archived: Vec<bool>,
    since: Vec<Option<Timestamp>>,
    places: Vec<i64>,
    numbers: Vec<i64>,
    names: Vec<&'a str>,
    versions: Vec<&'a str>,
    payloads: Vec<&'a str>,
    metadatas: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(appends: &[&'a MonitorAppend]) -> Self {
        let mut columns = Self::default();
        for (place, append) in (1..).zip(appends) {
            columns.ids.push(append.monitor_id.to_string());
            columns.expected.push(append.expected);
            columns.organizations.push(append.organization_id.0);
            let config = append.after.config.as_ref();
            columns.view_names.push(config.map_or("", |config| &config.name));
            columns.configs.push(Json(config));
            columns.are_paused.push(append.after.paused);
            columns.are_archived.push(append.after.archived);
            columns.since.push(append.registered_at);
            let mut reached = append.expected;
            for (number, event) in (1..).zip(&append.events) {
                reached += 1;
                columns.places.push(place);
                columns.numbers.push(number);
                columns.names.push(event.event_type);
                columns.versions.push(event.event_version);
                columns.payloads.push(&event.payload);
                columns.metadatas.push(&append.metadata);
            }
            columns.reached.push(reached);
        }
        columns
    }

    async fn store(self, pool: &PgPool) -> Result<Vec<(i64, Timestamp)>, StoreError> {
        let append = sqlx::query_as(
            "select * from monitors_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
                                           $14, $15)",
        );
        Ok(self.bind(append).fetch_all(pool).await?)
    }

    /// Binds the first 15 parameters.
    pub(super) fn bind<'q>(self, append: Append<'q>) -> Append<'q>
    where
        'a: 'q,
    {
        append
            .bind(self.ids)
            .bind(self.expected)
            .bind(self.organizations)
            .bind(self.reached)
            .bind(self.view_names)
            .bind(self.configs)
            .bind(self.are_paused)
            .bind(self.are_archived)
            .bind(self.since)
            .bind(self.places)
            .bind(self.numbers)
            .bind(self.names)
            .bind(self.versions)
            .bind(self.payloads)
            .bind(self.metadatas)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn append() -> MonitorAppend {
        MonitorAppend {
            monitor_id: MonitorId::default(),
            organization_id: OrganizationId::default(),
            expected: 0,
            events: Vec::new(),
            metadata: "{}".to_owned(),
            after: Monitor::default(),
            registered_at: None,
            sealed: SealedSecrets::default(),
            touches_secrets: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_fails_what_was_being_stored_and_the_next_commands_are_stored() {
        let tasks = Supervisor::default();
        let broken = Arc::new(AtomicBool::new(true));
        let log = MonitorLog::start_with(&tasks, move |queue| {
            let broken = broken.clone();
            async move {
                loop {
                    let waiting = queue.take(1).await;
                    if waiting.is_empty() {
                        return;
                    }
                    assert!(!broken.swap(false, Ordering::SeqCst), "a bug");
                    for Waiting { answer, .. } in waiting {
                        answer.send(Ok(None)).unwrap();
                    }
                }
            }
        });
        let (first, second) = tokio::join!(log.append(append()), log.append(append()));
        assert!(matches!(first, Err(NotAppended::Store(_))), "{first:?}");
        assert!(matches!(second, Ok(None)), "it waited meanwhile: {second:?}");
        assert!(tasks.is_healthy(), "the task was started again");
    }
}
