//! The shape of the repository: which crate may depend on which, and what lies at the top.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The crates of ours that a crate's manifest names as dependencies, besides those for its tests.
fn dependencies(krate: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(Path::new(ROOT).join(krate).join("Cargo.toml")).unwrap();
    let sections = manifest.split("\n[").filter(|section| section.starts_with("dependencies]"));
    sections
        .flat_map(str::lines)
        .filter_map(|line| line.split(['.', ' ', '=']).next()?.strip_prefix("pulsetrail-"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 6] = [
        ("domain", &[]),
        ("infra", &["domain"]),
        ("infra/engines/chdb-server", &[]),
        ("commands", &["domain", "infra"]),
        ("probers", &["domain", "infra"]),
        ("projections", &["domain", "infra"]),
    ];
    for (krate, allowed) in allowed {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let found = dependencies(krate);
        assert!(found.is_subset(&allowed), "{krate} depends on {found:?}");
    }
    // The positive control: the test reads manifests, and the root's names them all.
    assert_eq!(
        dependencies("."),
        ["commands", "domain", "infra", "probers", "projections"].map(str::to_owned).into()
    );
}

#[test]
fn nothing_lies_at_the_top_that_has_no_place_there() {
    let expected = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "domain",
        "commands",
        "projections",
        "probers",
        "infra",
        "schemas",
        "tests",
        "docs",
        "README.md",
        "ARCHITECTURE.md",
        "Makefile",
        "LICENSE",
        "target",
    ];
    for entry in fs::read_dir(ROOT).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        assert!(name.starts_with('.') || expected.contains(&name.as_str()), "{name}");
    }
}
