//! Where bodies with regular expressions are read: compiling these takes up to 60 ms a request. With many such
//! requests on the threads of the runtime everything else would wait for them, the scheduler too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pulsetrail_domain::OrganizationId;
use pulsetrail_infra::http::Problem;
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type Line = AsyncMutex<()>;

/// Reads one body with patterns at a time, on a thread of its own. An organization waits with one of its bodies for
/// that, so that organizations take turns, however many bodies one of them sends.
#[derive(Clone, Default)]
pub(crate) struct BodyReaders {
    lines: Arc<Mutex<HashMap<OrganizationId, Weak<Line>>>>,
    all: Arc<Line>,
}

impl BodyReaders {
    /// Does `read` for an organization: at once if `has_patterns` is false.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        organization_id: OrganizationId,
        has_patterns: bool,
        read: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        if !has_patterns {
            return read();
        }
        let turn = self.turn_of(organization_id).await;
        // The turn is over when the work is, also if nobody waits for it any more.
        let reading = tokio::task::spawn_blocking(move || {
            let _until_done = turn;
            read()
        });
        reading.await.map_err(Problem::internal)?
    }

    async fn turn_of(&self, organization_id: OrganizationId) -> [OwnedMutexGuard<()>; 2] {
        let line = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let known = lines.get(&organization_id).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                lines.retain(|_, line| line.strong_count() > 0);
                let line = Arc::<Line>::default();
                lines.insert(organization_id, Arc::downgrade(&line));
                line
            })
        };
        let among_its_own = line.lock_owned().await;
        [among_its_own, self.all.clone().lock_owned().await]
    }
}

/// Whether a body, or a configuration, asks for regular expressions: an assertion with the operator `matches`.
pub(super) fn has_patterns(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("operator").is_some_and(|operator| operator == "matches")
                || fields.values().any(has_patterns)
        }
        Value::Array(items) => items.iter().any(has_patterns),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_an_assertion_with_a_pattern_is_one() {
        let body = |operator: &str| json!({"target": {"assertions": [{"operator": operator}]}});
        assert!(has_patterns(&body("matches")));
        assert!(!has_patterns(&body("contains")) && !has_patterns(&json!({"name": "matches"})));
    }

    #[tokio::test]
    async fn organizations_take_turns_and_the_runtime_goes_on_meanwhile() {
        let readers = BodyReaders::default();
        let (sender, read) = mpsc::channel();
        let (go_on, gate) = mpsc::channel::<()>();
        let start = |organization: u128, name: &'static str, gate: Option<mpsc::Receiver<()>>| {
            let (readers, sender) = (readers.clone(), sender.clone());
            tokio::spawn(async move {
                let id = OrganizationId(Uuid::from_u128(organization));
                let reading = readers.read(id, true, move || {
                    if let Some(gate) = gate {
                        gate.recv().unwrap();
                    }
                    sender.send(name).unwrap();
                    Ok(())
                });
                reading.await.unwrap();
            })
        };
        let mut all = vec![start(1, "first of one", Some(gate))];
        tokio::time::sleep(Duration::from_millis(20)).await;
        all.extend(["second of one", "third of one"].map(|name| start(1, name, None)));
        tokio::time::sleep(Duration::from_millis(20)).await;
        all.push(start(2, "first of another", None));
        tokio::time::sleep(Duration::from_millis(20)).await;
        // This runtime has one thread, and it is free.
        assert!(read.try_recv().is_err());
        let plain = readers.read(OrganizationId::default(), false, || Ok("at once")).await;
        assert_eq!(plain.unwrap(), "at once");
        go_on.send(()).unwrap();
        for one in all {
            one.await.unwrap();
        }
        let order: Vec<&str> = read.try_iter().collect();
        let of_another = order.iter().position(|name| *name == "first of another").unwrap();
        assert!(of_another < 2, "{order:?}");
        assert_eq!(order.len(), 4);
    }
}
