//! What can be made to go wrong.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Something that goes wrong. The first rule that matches a call holds.
#[expect(clippy::struct_excessive_bools, reason = "a rule says one or two of these")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Method and path, as `POST /dap/query/canvas/table/*/data`; `*` is any text, `?` any character.
    #[serde(rename = "match")]
    pub call: String,
    /// How many calls it holds for …
    #[serde(default = "once")]
    pub times: u32,
    /// … after so many others.
    #[serde(default, skip_serializing_if = "is_default")]
    pub after: u32,
    /// Seconds before anything else happens.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delay: f64,
    /// An answer of that status, with `headers`, and `text` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers of that answer.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its body: an error as the API words it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Map<String, Value>>,
    /// The connection is closed without an answer, and nothing has happened.
    #[serde(default, skip_serializing_if = "is_default")]
    pub close: bool,
    /// The same, but the call has had its effect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lost: bool,
    /// No answer ever comes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hang: bool,
    /// All tokens that were given are no good any more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revoke: bool,
    /// Of a query, or of a job that is asked for: it fails with `ProcessingError` and that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_job: Option<String>,
    /// Of a query: its job is not known afterwards. Of a job that is asked for: it is not known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lose_job: bool,
    /// Of an object: so many bytes of it, with a length that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<usize>,
    /// Of an object: so many bytes of it, with the length of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<usize>,
    /// Of an object: so many bytes of it, and no more ever come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<usize>,
    /// Of an object: its checksum is wrong.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wrong_crc: bool,
    /// Of an object: so fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u32>,
}

const fn once() -> u32 {
    1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Uses up a rule for that call, if one holds.
pub(super) fn broken(rules: &mut [Rule], call: &str) -> Option<Rule> {
    let rule = rules.iter_mut().find(|rule| rule.times > 0 && matches(&rule.call, call))?;
    if let Some(after) = rule.after.checked_sub(1) {
        rule.after = after;
        return None;
    }
    rule.times -= 1;
    Some(rule.clone())
}

/// Whether a pattern is that text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut pattern, mut text) = (pattern.as_slice(), text.as_slice());
    // Where the last star was, and what it has not swallowed yet.
    let mut star: Option<(&[char], &[char])> = None;
    loop {
        match (pattern, text) {
            ([], []) => return true,
            (['*', rest @ ..], _) => {
                star = Some((rest, text));
                pattern = rest;
            }
            ([one, rest @ ..], [other, more @ ..]) if *one == '?' || one == other => {
                (pattern, text) = (rest, more);
            }
            _ => {
                let Some((rest, [_, more @ ..])) = star else { return false };
                star = Some((rest, more));
                (pattern, text) = (rest, more);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        let data = "POST /dap/query/canvas/table/Mixed Case/data";
        for pattern in [
            "*",
            data,
            "POST *",
            "*/data",
            "POST /dap/query/*/table/*/data",
            "* /dap/query/canvas/????e/*",
            "**a",
        ] {
            assert!(matches(pattern, data), "{pattern}");
        }
        for pattern in ["", "GET *", "*/schema", "POST /dap/query/*/table/kitchen/data", "*/dat", "?"] {
            assert!(!matches(pattern, data), "{pattern}");
        }
    }

    #[test]
    fn a_rule_holds_for_some_calls_after_others() {
        let rule = |call: &str, times, after| Rule { call: call.to_owned(), times, after, ..Rule::default() };
        let mut rules = [rule("GET /a", 2, 1), rule("*", 1, 0)];
        let held: Vec<_> = (0..5).map(|_| broken(&mut rules, "GET /a").map(|rule| rule.call)).collect();
        let a = || Some("GET /a".to_owned());
        assert_eq!(held, [None, a(), a(), Some("*".to_owned()), None]);
    }
}
