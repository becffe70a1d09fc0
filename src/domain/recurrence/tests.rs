//! Times of rates and crons, over both changes of clocks.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

/// Zones by their rules, so that no file is read.
fn new_york() -> TimeZone {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap()
}

fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// Half an hour, in the other half of the year.
fn lord_howe() -> TimeZone {
    TimeZone::posix("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The first times after that one.
fn times(text: &str, zone: &TimeZone, after: &str, count: usize) -> Vec<String> {
    let recurrence = Recurrence::parse(text, zone.clone()).unwrap();
    std::iter::successors(recurrence.next(at(after)), |tick| recurrence.next(*tick))
        .take(count)
        .map(|tick| tick.to_string())
        .collect()
}

fn utc(text: &str, after: &str, count: usize) -> Vec<String> {
    times(text, &TimeZone::UTC, after, count)
}

fn why(text: &str) -> String {
    let error = Recurrence::parse(text, TimeZone::UTC).unwrap_err().to_string();
    assert!(error.contains(&format!("{text:?}")), "{error}");
    error
}

#[test]
fn a_rate_is_counted_from_1970_whoever_asks() {
    assert_eq!(
        utc("rate(3 hours)", "2024-03-05T01:02:03.5Z", 2),
        ["2024-03-05T03:00:00Z", "2024-03-05T06:00:00Z"]
    );
    assert_eq!(utc("rate(3 hours)", "2024-03-05T03:00:00Z", 1), ["2024-03-05T06:00:00Z"]);
    assert_eq!(utc("rate(1 day)", "2024-03-05T03:00:00Z", 1), ["2024-03-06T00:00:00Z"]);
    assert_eq!(
        utc("rate(7 minutes)", "1970-01-01T00:00:00Z", 2),
        ["1970-01-01T00:07:00Z", "1970-01-01T00:14:00Z"]
    );
    let in_zone = times("rate(1 hour)", &new_york(), "2024-11-03T05:00:00Z", 3);
    assert_eq!(in_zone, ["2024-11-03T06:00:00Z", "2024-11-03T07:00:00Z", "2024-11-03T08:00:00Z"]);
}

#[test]
fn a_rate_that_is_none_is_refused() {
    for text in [
        "rate()",
        "rate(3)",
        "rate(0 hours)",
        "rate(-1 hours)",
        "rate(1.5 hours)",
        "rate(99999999999999999999 days)",
        "rate(40000 days)",
        "rate(3 hours x)",
    ] {
        assert!(why(text).contains("rate is"), "{text}");
    }
    assert!(why("rate(2 weeks)").contains("not in \"weeks\""));
}

#[test]
fn awss_six_fields_have_the_year_last_and_weeks_that_begin_with_sunday() {
    assert_eq!(
        utc("cron(0 */3 * * ? *)", "2024-03-05T22:00:00Z", 2),
        ["2024-03-06T00:00:00Z", "2024-03-06T03:00:00Z"]
    );
    assert_eq!(
        utc("cron(0/30 8 ? * 2 2025)", "2024-03-05T00:00:00Z", 2),
        ["2025-01-06T08:00:00Z", "2025-01-06T08:30:00Z"]
    );
    assert_eq!(utc("cron(0 8 ? * MON-FRI *)", "2024-03-08T08:00:00Z", 1), ["2024-03-11T08:00:00Z"]);
    // The third Friday, the last Thursday, the last day of a week.
    assert_eq!(utc("cron(0 0 ? * 6#3 *)", "2024-03-01T00:00:00Z", 1), ["2024-03-15T00:00:00Z"]);
    assert_eq!(utc("cron(0 0 ? * FRI#3 *)", "2024-03-01T00:00:00Z", 1), ["2024-03-15T00:00:00Z"]);
    assert_eq!(utc("cron(0 0 ? * 5L *)", "2024-03-01T00:00:00Z", 1), ["2024-03-28T00:00:00Z"]);
    assert_eq!(utc("cron(0 0 ? * L *)", "2024-03-01T00:00:00Z", 1), ["2024-03-02T00:00:00Z"]);
}

#[test]
fn the_last_day_of_a_month_and_the_weekday_next_to_one_are_found() {
    let last = utc("cron(15 10 L * ? *)", "2024-01-31T10:15:00Z", 2);
    assert_eq!(last, ["2024-02-29T10:15:00Z", "2024-03-31T10:15:00Z"]);
    // The 3rd of March 2024 is a Sunday, the 1st of June a Saturday.
    assert_eq!(utc("cron(0 0 3W * ? *)", "2024-03-01T00:00:00Z", 1), ["2024-03-04T00:00:00Z"]);
    assert_eq!(utc("cron(0 0 1W 6 ? *)", "2024-05-01T00:00:00Z", 1), ["2024-06-03T00:00:00Z"]);
    assert_eq!(utc("cron(0 0 LW 3 ? *)", "2024-03-01T00:00:00Z", 1), ["2024-03-29T00:00:00Z"]);
}

#[test]
fn a_year_that_is_over_leaves_no_time() {
    assert_eq!(utc("cron(0 0 1 1 ? 2024-2025)", "2024-06-01T00:00:00Z", 5), ["2025-01-01T00:00:00Z"]);
    assert_eq!(utc("cron(0 0 1 1 ? 2020)", "2024-06-01T00:00:00Z", 1), Vec::<String>::new());
    assert!(why("0 0 30 2 *").contains("no such day"));
    assert!(why("cron(0 0 29 2 ? 2025)").contains("no such day"));
}

#[test]
fn cron_s_five_fields_have_weeks_that_begin_with_sunday_as_zero() {
    assert_eq!(
        utc("*/15 * * * *", "2024-03-05T00:00:00Z", 2),
        ["2024-03-05T00:15:00Z", "2024-03-05T00:30:00Z"]
    );
    assert_eq!(utc("0 8 * * 1", "2024-03-05T00:00:00Z", 1), ["2024-03-11T08:00:00Z"]);
    assert_eq!(
        utc("0 8 * * fri-sun", "2024-03-05T00:00:00Z", 4)[2..],
        ["2024-03-10T08:00:00Z", "2024-03-15T08:00:00Z"]
    );
    assert_eq!(
        utc("0 0 13 * 5", "2024-09-01T00:00:00Z", 2),
        ["2024-09-06T00:00:00Z", "2024-09-13T00:00:00Z"]
    );
}

#[test]
fn what_only_one_dialect_has_is_refused_with_a_reason() {
    assert!(why("cron(0 */3 * * *)").contains("six fields"));
    assert!(why("0 */3 * * ? *").contains("written as cron(…)"));
    assert!(why("cron(0 0 * * * *)").contains('?'));
    assert!(why("cron(0 0 ? * ? *)").contains('?'));
    assert!(why("at(2024-01-01T00:00:00)").contains("once"));
    assert!(why("cron(0 0 L-3 * ? *)").contains("before the last"));
    assert!(why("cron(0 22-2 * * ? *)").contains("two ranges"));
    assert!(why("cron(0 0 ? * FRI-SUN *)").contains("two ranges"));
    assert!(why("cron(0 L * * ? *)").contains("hours"));
    assert!(why("cron(MON 0 * * ? *)").contains("minutes"));
    assert!(why("cron(0 0 1 1 ? 2200)").contains("2199"));
    assert!(why("cron(0 0 1 1 ? 2024/x)").contains("year"));
    assert!(why("cron(0 0 0 * ? *)").contains("out of bounds"));
    assert!(why("60 * * * *").contains("out of bounds"));
    assert!(why("0 0 * * 1,").contains("commas"));
    assert!(why("5/15 * * * *").contains("not allowed"));
    assert!(why("").contains("neither"));
    assert!(why("@daily").contains("neither"));
}

#[test]
fn a_time_that_the_clock_leaves_out_is_due_when_the_hour_after_it_begins() {
    // New York, 2024-03-10: after 01:59:59 comes 03:00:00.
    let daily = times("cron(30 2 * * ? *)", &new_york(), "2024-03-09T08:00:00Z", 2);
    assert_eq!(daily, ["2024-03-10T07:00:00Z", "2024-03-11T06:30:00Z"]);
    let quarters = times("*/15 * * * *", &new_york(), "2024-03-10T06:30:00Z", 4);
    assert_eq!(
        quarters,
        ["2024-03-10T06:45:00Z", "2024-03-10T07:00:00Z", "2024-03-10T07:15:00Z", "2024-03-10T07:30:00Z"]
    );
    // 02:00 and 14:00 of each day, also of that one.
    let twice = times("0 2,14 * * *", &new_york(), "2024-03-10T00:00:00Z", 2);
    assert_eq!(twice, ["2024-03-10T07:00:00Z", "2024-03-10T18:00:00Z"]);
}

#[test]
fn a_time_that_the_clock_shows_twice_is_due_once() {
    // New York, 2024-11-03: after 01:59:59 (05:59:59Z) comes 01:00:00 (06:00:00Z).
    let daily = times("cron(30 1 * * ? *)", &new_york(), "2024-11-03T00:00:00Z", 2);
    assert_eq!(daily, ["2024-11-03T05:30:00Z", "2024-11-04T06:30:00Z"]);
    let twice = times("30 1,13 * * *", &new_york(), "2024-11-03T00:00:00Z", 2);
    assert_eq!(twice, ["2024-11-03T05:30:00Z", "2024-11-03T18:30:00Z"]);
    // Asked in the second hour, the first is over.
    assert_eq!(times("30 1 * * *", &new_york(), "2024-11-03T06:10:00Z", 1), ["2024-11-04T06:30:00Z"]);
}

#[test]
fn what_is_due_each_hour_is_due_in_both_hours_of_one_name() {
    let hourly = times("0 * * * *", &new_york(), "2024-11-03T04:30:00Z", 4);
    assert_eq!(
        hourly,
        ["2024-11-03T05:00:00Z", "2024-11-03T06:00:00Z", "2024-11-03T07:00:00Z", "2024-11-03T08:00:00Z"]
    );
    let halves = times("*/30 * * * *", &berlin(), "2024-10-27T00:00:00Z", 4);
    assert_eq!(
        halves,
        ["2024-10-27T00:30:00Z", "2024-10-27T01:00:00Z", "2024-10-27T01:30:00Z", "2024-10-27T02:00:00Z"]
    );
}

/// How many ticks there are of each local day of a year.
fn by_day(text: &str, zone: &TimeZone) -> std::collections::BTreeMap<jiff::civil::Date, usize> {
    let mut days = std::collections::BTreeMap::new();
    let recurrence = Recurrence::parse(text, zone.clone()).unwrap();
    let (mut tick, end) = (at("2023-12-31T23:59:59Z"), at("2025-01-01T00:00:00Z"));
    while let Some(next) = recurrence.next(tick).filter(|next| *next < end) {
        assert!(next > tick);
        *days.entry(zone.to_datetime(next).date()).or_default() += 1;
        tick = next;
    }
    days
}

#[test]
fn each_day_of_a_year_has_as_many_times_as_are_asked_for() {
    for zone in [TimeZone::UTC, new_york(), berlin(), lord_howe()] {
        for (text, count) in
            [("cron(30 2 * * ? *)", 1), ("0 1,2,3 * * *", 3), ("45 1 * * *", 1), ("cron(0 */3 * * ? *)", 8)]
        {
            let days = by_day(text, &zone);
            let inner: Vec<_> = days.iter().skip(1).rev().skip(1).collect();
            assert!(inner.len() >= 364);
            for (day, found) in inner {
                // 02:00 and 03:00 are one time where 02:00 is left out.
                let merged = text.starts_with("0 1,2,3") && *found == 2;
                assert!(*found == count || merged, "{text} {day}: {found}");
            }
        }
    }
}

#[test]
fn the_jitter_of_a_tick_is_the_same_for_all_and_within_the_window() {
    let (window, tick) = (Duration::from_mins(10), at("2024-03-05T03:00:00Z"));
    assert_eq!(jitter("canvas", tick, window), jitter("canvas", tick, window));
    let spread: std::collections::BTreeSet<_> =
        (0..100).map(|n| jitter("canvas", tick + SignedDuration::from_hours(n), window)).collect();
    assert!(spread.len() > 90 && spread.iter().all(|jitter| *jitter < window));
    assert!(*spread.iter().next().unwrap() < window / 10 && *spread.iter().last().unwrap() > window * 9 / 10);
    assert_ne!(jitter("canvas", tick, window), jitter("canvas-test", tick, window));
    assert_eq!(jitter("canvas", tick, Duration::ZERO), Duration::ZERO);
}

proptest! {
    #[test]
    fn any_text_is_times_or_a_reason(
        text in "(rate|cron)?\\(?[0-9A-Z*/,?#LW -]{0,30}\\)?",
        free in any::<String>(),
    ) {
        for text in [text, free] {
            if let Ok(recurrence) = Recurrence::parse(&text, new_york()) {
                let after = at("2024-03-05T03:00:00Z");
                prop_assert!(recurrence.next(after).is_none_or(|next| next > after));
            }
        }
    }

    #[test]
    fn a_next_time_is_later_and_none_lies_between(
        minute in prop_oneof![Just("*/7".to_owned()), (0..60_u8).prop_map(|minute| minute.to_string())],
        hour in prop_oneof![
            Just("*".to_owned()),
            Just("*/2".to_owned()),
            (0..24_u8).prop_map(|hour| hour.to_string()),
        ],
        second in 1_704_067_200..1_735_689_600_i64,
        step in 1..100_000_i64,
    ) {
        let recurrence = Recurrence::parse(&format!("{minute} {hour} * * *"), new_york()).unwrap();
        let early = Timestamp::from_second(second).unwrap();
        let late = Timestamp::from_second(second + step).unwrap();
        let next = recurrence.next(early).unwrap();
        prop_assert!(next > early);
        // Asked later, but before that time, the answer is the same.
        if late < next {
            prop_assert_eq!(recurrence.next(late), Some(next));
        }
    }
}
