//! `lag_zero_after_kill_s`: a recorder, the relay, Kafka and PostgreSQL are killed at once, under load, and
//! everything that was acknowledged is recorded and published again.

use std::time::{Duration, Instant};

use chrono::Utc;
use pulsetrail_domain::MonitorId;
use pulsetrail_harness::{Corner, RoleProcess, engines, eventually, until_ready, within};
use pulsetrail_infra::engines::{Engine, EngineSettings, Engines, start};
use pulsetrail_infra::kafka::{Kafka, message_headers};
use pulsetrail_infra::messages::{RESULT_TYPE, ResultMessage};
use pulsetrail_infra::store::{Store, head};
use rdkafka::producer::{FutureRecord, Producer as _};
use tokio_util::sync::CancellationToken;

use crate::BINARY;
use crate::fixture::{ORGANIZATION, monitors, register, result};
use crate::table::{Row, Table};

const KILLS: u32 = 3;
const MONITORS: usize = 500;
const RESULTS_PER_SECOND: u32 = 500;
/// How long there is load before the kill, and after it.
const LOAD: Duration = Duration::from_secs(5);
/// How long anything may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is killed.
struct Scene {
    /// Two recorders, then two relays. Dropped first: where the bench ends early, they show their logs.
    roles: Vec<(&'static str, RoleProcess)>,
    corner: Corner,
    engines: Engines,
}

pub(crate) async fn measure(table: &mut Table) {
    let shared = engines(BINARY.as_ref()).await.urls();
    let directory = tempfile::tempdir().expect("a folder for temporary files");
    let settings = EngineSettings {
        clickhouse_url: Some(shared.clickhouse_url.clone()),
        ..EngineSettings::default()
    };
    let engines = start(&settings, directory.path(), |_| {}).await.expect("engines of its own");
    let corner = Corner::new(engines.urls(), BINARY).await;
    let (store, kafka) = (corner.store().await, corner.kafka());
    store.migrate().await.expect("the schema fits");
    kafka.ensure_topics(&[]).await.expect("topics");
    let monitors = monitors(MONITORS);
    register(&store, &monitors).await;
    let mut scene = Scene { roles: Vec::new(), corner, engines };
    for role in ["recorder", "recorder", "relay", "relay"] {
        scene.roles.push((role, scene.corner.role(role).await));
    }
    let (mut worst, mut engines_then) = (0.0_f64, 0.0);
    for round in 0..KILLS {
        let (took, engines_took) = scene.kill(&store, &kafka, &monitors, round).await;
        if took > worst {
            (worst, engines_then) = (took, engines_took);
        }
    }
    table.push(Row {
        name: "lag_zero_after_kill_s".to_owned(),
        value: worst,
        unit: "s",
        reference: format!("until Kafka and PostgreSQL answer again (the worst of {KILLS} kills)"),
        reference_value: engines_then,
    });
}

impl Scene {
    /// Kills one of each; how long it took until the lag was zero, and until the engines answered.
    async fn kill(
        &mut self,
        store: &Store,
        kafka: &Kafka,
        monitors: &[MonitorId],
        round: u32,
    ) -> (f64, f64) {
        for (_, process) in &self.roles {
            until_ready(&process.url).await;
        }
        let done = CancellationToken::new();
        let sending = tokio::spawn(send(kafka.clone(), monitors.to_vec(), round, done.clone()));
        tokio::time::sleep(LOAD).await;
        let begun = Instant::now();
        for place in [0, 2] {
            let (role, process) = self.roles.remove(place);
            process.kill().await;
            self.roles.insert(place + 1, (role, self.corner.role(role).await));
        }
        for engine in [Engine::Postgres, Engine::Kafka] {
            let child = self.engines.child(engine).expect("an engine of its own");
            let pid = eventually("it runs", async || child.pid()).await.to_string();
            let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
            assert!(killed.expect("kill").success());
        }
        let engines = async {
            within(PATIENCE, "the engines answer", async || {
                head(&store.read).await.ok()?;
                kafka.lags(&[]).await.ok()
            })
            .await;
            begun.elapsed().as_secs_f64()
        };
        let ((), engines_took) = tokio::join!(
            async {
                tokio::time::sleep(LOAD).await;
                done.cancel();
                sending.await.expect("all is sent");
            },
            engines
        );
        within(PATIENCE, "the lag is zero", async || lag_is_zero(store, kafka).await).await;
        (begun.elapsed().as_secs_f64(), engines_took)
    }
}

/// Sends results at a steady rate until it is told to stop, and waits until Kafka has them all.
async fn send(kafka: Kafka, monitors: Vec<MonitorId>, round: u32, done: CancellationToken) {
    let producer = kafka.producer().expect("a producer");
    let topic = kafka.topics.results();
    let mut clock = tokio::time::interval(Duration::from_secs(1) / RESULTS_PER_SECOND);
    let mut slot = i64::from(round) * 100;
    let mut turn = monitors.iter();
    loop {
        tokio::select! {
            () = done.cancelled() => break,
            _ = clock.tick() => {}
        }
        let Some(monitor_id) = turn.next().copied() else {
            turn = monitors.iter();
            slot += 1;
            continue;
        };
        let result = result(monitor_id, slot);
        let message =
            ResultMessage { monitor_id, organization_id: ORGANIZATION, result, refusal: None };
        let payload = serde_json::to_vec(&message).expect("JSON");
        let (key, id) = (monitor_id.to_string(), message.result.check_id.to_string());
        let headers = message_headers(RESULT_TYPE, &id, Utc::now(), ORGANIZATION);
        let record = FutureRecord::to(&topic).key(&key).payload(&payload).headers(headers);
        drop(producer.send_result(record).expect("room in the queue"));
    }
    let flushed = tokio::task::spawn_blocking(move || producer.flush(Duration::from_secs(60)));
    flushed.await.expect("no panic").expect("all is sent");
}

async fn lag_is_zero(store: &Store, kafka: &Kafka) -> Option<()> {
    let unrecorded: i64 = kafka.lags(&[]).await.ok()?.iter().map(|queue| queue.lag).sum();
    let published: i64 =
        sqlx::query_scalar("select position from checkpoints where consumer = 'relay'")
            .fetch_one(&store.read)
            .await
            .ok()?;
    let newest = head(&store.read).await.ok()?;
    (unrecorded == 0 && published >= newest.0).then_some(())
}
