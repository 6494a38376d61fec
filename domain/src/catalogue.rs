//! Every type of event that is written, with its version and its JSON Schema.
//!
//! The log is for ever: what it holds must be readable by every later version. So an event type never
//! changes under its version. Who changes one gives it the next version here and writes an upcaster
//! from the one before; `schemas/events/` keeps the schema and a sample of every version there was.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::access::{AccountEvent, OrganizationEvent};
use crate::annotation::{Annotation, AnnotationEvent};
use crate::egress::EgressEvent;
use crate::health::{Health, HealthEvent};
use crate::monitor::{Monitor, MonitorEvent};

/// One type of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    /// The kind of aggregate.
    pub aggregate: &'static str,
    /// The event's name.
    pub name: &'static str,
    /// The version that is written, `major.minor`.
    pub version: &'static str,
}

const fn kind(aggregate: &'static str, name: &'static str, version: &'static str) -> EventKind {
    EventKind { aggregate, name, version }
}

/// Every type of event that is written.
pub const EVENT_KINDS: &[EventKind] = &[
    kind(Monitor::AGGREGATE, "MonitorRegistered", "1.3"),
    kind(Monitor::AGGREGATE, "MonitorReconfigured", "1.3"),
    kind(Monitor::AGGREGATE, "MonitorPaused", "1.0"),
    kind(Monitor::AGGREGATE, "MonitorResumed", "1.0"),
    kind(Monitor::AGGREGATE, "MonitorArchived", "1.0"),
    kind(Health::AGGREGATE, "CheckCompleted", "1.4"),
    kind(Health::AGGREGATE, "WentDown", "1.4"),
    kind(Health::AGGREGATE, "Recovered", "1.0"),
    kind(Health::AGGREGATE, "ObservationPaused", "1.0"),
    kind(Health::AGGREGATE, "ObservationResumed", "1.0"),
    kind(Health::AGGREGATE, "ObservationLost", "1.0"),
    kind(Health::AGGREGATE, "ObservationRegained", "1.0"),
    kind(EgressEvent::AGGREGATE, "EgressBlocked", "1.1"),
    kind(AccountEvent::AGGREGATE, "AccountRegistered", "1.0"),
    kind(AccountEvent::AGGREGATE, "PasswordChanged", "1.0"),
    kind(AccountEvent::AGGREGATE, "RefreshTokenReused", "1.0"),
    kind(AccountEvent::AGGREGATE, "OperatorGranted", "1.0"),
    kind(AccountEvent::AGGREGATE, "OperatorRevoked", "1.0"),
    kind(AccountEvent::AGGREGATE, "AccountErased", "1.0"),
    kind(OrganizationEvent::AGGREGATE, "OrganizationCreated", "1.0"),
    kind(OrganizationEvent::AGGREGATE, "MemberInvited", "1.0"),
    kind(OrganizationEvent::AGGREGATE, "InvitationWithdrawn", "1.0"),
    kind(OrganizationEvent::AGGREGATE, "MemberJoined", "1.0"),
    kind(OrganizationEvent::AGGREGATE, "MemberRoleChanged", "1.0"),
    kind(OrganizationEvent::AGGREGATE, "MemberRemoved", "1.0"),
    kind(OrganizationEvent::AGGREGATE, "ApiKeyCreated", "1.0"),
    kind(OrganizationEvent::AGGREGATE, "ApiKeyRevoked", "1.0"),
    kind(OrganizationEvent::AGGREGATE, "OrganizationErased", "1.0"),
    kind(Annotation::AGGREGATE, "SpanAnnotated", "1.0"),
    kind(Annotation::AGGREGATE, "AnnotationWithdrawn", "1.0"),
];

/// The version that an event type is written in; none of a type that is not written.
#[must_use]
pub fn current_version(aggregate: &str, name: &str) -> Option<&'static str> {
    let of_that_name = |kind: &&EventKind| kind.aggregate == aggregate && kind.name == name;
    EVENT_KINDS.iter().find(of_that_name).map(|kind| kind.version)
}

impl EventKind {
    /// `<aggregate>.<EventName>.<version>`: what the files of this version are called.
    #[must_use]
    pub fn file_stem(&self) -> String {
        format!("{}.{}.{}", self.aggregate, self.name, self.version)
    }

