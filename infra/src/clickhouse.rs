//! ClickHouse: a client and the projections' schema.

use clickhouse::Client;
use clickhouse::sql::Identifier;
use url::Url;

/// ClickHouse refused, or is away.
pub type ClickHouseError = clickhouse::error::Error;

/// A client of the database `database` on the server at `url`, whose user and password are in it.
#[must_use]
pub fn client(url: &Url, database: &str) -> Client {
    let mut bare = url.clone();
    // Both fail only for URLs without a host, which an http URL always has.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    let mut client = Client::default().with_url(bare.as_str()).with_database(database);
    if !url.username().is_empty() {
        client = client.with_user(url.username());
    }
    if let Some(password) = url.password() {
        client = client.with_password(password);
    }
    client
}

/// The parts of the schema, oldest first. A part that was released is never changed.
const SCHEMA: &[&str] = &[
    include_str!("../../schemas/clickhouse/0001_checks.sql"),
    include_str!("../../schemas/clickhouse/0002_transitions.sql"),
    include_str!("../../schemas/clickhouse/0003_projected.sql"),
    include_str!("../../schemas/clickhouse/0004_check_findings.sql"),
    include_str!("../../schemas/clickhouse/0005_schedules.sql"),
];

/// Makes the database and applies every part of the schema that is not there yet.
///
/// # Errors
/// When ClickHouse refuses or is away.
pub async fn migrate(url: &Url, database: &str) -> Result<(), ClickHouseError> {
    prepare(&client(url, database)).await
}

/// As [`migrate`], for the database of `client`.
///
/// # Errors
/// When ClickHouse refuses or is away.
pub async fn prepare(client: &Client) -> Result<(), ClickHouseError> {
    client
        .clone()
        .with_database("default")
        .query("create database if not exists ?")
        .bind(Identifier(client.database().unwrap_or("default")))
        .execute()
        .await?;
    client
        .query(
            "create table if not exists schema_parts (part UInt32, applied_at DateTime64(3) \
             default now64(3)) engine = ReplacingMergeTree order by part",
        )
        .execute()
        .await?;
    let applied: Vec<u32> =
        client.query("select part from schema_parts final order by part").fetch_all().await?;
    for (part, sql) in (1_u32..).zip(SCHEMA) {
        if applied.contains(&part) {
            continue;
        }
        // Every statement can be repeated, for a start may be cut off between two of them.
        let statements = sql.split(";\n").map(str::trim).filter(|text| !text.is_empty());
        for statement in statements {
            client.query(statement).execute().await?;
        }
        client.query("insert into schema_parts (part) values (?)").bind(part).execute().await?;
    }
    Ok(())
}
