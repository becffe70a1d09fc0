//! Days and times: in the forms of ISO 8601, which are all that the source writes. Other words that
//! PostgreSQL understands (`Jan 5 2024`, `today`) are none.

use super::FarDates;

/// A day, and a time of it if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment<'t> {
    /// Days since 1970-01-01.
    day: i64,
    time: Option<Clock<'t>>,
}

/// A time of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock<'t> {
    /// Since midnight; a whole day where it is 24:00 or ends with a leap second.
    seconds: i64,
    /// The digits after the point.
    fraction: &'t [u8],
    /// Seconds east of Greenwich.
    zone: Option<i64>,
}

/// What is written for a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// What was there.
    AsIs,
    /// Something else for the same moment.
    Instead(String),
    /// What was there is too far away: the end of what readers can hold, or another way to write it, or NULL.
    Far(Option<String>),
}

const DAY: i64 = 86_400;
/// What readers can hold: the years 1 to 9999, which are those of most languages.
const FIRST_YEAR: i64 = 1;
const LAST_YEAR: i64 = 9999;
/// What PostgreSQL can hold: of timestamps, and of days. Both begin in 4714 before Christ.
const FIRST_OF_ALL: i64 = -4712;
const LAST_OF_TIMES: i64 = 294_275;
const LAST_OF_DAYS: i64 = 5_874_896;

/// Whether a field of a timestamp passes without a closer look.
pub(super) fn is_plain_time(field: &[u8]) -> bool {
    field.last() == Some(&b'Z') && is_near(field) && !field.starts_with(b"9999")
}

/// Whether a field of a day passes without a closer look.
pub(super) fn is_plain_day(field: &[u8]) -> bool {
    field.len() == 10 && is_near(field)
}

fn is_near(field: &[u8]) -> bool {
    field.first().is_some_and(u8::is_ascii_digit)
        && field.get(4) == Some(&b'-')
        && !field.starts_with(b"0000")
}

/// A reader of bytes.
struct Reader<'t>(&'t [u8]);

impl<'t> Reader<'t> {
    fn takes(&mut self, wanted: u8) -> bool {
        let found = self.0.strip_prefix(&[wanted]);
        self.0 = found.unwrap_or(self.0);
        found.is_some()
    }

    /// So many digits at least, and at most.
    fn digits(&mut self, least: usize, most: usize) -> Option<&'t [u8]> {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        (count >= least).then_some(digits)
    }

    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        Some(self.digits(least, most)?.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    fn day(&mut self) -> Option<i64> {
        let negative = self.takes(b'-');
        if !negative {
            self.takes(b'+');
        }
        let year = self.number(4, 7)? * if negative { -1 } else { 1 };
        let month = self.takes(b'-').then(|| self.number(2, 2))??;
        let day = self.takes(b'-').then(|| self.number(2, 2))??;
        // As PostgreSQL writes what we keep of years before 1.
        let before = self.0.ends_with(b" BC");
        if before {
            self.0 = self.0.get(..self.0.len() - 3)?;
        }
        let year = if before { 1 - year } else { year };
        ((1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day))
            .then(|| days_from_civil(year, month, day))
    }

    fn clock(&mut self) -> Option<Clock<'t>> {
        let hour = self.number(2, 2)?;
        let minute = self.takes(b':').then(|| self.number(2, 2))??;
        let second = if self.takes(b':') { self.number(2, 2)? } else { 0 };
        let fraction: &[u8] = if self.takes(b'.') { self.digits(0, usize::MAX)? } else { &[] };
        let zone = self.zone()?;
        let seconds = hour * 3600 + minute * 60 + second;
        let more = fraction.iter().any(|digit| *digit != b'0');
        let right = hour <= 24 && minute < 60 && second <= 60 && seconds + i64::from(more) <= DAY;
        right.then_some(Clock { seconds, fraction, zone })
    }

    /// `None`: what is there is no zone.
    #[expect(clippy::option_option, reason = "there may be none, and it may be wrong")]
    fn zone(&mut self) -> Option<Option<i64>> {
        self.takes(b' ');
        if self.0.is_empty() {
            return Some(None);
        }
        if self.takes(b'Z') || self.takes(b'z') {
            return Some(Some(0));
        }
        let west = self.takes(b'-');
        if !west && !self.takes(b'+') {
            return None;
        }
        let hours = self.number(2, 2)?;
        self.takes(b':');
        let minutes = if self.0.is_empty() { 0 } else { self.number(2, 2)? };
        (hours < 16 && minutes < 60)
            .then_some(Some((hours * 3600 + minutes * 60) * if west { -1 } else { 1 }))
    }
}

