//! Writing a dead letter, once however often its message is delivered.

use sqlx::PgConnection;

use super::letter::{Letter, Origin};
use super::shown::Shown;
use crate::store::StoreError;

impl Letter {
    /// Writes the letter, in the transaction that passes its message where there is one. A message
    /// that is delivered again changes nothing; one that was tried again and failed again is noted in
    /// the letter that it was tried again from. Whether anything changed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn save(&self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        let changed = self.write(connection, false).await?;
        if changed {
            self.report();
        }
        Ok(changed)
    }

    /// As [`Letter::save`], of a letter that stands in the topic of dead letters already, and was
    /// reported by who sent it.
    pub(super) async fn save_from_topic(
        &self,
        connection: &mut PgConnection,
    ) -> Result<bool, StoreError> {
        self.write(connection, true).await
    }

    async fn write(&self, connection: &mut PgConnection, copied: bool) -> Result<bool, StoreError> {
        match &self.origin {
            Origin::Event { .. } => self.insert(connection, copied).await,
            Origin::Message { topic, partition, offset } => {
                let place = (topic.as_str(), *partition, *offset);
                match self.note_failed_retry(connection, place).await? {
                    Some(changed) => Ok(changed),
                    None => self.insert(connection, copied).await,
                }
            }
        }
    }

    /// Notes in the letter that the message is a retry of that it failed again; nothing where it is
    /// no retry, or not of that very message.
    async fn note_failed_retry(
        &self,
        connection: &mut PgConnection,
        (topic, partition, offset): (&str, i32, i64),
    ) -> Result<Option<bool>, StoreError> {
        let Some(retry_of) = self.retry_of else { return Ok(None) };
        // The row is found also where nothing is to be changed: the retry itself was delivered again.
        let changed: Option<bool> = sqlx::query_scalar(
            "with letter as (
                 select dead_letter_id, retry_partition is distinct from $5
                                        or retry_offset is distinct from $6 as changed
                 from dead_letters
                 where dead_letter_id = $1 and consumer = $2 and topic = $3
                   and payload is not distinct from $4
                 for update
             ), noted as (
                 update dead_letters
                 set reason = $7, detail = $8, failures = failures + 1, failed_at = clock_timestamp(),
                     resolved_at = null, copied_at = null, retry_partition = $5, retry_offset = $6
                 from letter
                 where dead_letters.dead_letter_id = letter.dead_letter_id and letter.changed
             )
             select changed from letter",
        )
        .bind(retry_of)
        .bind(&self.consumer)
        .bind(topic)
        .bind(self.payload.as_ref().and_then(Shown::bytes))
        .bind(partition)
        .bind(offset)
        .bind(&self.reason)
        .bind(&self.detail)
        .fetch_optional(connection)
        .await?;
        Ok(changed)
    }

    async fn insert(
        &self,
        connection: &mut PgConnection,
        copied: bool,
    ) -> Result<bool, StoreError> {
        let (topic, partition, offset, position) = match &self.origin {
            Origin::Message { topic, partition, offset } => {
                (Some(topic), Some(*partition), Some(*offset), None)
            }
            Origin::Event { position } => (None, None, None, Some(position.0)),
        };
        let headers = serde_json::to_string(&self.headers)
            .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        // An event is met again whenever the log is read again: only a retry that was asked for counts.
        let again = match position {
            None => "on conflict do nothing",
            Some(_) => {
                "on conflict (consumer, position) where position is not null do update
                 set reason = excluded.reason, detail = excluded.detail, failed_at = clock_timestamp(),
                     failures = dead_letters.failures + 1, resolved_at = null, copied_at = null
                 where dead_letters.retried_at > dead_letters.failed_at"
            }
        };
        let query = format!(
            "insert into dead_letters
                 (dead_letter_id, organization_id, consumer, topic, partition, \"offset\", position,
                  reason, detail, key, payload, headers, digest, content_missing, copied_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::json, $13, $14,
                     case when $15 then clock_timestamp() end)
             {again}"
        );
        let saved = sqlx::query(&query)
            .bind(self.id)
            .bind(self.organization_id.map(|id| id.0))
            .bind(&self.consumer)
            .bind(topic)
            .bind(partition)
            .bind(offset)
            .bind(position)
            .bind(&self.reason)
            .bind(&self.detail)
            .bind(self.key.as_ref().and_then(Shown::bytes))
            .bind(self.payload.as_ref().and_then(Shown::bytes))
            .bind(headers)
            .bind(self.digest())
            .bind(self.content_missing)
            .bind(copied)
            .execute(connection)
            .await?;
        Ok(saved.rows_affected() == 1)
    }
}