    /// The JSON Schema (2020-12) of the event's own fields, as they are written; none where the
    /// aggregate has no event of that name.
    #[must_use]
    pub fn schema(&self) -> Option<Value> {
        let whole = match self.aggregate {
            Monitor::AGGREGATE => written::<MonitorEvent>(),
            Health::AGGREGATE => written::<HealthEvent>(),
            EgressEvent::AGGREGATE => written::<EgressEvent>(),
            AccountEvent::AGGREGATE => written::<AccountEvent>(),
            OrganizationEvent::AGGREGATE => written::<OrganizationEvent>(),
            Annotation::AGGREGATE => written::<AnnotationEvent>(),
            _ => return None,
        };
        own_schema(whole.as_value(), self)
    }
}

fn written<E: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<E>()
}

/// The part of an enum's schema that describes the fields of one variant, as a schema of its own.
fn own_schema(whole: &Value, kind: &EventKind) -> Option<Value> {
    let variants = whole.get("oneOf").and_then(Value::as_array)?;
    let property = |variant: &Value| variant.get("properties")?.get(kind.name).cloned();
    let variant = variants.iter().find(|variant| property(variant).is_some())?;
    let own = inlined(property(variant)?, whole);
    let mut schema = serde_json::Map::new();
    schema.insert("$schema".to_owned(), whole.get("$schema")?.clone());
    schema.insert("title".to_owned(), kind.file_stem().into());
    schema.extend(own.as_object()?.clone());
    if let Some(description) = variant.get("description") {
        schema.insert("description".to_owned(), description.clone());
    }
    let mut used = serde_json::Map::new();
    collect_definitions(&own, whole, &mut used);
    if !used.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(used));
    }
    Some(Value::Object(schema))
}

/// A schema that is nothing but a reference, replaced by what it refers to.
fn inlined(schema: Value, whole: &Value) -> Value {
    let referred = schema.get("$ref").and_then(Value::as_str).and_then(|to| definition(to, whole));
    referred.map_or_else(|| schema.clone(), |(_, definition)| definition.clone())
}

fn definition<'a>(reference: &'a str, whole: &'a Value) -> Option<(&'a str, &'a Value)> {
    let name = reference.strip_prefix("#/$defs/")?;
    Some((name, whole.get("$defs")?.get(name)?))
}

/// Every definition that a schema refers to, directly or through others.
fn collect_definitions(schema: &Value, whole: &Value, used: &mut serde_json::Map<String, Value>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == "$ref"
                    && let Some((name, definition)) =
                        value.as_str().and_then(|reference| definition(reference, whole))
                    && !used.contains_key(name)
                {
                    used.insert(name.to_owned(), definition.clone());
                    collect_definitions(definition, whole, used);
                }
                collect_definitions(value, whole, used);
            }
        }
        Value::Array(values) => {
            for value in values {
                collect_definitions(value, whole, used);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names of an enum's variants, as its schema lists them.
    fn names_of<E: JsonSchema>(aggregate: &'static str) -> BTreeSet<(&'static str, String)> {
        let schema = written::<E>();
        let variants = schema.get("oneOf").unwrap().as_array().unwrap().clone();
        let name = |variant: &Value| {
            variant["properties"].as_object().unwrap().keys().next().unwrap().clone()
        };
        variants.iter().map(|variant| (aggregate, name(variant))).collect()
    }

    #[test]
    fn every_event_that_can_be_written_is_in_the_catalogue_once() {
        let mut written = names_of::<MonitorEvent>(Monitor::AGGREGATE);
        written.extend(names_of::<HealthEvent>(Health::AGGREGATE));
        written.extend(names_of::<EgressEvent>(EgressEvent::AGGREGATE));
        written.extend(names_of::<AccountEvent>(AccountEvent::AGGREGATE));
        written.extend(names_of::<OrganizationEvent>(OrganizationEvent::AGGREGATE));
        written.extend(names_of::<AnnotationEvent>(Annotation::AGGREGATE));
        let listed: BTreeSet<_> =
            EVENT_KINDS.iter().map(|kind| (kind.aggregate, kind.name.to_owned())).collect();
        assert_eq!(written, listed);
        assert_eq!(EVENT_KINDS.len(), listed.len());
    }

    #[test]
    fn a_schema_stands_alone() {
        for kind in EVENT_KINDS {
            let schema = kind.schema().unwrap();
            assert_eq!(schema["type"], "object", "{schema:#}");
            let text = schema.to_string();
            for reference in text.split("\"#/$defs/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(schema["$defs"].get(name).is_some(), "{name} in {schema:#}");
            }
        }
    }
}
