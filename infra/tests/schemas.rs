//! What the log holds stays readable: each version of each event type has a schema and a sample under
//! `schemas/events/`, and a type does not change under its version.
//!
//! `PULSETRAIL_WRITE_SCHEMAS=1 cargo test -p pulsetrail-infra --test schemas` writes the schemas of new
//! versions and notes their samples; it never changes what an existing version says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use pulsetrail_domain::catalogue::{EVENT_KINDS, EventKind, current_version};
use pulsetrail_domain::{OrganizationId, Position, timestamp_from_millis};
use pulsetrail_infra::kafka::{event_from_message, event_headers};
use pulsetrail_infra::store::Event;
use rdkafka::message::{OwnedMessage, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

const CHECKSUMS: &str = "golden/SHA256SUMS";
const COMMAND: &str = "PULSETRAIL_WRITE_SCHEMAS=1 cargo test -p pulsetrail-infra --test schemas";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schemas/events").join(name)
}

fn is_writing() -> bool {
    std::env::var_os("PULSETRAIL_WRITE_SCHEMAS").is_some_and(|value| value == "1")
}

/// The names of the JSON files in a folder, without their ending.
fn stems(folder: &str) -> Vec<String> {
    let files = fs::read_dir(path(folder)).unwrap().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let mut stems: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    stems.sort_unstable();
    stems
}

fn read(name: &str) -> Option<Value> {
    let text = fs::read_to_string(path(name)).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// A schema without what is said to people.
fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => fields
            .iter()
            // A field of such a name has a schema, not a text.
            .filter(|(key, value)| !(*key == "description" && value.is_string()))
            .map(|(key, value)| (key.clone(), shape(value)))
            .collect(),
        Value::Array(values) => values.iter().map(shape).collect(),
        other => other.clone(),
    }
}

/// What is to be done about a type whose schema is not the kept one; none where it is.
fn fault(kind: &EventKind, kept: Option<&Value>, now: &Value) -> Option<String> {
    let stem = kind.file_stem();
    match kept {
        Some(kept) if kept == now => None,
        Some(kept) if shape(kept) == shape(now) => {
            Some(format!("{stem}: its documentation has changed; run\n    {COMMAND}"))
        }
        Some(_) => Some(format!(
            "{stem}: the type has changed, but events of this version are in the log. Give it the next \
             version in domain/src/catalogue.rs, write an upcaster from {} in \
             infra/src/store/upcast.rs, add a sample as schemas/events/golden/{}.{}.<version>.json and \
             run\n    {COMMAND}",
            kind.version, kind.aggregate, kind.name
        )),
        None => Some(format!(
            "{stem}: the version is new; add a sample as schemas/events/golden/{stem}.json and run\n    \
             {COMMAND}"
        )),
    }
}

