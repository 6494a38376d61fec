//! An event as a line for people.

use serde_json::Value;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// The line of an event's message.
pub(super) fn of(message: &Value, colour: bool) -> String {
    let event = &message["event"];
    let name = event["type"].as_str().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
    let (paint, what) = told(name, &event["data"]);
    let time = text(&event["time"]);
    let monitor = text(&message["monitor_id"]);
    if colour {
        format!("{DIM}{time} {monitor}{PLAIN} {paint}{what}{PLAIN}")
    } else {
        format!("{time} {monitor} {what}")
    }
}

/// Its colour, and what it says.
fn told(name: &str, data: &Value) -> (&'static str, String) {
    match name {
        "CheckCompleted" => {
            let outcome = text(&data["outcome"]);
            let milliseconds = data["timings_us"]["total"].as_f64().unwrap_or_default() / 1_000.0;
            let region = text(&data["region"]);
            let why = text(&data["failure"]["detail"]);
            let paint = match outcome.as_str() {
                "up" => GREEN,
                "down" => RED,
                _ => YELLOW,
            };
            let line = format!("{outcome} {milliseconds:.1} ms {region} {why}");
            (paint, line.trim_end().to_owned())
        }
        "WentDown" => (RED, format!("WENT DOWN: {}", text(&data["cause"]["detail"]))),
        "Recovered" => {
            let seconds = data["down_for_ms"].as_f64().unwrap_or_default() / 1_000.0;
            (GREEN, format!("RECOVERED after {seconds} s"))
        }
        other => (YELLOW, other.to_owned()),
    }
}

/// A text of the server's, without what would steer a terminal.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().chars().filter(|letter| !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(name: &str, data: &Value, colour: bool) -> String {
        let event = json!({"type": format!("pulsetrail.health.{name}"), "time": "T", "data": data});
        of(&json!({"monitor_id": "M", "event": event}), colour)
    }

    #[test]
    fn a_line_says_what_happened() {
        let check = json!({"outcome": "up", "region": "r", "timings_us": {"total": 12_340}});
        assert_eq!(line("CheckCompleted", &check, false), "T M up 12.3 ms r");
        let down = json!({"cause": {"detail": "refused"}});
        assert_eq!(line("WentDown", &down, false), "T M WENT DOWN: refused");
        assert_eq!(line("MonitorPaused", &json!({}), false), "T M MonitorPaused");
    }

    #[test]
    fn what_a_target_says_does_not_steer_the_terminal() {
        let down = json!({"cause": {"detail": "\u{1b}[2Jgone\nnext"}});
        assert_eq!(line("WentDown", &down, false), "T M WENT DOWN: [2Jgonenext");
        assert!(line("WentDown", &down, true).contains(RED));
    }
}
