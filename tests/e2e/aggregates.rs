//! Aggregates that the framework runs: events and their rows in one transaction, in the one order.

use std::collections::HashMap;

use cqrs_es::AggregateError;
use cqrs_es::persist::PersistedEventRepository as _;
use pulsetrail_commands::annotations::{AnnotationRows, annotations};
use pulsetrail_domain::annotation::{
    Annotation, AnnotationCommand, AnnotationError, AnnotationEvent, AnnotationKind, Span,
};
use pulsetrail_domain::{MonitorId, timestamp_from_millis};
use pulsetrail_infra::aggregates::{AggregateRepository, Aggregates, RowWriter, StoredEvent};
use pulsetrail_infra::store::{Store, StoreError};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::corner;

fn span() -> Span {
    Span {
        monitor_id: MonitorId(Uuid::new_v4()),
        from: timestamp_from_millis(1_000),
        to: timestamp_from_millis(2_000),
        kind: AnnotationKind::Maintenance,
        note: "moved".to_owned(),
    }
}

/// The metadata of a command for an organization.
fn metadata(organization: Uuid) -> HashMap<String, String> {
    let actor = Uuid::new_v4().to_string();
    [("organization_id".to_owned(), organization.to_string()), ("actor".to_owned(), actor)].into()
}

async fn store() -> Store {
    let store = corner().await.store().await;
    store.migrate().await.unwrap();
    store
}

async fn count(store: &Store, query: &str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&store.read).await.unwrap()
}

const EVENTS: &str = "select count(*) from events where aggregate_type = 'annotation'";
const ROWS: &str = "select count(*) from annotations";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_and_its_row_are_stored_together_with_who_asked() {
    let store = store().await;
    let annotations = annotations(store.clone());
    let (organization, id) = (Uuid::new_v4(), Uuid::new_v4());
    let metadata = metadata(organization);
    let (made, withdraw) = (AnnotationCommand::Annotate(span()), AnnotationCommand::Withdraw);
    annotations.execute(&id.to_string(), made.clone(), &metadata).await.unwrap();
    let again = annotations.execute(&id.to_string(), made, &metadata).await.unwrap_err();
    assert!(matches!(again, AggregateError::UserError(AnnotationError::AlreadyMade)), "{again}");
    annotations.execute(&id.to_string(), withdraw, &metadata).await.unwrap();

    let events: Vec<(i64, i64, String, Uuid, String)> = sqlx::query_as(
        "select position, sequence, event_type, organization_id, metadata ->> 'actor' from events
         where aggregate_type = 'annotation' and aggregate_id = $1 order by position",
    )
    .bind(id.to_string())
    .fetch_all(&store.read)
    .await
    .unwrap();
    let [made, withdrawn] = &events[..] else { panic!("{events:?}") };
    assert_eq!((made.1, made.2.as_str(), made.3), (1, "SpanAnnotated", organization));
    assert_eq!((withdrawn.1, withdrawn.2.as_str()), (2, "AnnotationWithdrawn"));
    assert_eq!((&made.4, &withdrawn.4), (&metadata["actor"], &metadata["actor"]));
    let row: (Uuid, i64, i64, String, String) = sqlx::query_as(
        "select organization_id, position, withdrawn_position, kind, made_by::text from annotations
         where annotation_id = $1",
    )
    .bind(id)
    .fetch_one(&store.read)
    .await
    .unwrap();
    let actor = metadata["actor"].clone();
    assert_eq!(row, (organization, made.0, withdrawn.0, "maintenance".to_owned(), actor));

    // The framework reads them back as they are, one by one and as a stream.
    let repository = AggregateRepository::new(store.clone(), AnnotationRows);
    let last = repository.get_last_events::<Annotation>(&id.to_string(), 1).await.unwrap();
    assert_eq!(last.len(), 1);
    let mut stream = repository.stream_events::<Annotation>(&id.to_string()).await.unwrap();
    let mut all = repository.stream_all_events::<Annotation>().await.unwrap();
    for sequence in [1, 2] {
        let one = stream.next::<Annotation>(&[]).await.unwrap().unwrap();
        let other = all.next::<Annotation>(&[]).await.unwrap().unwrap();
        assert_eq!((one.sequence, other.sequence), (sequence, sequence));
        assert_eq!(one.payload, other.payload);
        assert_eq!(one.payload == AnnotationEvent::AnnotationWithdrawn {}, sequence == 2);
    }
    assert!(stream.next::<Annotation>(&[]).await.is_none());
    assert!(all.next::<Annotation>(&[]).await.is_none());
}

/// A writer whose rows cannot be stored.
struct Broken;

impl RowWriter for Broken {
    async fn write(
        &self,
        transaction: &mut PgConnection,
        _: &StoredEvent,
    ) -> Result<(), StoreError> {
        sqlx::query("insert into annotations (annotation_id) values (null)")
            .execute(transaction)
            .await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_row_cannot_be_stored_is_not_stored() {
    let store = store().await;
    let broken: Aggregates<Annotation, Broken> = Aggregates::new(store.clone(), Broken);
    let command = AnnotationCommand::Annotate(span());
    let metadata = metadata(Uuid::new_v4());
    let id = Uuid::new_v4().to_string();
    let refused = broken.execute(&id, command.clone(), &metadata).await.unwrap_err();
    assert!(matches!(refused, AggregateError::UnexpectedError(_)), "{refused}");
    assert_eq!((count(&store, EVENTS).await, count(&store, ROWS).await), (0, 0));
    // Nor is one of nobody's.
    let whole = annotations(store.clone());
    let refused = whole.execute(&id, command.clone(), &HashMap::new()).await.unwrap_err();
    assert!(matches!(refused, AggregateError::UnexpectedError(_)), "{refused}");
    // The control: the same command with rows that can be stored.
    whole.execute(&id, command, &metadata).await.unwrap();
    assert_eq!((count(&store, EVENTS).await, count(&store, ROWS).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_commands_at_once_each_is_decided_from_what_the_one_before_left() {
    let store = store().await;
    let annotations = std::sync::Arc::new(annotations(store.clone()));
    let metadata = metadata(Uuid::new_v4());
    for _ in 0..5 {
        let id = Uuid::new_v4().to_string();
        let made = AnnotationCommand::Annotate(span());
        annotations.execute(&id, made, &metadata).await.unwrap();
        let attempts: Vec<_> = (0..4)
            .map(|_| {
                let (annotations, id) = (annotations.clone(), id.clone());
                let metadata = metadata.clone();
                tokio::spawn(async move {
                    annotations.execute(&id, AnnotationCommand::Withdraw, &metadata).await
                })
            })
            .collect();
        let mut done = 0;
        for attempt in attempts {
            match attempt.await.unwrap() {
                Ok(()) => done += 1,
                Err(AggregateError::UserError(AnnotationError::NotFound)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(done, 1);
    }
    assert_eq!((count(&store, EVENTS).await, count(&store, ROWS).await), (10, 5));
}
