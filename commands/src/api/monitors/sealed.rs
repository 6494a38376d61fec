//! The secrets that go with a job.

use std::collections::HashSet;

use pulsetrail_domain::monitor::Monitor;
use pulsetrail_domain::{MonitorId, OrganizationId, SecretId};
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::secrets::SealedSecrets;
use pulsetrail_infra::store::load_sealed;

use super::super::CommandState;

/// How often a monitor is read again that others change at the same time.
const ATTEMPTS: usize = 8;

/// A monitor with the secrets that it names, sealed. The secrets of a version are deleted with it: where
/// one is missing and the monitor has changed since it was read, it is read again. Where it has not the
/// prober will say what is missing.
///
/// # Errors
/// 503 where Postgres does not answer, or the monitor changes all the time; 404 where it is gone.
pub(super) async fn with_secrets(
    state: &CommandState,
    (monitor_id, organization_id): (MonitorId, OrganizationId),
    monitor: &Monitor,
) -> Result<(Monitor, SealedSecrets), Problem> {
    let mut monitor = monitor.clone();
    for _ in 0..ATTEMPTS {
        let wanted: HashSet<(OrganizationId, SecretId)> =
            monitor.secrets().map(|one| (organization_id, one.secret)).collect();
        let sealed = load_sealed(&state.store.read, &wanted).await?;
        if sealed.0.len() == wanted.len() {
            return Ok((monitor, sealed));
        }
        let newer = state.monitors.load(organization_id, monitor_id).await?.monitor;
        if newer.version == monitor.version {
            return Ok((monitor, sealed));
        }
        monitor = newer;
    }
    Err(Problem::unavailable("others change the monitor all the time"))
}
