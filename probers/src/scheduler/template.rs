//! The part of a job that is the same from slot to slot, kept compact.
//!
//! Most monitors differ in their URL alone. So a job's constant fields are written as JSON once, and
//! cut around the URL: what stands before and after it is shared by all monitors that have it alike.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::SecondsFormat;
use pulsetrail_domain::monitor::{MonitorConfig, Retries, Target};
use pulsetrail_domain::schedule::Cadence;
use pulsetrail_domain::slot::{latest_begin_ms, scheduled_check_id};
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Region, timestamp_from_millis};
use pulsetrail_infra::secrets::SealedSecrets;
use serde::Serialize;

/// The constant fields of [`pulsetrail_infra::messages::Job`].
#[derive(Serialize)]
struct Constant<'a> {
    target: &'a Target,
    timeout_ms: u32,
    retries: Retries,
    valid_for_ms: i64,
    /// Few monitors have any. With them no other monitor shares what stands after the URL, as with their
    /// ids in `target`.
    #[serde(skip_serializing_if = "SealedSecrets::is_empty")]
    secrets: SealedSecrets,
}

/// What many monitors have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// The JSON fields before and after the subject, without the object's braces.
    before: Box<str>,
    after: Box<str>,
    interval_seconds: u32,
    /// How long a result counts, in ms.
    pub(super) valid_for_ms: i64,
    /// Where checks are made from, of the regions that there are.
    pub(super) regions: Box<[Region]>,
    /// How many more the configuration names, which the installation does not have.
    pub(super) unknown_regions: u64,
}

/// A monitor's constant fields.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) shape: Arc<Shape>,
    /// What stands between the shape's halves: the URL, as it is written in JSON.
    subject: Box<str>,
}

/// Every shape that is in use, once.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    shapes: HashSet<Arc<Shape>>,
    sweep_at: usize,
}

/// The variable fields of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<'a> {
    pub(super) monitor_id: MonitorId,
    pub(super) organization_id: OrganizationId,
    pub(super) region: &'a Region,
    pub(super) slot_ms: i64,
    pub(super) config_version: i64,
}

impl Shape {
    /// How many regions are to check each slot.
    pub(super) fn wanted_regions(&self) -> u64 {
        self.regions.len() as u64 + self.unknown_regions
    }

    pub(super) fn interval_ms(&self) -> i64 {
        i64::from(self.interval_seconds) * 1_000
    }

    /// The latest moment at which the check of `slot_ms` may begin.
    pub(super) fn deadline_ms(&self, slot_ms: i64) -> i64 {
        latest_begin_ms(slot_ms, self.interval_ms())
    }
}

impl Template {
    /// The template of a monitor; `sealed` are its secrets, and it may be those of others too.
    ///
    /// # Errors
    /// When the configuration cannot be written as JSON.
    pub(super) fn of(
        config: &MonitorConfig,
        sealed: &SealedSecrets,
        regions: &[Region],
        shapes: &mut Shapes,
    ) -> Result<Self, serde_json::Error> {
        let constant = Constant {
            target: &config.target,
            timeout_ms: config.timeout_ms,
            retries: config.retries,
            valid_for_ms: config.valid_for_ms(),
            secrets: sealed.of(config.target.secrets().map(|one| one.secret)),
        };
        let object = serde_json::to_string(&constant)?;
        let fields = object.trim_start_matches('{');
        let fields = fields.strip_suffix('}').unwrap_or(fields);
        let subject = serde_json::to_string(&config.target.summary())?;
        // Wherever it is found, the three parts make up the whole again.
        let (before, after) = fields.split_once(&subject).unwrap_or((fields, ""));
        let subject = if before.len() == fields.len() { "" } else { &subject };
        let regions = checked_from(config, regions);
        let wanted = Cadence::of(config).regions.len();
        let shape = shapes.shared(Shape {
            before: before.into(),
            after: after.into(),
            interval_seconds: config.interval_seconds,
            valid_for_ms: config.valid_for_ms(),
            unknown_regions: (wanted - regions.len()) as u64,
            regions,
        });
        Ok(Self { shape, subject: subject.into() })
    }

    /// The job of a slot, as JSON, and its check's id.
    pub(super) fn job(&self, slot: Slot<'_>) -> (CheckId, String) {
        let Slot { monitor_id, organization_id, region, slot_ms, config_version } = slot;
        let check_id = scheduled_check_id(monitor_id, region, slot_ms);
        let time = |ms| timestamp_from_millis(ms).to_rfc3339_opts(SecondsFormat::Millis, true);
        let (scheduled_at, deadline) = (time(slot_ms), time(self.shape.deadline_ms(slot_ms)));
        let Shape { before, after, .. } = self.shape.as_ref();
        let constant = before.len() + self.subject.len() + after.len();
        let mut json = String::with_capacity(constant + 320);
        // Writing to a string cannot fail. None of these values needs escaping.
        let _ = write!(
            json,
            "{{\"check_id\":\"{check_id}\",\"monitor_id\":\"{monitor_id}\",\
             \"organization_id\":\"{organization_id}\",\"region\":\"{region}\",\
             \"scheduled_at\":\"{scheduled_at}\",\"deadline\":\"{deadline}\",\
             \"config_version\":{config_version},{before}{}{after}}}",
            self.subject
        );
        (check_id, json)
    }
}

/// The regions that a monitor is checked from, of those that there are. What reports by itself is checked
/// from none.
fn checked_from(config: &MonitorConfig, regions: &[Region]) -> Box<[Region]> {
    Cadence::of(config).regions.into_iter().filter(|one| regions.contains(one)).collect()
}

