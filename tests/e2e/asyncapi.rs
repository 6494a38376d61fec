//! `schemas/asyncapi.yaml` against what the topics carry and the feed says.

use std::collections::BTreeSet;
use std::path::Path;

use pulsetrail_domain::Region;
use pulsetrail_domain::catalogue::{EVENT_KINDS, EventKind};
use pulsetrail_harness::{PATIENCE, Target, User};
use rdkafka::Message as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Headers as _;
use serde_json::{Map, Value, json};

use crate::corner;

/// The document.
struct Document(Value);

fn schemas() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas"))
}

impl Document {
    /// With the schemas of other files in place of the references to them.
    fn read() -> Self {
        let text = std::fs::read_to_string(schemas().join("asyncapi.yaml")).unwrap();
        // Where a validator of JSON Schema looks for them.
        let text = text.replace("#/components/schemas/", "#/$defs/");
        let mut document = serde_saphyr::from_str(&text).unwrap();
        include(&mut document, &mut 0);
        Self(document)
    }

    fn messages(&self, channel: &str) -> &Map<String, Value> {
        self.0["channels"][channel]["messages"].as_object().unwrap()
    }

    /// Every fault of an instance by a schema of the document.
    fn faults(&self, schema: &Value, instance: &Value) -> Vec<String> {
        let whole = json!({"$defs": self.0["components"]["schemas"], "allOf": [schema]});
        let validator = jsonschema::validator_for(&whole).unwrap();
        validator.iter_errors(instance).map(|fault| fault.to_string()).collect()
    }

    fn check(&self, what: &str, schema: &Value, instance: &Value) {
        let faults = self.faults(schema, instance);
        assert!(faults.is_empty(), "{what}: {faults:?} in {instance}");
    }

    /// A message of the feed, by the name that it gives itself.
    fn check_feed(&self, message: &Value, seen: &mut BTreeSet<String>) {
        let name = message["type"].as_str().unwrap();
        let documented = self.messages("live").get(name);
        let documented = documented.unwrap_or_else(|| panic!("{name} is not documented"));
        self.check(name, &documented["payload"], message);
        seen.insert(name.to_owned());
    }
}

/// A schema of another file has definitions of its own, and so an identity of its own wherever it stands.
fn include(value: &mut Value, included: &mut usize) {
    match value {
        Value::Object(fields) => {
            let file = fields.get("$ref").and_then(Value::as_str);
            if let Some(file) = file.and_then(|to| to.strip_prefix("./")) {
                let text = std::fs::read_to_string(schemas().join(file)).unwrap();
                let id = format!("https://pulsetrail.test/{file}?{included}");
                *included += 1;
                *value = serde_json::from_str(&text).unwrap();
                value["$id"] = id.into();
                return;
            }
            fields.values_mut().for_each(|field| include(field, included));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| include(item, included)),
        _ => {}
    }
}

