//! Every metric of the program, with its help text.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use tokio_util::sync::CancellationToken;

use crate::supervised::Supervisor;
use crate::vitals::{self, DropReason, Figure, Stage};

const RELAY_LAG: &str = "pulsetrail_relay_lag_events";
const RELAY_LAG_SECONDS: &str = "pulsetrail_relay_lag_seconds";
const RELAY_PUBLISHED: &str = "pulsetrail_relay_published_events_total";
const RECORDED: &str = "pulsetrail_recorder_results_total";
const MONITORS_LOADED: &str = "pulsetrail_recorder_monitors_loaded_total";
const DUPLICATE_JOBS: &str = "pulsetrail_duplicate_jobs_total";
const STAGE_SECONDS: &str = "pulsetrail_job_stage_seconds";
const DEAD_LETTERS: &str = "pulsetrail_dead_letters_total";
const JOBS: &str = "pulsetrail_scheduler_jobs_total";
const DEADLINES: &str = "pulsetrail_scheduler_deadlines_total";
const SLOTS_DROPPED: &str = "pulsetrail_scheduler_slots_dropped_total";
const ROSTER: &str = "pulsetrail_scheduler_roster_monitors";
const JOBS_DROPPED: &str = "pulsetrail_prober_jobs_dropped_total";
const CHECKS: &str = "pulsetrail_prober_checks_total";
const CHECKS_RETRIED: &str = "pulsetrail_prober_checks_retried_total";
const CHECK_SECONDS: &str = "pulsetrail_prober_check_seconds";
const CHECKS_IN_FLIGHT: &str = "pulsetrail_prober_checks_in_flight";
const EGRESS_BLOCKED: &str = "pulsetrail_egress_blocked_total";
const REFUSALS_NOT_LOGGED: &str = "pulsetrail_egress_refusals_not_logged_total";
const PROJECTED: &str = "pulsetrail_projector_position";
const SUBSCRIBERS: &str = "pulsetrail_live_connections";
const LIVE_SENT: &str = "pulsetrail_live_messages_total";
const LIVE_LAGGED: &str = "pulsetrail_live_lagged_total";
const TASK_FAILURES: &str = "pulsetrail_task_failures_total";
const CONNECTIONS_REFUSED: &str = "pulsetrail_http_connections_refused_total";
const HTTP_REQUESTS: &str = "pulsetrail_http_requests_total";
const HTTP_SECONDS: &str = "pulsetrail_http_request_seconds";

/// How often what was measured is put into the histograms, whether somebody asks for them or not.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Installs the recorder of this process; its handle renders `/metrics`. It is called within a runtime.
///
/// # Errors
/// When one was installed before.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let buckets =
        [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &buckets)?
        .install_recorder()?;
    describe_gauge!(RELAY_LAG, Unit::Count, "Events that are stored and not published yet");
    describe_gauge!(RELAY_LAG_SECONDS, Unit::Seconds, "Age of the oldest event not published yet");
    describe_counter!(RELAY_PUBLISHED, Unit::Count, "Events published to Kafka");
    describe_counter!(RECORDED, Unit::Count, "Results taken in, by what became of them");
    describe_counter!(
        MONITORS_LOADED,
        Unit::Count,
        "Monitors that a recorder read from the store because it had them not in memory"
    );
    describe_counter!(
        DUPLICATE_JOBS,
        Unit::Count,
        "Jobs that were made twice: their second result was recorded before"
    );
    describe_histogram!(
        STAGE_SECONDS,
        Unit::Seconds,
        "How long a job took for a stage of its life; those of one batch count as its average"
    );
    describe_counter!(DEAD_LETTERS, Unit::Count, "Messages at fault, by consumer");
    describe_counter!(JOBS, Unit::Count, "Jobs emitted, by region");
    describe_counter!(DEADLINES, Unit::Count, "Monitors whose results were told to be overdue");
    describe_counter!(
        SLOTS_DROPPED,
        Unit::Count,
        "Slots whose jobs were not emitted, by reason, each once for every region"
    );
    describe_gauge!(ROSTER, Unit::Count, "Monitors that are being scheduled");
    describe_counter!(JOBS_DROPPED, Unit::Count, "Jobs whose checks were not made, by reason");
    describe_counter!(CHECKS, Unit::Count, "Checks made, by outcome");
    describe_counter!(CHECKS_RETRIED, Unit::Count, "Checks that needed more than one attempt");
    describe_histogram!(CHECK_SECONDS, Unit::Seconds, "How long a check took in all");
    describe_gauge!(CHECKS_IN_FLIGHT, Unit::Count, "Checks under way");
    describe_counter!(EGRESS_BLOCKED, Unit::Count, "Refusals of the shield, by origin and range");
    describe_counter!(
        REFUSALS_NOT_LOGGED,
        Unit::Count,
        "Refusals of checks that are counted and not in the log of their organization, which takes so many a minute"
    );
    describe_gauge!(PROJECTED, Unit::Count, "The last position that a projection applied");
    describe_gauge!(SUBSCRIBERS, Unit::Count, "Open connections to the live feed");
    describe_counter!(LIVE_SENT, Unit::Count, "Messages sent to subscribers");
    describe_counter!(
        LIVE_LAGGED,
        Unit::Count,
        "Subscribers that were too slow and resynchronised"
    );
    describe_counter!(
        TASK_FAILURES,
        Unit::Count,
        "Background tasks that ended by mistake, by task"
    );
    describe_counter!(
        CONNECTIONS_REFUSED,
        Unit::Count,
        "Connections that were not taken, by the limit that was reached: address or server"
    );
    describe_counter!(HTTP_REQUESTS, Unit::Count, "Requests answered, by route and status");
    describe_histogram!(HTTP_SECONDS, Unit::Seconds, "How long a request took, by route");
    // As long as the process lives.
    Supervisor::default().keep_running("metrics-upkeep", &CancellationToken::new(), {
        let handle = handle.clone();
        move || keep_up(handle.clone())
    });
    Ok(handle)
}