fn moment(text: &[u8]) -> Option<Moment<'_>> {
    let mut reader = Reader(text);
    let day = reader.day()?;
    let time = match reader.0.split_first() {
        None => None,
        Some((b'T' | b't' | b' ', rest)) => {
            reader.0 = rest;
            Some(reader.clock()?)
        }
        Some(_) => return None,
    };
    reader.0.is_empty().then_some(Moment { day, time })
}

/// A timestamp without zone, in UTC. `None`: it is none.
pub(super) fn timestamp(text: &[u8], far: FarDates) -> Option<Held> {
    if let Some(end) = endless(text) {
        return Some(too_far(far, end, "23:59:59.999999", text.to_vec()));
    }
    let Moment { day, time } = moment(text)?;
    let clock = time.unwrap_or(Clock { seconds: 0, fraction: &[], zone: None });
    let seconds = day * DAY + clock.seconds - clock.zone.unwrap_or_default();
    let (year, month, date) = civil_from_days(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    // Rounded to microseconds, the last moment of 9999 would be one of the next year.
    let most = if year == LAST_YEAR { 6 } else { usize::MAX };
    let fraction = clock.fraction.get(..most).unwrap_or(clock.fraction);
    let point = if fraction.is_empty() { "" } else { "." };
    let (written, suffix) = if year < 1 { (1 - year, " BC") } else { (year, "") };
    let whole = format!(
        "{written:04}-{month:02}-{date:02} {:02}:{:02}:{:02}{point}{}{suffix}",
        second / 3600,
        second / 60 % 60,
        second % 60,
        String::from_utf8_lossy(fraction),
    );
    if (FIRST_YEAR..=LAST_YEAR).contains(&year) {
        let same = is_written_so(text, whole.as_bytes());
        return Some(if same { Held::AsIs } else { Held::Instead(whole) });
    }
    let far = if (FIRST_OF_ALL..=LAST_OF_TIMES).contains(&year) { far } else { far.within() };
    Some(too_far(far, year > LAST_YEAR, "23:59:59.999999", whole.into_bytes()))
}

/// Whether a text is that one, but for the letters of ISO 8601.
fn is_written_so(text: &[u8], whole: &[u8]) -> bool {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    let (Some((day, time)), Some((our_day, our_time))) =
        (text.split_at_checked(10), whole.split_at_checked(10))
    else {
        return false;
    };
    day == our_day && time.first() == Some(&b'T') && time.get(1..) == our_time.get(1..)
}

/// A day. A time after it is not looked at. `None`: it is none.
pub(super) fn date(text: &[u8], far: FarDates) -> Option<Held> {
    if let Some(end) = endless(text) {
        return Some(too_far(far, end, "", text.to_vec()));
    }
    let Moment { day, time } = moment(text)?;
    let (year, month, date) = civil_from_days(day);
    if (FIRST_YEAR..=LAST_YEAR).contains(&year) {
        let written = format!("{year:04}-{month:02}-{date:02}");
        let same = time.is_none() && text == written.as_bytes();
        return Some(if same { Held::AsIs } else { Held::Instead(written) });
    }
    let (written, suffix) = if year < 1 { (1 - year, " BC") } else { (year, "") };
    let whole = format!("{written:04}-{month:02}-{date:02}{suffix}");
    let far = if (FIRST_OF_ALL..=LAST_OF_DAYS).contains(&year) { far } else { far.within() };
    Some(too_far(far, year > LAST_YEAR, "", whole.into_bytes()))
}

/// A time of a day; its zone is not looked at, as PostgreSQL does. `false`: it is none.
pub(super) fn is_time(text: &[u8]) -> bool {
    let mut reader = Reader(text);
    reader.clock().is_some() && reader.0.is_empty()
}

/// Whether it is the end of all time; `None`: it is neither that nor the beginning.
fn endless(text: &[u8]) -> Option<bool> {
    match text {
        b"infinity" | b"+infinity" => Some(true),
        b"-infinity" => Some(false),
        _ => None,
    }
}

fn too_far(far: FarDates, late: bool, last: &str, kept: Vec<u8>) -> Held {
    let time = |clock: &str| if last.is_empty() { String::new() } else { format!(" {clock}") };
    Held::Far(match far {
        FarDates::Null => None,
        FarDates::Keep => String::from_utf8(kept).ok(),
        FarDates::Clamp if late => Some(format!("9999-12-31{}", time(last))),
        FarDates::Clamp => Some(format!("0001-01-01{}", time("00:00:00"))),
    })
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, of the Gregorian calendar before its time, too.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<Held> {
        timestamp(text.as_bytes(), FarDates::Clamp)
    }

    fn instead(text: &str) -> Held {
        Held::Instead(text.to_owned())
    }

    fn far(text: &str) -> Held {
        Held::Far(Some(text.to_owned()))
    }

    #[test]
    fn days_and_their_numbers_are_the_same_as_another_calendar_says() {
        for year in -9999..=9999 {
            for (month, day) in [(1, 1), (2, 28), (3, 1), (12, 31)] {
                let number = days_from_civil(i64::from(year), i64::from(month), i64::from(day));
                let other = jiff::civil::date(year, month, day);
                let since = jiff::civil::date(1970, 1, 1).until(other).unwrap().get_days();
                assert_eq!(number, i64::from(since));
                assert_eq!(civil_from_days(number), (i64::from(year), i64::from(month), i64::from(day)));
            }
        }
    }

    #[test]
    fn the_first_and_the_last_day_stay() {
        for text in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "2024-02-29T00:00:00"] {
            assert_eq!(time(text), Some(Held::AsIs), "{text}");
        }
        assert_eq!(date(b"0001-01-01", FarDates::Clamp), Some(Held::AsIs));
        assert_eq!(date(b"9999-12-31", FarDates::Clamp), Some(Held::AsIs));
    }

    #[test]
    fn a_time_with_an_offset_is_brought_to_utc() {
        assert_eq!(time("2024-03-05T01:02:03.25+02:00"), Some(instead("2024-03-04 23:02:03.25")));
        assert_eq!(time("2024-03-05T01:02:03-0330"), Some(instead("2024-03-05 04:32:03")));
        assert_eq!(time("0001-01-01T00:30:00+01:00"), Some(far("0001-01-01 00:00:00")));
    }

    #[test]
    fn far_times_are_clamped_kept_or_nulled() {
        let late = b"+12024-01-01T00:00:00.000Z";
        let early = b"-0001-01-01T00:00:00.000Z";
        assert_eq!(timestamp(late, FarDates::Clamp), Some(far("9999-12-31 23:59:59.999999")));
        assert_eq!(timestamp(early, FarDates::Clamp), Some(far("0001-01-01 00:00:00")));
        assert_eq!(timestamp(late, FarDates::Keep), Some(far("12024-01-01 00:00:00.000")));
        assert_eq!(timestamp(early, FarDates::Keep), Some(far("0002-01-01 00:00:00.000 BC")));
        assert_eq!(timestamp(late, FarDates::Null), Some(Held::Far(None)));
        assert_eq!(date(b"+12024-01-01", FarDates::Clamp), Some(far("9999-12-31")));
        assert_eq!(date(b"0000-02-29", FarDates::Keep), Some(far("0001-02-29 BC")));
        let none_can = b"300000-01-01T00:00:00Z";
        assert_eq!(timestamp(none_can, FarDates::Keep), Some(far("9999-12-31 23:59:59.999999")));
        assert_eq!(timestamp(b"infinity", FarDates::Clamp), Some(far("9999-12-31 23:59:59.999999")));
        let rounded = "9999-12-31T23:59:59.9999999Z";
        assert_eq!(time(rounded), Some(instead("9999-12-31 23:59:59.999999")));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2024",
            "2024-02-30T00:00:00Z",
            "2024-13-01",
            "2024-01-01T25:00:00Z",
            "now",
            "2024-01-01X",
            "2024-01-01T00:60:00Z",
            "2024-01-01T24:00:01Z",
            "2024-01-01T00:00:00Q",
            "2024-01-01T00:00:00+16:00",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
        assert!(is_time(b"23:59:59Z") && is_time(b"24:00:00") && !is_time(b"25:00") && !is_time(b"noon"));
    }
}
