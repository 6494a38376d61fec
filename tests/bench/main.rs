//! `make bench`: measured figures, each beside the ceiling or the peer measured in the same run.
//!
//! Everything runs on this machine: the engines, the application and what loads it. Figures of the
//! same run are comparable; those of two machines, or of two days on a shared one, are not.
#![allow(clippy::expect_used, clippy::panic, reason = "a bench ends where it cannot go on")]

mod append;
mod fixture;
mod http;
mod live;
mod memory;
mod path;
mod probes;
mod queue;
mod ready;
mod record;
mod recovery;
mod relay;
mod replay;
mod round_trip;
mod samples;
mod shield;
mod table;
mod victim;

use table::Table;

fn main() {
    if std::env::var_os(live::client::ROLE).is_some() {
        return live::client::run();
    }
    if let Ok(order) = std::env::var(probes::bare::ROLE) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        return runtime.expect("a runtime").block_on(probes::bare::run(&order));
    }
    // `cargo bench` adds `--bench`; the name of one figure may follow.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run(only.as_deref()));
}

async fn run(only: Option<&str>) {
    let wanted = |names: &[&str]| only.is_none_or(|only| names.contains(&only));
    let mut table = Table::default();
    if wanted(&["ready_warm_ms"]) {
        ready::measure(&mut table).await;
    }
    if wanted(&[
        "registered_to_first_event_ms",
        "broken_to_down_ms",
        "commit_to_socket_ms",
        "rss_mb",
    ]) {
        path::measure(&mut table, only).await;
    }
    if wanted(&http::FIGURES) {
        http::measure(&mut table, only).await;
    }
    if wanted(&probes::FIGURES) {
        probes::measure(&mut table, only).await;
    }
    if wanted(&["shield_judge_ns"]) {
        shield::measure(&mut table);
    }
    if wanted(&["append_batch"]) {
        append::batches(&mut table).await;
    }
    if wanted(&["append_vs_postgres_es"]) {
        append::beside_postgres_es(&mut table).await;
    }
    if wanted(&["bytes_per_check_hot"]) {
        append::bytes(&mut table).await;
    }
    if wanted(&record::FIGURES) {
        record::measure(&mut table, only).await;
    }
    if wanted(&["replay", "replay_first_row_ms", "replay_rss_mb"]) {
        replay::measure(&mut table, only).await;
    }
    if wanted(&["commit_to_kafka_ms", "commit_to_kafka_2000_ms", "commit_to_read_ms"]) {
        relay::measure(&mut table).await;
    }
    if wanted(&queue::FIGURES) {
        queue::measure(&mut table, only).await;
    }
    if wanted(&["lag_zero_after_kill_s"]) {
        recovery::measure(&mut table).await;
    }
    if wanted(&live::FIGURES) {
        live::measure(&mut table, only).await;
    }
    if wanted(&victim::FIGURES) {
        victim::measure(&mut table, only).await;
    }
    assert!(!table.is_empty(), "there is no figure called {}", only.unwrap_or_default());
    table.print();
    table.write();
}

/// The release build of the program.
const BINARY: &str = env!("CARGO_BIN_EXE_pulsetrail");
