//! The tests run the program with the features that the released one is built with.
//!
//! Cargo builds a dependency once with all features that any crate of the build asks for, so that a dependency of
//! tests alone can change what the program does under test.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The features of tests alone that may stay, each with the reason why the program does the same without it.
const ALLOWED: [(&str, &str, &str); 8] = [
    ("futures-util", "channel", "adds a module that the program does not use"),
    ("futures-util", "futures-channel", "the dependency of `channel`"),
    ("hickory-proto", "serde", "adds implementations of traits that the program does not use"),
    ("num-iter", "i128", "empty since Rust has 128-bit integers"),
    ("num-iter", "std", "the crate has no code that depends on it"),
    ("sqlx", "runtime-tokio-rustls", "a name for features that are on in both builds"),
    ("sqlx", "tls-rustls-ring", "a name for features that are on in both builds"),
    (
        "tokio",
        "test-util",
        "lets tests stop the clock; a clock that no test stops runs as without it",
    ),
];

type Features = BTreeMap<String, BTreeSet<String>>;

/// The resolved features of each package that is linked into what `arguments` select: what build scripts and
/// procedural macros are built from is left out.
fn features(arguments: &[&str]) -> Features {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // With a target named, packages for the program and packages for macros stay apart.
        .args(["tree", "--locked", "--offline", "--target", &host(), "--prefix", "depth"])
        .args(["--format", "|{p}|{f}"])
        .args(arguments)
        .output()
        .expect("cargo starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    linked(&text)
}

/// Reads lines of `depth|package|features`; what stands below a procedural macro belongs to it.
fn linked(tree: &str) -> Features {
    let mut features = Features::new();
    let mut macro_depth: Option<usize> = None;
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut parts = line.split('|');
        let depth: usize = parts.next().and_then(|depth| depth.parse().ok()).expect("a depth");
        let package = parts.next().expect("a package");
        if macro_depth.is_some_and(|above| depth > above) {
            continue;
        }
        macro_depth = package.contains("(proc-macro)").then_some(depth);
        if macro_depth.is_some() {
            continue;
        }
        // Two releases of a crate are two packages: `name v1.2.3`.
        let name: Vec<&str> = package.split(' ').take(2).collect();
        let list = parts.next().unwrap_or_default().trim_end_matches(" (*)");
        let list = list.split(',').filter(|feature| !feature.is_empty()).map(str::to_owned);
        features.entry(name.join(" ")).or_default().extend(list);
    }
    features
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

/// Features of packages of `shipped` that stand on one side only, as pairs of package and feature.
fn differences(shipped: &Features, tested: &Features) -> BTreeSet<(String, String)> {
    let mut differences = BTreeSet::new();
    for (package, features) in shipped {
        let under_test = tested.get(package).cloned().unwrap_or_default();
        let name = package.split(' ').next().unwrap_or_default();
        for feature in features.symmetric_difference(&under_test) {
            differences.insert((name.to_owned(), feature.clone()));
        }
    }
    differences
}

#[test]
fn the_program_under_test_has_the_features_of_the_released_one() {
    let shipped = features(&["--package", "pulsetrail", "--edges", "normal"]);
    let tested = features(&["--workspace", "--edges", "normal,dev"]);
    assert!(shipped.len() > 200, "{} packages", shipped.len());
    assert!(shipped.keys().all(|package| tested.contains_key(package)));
    let found = differences(&shipped, &tested);
    let allowed: BTreeSet<(String, String)> = ALLOWED
        .iter()
        .map(|(package, feature, _)| ((*package).to_owned(), (*feature).to_owned()))
        .collect();
    let unexpected: Vec<_> = found.difference(&allowed).collect();
    assert!(unexpected.is_empty(), "give both builds these features: {unexpected:?}");
    let unneeded: Vec<_> = allowed.difference(&found).collect();
    assert!(unneeded.is_empty(), "no longer a difference: {unneeded:?}");
}

/// The positive control: a feature of tests alone is seen, one of a procedural macro is not.
#[test]
fn a_feature_of_tests_alone_is_seen() {
    let shipped =
        "0|app v1.0.0|\n1|derive v1.0.0 (proc-macro)|\n2|json v1.0.0|alloc\n1|json v1.0.0|std\n";
    let tested = "0|app v1.0.0|\n1|derive v1.0.0 (proc-macro)|\n2|json v1.0.0|alloc,extra\n1|json v1.0.0|std,round";
    let found = differences(&linked(shipped), &linked(tested));
    assert_eq!(found, BTreeSet::from([("json".to_owned(), "round".to_owned())]));
}
