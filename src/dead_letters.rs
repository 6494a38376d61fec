//! `pulsetrail dead-letters`: the messages that were themselves at fault, of every organization and of
//! none.

use anyhow::Context as _;
use clap::Subcommand;
use pulsetrail_infra::dead_letters::{self, Origin, Scope, StoredLetter};
use pulsetrail_infra::settings::Settings;
use uuid::Uuid;

use crate::connect;

/// What is asked about dead letters.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them, newest first, a line each; as JSON with --json.
    List {
        /// How many at most, 1 to 1000.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Only those before this one.
        #[arg(long)]
        before: Option<Uuid>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one, as JSON.
    Show {
        /// Its id.
        id: Uuid,
    },
    /// Have one tried again.
    Retry {
        /// Its id.
        id: Uuid,
    },
}

pub(crate) async fn run(settings: &Settings, asked: DeadLetters) -> anyhow::Result<()> {
    let store = connect::store_for_one_question(settings).await?;
    match asked {
        DeadLetters::List { limit, before, json } => {
            let letters =
                dead_letters::list(&store.read, Scope::Everything, before, limit.into()).await?;
            for letter in letters {
                println!("{}", if json { serde_json::to_string(&letter)? } else { line(&letter) });
            }
        }
        DeadLetters::Show { id } => {
            let letter = dead_letters::show(&store.read, Scope::Everything, id).await?;
            let letter = letter.context("there is no such dead letter")?;
            println!("{}", serde_json::to_string_pretty(&letter)?);
        }
        DeadLetters::Retry { id } => {
            let kafka = connect::kafka(settings)?;
            let producer = kafka.producer().context("PULSETRAIL_KAFKA_BROKERS")?;
            let retried =
                dead_letters::retry(&store, &kafka, &producer, Scope::Everything, id, "operator");
            println!("{}", line(&retried.await?));
        }
    }
    Ok(())
}

/// A letter in a line: id, time of the last failure, state, consumer, reason, origin, fault.
fn line(stored: &StoredLetter) -> String {
    let letter = &stored.letter;
    let origin = match &letter.origin {
        Origin::Message { topic, partition, offset } => format!("{topic}/{partition}@{offset}"),
        Origin::Event { position } => format!("position {position}"),
    };
    let status = format!("{:?}", stored.status).to_lowercase();
    format!(
        "{}  {}  {status:<8}  {:<9}  {:<21}  {origin}  {}",
        letter.id,
        letter.failed_at.format("%Y-%m-%dT%H:%M:%SZ"),
        letter.consumer,
        letter.reason,
        letter.detail
    )
}
