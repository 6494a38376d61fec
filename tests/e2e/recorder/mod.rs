//! What a recorder makes of what it keeps in memory and in the store.

mod flood;
mod snapshots;
mod unreadable;

use pulsetrail_domain::MonitorId;
use pulsetrail_domain::health::{Health, HealthEvent};
use pulsetrail_infra::store::{EventWithMetadata, Store, read_aggregate};

/// The events of a monitor's health, as they are stored.
async fn health_of(store: &Store, monitor: MonitorId) -> Vec<EventWithMetadata> {
    read_aggregate(&store.read, Health::AGGREGATE, &monitor.to_string(), 0, 10_000).await.unwrap()
}

/// The state that those of the events lead to that can be read.
fn folded(events: &[EventWithMetadata]) -> Health {
    let mut health = Health::default();
    let readable: Vec<HealthEvent> =
        events.iter().filter_map(|stored| stored.event.health_event().ok()).collect();
    readable.iter().for_each(|event| health.apply_event(event));
    health
}
