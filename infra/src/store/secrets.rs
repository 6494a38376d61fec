//! Sealed secrets: beside the log, in its transactions.

use std::collections::HashSet;

use pulsetrail_domain::{OrganizationId, SecretId, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, PgPool, Row as _};
use uuid::Uuid;

use super::StoreError;
use super::monitor_log::{Columns, MonitorAppend};
use crate::secrets::{SealedSecret, SealedSecrets};

/// Loads secrets as they are sealed. Those that are not there any more are left out: a later event of
/// their monitor names others, or none.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn load_sealed(
    executor: impl PgExecutor<'_>,
    wanted: &HashSet<(OrganizationId, SecretId)>,
) -> Result<SealedSecrets, StoreError> {
    if wanted.is_empty() {
        return Ok(SealedSecrets::default());
    }
    let (organizations, ids): (Vec<Uuid>, Vec<Uuid>) =
        wanted.iter().map(|(organization, id)| (organization.0, id.0)).unzip();
    let rows = sqlx::query(
        "select secret_id, key_id, nonce, ciphertext
         from secrets join unnest($1::uuid[], $2::uuid[]) as wanted (organization_id, secret_id)
             using (organization_id, secret_id)",
    )
    .bind(organizations)
    .bind(ids)
    .fetch_all(executor)
    .await?;
    sealed_in(&rows)
}

/// Loads every secret as it is sealed, of all organizations: for the scheduler, which begins with every
/// monitor.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn load_every_sealed(executor: impl PgExecutor<'_>) -> Result<SealedSecrets, StoreError> {
    let every = sqlx::query("select secret_id, key_id, nonce, ciphertext from secrets");
    sealed_in(&every.fetch_all(executor).await?)
}

fn sealed_in(rows: &[PgRow]) -> Result<SealedSecrets, StoreError> {
    let mut sealed = SealedSecrets::default();
    for row in rows {
        let secret = SealedSecret {
            key_id: row.try_get("key_id")?,
            nonce: row.try_get("nonce")?,
            ciphertext: row.try_get("ciphertext")?,
        };
        sealed.0.insert(SecretId(row.try_get("secret_id")?), secret);
    }
    Ok(sealed)
}

/// Stores appends of which some change what secrets there are: each monitor that was stored has, of those
/// that it had and of those that it is given, the ones that its configuration names, and none once it is
/// archived. It returns the places of the monitors that were stored, as `monitors_append` does.
pub(super) async fn store_with_secrets(
    columns: Columns<'_>,
    appends: &[&MonitorAppend],
    pool: &PgPool,
) -> Result<Vec<(i64, Timestamp)>, StoreError> {
    let mut rows = Rows::default();
    for (place, append) in (1..).zip(appends) {
        rows.add(place, append);
    }
    // Of one monitor nobody else stores meanwhile: its version would be another one, and not expected.
    let stored = columns
        .bind(sqlx::query_as(
            "with stored as materialized (
                 select * from monitors_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                                               $13, $14, $15)
             ), gone as (
                 delete from secrets using stored
                 where secrets.monitor_id = ($1::text[])[stored_place]::uuid
                   and stored_place = any($16) and secret_id <> all($17)
             ), added as (
                 insert into secrets (secret_id, organization_id, monitor_id, key_id, nonce, ciphertext)
                 select id, ($3::uuid[])[stored_place], ($1::text[])[stored_place]::uuid,
                        key_id, nonce, ciphertext
                 from unnest($18::bigint[], $19::uuid[], $20::bytea[], $21::bytea[], $22::bytea[])
                      as new (place, id, key_id, nonce, ciphertext)
                 join stored on stored_place = place
             )
             select * from stored",
        ))
        .bind(rows.touched)
        .bind(rows.kept)
        .bind(rows.places)
        .bind(rows.ids)
        .bind(rows.key_ids)
        .bind(rows.nonces)
        .bind(rows.ciphertexts)
        .fetch_all(pool)
        .await?;
    Ok(stored)
}

/// The secrets of appends, column by column.
#[derive(Default)]
struct Rows<'a> {
    /// The places of the monitors that have, had or get secrets.
    touched: Vec<i64>,
    /// What any of them has afterwards. No secret is two monitors'.
    kept: Vec<Uuid>,
    places: Vec<i64>,
    ids: Vec<Uuid>,
    key_ids: Vec<&'a [u8]>,
    nonces: Vec<&'a [u8]>,
    ciphertexts: Vec<&'a [u8]>,
}

impl<'a> Rows<'a> {
    fn add(&mut self, place: i64, append: &'a MonitorAppend) {
        if !append.touches_secrets {
            return;
        }
        self.touched.push(place);
        let named: HashSet<SecretId> = append.after.secrets().map(|one| one.secret).collect();
        self.kept.extend(named.iter().map(|id| id.0));
        for (id, secret) in append.sealed.0.iter().filter(|(id, _)| named.contains(id)) {
            self.places.push(place);
            self.ids.push(id.0);
            self.key_ids.push(&secret.key_id);
            self.nonces.push(&secret.nonce);
            self.ciphertexts.push(&secret.ciphertext);
        }
    }
}
