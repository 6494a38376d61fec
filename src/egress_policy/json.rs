//! The table for other programs.

use pulsetrail_domain::egress::{EgressPolicy, RANGES};
use serde_json::{Value, json};

/// Each row with its source, the exceptions, and every refused range that they come to.
pub(super) fn render(policy: &EgressPolicy) -> String {
    let table: Vec<Value> = RANGES
        .iter()
        .map(|row| {
            json!({
                "range": row.net, "name": row.name, "source": row.source,
                "reachable": row.reachable,
            })
        })
        .collect();
    let refused: Vec<Value> = policy
        .refused_ranges()
        .iter()
        .map(|range| json!({"first": range.first, "last": range.last}))
        .collect();
    let document = json!({
        "table": table, "allowed": policy.allow, "own": policy.own, "refused": refused,
    });
    format!("{document:#}\n")
}
