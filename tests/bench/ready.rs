//! `ready_warm_ms`: from the start of `pulsetrail up` to ready, with engines of its own that were
//! initialised before.

use std::process::Stdio;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::BINARY;
use crate::table::{Row, Table};

const RUNS: usize = 3;

pub(crate) async fn measure(table: &mut Table) {
    let data_dir = tempfile::tempdir().expect("a folder for temporary files");
    let mut warm = Vec::new();
    for run in 0..=RUNS {
        let measured = start(data_dir.path()).await;
        if run > 0 {
            warm.push(measured);
        }
    }
    warm.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ready, slowest_engine) = warm[RUNS / 2];
    table.push(Row {
        name: "ready_warm_ms".to_owned(),
        value: ready,
        unit: "ms",
        reference: format!("its slowest engine alone, same start (median of {RUNS})"),
        reference_value: slowest_engine,
    });
}

/// Starts and stops it; how long it took to be ready, and the slowest engine of it, in ms.
async fn start(data_dir: &std::path::Path) -> (f64, f64) {
    let begun = Instant::now();
    let mut child = Command::new(BINARY)
        .arg("up")
        .env("PULSETRAIL_LISTEN", "127.0.0.1:0")
        .env("PULSETRAIL_DATA_DIR", data_dir)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut slowest: f64 = 0.0;
    let ready = loop {
        let line = lines.next_line().await.expect("its output").expect("it became ready");
        if let Some((_, seconds)) = line.split_once("ready after ") {
            let seconds: f64 = seconds.trim_end_matches(" s").parse().expect("a number");
            slowest = slowest.max(seconds * 1_000.0);
        } else if line.starts_with("Ready in") {
            break begun.elapsed().as_secs_f64() * 1_000.0;
        }
    };
    let pid = child.id().expect("it runs").to_string();
    let told = std::process::Command::new("kill").args(["-TERM", &pid]).status();
    assert!(told.expect("kill").success());
    child.wait().await.expect("it stops");
    (ready, slowest)
}
