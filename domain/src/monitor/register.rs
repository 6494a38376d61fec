//! Registration: a monitor begins.

use super::{Monitor, MonitorConfig, MonitorError, MonitorEvent};
use crate::{MonitorId, OrganizationId};

pub(super) fn decide(
    monitor: &Monitor,
    monitor_id: MonitorId,
    organization_id: OrganizationId,
    config: Box<MonitorConfig>,
) -> Result<MonitorEvent, MonitorError> {
    if monitor.config.is_some() {
        return Err(MonitorError::AlreadyRegistered);
    }
    let violations = config.validate();
    if !violations.is_empty() {
        return Err(MonitorError::Invalid(violations));
    }
    Ok(MonitorEvent::MonitorRegistered { monitor_id, organization_id, config })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::config::tests::config;
    use super::super::{MonitorCommand, MonitorEvent};
    use super::*;

    fn register() -> MonitorCommand {
        MonitorCommand::Register {
            monitor_id: MonitorId(Uuid::from_u128(1)),
            organization_id: OrganizationId(Uuid::from_u128(2)),
            config: Box::new(config()),
        }
    }

    #[test]
    fn a_monitor_is_registered_once() {
        let mut monitor = Monitor::default();
        let event = monitor.decide(register()).unwrap().unwrap();
        assert!(matches!(event, MonitorEvent::MonitorRegistered { .. }));
        monitor.apply_event(event);
        assert_eq!(monitor.version, 1);
        assert_eq!(monitor.organization_id, OrganizationId(Uuid::from_u128(2)));
        assert_eq!(monitor.decide(register()), Err(MonitorError::AlreadyRegistered));
    }

    #[test]
    fn a_configuration_outside_its_limits_is_refused() {
        let command = MonitorCommand::Register {
            monitor_id: MonitorId(Uuid::from_u128(1)),
            organization_id: OrganizationId(Uuid::from_u128(2)),
            config: Box::new(MonitorConfig { interval_seconds: 0, ..config() }),
        };
        let Err(MonitorError::Invalid(violations)) = Monitor::default().decide(command) else {
            panic!("it was accepted");
        };
        assert_eq!(violations[0].pointer, "/interval_seconds");
    }
}
