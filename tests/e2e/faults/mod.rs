//! What the invariants are worth when processes stop, die, lag and race: each run is judged by its log.

mod away;
mod broken_producer;
mod cut_off;
mod engines;
mod forgotten;
pub(crate) mod hasty;
mod hung_writer;
mod impatient;
pub(crate) mod judge;
mod kill;
pub(crate) mod load;
mod poison;
mod rebalance;
mod relay;
mod stalls;
mod takeover;
mod topic;

use std::time::Duration;

use pulsetrail_domain::Region;
use pulsetrail_harness::{Corner, is_soak};
use pulsetrail_infra::store::Store;

/// How long a run may take to settle after its load: generous, for its speed is not what is judged.
pub(crate) const SETTLING: Duration = Duration::from_secs(180);

/// The first in `make test`, the second in `make soak`.
fn short_or_long<T>(short: T, long: T) -> T {
    if is_soak() { long } else { short }
}

/// Gives a corner its tables and topics.
pub(crate) async fn prepare(corner: &Corner) {
    corner.store().await.migrate().await.unwrap();
    corner.kafka().ensure_topics(&[Region::default()]).await.unwrap();
}

/// How many messages were set aside.
async fn dead_letters(store: &Store) -> i64 {
    sqlx::query_scalar("select count(*) from dead_letters").fetch_one(&store.read).await.unwrap()
}
