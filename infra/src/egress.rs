//! Telling operators of a refusal, in the form in which it enters the log.

use pulsetrail_domain::egress::{EgressEvent, EgressOrigin};

use crate::metrics;

/// Counts a refusal and writes its line in the log of the process, with the address, also where the event does
/// not tell it. To be called once for each, where it is known whose it is.
pub fn report(event: &EgressEvent, address: &str) {
    let EgressEvent::EgressBlocked { origin, monitor_id, check_id, url, address: _, range } = event;
    let origin = match origin {
        EgressOrigin::Registration => "registration",
        EgressOrigin::Probe => "probe",
        EgressOrigin::Webhook => "webhook",
    };
    metrics::egress_blocked(origin, range);
    tracing::info!(
        monitor.id = monitor_id.as_ref().map(tracing::field::display),
        check.id = check_id.as_ref().map(tracing::field::display),
        egress.origin = origin,
        egress.url = url,
        egress.address = address,
        egress.range = range,
        "the shield refused an address"
    );
}