async fn keep_up(handle: PrometheusHandle) {
    // Every measurement is kept until then.
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
}

/// How many events are stored and not published yet, and how old the oldest of them is.
pub fn relay_lag(events: i64, seconds: f64) {
    metrics::gauge!(RELAY_LAG).set(events as f64);
    metrics::gauge!(RELAY_LAG_SECONDS).set(seconds);
}

/// Events were published.
pub fn relay_published(events: usize) {
    vitals::add(Figure::EventsPublished, events);
    metrics::counter!(RELAY_PUBLISHED).increment(events as u64);
}

/// Results were taken in; `effect` is `recorded`, `duplicate`, `archived` (of a monitor that was archived
/// meanwhile), `void` (a deadline that changed nothing), `too_late` (its slot was too old, and it was
/// dropped) or `dead_letter`.
pub fn results_recorded(effect: &'static str, results: usize) {
    match effect {
        "recorded" => vitals::add(Figure::ResultsRecorded, results),
        "duplicate" => {
            vitals::add(Figure::DuplicateJobs, results);
            metrics::counter!(DUPLICATE_JOBS).increment(results as u64);
        }
        _ => {}
    }
    metrics::counter!(RECORDED, "effect" => effect).increment(results as u64);
}

/// A recorder read monitors from the store that it had not in memory.
pub fn monitors_loaded(monitors: usize) {
    metrics::counter!(MONITORS_LOADED).increment(monitors as u64);
}

/// Jobs went through a stage of their life, and took so long for it in all, in microseconds. Where clocks
/// disagree it can be less than nothing, which counts as nothing.
pub fn stage_passed(stage: Stage, jobs: usize, microseconds: i64) {
    vitals::passed(stage, jobs, microseconds);
    let each = microseconds.max(0) as f64 / 1e6 / jobs.max(1) as f64;
    metrics::histogram!(STAGE_SECONDS, "stage" => stage.as_str()).record_many(each, jobs);
}

/// A message was set aside as a dead letter.
pub fn dead_letter(consumer: &str) {
    metrics::counter!(DEAD_LETTERS, "consumer" => consumer.to_owned()).increment(1);
}

/// A job was emitted.
pub fn job_emitted(region: &str) {
    vitals::add(Figure::JobsEmitted, 1);
    metrics::counter!(JOBS, "region" => region.to_owned()).increment(1);
}

/// It was told that a monitor's results are overdue.
pub fn deadline_told() {
    metrics::counter!(DEADLINES).increment(1);
}

/// The jobs of so many slots were not emitted.
pub fn slots_dropped(reason: DropReason, slots: u64) {
    vitals::dropped(reason, slots);
    vitals::add(Figure::JobsDropped, usize::try_from(slots).unwrap_or(usize::MAX));
    metrics::counter!(SLOTS_DROPPED, "reason" => reason.as_str()).increment(slots);
}

