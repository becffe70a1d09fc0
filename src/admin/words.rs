//! The words for a request as the API shows it, for those who show it to people.

use jiff::Timestamp;
use serde_json::Value;

/// A text of it; empty where there is none.
#[must_use]
pub fn text<'a>(shown: &'a Value, name: &str) -> &'a str {
    shown.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A number of it, by its JSON pointer; 0 where there is none.
#[must_use]
pub fn number(shown: &Value, path: &str) -> u64 {
    shown.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// A time of it.
#[must_use]
pub fn moment(shown: &Value, name: &str) -> Option<Timestamp> {
    text(shown, name).parse().ok()
}

/// Why it failed, or what keeps it; empty where nothing does.
#[must_use]
pub fn why(request: &Value) -> &str {
    let reasons = ["error", "trouble", "waitingFor"].into_iter().map(|name| text(request, name));
    reasons.into_iter().find(|reason| !reason.is_empty()).unwrap_or_default()
}

/// Files of which it is known how they ended: once a request has ended, all of them.
#[must_use]
pub fn done(request: &Value) -> u64 {
    ["copied", "skipped", "skippedConflict", "failed"]
        .iter()
        .map(|name| number(request, &format!("/counters/{name}")))
        .sum()
}

/// How long ago, in words that fit a column.
#[must_use]
pub fn ago(at: Option<Timestamp>, now: Timestamp) -> String {
    let Some(at) = at else { return "?".to_owned() };
    let seconds = now.duration_since(at).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_age_has_two_units_at_most() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        for (at, age) in [
            ("2026-11-30T11:59:58.5Z", "1 s"),
            ("2026-11-30T11:58:30Z", "1 min"),
            ("2026-11-30T11:00:29Z", "59 min"),
            ("2026-11-30T10:29:30Z", "1 h 30 min"),
            ("2026-11-28T12:00:00Z", "2 days"),
            ("2026-11-30T12:00:05Z", "0 s"),
            ("yesterday", "?"),
        ] {
            assert_eq!(ago(at.parse().ok(), now), age, "{at}");
        }
    }

    #[test]
    fn what_was_kept_is_done_too() {
        let counters = json!({ "files": 9, "copied": 3, "skipped": 2, "skippedConflict": 3, "failed": 1 });
        assert_eq!(done(&json!({ "counters": counters })), 9);
    }
}
