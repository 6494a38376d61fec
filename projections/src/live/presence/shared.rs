//! Presence over all servers: rows in Postgres, and notifications of the rooms that changed.
//!
//! A server writes who came and who went, at most five times a second, and tells the others in which
//! rooms. Each server counts the rooms that its own subscribers are in. A server lives as long as it
//! renews its row; whoever finds one that was not renewed deletes it with all its viewers.

use std::time::Duration;

use pulsetrail_domain::MonitorId;
use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool, Row};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::super::LiveHub;
use super::Viewer;
use crate::backoff::Backoff;

/// The channel that tells of rooms.
const CHANNEL: &str = "pulsetrail_live_presence";
/// How long a server is believed to be there after its last sign of life.
const LASTS: Duration = Duration::from_secs(6);
/// How often it gives one, and looks for those that gave none.
const BEAT_EVERY: Duration = Duration::from_secs(2);
/// How often it looks for what has changed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Rooms that one notification names: Postgres takes 8,000 bytes.
const ROOMS_IN_ONE: usize = 200;
/// In place of more notifications than this there is one that names no room and means all.
const MANY: usize = 50;

/// Shares who is where with the other servers, until the hub's shutdown.
pub(in crate::live) async fn share(hub: LiveHub) {
    let shared = Shared { server_id: Uuid::new_v4(), pool: hub.inner.store.read.clone(), hub };
    let shutdown = shared.hub.inner.shutdown.clone();
    shutdown.run_until_cancelled(shared.hub.started()).await;
    let mut backoff = Backoff::new();
    while !shutdown.is_cancelled() {
        let sharing = shared.keep(&mut backoff);
        tokio::select! {
            () = shutdown.cancelled() => {}
            kept = sharing => if let Err(error) = kept {
                tracing::warn!(%error, "who watches cannot be shared for now");
                backoff.wait(&shutdown).await;
            }
        }
    }
    // Who cannot say goodbye is forgotten.
    let _ = timeout(GOODBYE_TIMEOUT, shared.forget(Some(shared.server_id))).await;
}

struct Shared {
    hub: LiveHub,
    pool: PgPool,
    server_id: Uuid,
}

