//! When something is due that recurs: `rate(3 hours)`, AWS's `cron(0 */3 * * ? *)`, and cron's five fields.
//!
//! A rate is counted from 1970-01-01T00:00:00Z, so that every instance finds the same times without
//! remembering one.
//!
//! Cron's times are times of a clock on the wall. When clocks go forward, what falls into the hour that there
//! is not is due when the hour after it begins; when they go back, a time that there is twice is due once, at
//! the first. Only where every hour is asked for (`*`), both hours are hours: what is due each quarter of an
//! hour stays so.
//!
//! `L`, `W` and `#` are what AWS says of them. What AWS has and this has not is refused by name.

mod fields;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    Timestamp, ToSpan as _,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};
use sha2::{Digest as _, Sha256};

/// The longest time that a clock has been put back, rounded up: times that come again are looked for so far
/// back.
const LONGEST_FOLD_HOURS: i64 = 25;
/// How many times of the wall are looked at before it is said that there is none.
const MOST_STEPS: usize = 10_000;
const MINUTES_OF_A_DAY: u64 = 24 * 60;
/// A hundred years: more is a mistake.
const LONGEST_RATE_MINUTES: u64 = 36_525 * MINUTES_OF_A_DAY;

/// Why a text says no times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} says no times: {why}")]
pub struct BadRecurrence {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// Times that recur.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    text: String,
    every: Every,
    zone: TimeZone,
}

#[derive(Debug, Clone, PartialEq)]
enum Every {
    /// Every so many minutes, from 1970 on.
    Minutes(i64),
    /// As the wall clock says.
    Wall {
        cron: Box<Cron>,
        /// Whether each hour is asked for, so that one that comes again counts again.
        each_hour: bool,
    },
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Recurrence {
    /// Reads `rate(…)`, `cron(…)` with six fields, or five fields. The zone is that of the clock on the wall;
    /// a rate has none.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, BadRecurrence> {
        let trimmed = text.trim();
        let every = if let Some(rate) = inner(trimmed, "rate") {
            rate_of(rate)
        } else if let Some(fields) = inner(trimmed, "cron") {
            fields::of_aws(fields).and_then(|fields| wall(&fields, true))
        } else if inner(trimmed, "at").is_some() {
            Err("at(…) is once, and this is for what recurs; ask for a single run by hand".to_owned())
        } else {
            fields::of_five(trimmed).and_then(|fields| wall(&fields, false))
        };
        match every {
            Ok(every) => Ok(Self { text: trimmed.to_owned(), every, zone }),
            Err(why) => Err(BadRecurrence { text: text.to_owned(), why }),
        }
    }

    /// The first time after that one; `None`: there is no more.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.every {
            Every::Minutes(minutes) => {
                let seconds = minutes.checked_mul(60)?;
                let past = after.as_second().div_euclid(seconds);
                Timestamp::from_second(past.checked_add(1)?.checked_mul(seconds)?).ok()
            }
            Every::Wall { cron, each_hour } => self.next_on_the_wall(cron, *each_hour, after),
        }
    }

    /// Times of the wall are looked at one after the other from before a possible turn of the clock on. They
    /// may come back in time, so the earliest counts, and it is found when times of the wall are all later.
    fn next_on_the_wall(&self, cron: &Cron, each_hour: bool, after: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(after).checked_sub(LONGEST_FOLD_HOURS.hours()).ok()?;
        let mut best: Option<Timestamp> = None;
        for _ in 0..MOST_STEPS {
            let Ok(next) = cron.find_next_occurrence::<DateTime>(&wall, false) else { return best };
            wall = next;
            let (first, again) = self.moments(next)?;
            if best.is_some_and(|best| first >= best) {
                return best;
            }
            let due = [Some(first), again.filter(|_| each_hour)]
                .into_iter()
                .flatten()
                .find(|moment| *moment > after);
            if let Some(due) = due {
                best = Some(best.map_or(due, |best| best.min(due)));
            }
        }
        best
    }

    /// When the clock shows that time: once, or at the end of the hour that it leaves out, or twice.
    fn moments(&self, wall: DateTime) -> Option<(Timestamp, Option<Timestamp>)> {
        let there = self.zone.to_ambiguous_timestamp(wall);
        match there.offset() {
            AmbiguousOffset::Unambiguous { .. } => Some((there.unambiguous().ok()?, None)),
            AmbiguousOffset::Fold { .. } => Some((there.earlier().ok()?, Some(there.later().ok()?))),
            AmbiguousOffset::Gap { .. } => {
                // As if the clock had not been put forward, this is after its turn, and the other way before
                // it.
                let (before, after) = (there.earlier().ok()?, there.later().ok()?);
                let turn = self.zone.following(before).next().map(|turn| turn.timestamp());
                Some((turn.filter(|turn| *turn <= after).unwrap_or(after), None))
            }
        }
    }
}

/// How long after its time a tick begins: spread over the window, the same at every instance that asks.
#[must_use]
pub fn jitter(instance: &str, tick: Timestamp, window: Duration) -> Duration {
    let mut hash = Sha256::new();
    hash.update(instance.as_bytes());
    hash.update([0]);
    hash.update(tick.as_millisecond().to_be_bytes());
    let Some(bytes) = hash.finalize().first_chunk::<8>().copied() else { return Duration::ZERO };
    let milliseconds = u128::from(u64::from_be_bytes(bytes)).checked_rem(window.as_millis()).unwrap_or(0);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

/// What stands between `name(` and `)`.
fn inner<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')')
}

fn rate_of(rate: &str) -> Result<Every, String> {
    let mut words = rate.split_whitespace();
    let (Some(value), Some(unit), None) = (words.next(), words.next(), words.next()) else {
        return Err("a rate is a number and a unit, as rate(3 hours)".to_owned());
    };
    let minutes = match unit {
        "minute" | "minutes" => 1,
        "hour" | "hours" => 60,
        "day" | "days" => MINUTES_OF_A_DAY,
        _ => return Err(format!("a rate is in minutes, hours or days, not in {unit:?}")),
    };
    let all = value.parse::<u64>().ok().and_then(|value| value.checked_mul(minutes));
    let all = all.filter(|minutes| (1..=LONGEST_RATE_MINUTES).contains(minutes));
    match all.and_then(|minutes| i64::try_from(minutes).ok()) {
        Some(minutes) => Ok(Every::Minutes(minutes)),
        None => Err(format!("a rate is a whole number from 1 minute to a hundred years, not {value:?}")),
    }
}

/// `aws`: weekdays are 1 (Sunday) to 7, and `0/15` is from 0 on.
fn wall(fields: &fields::Fields, aws: bool) -> Result<Every, String> {
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Required)
        .alternative_weekdays(aws)
        .sloppy_ranges(aws)
        .build();
    let cron = parser.parse(&fields.with_seconds()).map_err(|error| error.to_string())?;
    let pattern = &cron.pattern;
    let never = [
        &pattern.minutes,
        &pattern.hours,
        &pattern.days,
        &pattern.months,
        &pattern.days_of_week,
        &pattern.years,
    ]
    .iter()
    .any(|field| field.values().is_empty() && !field.has_modifiers());
    if never {
        return Err("a field names nothing".to_owned());
    }
    if cron.find_next_occurrence(&DateTime::constant(1970, 1, 1, 0, 0, 0, 0), true).is_err() {
        return Err("there is no such day".to_owned());
    }
    Ok(Every::Wall { each_hour: fields.each_hour(), cron: Box::new(cron) })
}
