//! What is asked about a window: over which buckets, as of which position.

use chrono_tz::Tz;
use pulsetrail_domain::uptime::{BucketSize, borders};
use pulsetrail_domain::{Position, Region};
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::store::position_at;
use serde::Deserialize;

use super::window::Window;
use crate::projector::contents;
use crate::queries::QueryState;

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::queries) enum By {
    Hour,
    Day,
}

/// A question about a window.
#[derive(Clone, Debug)]
pub(in crate::queries) struct Question {
    pub(in crate::queries) window: Window,
    /// Everything up to this position is looked at, and nothing after it.
    pub(in crate::queries) position: Position,
    /// The borders of the buckets, in microseconds since the epoch: the window's ends alone if no buckets are
    /// asked for, and one border alone of an empty window.
    pub(in crate::queries) borders: Vec<i64>,
    /// Only the checks from this region.
    pub(in crate::queries) region: Option<Region>,
}

impl Question {
    /// The question about a window without buckets, at the position that the analytics have reached, or that
    /// the log had reached at the moment of `as_of`.
    ///
    /// # Errors
    /// As the stores have them.
    pub(in crate::queries) async fn pin(
        state: &QueryState,
        window: Window,
    ) -> Result<Self, Problem> {
        let reached = contents(state.clickhouse()).await?;
        let reached = reached.map(|contents| contents.position).unwrap_or_default();
        let position = match window.as_of {
            Some(as_of) => position_at(&state.store().read, as_of).await?.min(reached),
            None => reached,
        };
        let (from, to) = (window.from.timestamp_micros(), window.to.timestamp_micros());
        let borders = if from < to { vec![from, to] } else { vec![from] };
        Ok(Self { window, position, borders, region: None })
    }

    /// The same in buckets as clocks in a time zone show them.
    ///
    /// # Errors
    /// 400 for too many.
    pub(in crate::queries) fn in_buckets(
        mut self,
        by: Option<By>,
        zone: Option<Tz>,
    ) -> Result<Self, Problem> {
        let size = match by {
            None if zone.is_some() => {
                return Err(Problem::bad_request("tz is for buckets: give by=day or by=hour too"));
            }
            None => return Ok(self),
            Some(By::Hour) => BucketSize::Hour,
            Some(By::Day) => BucketSize::Day,
        };
        let ends = (self.window.from.timestamp_micros(), self.window.to.timestamp_micros());
        self.borders = borders(ends, size, zone.unwrap_or(Tz::UTC)).map_err(|_too_many| {
            Problem::bad_request("the window has too many buckets: take a shorter one, or by=day")
        })?;
        Ok(self)
    }

    /// How many buckets it has.
    pub(super) fn buckets(&self) -> usize {
        self.borders.len().saturating_sub(1)
    }

    /// The number of the bucket that a moment within the window lies in.
    pub(super) fn bucket_of(&self, moment: i64) -> usize {
        self.borders.partition_point(|border| *border <= moment).saturating_sub(1)
    }

    /// An expression for ClickHouse: the begin of the bucket that a moment within the window lies in. The
    /// moment is an expression in microseconds since the epoch.
    pub(super) fn bucket_begin(&self, moment: &str) -> String {
        let begins = self.borders.get(..self.buckets().max(1)).unwrap_or_default();
        let begins: Vec<String> = begins.iter().map(i64::to_string).collect();
        format!("toInt64(roundDown({moment}, [{}]))", begins.join(","))
    }
}

/// A time zone by its IANA name.
pub(in crate::queries) fn zone_of(name: Option<&str>) -> Result<Option<Tz>, Problem> {
    name.map(str::parse).transpose().map_err(|_unknown| {
        Problem::bad_request("tz must be the name of an IANA time zone, such as Europe/Berlin")
    })
}
