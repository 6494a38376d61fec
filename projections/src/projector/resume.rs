//! Where the projector goes on, and what was known of each monitor there.

use clickhouse::{Client, Row};
use pulsetrail_domain::health::HealthStatus;
use pulsetrail_domain::{MonitorId, Position, Timestamp};
use pulsetrail_infra::store::{Store, load_checkpoint};
use serde::Deserialize;
use uuid::Uuid;

use super::batch::Timelines;
use super::mark::{self, Contents};
use super::timeline::Timeline;
use super::{PROJECTOR, ProjectorError};
use crate::analytics::{Status, from_name};

/// A place to go on from.
pub(super) struct Resumed {
    /// Which filling of the tables is written to.
    pub(super) generation: Uuid,
    /// Everything up to there is in ClickHouse.
    pub(super) position: Position,
    /// What was known there.
    pub(super) timelines: Timelines,
}

/// Applies the schema and finds the place: the lower one of what Postgres and ClickHouse say, for the
/// two are not written in one transaction.
pub(super) async fn resume(store: &Store, client: &Client) -> Result<Resumed, ProjectorError> {
    pulsetrail_infra::clickhouse::prepare(client).await?;
    let checkpoint = load_checkpoint(&store.read, PROJECTOR).await?;
    let contents = match mark::contents(client).await? {
        Some(contents) if contents.is_of_this_log(store).await? => contents,
        found => {
            report_rebuild(found.as_ref(), checkpoint);
            mark::begin_anew(client).await?
        }
    };
    let position = contents.position.min(checkpoint);
    let timelines = load_timelines(client, position, None).await?;
    tracing::info!(
        event.position = position.0,
        monitors = timelines.0.len(),
        "the projector goes on"
    );
    Ok(Resumed { generation: contents.generation, position, timelines })
}

fn report_rebuild(found: Option<&Contents>, checkpoint: Position) {
    if found.is_some() {
        tracing::error!(
            "ClickHouse was filled from another log; its tables are emptied and rebuilt"
        );
    } else if checkpoint > Position::START {
        tracing::warn!(
            event.position = checkpoint.0,
            "ClickHouse is empty; its tables are rebuilt from the log"
        );
    }
}

#[derive(Row, Deserialize)]
struct LastRow {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    status: String,
    health: String,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    settled_at: Timestamp,
}

#[derive(Row, Deserialize)]
struct VoteRow {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    region: String,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    newest: Timestamp,
}

/// What was known of each monitor that was not archived, or of one, after the event at `position`, from the
/// rows up to it.
pub(super) async fn load_timelines(
    client: &Client,
    position: Position,
    monitor: Option<MonitorId>,
) -> Result<Timelines, ProjectorError> {
    let mut timelines = Timelines::default();
    if position == Position::START {
        return Ok(timelines);
    }
    // An id is digits and hyphens.
    let of_it = monitor.map_or_else(String::new, |id| format!(" and monitor_id = '{id}'"));
    let query = format!(
        "select monitor_id, argMax(status, position) as status,
                argMax(health, position) as health, argMax(settled_at, position) as settled_at
         from transitions where position <= ?{of_it} group by monitor_id
         having status != 'archived'"
    );
    let last: Vec<LastRow> = client.query(&query).bind(position.0).fetch_all().await?;
    for row in last {
        let unreadable = |error| ProjectorError::Unreadable { monitor_id: row.monitor_id, error };
        let timeline = Timeline {
            status: from_name::<Status>(&row.status).map_err(unreadable)?,
            health: from_name::<HealthStatus>(&row.health).map_err(unreadable)?,
            settled_at: row.settled_at,
            votes: Default::default(),
        };
        timelines.0.insert(MonitorId(row.monitor_id), timeline);
    }
    for vote in load_votes(client, position, &of_it).await? {
        if let Some(timeline) = timelines.0.get_mut(&MonitorId(vote.monitor_id)) {
            timeline.votes.insert(vote.region, vote.newest);
        }
    }
    Ok(timelines)
}

/// The newest counted result of each region of each pending monitor, since it became pending.
async fn load_votes(
    client: &Client,
    position: Position,
    of_it: &str,
) -> Result<Vec<VoteRow>, ProjectorError> {
    let pending = format!(
        "select organization_id, monitor_id, max(position) as since
         from transitions where position <= ?{of_it} group by organization_id, monitor_id
         having argMax(status, position) = 'pending'"
    );
    let query = format!(
        "select checks.monitor_id as monitor_id, checks.region as region,
                max(checks.scheduled_at) as newest
         from checks inner join ({pending}) as pending on checks.monitor_id = pending.monitor_id
         where (checks.organization_id, checks.monitor_id) in
               (select organization_id, monitor_id from ({pending}))
           and checks.position > pending.since and checks.position <= ?
           and checks.outcome != 'blocked'
         group by monitor_id, region"
    );
    let votes = client.query(&query).bind(position.0).bind(position.0).bind(position.0);
    Ok(votes.fetch_all().await?)
}
