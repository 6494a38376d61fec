//! How far ClickHouse itself has come, kept beside the rows.
//!
//! Postgres' checkpoint alone cannot tell that ClickHouse was emptied, replaced or restored from an
//! older copy. So the tables carry a **birth**, written once into empty tables, and a **mark** of the
//! same generation, written after the rows that it stands for. Whoever finds no birth, or a mark of a
//! log other than this one, empties the tables and begins anew at the start of the log. So does a version
//! of this program that makes other rows from the log: the birth names the version of the rows.

use clickhouse::{Client, Row};
use pulsetrail_domain::Position;
use pulsetrail_infra::clickhouse::ClickHouseError;
use pulsetrail_infra::store::{Store, StoreError, read_after};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::batch::fingerprint;
use super::insert::insert;

const BIRTH: &str = "birth";
const MARK: &str = "mark";
/// What is emptied when the projection begins anew; the marks last, so that an emptying that was cut
/// off is repeated.
const TABLES: [&str; 4] = ["checks", "transitions", "schedules", "projected"];
/// Which rows are made from the log. It changes with every change of them; the tables are then rebuilt.
const ROWS_VERSION: &str = "2";

#[derive(Clone, Debug, Row, Serialize, Deserialize)]
struct ProjectedRow {
    #[serde(with = "clickhouse::serde::uuid")]
    generation: Uuid,
    kind: String,
    position: i64,
    fingerprint: String,
}

/// What the tables hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Which filling of the tables it is.
    pub(super) generation: Uuid,
    /// Every event up to there is in them.
    pub(crate) position: Position,
    /// Names the event at that position.
    fingerprint: String,
}

/// Reads what the tables hold; nothing where they are without a birth.
pub(crate) async fn contents(client: &Client) -> Result<Option<Contents>, ClickHouseError> {
    let rows: Vec<ProjectedRow> = client
        .query(
            "select generation, kind, position, fingerprint from projected final
             order by written_at desc",
        )
        .fetch_all()
        .await?;
    Ok(newest(&rows))
}

fn newest(rows: &[ProjectedRow]) -> Option<Contents> {
    let birth = rows.iter().find(|row| row.kind == BIRTH)?;
    if birth.fingerprint != ROWS_VERSION {
        return None;
    }
    let generation = birth.generation;
    let mark = rows.iter().find(|row| row.kind == MARK && row.generation == generation);
    Some(Contents {
        generation,
        position: mark.map(|mark| Position(mark.position)).unwrap_or_default(),
        fingerprint: mark.map(|mark| mark.fingerprint.clone()).unwrap_or_default(),
    })
}

impl Contents {
    /// Whether the event at the mark is the one that the log has there.
    pub(super) async fn is_of_this_log(&self, store: &Store) -> Result<bool, StoreError> {
        if self.position == Position::START {
            return Ok(true);
        }
        let events = read_after(&store.read, Position(self.position.0 - 1), 1).await?;
        Ok(events.first().is_some_and(|event| fingerprint(event) == self.fingerprint))
    }
}

/// Empties the tables and gives them a new birth.
pub(super) async fn begin_anew(client: &Client) -> Result<Contents, ClickHouseError> {
    for table in TABLES {
        client.query(&format!("truncate table {table}")).execute().await?;
    }
    let generation = Uuid::new_v4();
    write(client, generation, BIRTH, Position::START, ROWS_VERSION.to_owned()).await?;
    Ok(Contents { generation, position: Position::START, fingerprint: String::new() })
}

/// Notes that the rows of every event up to `position` are in the tables.
pub(super) async fn write_mark(
    client: &Client,
    generation: Uuid,
    (position, fingerprint): (Position, String),
) -> Result<(), ClickHouseError> {
    write(client, generation, MARK, position, fingerprint).await
}

async fn write(
    client: &Client,
    generation: Uuid,
    kind: &str,
    position: Position,
    fingerprint: String,
) -> Result<(), ClickHouseError> {
    let row = ProjectedRow { generation, kind: kind.to_owned(), position: position.0, fingerprint };
    insert(client, "projected", &[row]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(generation: u128, kind: &str, position: i64) -> ProjectedRow {
        let generation = Uuid::from_u128(generation);
        let fingerprint = if kind == BIRTH { ROWS_VERSION } else { "" }.to_owned();
        ProjectedRow { generation, kind: kind.to_owned(), position, fingerprint }
    }

    #[test]
    fn tables_with_the_rows_of_another_version_count_as_empty() {
        let rows = [row(1, MARK, 7), row(1, BIRTH, 0)];
        assert!(newest(&rows).is_some());
        let older = rows.map(|row| ProjectedRow { fingerprint: "1".to_owned(), ..row });
        assert_eq!(newest(&older), None);
    }

    #[test]
    fn a_mark_counts_only_beside_the_birth_of_its_generation() {
        let position = |rows: &[ProjectedRow]| newest(rows).map(|contents| contents.position.0);
        assert_eq!(position(&[]), None);
        assert_eq!(position(&[row(1, MARK, 7)]), None);
        assert_eq!(position(&[row(1, BIRTH, 0)]), Some(0));
        assert_eq!(position(&[row(1, MARK, 7), row(1, BIRTH, 0)]), Some(7));
        assert_eq!(position(&[row(1, MARK, 7), row(2, BIRTH, 0)]), Some(0));
        let superseded = [row(2, MARK, 3), row(2, BIRTH, 0), row(1, MARK, 7), row(1, BIRTH, 0)];
        assert_eq!(position(&superseded), Some(3));
    }
}