impl Shared {
    /// Shares until something fails. It begins with everything, so that nothing is missing after a
    /// failure.
    async fn keep(&self, backoff: &mut Backoff) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        self.appear().await?;
        backoff.reset();
        let (mut beats, mut looks) = (interval(BEAT_EVERY), interval(LOOK_EVERY));
        for clock in [&mut beats, &mut looks] {
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                heard = listener.try_recv() => match heard? {
                    Some(notification) => self.take_notice(notification.payload()),
                    // The connection was lost, and with it what was told meanwhile.
                    None => self.hub.board().presence.all_changed(),
                },
                _ = beats.tick() => {
                    if !self.beat().await? {
                        self.appear().await?;
                    }
                    self.forget(None).await?;
                }
                _ = looks.tick() => {
                    self.tell().await?;
                    self.count().await?;
                }
            }
        }
    }

    /// Writes everybody who is here, in place of whatever stands there.
    async fn appear(&self) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let here = self.hub.board().presence.everybody();
        sqlx::query("delete from live_viewers where server_id = $1")
            .bind(self.server_id)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "insert into live_servers (server_id, expires_at) values ($1, clock_timestamp() + $2)
             on conflict (server_id) do update set expires_at = excluded.expires_at",
        )
        .bind(self.server_id)
        .bind(LASTS)
        .execute(&mut *transaction)
        .await?;
        self.add(&mut transaction, &here).await?;
        // Also those that left meanwhile.
        notify(&mut transaction, None).await?;
        transaction.commit().await
    }

    async fn add(
        &self,
        connection: &mut PgConnection,
        here: &[(MonitorId, Viewer)],
    ) -> Result<(), sqlx::Error> {
        let (rooms, viewers) = columns(here);
        sqlx::query(
            "insert into live_viewers (monitor_id, viewer, server_id)
             select room, viewer, $3 from unnest($1::uuid[], $2::uuid[]) as here (room, viewer)
             on conflict do nothing",
        )
        .bind(rooms)
        .bind(viewers)
        .bind(self.server_id)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Gives a sign of life. False where the others believe that this server is dead.
    async fn beat(&self) -> Result<bool, sqlx::Error> {
        let renewed = sqlx::query(
            "update live_servers set expires_at = clock_timestamp() + $2
             where server_id = $1 and expires_at > clock_timestamp()",
        )
        .bind(self.server_id)
        .bind(LASTS)
        .execute(&self.pool)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Deletes a server with its viewers, or every server that gave no sign of life for too long.
    async fn forget(&self, server_id: Option<Uuid>) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let rooms: Vec<Uuid> = sqlx::query_scalar(
            "with gone as (
                delete from live_servers
                where case when $1::uuid is null then expires_at < clock_timestamp()
                           else server_id = $1 end
                returning server_id)
             select distinct monitor_id from live_viewers join gone using (server_id)",
        )
        .bind(server_id)
        .fetch_all(&mut *transaction)
        .await?;
        notify(&mut transaction, Some(rooms)).await?;
        transaction.commit().await
    }

    /// Writes who came and who went, and says where.
    async fn tell(&self) -> Result<(), sqlx::Error> {
        let changes = self.hub.board().presence.take_changes();
        if changes.is_empty() {
            return Ok(());
        }
        let (came, went): (Vec<_>, Vec<_>) = changes.iter().partition(|(_, _, here)| *here);
        let pairs = |changes: Vec<&(MonitorId, Viewer, bool)>| -> Vec<(MonitorId, Viewer)> {
            changes.into_iter().map(|(room, viewer, _)| (*room, *viewer)).collect()
        };
        let mut transaction = self.pool.begin().await?;
        self.add(&mut transaction, &pairs(came)).await?;
        let (rooms, viewers) = columns(&pairs(went));
        sqlx::query(
            "delete from live_viewers using unnest($1::uuid[], $2::uuid[]) as gone (room, person)
             where monitor_id = room and viewer = person and server_id = $3",
        )
        .bind(rooms)
        .bind(viewers)
        .bind(self.server_id)
        .execute(&mut *transaction)
        .await?;
        let mut rooms: Vec<Uuid> = changes.iter().map(|(room, _, _)| room.0).collect();
        rooms.sort_unstable();
        rooms.dedup();
        notify(&mut transaction, Some(rooms)).await?;
        transaction.commit().await
    }

    fn take_notice(&self, payload: &str) {
        let mut board = self.hub.board();
        if payload.is_empty() {
            board.presence.all_changed();
        }
        for room in payload.split(',').filter_map(|room| room.parse().ok()) {
            board.presence.changed(room);
        }
    }

    /// Counts the rooms where something has changed, and tells whoever is in them here.
    async fn count(&self) -> Result<(), sqlx::Error> {
        let due = self.hub.board().presence.take_due(Instant::now());
        if due.is_empty() {
            return Ok(());
        }
        let rooms: Vec<Uuid> = due.iter().map(|room| room.0).collect();
        let rows = sqlx::query(
            "select room, (
                select count(distinct viewer) from live_viewers join live_servers using (server_id)
                where monitor_id = room and expires_at > clock_timestamp()) as viewers
             from unnest($1::uuid[]) as room",
        )
        .bind(rooms)
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            let viewers: i64 = row.try_get("viewers")?;
            let room = MonitorId(row.try_get("room")?);
            self.hub.board().tell_viewers(room, viewers.unsigned_abs());
        }
        Ok(())
    }
}

fn columns(pairs: &[(MonitorId, Viewer)]) -> (Vec<Uuid>, Vec<Uuid>) {
    pairs.iter().map(|(room, viewer)| (room.0, viewer.0)).unzip()
}

/// Tells every server that something changed in these rooms; in any, where there are none.
async fn notify(
    connection: &mut PgConnection,
    rooms: Option<Vec<Uuid>>,
) -> Result<(), sqlx::Error> {
    let payloads = match rooms {
        Some(rooms) if rooms.len() <= MANY * ROOMS_IN_ONE => {
            let texts = rooms.chunks(ROOMS_IN_ONE).map(|rooms| {
                let names: Vec<String> =
                    rooms.iter().map(|room| room.simple().to_string()).collect();
                names.join(",")
            });
            texts.collect()
        }
        _ => vec![String::new()],
    };
    sqlx::query("select pg_notify($1, payload) from unnest($2::text[]) as payload")
        .bind(CHANNEL)
        .bind(payloads)
        .execute(connection)
        .await?;
    Ok(())
}
