//! What S3 can be made to do: refuse some calls, and be slow with others.

use http::StatusCode;
use rand::{RngExt as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use crate::simulator::faults::{Delay, Instead};

/// What is done to calls of S3. Of the rules that fit, the first with an answer gives it, and all
/// delays add up.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct S3Rule {
    /// Which calls, as `CopyObject`; none here: all.
    #[serde(default)]
    pub calls: Vec<String>,
    /// Those to this bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Those to keys that start so.
    #[serde(default)]
    pub key: Option<String>,
    /// The share of them, drawn from the seed; none here: all.
    #[serde(default)]
    pub share: Option<f64>,
    /// How many of them; none here: all.
    #[serde(default)]
    pub times: Option<u32>,
    /// For how long, from the first of them on; none here: for good.
    #[serde(default)]
    pub lasts: Option<Delay>,
    /// When that was.
    #[serde(skip)]
    pub(in crate::simulator) since: Option<Instant>,
    /// What comes instead of the answer.
    #[serde(default)]
    pub status: Option<Instead>,
    /// The code of that answer; none here: the usual one of its status.
    #[serde(default)]
    pub code: Option<String>,
    /// Whether the call has its effect first.
    #[serde(default)]
    pub after: bool,
    /// How much longer the call takes.
    #[serde(default)]
    pub delay: Option<Delay>,
    /// After how many bytes the body of the answer breaks off; none here: it does not.
    #[serde(default)]
    pub cut: Option<u64>,
}

/// What is to come instead of an answer.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Ruling {
    pub(in crate::simulator) instead: Instead,
    pub(in crate::simulator) code: Option<String>,
    pub(in crate::simulator) after: bool,
}

impl S3Rule {
    fn fits(&self, call: &str, bucket: &str, key: &str) -> bool {
        let is_over = self.lasts.zip(self.since).is_some_and(|(lasts, since)| since.elapsed() >= lasts.0);
        self.times != Some(0)
            && !is_over
            && (self.calls.is_empty() || self.calls.iter().any(|known| known == call))
            && self.bucket.as_ref().is_none_or(|known| known == bucket)
            && self.key.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
    }
}

/// What the rules say of a call: how much longer it takes, what comes instead of the answer, and after how
/// many bytes that breaks off.
pub(in crate::simulator) fn judge(
    rules: &mut [S3Rule],
    rng: &mut StdRng,
    call: &str,
    bucket: &str,
    key: &str,
) -> (Duration, Option<Ruling>, Option<u64>) {
    let (mut delay, mut ruling, mut cut) = (Duration::ZERO, None, None);
    for rule in rules.iter_mut().filter(|rule| rule.fits(call, bucket, key)) {
        if rule.status.is_some() && ruling.is_some() {
            continue;
        }
        if rule.share.is_some_and(|share| rng.random::<f64>() >= share) {
            continue;
        }
        rule.since.get_or_insert_with(Instant::now);
        rule.times = rule.times.map(|times| times.saturating_sub(1));
        delay += rule.delay.map_or(Duration::ZERO, |delay| delay.0);
        cut = cut.or(rule.cut);
        ruling = ruling.or_else(|| {
            let (instead, code) = (rule.status?, rule.code.clone());
            Some(Ruling { instead, code, after: rule.after })
        });
    }
    (delay, ruling, cut)
}

/// The code that goes with a status.
pub(super) fn usual_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        301 => "PermanentRedirect",
        403 => "AccessDenied",
        404 => "NoSuchKey",
        409 => "ConditionalRequestConflict",
        412 => "PreconditionFailed",
        503 => "SlowDown",
        _ => "InternalError",
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use serde_json::json;

    use super::*;

    fn rules(json: serde_json::Value) -> Vec<S3Rule> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn rules_are_used_up_and_add_up() {
        let mut rules = rules(json!([
            {"calls": ["PutObject"], "bucket": "b", "times": 2, "status": 403},
            {"bucket": "b", "delay": "10ms"},
            {"key": "x/", "status": 503, "code": "ServiceUnavailable", "after": true, "delay": "5ms"},
            {"calls": ["GetObject"], "times": 1, "cut": 7},
        ]));
        let mut rng = StdRng::seed_from_u64(1);
        let mut ask = |call: &str, bucket: &str, key: &str| {
            let (delay, ruling, cut) = judge(&mut rules, &mut rng, call, bucket, key);
            assert_eq!(cut.is_some(), call == "GetObject");
            let status = ruling.map(|ruling| match ruling.instead {
                Instead::Status(status) => status.as_u16(),
                Instead::Close | Instead::Hang | Instead::Gibberish => 0,
            });
            (delay.as_millis(), status)
        };
        assert_eq!(ask("PutObject", "b", "x/1"), (10, Some(403)), "the other rule is not used");
        assert_eq!(ask("PutObject", "c", "y"), (0, None));
        assert_eq!(ask("PutObject", "b", "y"), (10, Some(403)));
        assert_eq!(ask("PutObject", "b", "y"), (10, None));
        assert_eq!(ask("HeadObject", "b", "x/1"), (15, Some(503)));
        assert_eq!(ask("GetObject", "c", "y"), (0, None));
    }

    #[test]
    fn a_share_is_drawn_from_the_seed() {
        let drawn = |seed| {
            let mut rules = rules(json!([{"share": 0.3, "status": 503}]));
            let mut rng = StdRng::seed_from_u64(seed);
            (0..1000).map(|_| judge(&mut rules, &mut rng, "x", "b", "k").1.is_some()).collect::<Vec<_>>()
        };
        let one = drawn(1);
        let hits = one.iter().filter(|hit| **hit).count();
        assert!((250..350).contains(&hits), "{hits}");
        assert_eq!(one, drawn(1));
        assert_ne!(one, drawn(2));
    }
}