impl Shapes {
    fn shared(&mut self, shape: Shape) -> Arc<Shape> {
        if let Some(known) = self.shapes.get(&shape) {
            return Arc::clone(known);
        }
        if self.shapes.len() >= self.sweep_at.max(1_024) {
            self.shapes.retain(|shape| Arc::strong_count(shape) > 1);
            self.sweep_at = self.shapes.len() * 2;
        }
        let shape = Arc::new(shape);
        self.shapes.insert(Arc::clone(&shape));
        shape
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use pulsetrail_domain::SecretId;
    use pulsetrail_domain::monitor::{HeartbeatTarget, HttpAuth, HttpTarget, SecretRef, TargetUrl};
    use pulsetrail_infra::messages::Job;
    use pulsetrail_infra::secrets::SealedSecret;
    use uuid::Uuid;

    use super::*;

    pub(in super::super) fn config(url: &str, interval_seconds: u32) -> MonitorConfig {
        MonitorConfig {
            name: "a name".to_owned(),
            target: Target::Http(HttpTarget::get(TargetUrl::try_from(url.to_owned()).unwrap())),
            interval_seconds,
            timeout_ms: 900,
            retries: Retries::default(),
            confirmations: 1,
            regions: vec![Region::default()],
            quorum: None,
            tags: BTreeMap::new(),
        }
    }

    fn none() -> SealedSecrets {
        SealedSecrets::default()
    }

    fn job_of(config: &MonitorConfig, slot_ms: i64) -> Job {
        job_with(config, &none(), slot_ms)
    }

    fn job_with(config: &MonitorConfig, sealed: &SealedSecrets, slot_ms: i64) -> Job {
        let regions = [Region::default()];
        let template = Template::of(config, sealed, &regions, &mut Shapes::default()).unwrap();
        let region = Region::default();
        let slot = Slot {
            monitor_id: MonitorId(Uuid::from_u128(1)),
            organization_id: OrganizationId(Uuid::from_u128(2)),
            region: &region,
            slot_ms,
            config_version: 3,
        };
        let (check_id, json) = template.job(slot);
        let job: Job = serde_json::from_str(&json).unwrap();
        assert_eq!(job.check_id, check_id);
        job
    }

    #[test]
    fn a_job_holds_what_its_monitor_says() {
        let mut config = config("https://example.com/a\"b?c=%22&timeout_ms=1", 120);
        let Target::Http(http) = &mut config.target else { panic!("another kind") };
        http.headers.insert("X-Url".to_owned(), "https://example.com/ \\ \"ä\"".to_owned());
        http.body = Some(http.url.as_str().to_owned());
        let job = job_of(&config, 1_700_000_000_123);
        assert_eq!(job.target, config.target);
        assert_eq!(job.retries, config.retries);
        assert_eq!((job.timeout_ms, job.valid_for_ms), (900, 240_900));
        assert_eq!(job.scheduled_at.timestamp_millis(), 1_700_000_000_123);
        assert_eq!((job.deadline - job.scheduled_at).num_milliseconds(), 60_000);
        assert_eq!(job.config_version, 3);
        assert_eq!(job.monitor_id, MonitorId(Uuid::from_u128(1)));
        assert_eq!(job.organization_id, OrganizationId(Uuid::from_u128(2)));
        assert_eq!(
            job.check_id,
            scheduled_check_id(job.monitor_id, &job.region, 1_700_000_000_123)
        );
    }

    #[test]
    fn a_job_takes_the_sealed_secrets_of_its_monitor_along_and_no_others() {
        let [own, other] = [1, 2].map(|number| SecretId(Uuid::from_u128(number)));
        let sealed = |byte| SealedSecret {
            key_id: vec![byte; 8],
            nonce: vec![byte; 12],
            ciphertext: vec![byte; 20],
        };
        let both = SealedSecrets([(own, sealed(1)), (other, sealed(2))].into());
        let mut config = config("https://example.com", 60);
        let Target::Http(http) = &mut config.target else { panic!("another kind") };
        http.auth = Some(HttpAuth::Bearer { token: SecretRef { secret: own } });
        let job = job_with(&config, &both, 1_000);
        assert_eq!(job.target, config.target);
        assert_eq!(job.secrets, SealedSecrets([(own, sealed(1))].into()));
    }

    #[test]
    fn a_job_is_not_worth_making_after_its_interval() {
        let job = job_of(&config("http://example.com", 7), 5_000);
        assert_eq!((job.deadline - job.scheduled_at).num_milliseconds(), 7_000);
    }

    #[test]
    fn monitors_that_differ_in_their_url_alone_share_the_rest() {
        let mut shapes = Shapes::default();
        let mut template =
            |config| Template::of(&config, &none(), &[Region::default()], &mut shapes).unwrap();
        let first = template(config("http://a.example", 60));
        let second = template(config("http://b.example/c", 60));
        let other = template(config("http://a.example", 61));
        assert!(Arc::ptr_eq(&first.shape, &second.shape));
        assert!(!Arc::ptr_eq(&first.shape, &other.shape));
    }

    #[test]
    fn what_reports_by_itself_gets_no_jobs() {
        let mut config = config("http://a.example", 60);
        config.target = Target::Heartbeat(HeartbeatTarget { grace_seconds: 5 });
        let template =
            Template::of(&config, &none(), &[Region::default()], &mut Shapes::default()).unwrap();
        assert_eq!(*template.shape.regions, []);
        assert_eq!(template.shape.valid_for_ms, 65_000);
    }

    #[test]
    fn only_regions_that_there_are_get_jobs() {
        let mut config = config("http://a.example", 60);
        config.regions = ["eu", "default", "us"].map(|name| name.parse().unwrap()).into();
        let regions = [Region::default(), "us".parse().unwrap()];
        let template = Template::of(&config, &none(), &regions, &mut Shapes::default()).unwrap();
        assert_eq!(*template.shape.regions, regions);
    }
}
