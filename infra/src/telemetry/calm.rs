//! What Kafka's client library says over and over is logged now and then.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// How often it may say the same.
const EVERY: Duration = Duration::from_secs(10);
/// What it says at every start of a cluster, while it tries again by itself: a broker gets the ids of
/// producers from the controller when the first one asks. It is logged only if it goes on for [`EVERY`].
const ROUTINE: &str = "Failed to acquire idempotence PID";
/// How many different things it may have said lately; with more, all are forgotten and told anew.
const KINDS: usize = 1_000;

/// Passes the lines of the client library on once in a while for each kind. While the cluster is away
/// each of its clients tells several times a second that all brokers are down.
#[derive(Debug)]
pub(super) struct CalmKafka {
    every: Duration,
    told: Mutex<HashMap<String, Instant>>,
}

impl CalmKafka {
    pub(super) fn new() -> Self {
        Self { every: EVERY, told: Mutex::default() }
    }

    fn is_due(&self, kind: String) -> bool {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if kind.contains(ROUTINE) && !told.contains_key(&kind) {
            told.insert(kind, now);
            return false;
        }
        if told.get(&kind).is_some_and(|at| now.duration_since(*at) < self.every) {
            return false;
        }
        if told.len() >= KINDS {
            told.clear();
        }
        told.insert(kind, now);
        true
    }
}

impl<S: Subscriber> Filter<S> for CalmKafka {
    fn enabled(&self, _metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        let mut line = Line::default();
        event.record(&mut line);
        !line.is_of_the_library() || self.is_due(line.kind())
    }
}

/// What a line says, and who says it.
#[derive(Default)]
struct Line {
    message: String,
    /// The target of the `log` crate, through which the library speaks.
    target: String,
}

impl Line {
    fn is_of_the_library(&self) -> bool {
        self.target.starts_with("librdkafka") || self.target.starts_with("rdkafka")
    }

    /// The message without what differs from one to the next: numbers, and with them addresses and
    /// clients.
    fn kind(&self) -> String {
        self.message.chars().filter(|one| !one.is_ascii_digit()).collect()
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            "log.target" => self.target.push_str(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.message, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use rdkafka::ClientContext;
    use rdkafka::config::RDKafkaLogLevel;
    use rdkafka::consumer::DefaultConsumerContext;
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// How often each text was logged of what a client says while its broker is away, and Pulsetrail
    /// itself.
    fn logged(calm: CalmKafka, texts: [&str; 4]) -> [usize; 4] {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let _on_this_thread =
            tracing_subscriber::registry().with(lines.with_filter(calm)).set_default();
        for number in 0..50 {
            let down = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
            DefaultConsumerContext.error(down, &format!("{number}/{number} brokers are down"));
            let refused = KafkaError::Global(RDKafkaErrorCode::TopicAuthorizationFailed);
            DefaultConsumerContext.error(refused, "not yours");
            let retry = format!("{ROUTINE} from broker 127.0.0.1:9092/{number}: retrying");
            DefaultConsumerContext.log(RDKafkaLogLevel::Warning, "GETPID", &retry);
            tracing::warn!("jobs cannot be read for now");
        }
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        texts.map(|wanted| text.matches(wanted).count())
    }

    #[test]
    fn what_the_client_library_says_again_is_logged_once_in_a_while() {
        let texts = ["brokers are down", "not yours", ROUTINE, "cannot be read"];
        assert_eq!(logged(CalmKafka::new(), texts), [1, 1, 0, 50]);
        // The control: somebody who is always due.
        let anew = CalmKafka { every: Duration::ZERO, told: Mutex::default() };
        assert_eq!(logged(anew, texts), [50, 50, 49, 50]);
    }
}
