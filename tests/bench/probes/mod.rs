//! What a prober makes of its cores and its memory: `probes_per_s`, the same over TLS, `probe_overhead_ms`,
//! and `rss_mb` with ten thousand checks in flight.

pub(crate) mod bare;
mod loaded;
mod target;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::Utc;
use pulsetrail_domain::monitor::{HttpTarget, Retries, Target, TargetUrl};
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Region};
use pulsetrail_harness::{Corner, engines};
use pulsetrail_infra::messages::Job;
use pulsetrail_probers::check::Checker;
use pulsetrail_probers::shield::Shield;
use uuid::Uuid;

use self::bare::Bare;
use self::loaded::Prober;
use self::target::Answering;
use crate::round_trip;
use crate::samples::Samples;
use crate::table::{Row, Table};
use crate::{BINARY, memory};

pub(crate) const FIGURES: [&str; 4] =
    ["probes_per_s", "probes_per_s_tls", "probe_overhead_ms", "rss_mb"];
/// Jobs of one run; the first half opens connections, fills caches, and has the broker compile its code.
const JOBS: usize = 480_000;
const WARM_UP_PER_SECOND: u32 = 1_000;
const TLS_JOBS: usize = 240_000;
const CONCURRENCY: usize = 256;
/// No host is checked more than a few times at once.
const HOSTS: usize = 40;
/// Checks one after the other.
const ALONE: usize = 3_000;
const IN_FLIGHT: usize = 10_000;

pub(crate) async fn measure(table: &mut Table, only: Option<&str>) {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    if wanted("probe_overhead_ms") {
        overhead(table).await;
    }
    if wanted("probes_per_s") {
        rate(table, "probes_per_s", Answering::plain().await, JOBS).await;
    }
    if wanted("probes_per_s_tls") {
        rate(table, "probes_per_s_tls", Answering::over_tls(HOSTS).await, TLS_JOBS).await;
    }
    if wanted("rss_mb") {
        in_flight(table).await;
    }
}

/// A real prober, a process of its own that takes jobs from Kafka and brings results there, beside a loop
/// that makes the same requests on the same cores.
async fn rate(table: &mut Table, name: &str, target: Answering, jobs: usize) {
    let corner = Corner::new(engines(BINARY.as_ref()).await.urls(), BINARY).await;
    // A broker that was just started compiles its code: that is nobody's checks.
    round_trip::measure(&corner.kafka(), WARM_UP_PER_SECOND, WARM_UP_PER_SECOND * 20).await;
    loaded::fill(&corner.kafka(), (0..jobs).map(|number| job(number, &target, HOSTS))).await;
    let prober = Prober::start(&corner, CONCURRENCY, &target).await;
    let value = prober.rate(jobs).await;
    prober.stop().await;
    let reference_value = bare::rate(&target, jobs / 4, CONCURRENCY, HOSTS).await;
    table.push(Row {
        name: name.to_owned(),
        value,
        unit: "/s",
        reference: format!("a bare hyper loop, a process as well, {CONCURRENCY} at once, no Kafka"),
        reference_value,
    });
}

/// What a check takes besides the phases that it measures, one check after the other.
async fn overhead(table: &mut Table) {
    let target = Answering::plain().await;
    let bare = Bare::plain(&target);
    let shield = Shield::new(vec!["127.0.0.0/8".parse().expect("a range")], Vec::new());
    let checker = Checker::new(shield.expect("a resolver")).expect("usable cryptography");
    let (mut overheads, mut requests) = (Samples::default(), Samples::default());
    for number in 0..ALONE {
        let job = job(number, &target, HOSTS);
        let begun = Instant::now();
        let message = checker.run(&job).await;
        let took = begun.elapsed().as_secs_f64() * 1_000.0;
        assert_eq!(message.result.http_status, Some(200), "{:?}", message.result);
        let phases = message.result.timings_us;
        let phases = phases.dns + phases.connect + phases.tls + phases.first_byte;
        let begun = Instant::now();
        bare.request(address(number, &target, HOSTS)).await;
        let bare = begun.elapsed().as_secs_f64() * 1_000.0;
        if number >= ALONE / 10 {
            overheads.add((took - f64::from(phases) / 1_000.0).max(0.0));
            requests.add(bare);
        }
    }
    let reference = "a whole request of a bare hyper client";
    overheads.report(table, "probe_overhead_ms", reference, &mut requests, 1.0);
}

/// The memory of a prober whose targets do not answer yet.
async fn in_flight(table: &mut Table) {
    let target = Answering::holding().await;
    // More than are needed: a tenth of the permits is kept for checks on demand, and one organization has
    // three quarters of the others.
    let hosts = IN_FLIGHT / 8;
    let corner = Corner::new(engines(BINARY.as_ref()).await.urls(), BINARY).await;
    let kafka = corner.kafka();
    loaded::fill(&kafka, std::iter::empty()).await;
    let prober = Prober::start(&corner, IN_FLIGHT * 3 / 2, &target).await;
    prober.until_ready().await;
    let before = memory::proportional_mb(prober.pid());
    loaded::fill(&kafka, (0..IN_FLIGHT).map(|number| job(number, &target, hosts))).await;
    target.until_held(IN_FLIGHT).await;
    let value = memory::proportional_mb(prober.pid());
    prober.stop().await;
    table.push(Row {
        name: "rss_mb_prober_10000_checks".to_owned(),
        value,
        unit: "MB",
        reference: "the same process when it was ready, before the checks".to_owned(),
        reference_value: before,
    });
}

/// One of many hosts, all of them the target.
fn address(number: usize, target: &Answering, hosts: usize) -> SocketAddr {
    let host = number % hosts;
    let (high, low) = ((host / 250) as u8, (host % 250) as u8);
    SocketAddr::from(([127, 1, high, low + 1], target.port))
}

fn job(number: usize, target: &Answering, hosts: usize) -> Job {
    let url = format!("{}://{}/", target.scheme(), address(number, target, hosts));
    let now = Utc::now();
    Job {
        check_id: CheckId(Uuid::now_v7()),
        monitor_id: MonitorId(Uuid::from_u128(number as u128)),
        organization_id: OrganizationId::default(),
        region: Region::default(),
        scheduled_at: now,
        deadline: now + Duration::from_secs(600),
        target: Target::Http(HttpTarget::get(TargetUrl::try_from(url).expect("a URL"))),
        timeout_ms: 300_000,
        retries: Retries { max_attempts: 1, ..Retries::default() },
        config_version: 1,
        valid_for_ms: 130_000,
        secrets: Default::default(),
    }
}
