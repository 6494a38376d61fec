//! The table of figures, for people and as JSON.

use std::path::PathBuf;

use serde_json::{Value, json};

/// A measured figure beside its reference.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What the reference is, in words.
    pub(crate) reference: String,
    pub(crate) reference_value: f64,
}

/// All figures of a run.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn push(&mut self, row: Row) {
        eprintln!("  {} = {:.2} {}", row.name, row.value, row.unit);
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<42} {:>10} {:<4} {:>10} {:>7}  reference",
            "figure", "value", "", "reference", "ratio"
        );
        for row in &self.rows {
            let ratio = row.value / row.reference_value;
            println!(
                "{:<42} {:>10.2} {:<4} {:>10.2} {:>7.2}  {}",
                row.name, row.value, row.unit, row.reference_value, ratio, row.reference
            );
        }
    }

    /// Writes `bench/results.json` in cargo's target directory.
    pub(crate) fn write(&self) {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name,
                    "value": row.value,
                    "unit": row.unit,
                    "reference": row.reference,
                    "reference_value": row.reference_value,
                    "ratio": row.value / row.reference_value,
                })
            })
            .collect();
        let binary = PathBuf::from(crate::BINARY);
        let target = binary.parent().and_then(|release| release.parent()).expect("target/release");
        let folder = target.join("bench");
        std::fs::create_dir_all(&folder).expect("a folder for the results");
        let text = serde_json::to_string_pretty(&rows).expect("JSON");
        std::fs::write(folder.join("results.json"), text).expect("the results are kept");
    }
}
