//! Pause and resume. Asking for what already is changes nothing.

use super::{Monitor, MonitorError, MonitorEvent};

pub(super) fn decide(monitor: &Monitor, pause: bool) -> Result<Option<MonitorEvent>, MonitorError> {
    monitor.active()?;
    Ok(match (monitor.paused, pause) {
        (false, true) => Some(MonitorEvent::MonitorPaused {}),
        (true, false) => Some(MonitorEvent::MonitorResumed {}),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::MonitorCommand;
    use super::super::config::tests::config;
    use super::*;

    #[test]
    fn pause_and_resume_alternate() {
        let mut monitor = Monitor { version: 1, config: Some(config()), ..Monitor::default() };
        assert_eq!(monitor.decide(MonitorCommand::Resume), Ok(None));
        let paused = monitor.decide(MonitorCommand::Pause).unwrap().unwrap();
        assert_eq!(paused, MonitorEvent::MonitorPaused {});
        monitor.apply_event(paused);
        assert_eq!(monitor.decide(MonitorCommand::Pause), Ok(None));
        let resumed = monitor.decide(MonitorCommand::Resume).unwrap().unwrap();
        assert_eq!(resumed, MonitorEvent::MonitorResumed {});
    }
}
