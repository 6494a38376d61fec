//! The uptime of an organization, written piece by piece: however many monitors there are, one page of them is
//! in memory.

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::http::Problem;
use sqlx::Row as _;
use uuid::Uuid;

use super::read::{Scope, read};
use super::window::Window;
use super::{MonitorUptimeBody, Uptime};
use crate::queries::QueryState;

/// Monitors that are read at a time.
const PAGE: i64 = 500;

/// Which monitors are in the answer: those that are not archived.
pub(super) struct Monitors {
    pub(super) organization_id: OrganizationId,
    /// Only those with this tag, `key` or `key:value`.
    pub(super) tag: Option<String>,
}

/// An answer that is being written: `{"monitors": […], …total}`.
pub(super) struct Answer {
    state: QueryState,
    monitors: Monitors,
    window: Window,
    total: Uptime,
    next: Piece,
}

/// What is written next.
enum Piece {
    Page { uptimes: Vec<MonitorUptimeBody>, is_first: bool },
    Total,
    Nothing,
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
        window: Window,
    ) -> Result<Response, Problem> {
        let mut answer =
            Self { state, monitors, window, total: Uptime::default(), next: Piece::Nothing };
        let uptimes = answer.page_after(None).await?;
        answer.next = Piece::Page { uptimes, is_first: true };
        let body = Body::from_stream(stream::try_unfold(answer, Self::write));
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    }

    /// The next piece, and what is left.
    async fn write(mut self) -> Result<Option<(Bytes, Self)>, std::io::Error> {
        let mut text = Vec::new();
        match std::mem::replace(&mut self.next, Piece::Nothing) {
            Piece::Page { uptimes, is_first } => {
                if is_first {
                    text.extend(b"{\"monitors\":[");
                }
                for (place, uptime) in uptimes.iter().enumerate() {
                    if !is_first || place > 0 {
                        text.push(b',');
                    }
                    serde_json::to_writer(&mut text, uptime)?;
                }
                let last = uptimes.last().map(|uptime| uptime.monitor_id.0);
                let more = match last {
                    Some(last) => self.page_after(Some(last)).await.map_err(cut_off)?,
                    None => Vec::new(),
                };
                self.next = match more.is_empty() {
                    true => Piece::Total,
                    false => Piece::Page { uptimes: more, is_first: false },
                };
            }
            Piece::Total => {
                text.extend(b"],");
                let total = serde_json::to_vec(&self.total.body(self.window))?;
                // It is an object: its fields go on in the one that was begun.
                text.extend(total.strip_prefix(b"{").unwrap_or(&total));
            }
            Piece::Nothing => return Ok(None),
        }
        Ok(Some((text.into(), self)))
    }

    /// The uptimes of the next monitors in the order of their ids, which are added to the total.
    async fn page_after(&mut self, last: Option<Uuid>) -> Result<Vec<MonitorUptimeBody>, Problem> {
        let tag = self.monitors.tag.as_deref();
        let (tag_key, tag_value) = tag.and_then(|tag| tag.split_once(':')).unzip();
        let rows = sqlx::query(
            "select monitor_id, name from monitor_view
             where organization_id = $1 and not archived and ($5::uuid is null or monitor_id > $5)
               and ($2::text is null or config -> 'tags' ? $2 or config -> 'tags' ->> $3 = $4)
             order by monitor_id limit $6",
        )
        .bind(self.monitors.organization_id.0)
        .bind(tag)
        .bind(tag_key)
        .bind(tag_value)
        .bind(last)
        .bind(PAGE)
        .fetch_all(&self.state.store.read)
        .await?;
        let ids: Vec<Uuid> =
            rows.iter().map(|row| row.try_get("monitor_id")).collect::<Result<_, _>>()?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let organization_id = self.monitors.organization_id.0;
        let scope = Scope { organization_id, monitors: &ids };
        let mut known = read(&self.state.clickhouse, scope, self.window).await?;
        let mut uptimes = Vec::with_capacity(rows.len());
        for (row, id) in rows.iter().zip(&ids) {
            let uptime = known.remove(id).unwrap_or_default();
            self.total = self.total.plus(uptime);
            let (monitor_id, name) = (MonitorId(*id), row.try_get("name")?);
            uptimes.push(MonitorUptimeBody { monitor_id, name, uptime: uptime.body(self.window) });
        }
        Ok(uptimes)
    }
}

/// The cause is in the log already.
fn cut_off(problem: Problem) -> std::io::Error {
    std::io::Error::other(problem.title)
}
