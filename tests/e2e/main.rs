//! The application from outside, against real PostgreSQL, Apache Kafka and ClickHouse.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it cannot go on"
)]

mod aggregates;
mod annotations;
mod asyncapi;
mod clocks;
mod commands;
mod connections;
mod dashboard;
mod dead_letters;
mod egress;
mod faults;
mod features;
mod healthy_start;
mod heartbeats;
mod hostile;
mod installing;
mod layout;
mod listeners;
mod live;
mod live_stalled;
mod manners;
mod on_demand;
mod once;
mod path;
mod queue;
mod recorder;
mod recording;
mod regions;
mod restart;
mod roles;
mod schemas;
mod schemathesis;
mod secrets;
mod starting;
mod store_clock;
mod store_conflicts;
mod store_order;
mod system;
mod tenancy;
mod traces;
mod unreadable;

use pulsetrail_harness::Corner;

/// A corner of its own for a test, on the engines that all tests share.
async fn corner() -> Corner {
    let binary = env!("CARGO_BIN_EXE_pulsetrail");
    Corner::new(pulsetrail_harness::engines(binary.as_ref()).await.urls(), binary).await
}
