//! `rss_mb`: the resident memory of each process; and the processor time.

use std::collections::BTreeMap;
use std::fs;

use crate::table::{Row, Table};

/// Resident memory in MB, by the role of the process: the application, its prober, each engine. A
/// PostgreSQL cluster counts its shared memory once (`Pss`).
pub(crate) fn by_process(application: u32) -> BTreeMap<String, f64> {
    let mut memory = BTreeMap::new();
    for (name, pid) in processes(application) {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        *memory.entry(name.to_owned()).or_default() += kilobytes(&rollup, "Pss:") / 1_000.0;
    }
    memory
}

/// The resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is running");
    kilobytes(&status, "VmRSS:") * 1_024.0
}

/// The processor time that each of them, and the bench itself, has taken so far, in seconds.
pub(crate) fn processor_seconds(application: u32) -> BTreeMap<String, f64> {
    let mut seconds = BTreeMap::new();
    for (name, pid) in processes(application).into_iter().chain([("bench", std::process::id())]) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // User and system time are the 12th and 13th field behind the name, in hundredths.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|one| one.parse::<f64>().ok()).sum();
        *seconds.entry(name.to_owned()).or_default() += ticks / 100.0;
    }
    seconds
}

/// The processes below this one, by their role.
fn processes(application: u32) -> Vec<(&'static str, u32)> {
    let mut found = Vec::new();
    let own = std::process::id();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if !descends_from(pid, own) {
            continue;
        }
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let name = if pid == application {
            "pulsetrail"
        } else if command.contains(" prober ") {
            "prober"
        } else if command.contains("chdb-server") {
            "clickhouse"
        } else if command.contains("kafka.Kafka") {
            "kafka"
        } else if command.contains("postgres") {
            "postgres"
        } else {
            continue;
        };
        found.push((name, pid));
    }
    found
}

/// A line of a file of `/proc`, in kB.
fn kilobytes(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// Resident memory of a process in MB, of which what it shares counts in part.
pub(crate) fn proportional_mb(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let proportional: f64 = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default();
    proportional / 1_000.0
}

/// Adds a row for each process, beside what it took before the load.
pub(crate) fn report(
    table: &mut Table,
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
) {
    for (name, megabytes) in after {
        table.push(Row {
            name: format!("rss_mb_{name}"),
            value: *megabytes,
            unit: "MB",
            reference: "the same process when it was ready, before the load".to_owned(),
            reference_value: before.get(name).copied().unwrap_or(*megabytes),
        });
    }
}

fn descends_from(mut pid: u32, ancestor: u32) -> bool {
    while pid > 1 {
        if pid == ancestor {
            return true;
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold spaces: the parent is the second field behind it.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        pid = parent.and_then(|parent| parent.parse().ok()).unwrap_or_default();
    }
    false
}