/// How many monitors are being scheduled.
pub fn roster(monitors: usize) {
    vitals::set(Figure::MonitorsScheduled, monitors);
    metrics::gauge!(ROSTER).set(monitors as f64);
}

/// A job was dropped; `reason` is one of a few, such as `deadline` or `host_limit`.
pub fn job_dropped(reason: &'static str) {
    vitals::add(Figure::JobsDropped, 1);
    metrics::counter!(JOBS_DROPPED, "reason" => reason).increment(1);
}

/// A check ended after so many attempts; `outcome` is `up`, `down` or `blocked`.
pub fn check_made(outcome: &'static str, seconds: f64, attempts: u32) {
    vitals::add(Figure::ChecksMade, 1);
    if attempts > 1 {
        vitals::add(Figure::ChecksRetried, 1);
        metrics::counter!(CHECKS_RETRIED).increment(1);
    }
    metrics::counter!(CHECKS, "outcome" => outcome).increment(1);
    metrics::histogram!(CHECK_SECONDS).record(seconds);
}

/// How many checks are under way.
pub fn checks_in_flight(checks: usize) {
    vitals::set(Figure::JobsInFlight, checks);
    metrics::gauge!(CHECKS_IN_FLIGHT).set(checks as f64);
}

/// Refusals of checks were counted and not written to the logs of their organizations.
pub fn refusals_not_logged(refusals: usize) {
    metrics::counter!(REFUSALS_NOT_LOGGED).increment(refusals as u64);
}

/// The shield refused an address of `range`, which is a row of its table; `origin` is where it was met.
pub fn egress_blocked(origin: &'static str, range: &str) {
    metrics::counter!(EGRESS_BLOCKED, "origin" => origin, "range" => range.to_owned()).increment(1);
}

/// A projection applied everything up to `position`.
pub fn projected(projection: &'static str, position: i64) {
    metrics::gauge!(PROJECTED, "projection" => projection).set(position as f64);
}

/// How many connections to the live feed are open.
pub fn live_connections(connections: usize) {
    vitals::set(Figure::LiveConnections, connections);
    metrics::gauge!(SUBSCRIBERS).set(connections as f64);
}

/// Messages were sent to a subscriber.
pub fn live_sent(messages: usize) {
    metrics::counter!(LIVE_SENT).increment(messages as u64);
}

/// A subscriber was too slow.
pub fn live_lagged() {
    metrics::counter!(LIVE_LAGGED).increment(1);
}

/// A background task panicked, or returned although it had to run on.
pub fn task_failed(task: &'static str) {
    metrics::counter!(TASK_FAILURES, "task" => task).increment(1);
}

/// A connection was not taken; `limit` is `address` or `server`.
pub fn connection_refused(limit: &'static str) {
    metrics::counter!(CONNECTIONS_REFUSED, "limit" => limit).increment(1);
}

/// A request was answered. `route` is the matched pattern, never the path itself.
pub fn http_request(method: &Method, route: &str, status: StatusCode, seconds: f64) {
    let route = format!("{} {route}", method_label(method));
    metrics::counter!(HTTP_REQUESTS, "route" => route.clone(), "status" => status.as_str().to_owned())
        .increment(1);
    metrics::histogram!(HTTP_SECONDS, "route" => route).record(seconds);
}

/// The label of a request's method: its name if RFC 9110 or RFC 5789 defines it, else `other`. A client
/// may send any text as a method, and a label's values are kept for as long as the process lives.
#[must_use]
pub fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many series there are after `requests` with methods that a client made up.
    fn series(requests: usize, record: impl Fn(&Method)) -> usize {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            for number in 0..requests {
                let method = format!("M{}{number}", "X".repeat(60_000));
                record(&Method::from_bytes(method.as_bytes()).unwrap());
            }
        });
        let rendered = recorder.handle().render();
        rendered.lines().filter(|line| line.starts_with(HTTP_REQUESTS)).count()
    }

    #[test]
    fn methods_that_a_client_makes_up_share_one_series() {
        assert_eq!(
            series(50, |method| http_request(method, "(none)", StatusCode::NOT_FOUND, 0.1)),
            1
        );
        let as_it_came = |method: &Method| {
            metrics::counter!(HTTP_REQUESTS, "route" => method.to_string()).increment(1);
        };
        assert_eq!(series(50, as_it_came), 50, "a label without a closed set grows");
    }
}
