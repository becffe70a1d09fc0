//! The fields of cron, checked for what one of its dialects has and `croner` takes for something else.

/// Minute, hour, day of the month, month, day of the week, year.
pub(super) struct Fields([String; 6]);

const NAMES: [&str; 6] = ["minutes", "hours", "day of the month", "month", "day of the week", "year"];
/// Years that AWS knows.
const AWS_YEARS: std::ops::RangeInclusive<u16> = 1970..=2199;

impl Fields {
    /// As `croner` reads them.
    pub(super) fn with_seconds(&self) -> String {
        format!("0 {}", self.0.join(" "))
    }

    /// Whether every hour is asked for.
    pub(super) fn each_hour(&self) -> bool {
        let [_, hours, ..] = &self.0;
        matches!(hours.as_str(), "*" | "*/1" | "0/1" | "0-23")
    }
}

/// Six fields, of which the last is the year.
pub(super) fn of_aws(text: &str) -> Result<Fields, String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_uppercase).collect();
    let Ok(mut fields) = <[String; 6]>::try_from(words) else {
        return Err(
            "cron(…) has six fields, the year last; five fields are written without cron(…)".to_owned()
        );
    };
    let [_, _, day, _, weekday, year] = &mut fields;
    if (day == "?") == (weekday == "?") {
        return Err("cron(…) has a ? either as its day of the month or as its day of the week".to_owned());
    }
    // The last day of a week is its seventh.
    *weekday = each(weekday, |part| if part == "L" { "7".to_owned() } else { part.to_owned() });
    let known = |year: &str| year.parse().is_ok_and(|year| AWS_YEARS.contains(&year));
    let named =
        year.split(',').flat_map(|part| part.split_once('/').map_or(part, |(from, _)| from).split('-'));
    if let Some(bad) = named.into_iter().find(|word| *word != "*" && !known(word)) {
        return Err(format!("a year is from 1970 to 2199, not {bad:?}"));
    }
    checked(fields, true)
}

/// Five fields.
pub(super) fn of_five(text: &str) -> Result<Fields, String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_uppercase).collect();
    let count = words.len();
    let Ok([minutes, hours, day, month, weekday]) = <[String; 5]>::try_from(words) else {
        let why = match count {
            6 => "six fields are AWS's and are written as cron(…)",
            _ => "it is neither rate(…), nor cron(…), nor five fields",
        };
        return Err(why.to_owned());
    };
    checked([minutes, hours, day, month, weekday, "*".to_owned()], false)
}

fn checked(fields: [String; 6], week_begins_with_sunday: bool) -> Result<Fields, String> {
    for (field, name) in fields.iter().zip(NAMES) {
        if field.contains('?') && (!name.starts_with("day") || field != "?") {
            return Err(format!(
                "? stands alone, as a day of the month or of the week, not in {field:?} ({name})"
            ));
        }
        if field.split(',').any(str::is_empty) {
            return Err(format!("{field:?} ({name}) has nothing between two commas"));
        }
        if name == "day of the month" && field.contains("L-") {
            return Err(format!("days before the last one are not known here, as in {field:?}"));
        }
        let mut words = field.split(|letter: char| !letter.is_ascii_alphabetic());
        if let Some(word) = words.find(|word| !is_known(word, name)) {
            return Err(format!("{word:?} is not known in {field:?} ({name})"));
        }
        if field.contains('#') && name != "day of the week" {
            return Err(format!("# is for days of the week, not for {field:?} ({name})"));
        }
        if field.split(',').any(|part| falls(part, week_begins_with_sunday)) {
            return Err(format!("{field:?} ({name}) goes past its end; write it as two ranges"));
        }
    }
    Ok(Fields(fields))
}

const WEEK: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const YEAR: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// Whether a word of letters may be in that field; `croner` replaces names of days and months wherever they
/// are.
fn is_known(word: &str, field: &str) -> bool {
    word.is_empty()
        || match field {
            "day of the month" => matches!(word, "L" | "W" | "LW"),
            "month" => YEAR.contains(&word),
            "day of the week" => word == "L" || WEEK.contains(&word.strip_suffix('L').unwrap_or(word)),
            _ => false,
        }
}

/// Whether a range ends before it begins, as `22-2` and `FRI-MON` do.
fn falls(part: &str, week_begins_with_sunday: bool) -> bool {
    let (range, _) = part.split_once(['/', '#']).unwrap_or((part, ""));
    let Some((from, to_word)) = range.split_once('-') else { return false };
    match (place(from), place(to_word)) {
        (Some(from), Some(to)) => from > to && (week_begins_with_sunday || to_word != "SUN"),
        _ => false,
    }
}

fn place(word: &str) -> Option<u16> {
    let named =
        |names: &[&str]| names.iter().position(|name| *name == word).and_then(|at| u16::try_from(at).ok());
    word.parse().ok().or_else(|| named(&WEEK)).or_else(|| named(&YEAR))
}

fn each(field: &str, change: impl Fn(&str) -> String) -> String {
    field.split(',').map(change).collect::<Vec<_>>().join(",")
}
