//! Every place where something of a check could have been written down.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pulsetrail_harness::{Corner, http_client};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::{Message as _, Offset, TopicPartitionList};

const KAFKA_WAIT: Duration = Duration::from_secs(10);

/// Where something was found, and the text that was there.
pub(super) struct Page {
    /// What kind of place it is.
    pub(super) kind: &'static str,
    place: String,
    text: Vec<u8>,
}

/// What is looked for: a text in every form in which it could have been written.
pub(super) struct Needle(Vec<Vec<u8>>);

impl Needle {
    /// As it is, in base64, percent-encoded, and in hexadecimal, as Postgres shows bytes.
    pub(super) fn of(text: &str) -> Self {
        let percent = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let forms = [
            text.to_owned(),
            STANDARD.encode(text),
            STANDARD_NO_PAD.encode(text),
            URL_SAFE.encode(text),
            URL_SAFE_NO_PAD.encode(text),
            percent.to_ascii_lowercase(),
            hex.to_ascii_uppercase(),
            percent,
            hex,
        ];
        Self(forms.map(String::into_bytes).into())
    }

    fn is_in(&self, text: &[u8]) -> bool {
        self.0.iter().any(|form| text.windows(form.len()).any(|window| window == form))
    }

    /// Where it is found.
    pub(super) fn places<'a>(&self, pages: &'a [Page]) -> Vec<&'a str> {
        pages.iter().filter(|page| self.is_in(&page.text)).map(|page| &*page.place).collect()
    }

    /// The kinds of places where it is found.
    pub(super) fn kinds(&self, pages: &[Page]) -> std::collections::BTreeSet<&'static str> {
        pages.iter().filter(|page| self.is_in(&page.text)).map(|page| page.kind).collect()
    }
}

/// One text of one place.
pub(super) fn page(kind: &'static str, place: impl Into<String>, text: impl Into<Vec<u8>>) -> Page {
    Page { kind, place: place.into(), text: text.into() }
}

/// Every row of every table of Postgres.
pub(super) async fn postgres(corner: &Corner) -> Vec<Page> {
    let store = corner.store().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables
         where schemaname not in ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&store.read)
    .await
    .unwrap();
    let mut pages = Vec::new();
    for table in tables {
        let rows = format!("select row_to_json(one)::text from {table} as one");
        let rows: Vec<String> = sqlx::query_scalar(&rows).fetch_all(&store.read).await.unwrap();
        // JSON in text columns is escaped once more.
        let text = rows.join("\n").replace("\\\"", "\"");
        pages.push(page("postgres", format!("postgres {table}"), text));
    }
    pages
}

/// Every message of every topic: its key, its headers and its payload.
pub(super) async fn kafka(corner: &Corner) -> Vec<Page> {
    let (kafka, prefix) = (corner.kafka(), corner.name.clone());
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = kafka.group_config("everywhere").create().unwrap();
        let topics = consumer.fetch_metadata(None, KAFKA_WAIT).unwrap();
        let mut pages = Vec::new();
        for topic in topics.topics().iter().filter(|one| one.name().starts_with(&prefix)) {
            for partition in topic.partitions() {
                let (name, id) = (topic.name(), partition.id());
                let (low, high) = consumer.fetch_watermarks(name, id, KAFKA_WAIT).unwrap();
                let mut assigned = TopicPartitionList::new();
                assigned.add_partition_offset(name, id, Offset::Offset(low)).unwrap();
                consumer.assign(&assigned).unwrap();
                let (mut text, mut next) = (Vec::new(), low);
                while next < high {
                    let message = consumer.poll(KAFKA_WAIT).expect("a message").unwrap();
                    next = message.offset() + 1;
                    text.extend_from_slice(message.key().unwrap_or_default());
                    text.push(b'\n');
                    for header in message.headers().iter().flat_map(|all| all.iter()) {
                        text.extend_from_slice(header.value.unwrap_or_default());
                        text.push(b'\n');
                    }
                    text.extend_from_slice(message.payload().unwrap_or_default());
                    text.push(b'\n');
                }
                pages.push(page("kafka", format!("kafka {name} {id}"), text));
            }
        }
        pages
    })
    .await
    .unwrap()
}

/// Every row of every table of ClickHouse.
pub(super) async fn clickhouse(corner: &Corner) -> Vec<Page> {
    let client = http_client();
    let ask = async |query: String| {
        let mut url: url::Url = corner.urls.clickhouse_url.parse().unwrap();
        url.query_pairs_mut().append_pair("database", &corner.name);
        let answer = client.post(url).body(query).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{text}");
        text
    };
    let tables = ask("show tables".to_owned()).await;
    let mut pages = Vec::new();
    for table in tables.lines() {
        let text = ask(format!("select * from `{table}` format JSONEachRow")).await;
        pages.push(page("clickhouse", format!("clickhouse {table}"), text));
    }
    pages
}

/// Every log in a folder and below, and what else was written there.
pub(super) fn files(kind: &'static str, folder: &Path) -> Vec<Page> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages.extend(files(kind, &path));
        } else {
            pages.push(page(kind, path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    pages
}
