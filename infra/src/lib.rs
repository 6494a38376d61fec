//! The adapters between the domain and the engines: the event store in Postgres, the relay, Kafka,
//! ClickHouse, settings, telemetry, and what both halves of the HTTP interface share.

pub mod aggregates;
pub mod awaited;
pub mod clickhouse;
pub mod dead_letters;
pub mod egress;
pub mod engines;
pub mod follower;
pub mod http;
pub mod instances;
pub mod kafka;
pub mod lease;
pub mod messages;
pub mod metrics;
pub mod open_files;
pub mod relay;
pub mod secrets;
pub mod settings;
pub mod store;
pub mod supervised;
pub mod telemetry;
pub mod trace;
pub mod vitals;
