//! The uptime of an organization, written piece by piece: however many monitors there are, one page of them is
//! in memory.

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::http::Problem;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::body::{MonitorUptimeBody, Uptime, UptimeBody};
use super::question::Question;
use super::read::{Scope, read};
use crate::queries::QueryState;
use crate::queries::cursor::UptimeCursor;

/// Monitors that are read at a time, at most.
const PAGE: usize = 500;
/// Buckets that are in memory at a time.
const BUCKETS: usize = 50_000;

/// Which monitors are in the answer: those that are not archived.
pub(super) struct Monitors {
    pub(super) organization_id: OrganizationId,
    /// Only those with this tag, `key` or `key:value`.
    pub(super) tag: Option<String>,
}

impl Monitors {
    /// The next of them with their names, in the order of their ids.
    pub(super) async fn after(
        &self,
        pool: &PgPool,
        last: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<(Uuid, String)>, Problem> {
        let tag = self.tag.as_deref();
        let (tag_key, tag_value) = tag.and_then(|tag| tag.split_once(':')).unzip();
        let rows = sqlx::query(
            "select monitor_id, name from monitor_view
             where organization_id = $1 and not archived and ($5::uuid is null or monitor_id > $5)
               and ($2::text is null or config -> 'tags' ? $2 or config -> 'tags' ->> $3 = $4)
             order by monitor_id limit $6",
        )
        .bind(self.organization_id.0)
        .bind(tag)
        .bind(tag_key)
        .bind(tag_value)
        .bind(last)
        .bind(limit as i64)
        .fetch_all(pool)
        .await?;
        let columns = rows.iter().map(|row| Ok((row.try_get("monitor_id")?, row.try_get("name")?)));
        Ok(columns.collect::<Result<_, sqlx::Error>>()?)
    }
}

/// Which of the monitors are listed one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    /// Those after this one.
    pub(super) after: Option<MonitorId>,
    /// As many as this; all if it is none.
    pub(super) limit: Option<usize>,
}

/// An answer that is being written: `{"monitors": […], …total, "next_cursor": …}`.
pub(super) struct Answer {
    state: QueryState,
    monitors: Monitors,
    question: Question,
    with_buckets: bool,
    listed: Listed,
    /// The sums of all monitors so far, for each bucket.
    total: Vec<Uptime>,
    /// How many monitors were listed, the last of them, and whether another one would have been.
    count: usize,
    last_listed: Option<MonitorId>,
    more: bool,
    next: Piece,
}

/// What is written next.
enum Piece {
    Page { page: Page, is_first: bool },
    Total,
    Nothing,
}

/// Some monitors: those that are listed, and the last one, listed or not.
struct Page {
    uptimes: Vec<MonitorUptimeBody>,
    last: Option<Uuid>,
}

impl Answer {
    /// Begins an answer. What fails after the first page ends the connection, so that nobody takes a part of
    /// the answer for the whole.
    ///
    /// # Errors
    /// As the tables have them, for the first page.
    pub(super) async fn begin(
        state: QueryState,
        monitors: Monitors,
        question: Question,
        with_buckets: bool,
        listed: Listed,
    ) -> Result<Response, Problem> {
        let total = vec![Uptime::default(); question.buckets()];
        let mut answer = Self {
            state,
            monitors,
            question,
            with_buckets,
            listed,
            total,
            count: 0,
            last_listed: None,
            more: false,
            next: Piece::Nothing,
        };
        let page = answer.page_after(None).await?;
        answer.next = Piece::Page { page, is_first: true };
        let body = Body::from_stream(stream::try_unfold(answer, Self::write));
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    }

    /// The next piece, and what is left.
    async fn write(mut self) -> Result<Option<(Bytes, Self)>, std::io::Error> {
        let mut text = Vec::new();
        match std::mem::replace(&mut self.next, Piece::Nothing) {
            Piece::Page { page, is_first } => {
                if is_first {
                    text.extend(b"{\"monitors\":[");
                }
                for uptime in &page.uptimes {
                    if self.count > 0 {
                        text.push(b',');
                    }
                    serde_json::to_writer(&mut text, uptime)?;
                    self.count += 1;
                }
                self.next = match page.last {
                    Some(last) => {
                        let page = self.page_after(Some(last)).await.map_err(cut_off)?;
                        Piece::Page { page, is_first: false }
                    }
                    None => Piece::Total,
                };
            }
            Piece::Total => {
                let cursor = self.last_listed.filter(|_| self.more);
                let cursor = cursor.map(|last| UptimeCursor(last).encode());
                text.extend(b"],\"next_cursor\":");
                serde_json::to_writer(&mut text, &cursor)?;
                let total = UptimeBody::new(&self.question, &self.total, self.with_buckets);
                let total = serde_json::to_vec(&total)?;
                // It is an object: its fields go on in the one that was begun.
                text.push(b',');
                text.extend(total.strip_prefix(b"{").unwrap_or(&total));
            }
            Piece::Nothing => return Ok(None),
        }
        Ok(Some((text.into(), self)))
    }

    /// The uptimes of the next monitors in the order of their ids, which are added to the total.
    async fn page_after(&mut self, last: Option<Uuid>) -> Result<Page, Problem> {
        let page = (BUCKETS / self.question.buckets().max(1)).clamp(1, PAGE);
        let monitors = self.monitors.after(&self.state.store.read, last, page).await?;
        let ids: Vec<Uuid> = monitors.iter().map(|(id, _)| *id).collect();
        let Some(last) = ids.last().copied() else {
            return Ok(Page { uptimes: Vec::new(), last: None });
        };
        let organization_id = self.monitors.organization_id.0;
        let scope = Scope { organization_id, monitors: &ids };
        let mut known = read(&self.state, scope, &self.question).await?;
        let mut uptimes = Vec::new();
        for (id, name) in monitors {
            let buckets = known.remove(&id).unwrap_or_default();
            for (total, bucket) in self.total.iter_mut().zip(&buckets) {
                *total = total.plus(*bucket);
            }
            if self.listed.after.is_some_and(|after| id <= after.0) {
                continue;
            }
            if self.listed.limit.is_some_and(|limit| self.count + uptimes.len() >= limit) {
                self.more = true;
                continue;
            }
            let monitor_id = MonitorId(id);
            self.last_listed = Some(monitor_id);
            let uptime = UptimeBody::new(&self.question, &buckets, self.with_buckets);
            uptimes.push(MonitorUptimeBody { monitor_id, name, uptime });
        }
        Ok(Page { uptimes, last: Some(last) })
    }
}

/// The cause is in the log already.
fn cut_off(problem: Problem) -> std::io::Error {
    std::io::Error::other(problem.title)
}
