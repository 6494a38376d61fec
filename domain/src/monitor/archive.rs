//! Archiving: the monitor ends, its history stays.

use super::{Monitor, MonitorError, MonitorEvent};

pub(super) fn decide(monitor: &Monitor) -> Result<Option<MonitorEvent>, MonitorError> {
    match monitor.active() {
        Ok(_) => Ok(Some(MonitorEvent::MonitorArchived {})),
        Err(MonitorError::Archived) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::MonitorCommand;
    use super::super::config::tests::config;
    use super::*;

    #[test]
    fn archiving_twice_is_archiving_once() {
        let mut monitor = Monitor { version: 1, config: Some(config()), ..Monitor::default() };
        let archived = monitor.decide(MonitorCommand::Archive).unwrap().unwrap();
        monitor.apply_event(archived);
        assert_eq!(monitor.decide(MonitorCommand::Archive), Ok(None));
        assert_eq!(monitor.decide(MonitorCommand::Pause), Err(MonitorError::Archived));
    }
}
