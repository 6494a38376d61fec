//! Inserting rows so that they are there when the call returns.

use std::time::Duration;

use clickhouse::{Client, Row, RowOwned, RowWrite};
use pulsetrail_infra::clickhouse::ClickHouseError;

/// How long ClickHouse may take to accept a piece of a batch.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to store a batch.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// Inserts rows in one part; they are stored when it returns.
pub(super) async fn insert<R>(
    client: &Client,
    table: &str,
    rows: &[R],
) -> Result<(), ClickHouseError>
where
    R: Row + RowOwned + RowWrite + for<'a> Row<Value<'a> = R>,
{
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = client
        .insert::<R>(table)
        .await?
        .with_timeouts(Some(SEND_TIMEOUT), Some(END_TIMEOUT))
        // Acknowledged means stored, whatever the server's defaults are.
        .with_setting("async_insert", "0")
        // A rebuilt history spans more months than a server accepts in one insert by default.
        .with_setting("max_partitions_per_insert_block", "0");
    for row in rows {
        insert.write(row).await?;
    }
    insert.end().await
}
