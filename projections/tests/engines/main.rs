//! The read side against real PostgreSQL, Apache Kafka and ClickHouse. Events are written by hand, so
//! that every time in them is known.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it cannot go on")]

mod cell;
mod figures;
mod history;
mod live;
mod live_limits;
mod live_resume;
mod live_sse;
mod projection;
mod queries;
mod retries;
mod slots;
