//! `rss_mb`: the resident memory of each process.

use std::collections::BTreeMap;
use std::fs;

use crate::table::{Row, Table};

/// Resident memory in MB, by the role of the process: the application, its prober, each engine. A
/// PostgreSQL cluster counts its shared memory once (`Pss`).
pub(crate) fn by_process(application: u32) -> BTreeMap<String, f64> {
    let mut memory = BTreeMap::new();
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
        let rollup = fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        let proportional: f64 = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or_default();
        *memory.entry(name.to_owned()).or_default() += proportional / 1_000.0;
    }
    memory
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