#[test]
fn every_event_of_the_catalogue_is_documented_and_no_other() {
    let document = Document::read();
    let documented: BTreeSet<(String, String)> = document
        .messages("events")
        .values()
        .map(|message| {
            let of = |value: &Value| value.as_str().unwrap().to_owned();
            let schema = of(&message["payload"]["$id"]);
            (of(&message["name"]), schema.split('?').next().unwrap().to_owned())
        })
        .collect();
    let written = EVENT_KINDS.iter().map(|EventKind { aggregate, name, version }| {
        let schema = format!("https://pulsetrail.test/events/{aggregate}.{name}.{version}.json");
        (format!("pulsetrail.{aggregate}.{name}"), schema)
    });
    assert_eq!(documented, written.collect(), "left the document, right the catalogue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_says_what_the_document_says() {
    let document = Document::read();
    let app = corner().await.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = user.watch(&target.url()).await;
    user.until_status(&monitor, "up").await;
    let mut feed = user.live().await;
    let mut seen = BTreeSet::new();
    for message in [
        json!({"type": "subscribe", "monitors": [monitor], "after": 0}),
        json!({"type": "ping"}),
        json!({"type": "subscribe", "monitors": ["0190b5a0-1111-7000-8000-000000000001"]}),
    ] {
        document.check_feed(&message, &mut seen);
        feed.say(&message).await;
    }
    // A client that is too slow is shown by the tests of the session.
    let documented: BTreeSet<String> =
        document.messages("live").keys().filter(|name| *name != "lagged").cloned().collect();
    let all = async {
        while documented.iter().any(|name| !seen.contains(name) && name != "unsubscribe") {
            document.check_feed(&feed.hear().await.unwrap(), &mut seen);
        }
    };
    let heard = tokio::time::timeout(PATIENCE, all).await;
    assert!(heard.is_ok(), "{seen:?} of {documented:?}");
    let last = json!({"type": "unsubscribe", "monitors": "all"});
    document.check_feed(&last, &mut seen);
    feed.say(&last).await;
    assert_eq!(seen, documented);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topics_carry_what_the_document_says() {
    let document = Document::read();
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = user.watch(&target.url()).await;
    user.until_status(&monitor, "up").await;
    target.die();
    user.until_status(&monitor, "down").await;
    let kafka = corner.kafka();
    let consumer = kafka.group_consumer("document").unwrap();
    let topics = &kafka.topics;
    let by_topic = [
        (topics.events(), "events"),
        (topics.jobs(&Region::default()), "jobs"),
        (topics.results(), "results"),
        (topics.probers(), "probers"),
    ];
    let names: Vec<&str> = by_topic.iter().map(|(topic, _)| topic.as_str()).collect();
    consumer.subscribe(&names).unwrap();
    let mut wanted: BTreeSet<&str> = [
        "pulsetrail.monitor.MonitorRegistered",
        "pulsetrail.health.CheckCompleted",
        "pulsetrail.health.WentDown",
        "pulsetrail.job",
        "pulsetrail.result",
        "pulsetrail.prober",
    ]
    .into();
    let all = async {
        while !wanted.is_empty() {
            let message = consumer.recv().await.unwrap();
            let (_, channel) = by_topic.iter().find(|(topic, _)| topic == message.topic()).unwrap();
            let headers: Map<String, Value> = message
                .headers()
                .unwrap()
                .iter()
                .map(|header| {
                    let text = std::str::from_utf8(header.value.unwrap()).unwrap();
                    (header.key.to_owned(), text.into())
                })
                .collect();
            let kind = headers["ce_type"].as_str().unwrap().to_owned();
            let documented = document.messages(channel).values().find(|one| one["name"] == kind);
            let documented = documented.unwrap_or_else(|| panic!("{kind} is not in {channel}"));
            let payload: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            document.check(&kind, &documented["headers"], &Value::Object(headers));
            document.check(&kind, &documented["payload"], &payload);
            wanted.remove(kind.as_str());
        }
    };
    let carried = tokio::time::timeout(PATIENCE, all).await;
    assert!(carried.is_ok(), "{wanted:?} did not come");
    app.stop().await;
}

#[test]
fn control_what_is_not_documented_is_a_fault() {
    let document = Document::read();
    let of = |name: &str| &document.messages("live")[name]["payload"];
    let id = "0190b5a0-1111-7000-8000-000000000001";
    let right = json!({"type": "presence", "monitor_id": id, "viewers": 1});
    assert!(document.faults(of("presence"), &right).is_empty());
    for wrong in [
        json!({"type": "presence", "monitor_id": id}),
        json!({"type": "presence", "monitor_id": id, "viewers": -1}),
        json!({"type": "presence", "monitor_id": id, "viewers": 1, "tabs": 2}),
    ] {
        assert!(!document.faults(of("presence"), &wrong).is_empty(), "{wrong}");
    }
    let check = &document.messages("events")["CheckCompleted"]["payload"];
    assert!(!document.faults(check, &json!({"outcome": "up"})).is_empty());
}
