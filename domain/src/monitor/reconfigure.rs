//! Reconfiguration: the whole configuration is replaced.

use super::{Monitor, MonitorConfig, MonitorError, MonitorEvent};

pub(super) fn decide(
    monitor: &Monitor,
    config: Box<MonitorConfig>,
) -> Result<Option<MonitorEvent>, MonitorError> {
    let current = monitor.active()?;
    let violations = config.validate();
    if !violations.is_empty() {
        return Err(MonitorError::Invalid(violations));
    }
    Ok((current != config.as_ref()).then_some(MonitorEvent::MonitorReconfigured { config }))
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::config;
    use super::super::{MonitorCommand, MonitorConfig};
    use super::*;

    #[test]
    fn the_same_configuration_again_changes_nothing() {
        let monitor = Monitor { version: 1, config: Some(config()), ..Monitor::default() };
        let same = MonitorCommand::Reconfigure { config: Box::new(config()) };
        assert_eq!(monitor.decide(same), Ok(None));
        let other = Box::new(MonitorConfig { interval_seconds: 30, ..config() });
        assert_eq!(
            monitor.decide(MonitorCommand::Reconfigure { config: other.clone() }),
            Ok(Some(MonitorEvent::MonitorReconfigured { config: other }))
        );
    }

    #[test]
    fn what_does_not_exist_or_is_archived_cannot_be_changed() {
        let command = || MonitorCommand::Reconfigure { config: Box::new(config()) };
        assert_eq!(Monitor::default().decide(command()), Err(MonitorError::NotFound));
        let archived =
            Monitor { version: 2, config: Some(config()), archived: true, ..Monitor::default() };
        assert_eq!(archived.decide(command()), Err(MonitorError::Archived));
    }
}