#[test]
fn no_event_type_changes_without_a_new_version() {
    let mut faults = Vec::new();
    for kind in EVENT_KINDS {
        let now = kind.schema().unwrap();
        let name = format!("{}.json", kind.file_stem());
        let kept = read(&name);
        let same_shape = kept.as_ref().is_none_or(|kept| shape(kept) == shape(&now));
        if is_writing() && same_shape {
            fs::write(path(&name), format!("{now:#}\n")).unwrap();
        } else {
            faults.extend(fault(kind, kept.as_ref(), &now));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The positive control.
#[test]
fn a_changed_type_is_told_from_changed_documentation() {
    let kind = EVENT_KINDS[0];
    let now = kind.schema().unwrap();
    let says = |kept: Option<&Value>| fault(&kind, kept, &now).unwrap_or_default();
    assert_eq!(says(Some(&now)), "");
    assert!(says(None).contains("the version is new"));
    let mut documented = now.clone();
    documented["properties"]["config"]["description"] = "other words".into();
    assert!(says(Some(&documented)).contains("documentation"));
    let mut changed = now.clone();
    changed["properties"]["config"] = true.into();
    assert!(says(Some(&changed)).contains("the type has changed"));
    let mut fewer = now.clone();
    fewer["required"].as_array_mut().unwrap().pop();
    assert!(says(Some(&fewer)).contains("the type has changed"));
}

/// The event of a sample, as a reader of the log gets it.
fn event_of(stem: &str, payload: &Value) -> Event {
    let (aggregate, rest) = stem.split_once('.').unwrap();
    let (name, version) = rest.split_once('.').unwrap();
    let stored = Event {
        position: Position(1),
        organization_id: OrganizationId::default(),
        aggregate_type: aggregate.to_owned(),
        aggregate_id: "0190b5a0-1111-7000-8000-000000000001".to_owned(),
        sequence: 1,
        event_type: name.to_owned(),
        event_version: version.to_owned(),
        recorded_at: timestamp_from_millis(0),
        payload: RawValue::from_string(payload.to_string()).unwrap(),
    };
    let message = OwnedMessage::new(
        Some(stored.payload.get().as_bytes().to_vec()),
        None,
        String::new(),
        Timestamp::NotAvailable,
        0,
        0,
        Some(event_headers(&stored, Position::START)),
    );
    event_from_message(&message).unwrap().0
}

/// What today's program reads out of an event, written again.
fn read_and_written(event: &Event) -> Result<Value, String> {
    let written = match event.aggregate_type.as_str() {
        "monitor" => event.monitor_event().map(serde_json::to_value),
        "health" => event.health_event().map(serde_json::to_value),
        "egress" => event.egress_event().map(serde_json::to_value),
        "account" => event.account_event().map(serde_json::to_value),
        "organization" => event.organization_event().map(serde_json::to_value),
        "annotation" => event.annotation_event().map(serde_json::to_value),
        other => return Err(format!("nobody reads {other}")),
    };
    let written = written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(written[&event.event_type].clone())
}

#[test]
fn every_sample_that_ever_was_is_read_by_todays_program() {
    for stem in stems("golden") {
        let sample = read(&format!("golden/{stem}.json")).unwrap();
        let event = event_of(&stem, &sample);
        let now = current_version(&event.aggregate_type, &event.event_type);
        assert_eq!(now, Some(event.event_version.as_str()), "{stem} is not upcast");
        let written = read_and_written(&event).unwrap_or_else(|error| panic!("{stem}: {error}"));
        if stem.ends_with(&format!(".{}", event.event_version)) {
            assert_eq!(written, sample, "{stem}: something is lost or added");
        }
    }
}

#[test]
fn every_version_has_a_schema_and_a_sample() {
    if is_writing() {
        // The other tests are just making it true.
        return;
    }
    let schemas = stems(".");
    assert_eq!(schemas, stems("golden"), "left the schemas, right the samples");
    for kind in EVENT_KINDS {
        assert!(schemas.contains(&kind.file_stem()), "{}", kind.file_stem());
    }
}

/// As `sha256sum` writes them. To edit a sample one would have to edit this list as well, in plain
/// sight of whoever reviews it.
fn checksums() -> BTreeMap<String, String> {
    let list = fs::read_to_string(path(CHECKSUMS)).unwrap_or_default();
    let entry = |line: &str| {
        let (sum, name) = line.split_once("  ").unwrap_or_else(|| panic!("{CHECKSUMS}: {line}"));
        (name.to_owned(), sum.to_owned())
    };
    list.lines().map(entry).collect()
}

#[test]
fn a_sample_is_never_edited_and_never_removed() {
    let mut noted = checksums();
    for stem in stems("golden") {
        let name = format!("{stem}.json");
        let bytes = fs::read(path("golden").join(&name)).unwrap();
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        match noted.get(&name) {
            Some(before) => {
                assert_eq!(*before, sum, "{name} was edited: the log holds such events")
            }
            None if is_writing() => {
                noted.insert(name, sum);
            }
            None => panic!("{name} is new; run\n    {COMMAND}"),
        }
    }
    if is_writing() {
        let lines = noted.iter().map(|(name, sum)| format!("{sum}  {name}\n"));
        fs::write(path(CHECKSUMS), lines.collect::<String>()).unwrap();
    }
    for name in noted.keys() {
        assert!(
            path("golden").join(name).exists(),
            "{name} was removed: the log holds such events"
        );
    }
}
