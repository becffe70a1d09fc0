//! What a list is asked for: filters that all hold, and pages.

use jiff::{Timestamp, civil::Date};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::Refusal;
use crate::{
    domain::{ids::RequestId, share::ids::Shared},
    events::share::{
        Invalid,
        shown::{JobStatus, Links},
    },
};

const USUAL_PAGE: usize = 100;

/// Which packages or pushes are wanted: those for which all holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of one of these names; any where empty.
    pub names: Vec<String>,
    /// Of one of these packages; any where empty.
    pub packages: Vec<RequestId>,
    /// In one of these states; any where empty.
    pub statuses: Vec<JobStatus>,
    /// Asked for then or later.
    pub asked_after: Option<Timestamp>,
    /// Asked for then or earlier.
    pub asked_before: Option<Timestamp>,
    /// Ended then or later.
    pub ended_after: Option<Timestamp>,
    /// Ended then or earlier.
    pub ended_before: Option<Timestamp>,
    /// The page, from 1.
    pub page: usize,
    /// How many are on it.
    pub rows_per_page: usize,
}

impl Wanted {
    /// Those of a page, in the order in which they come.
    #[must_use]
    pub const fn first(&self) -> usize {
        self.page.saturating_sub(1).saturating_mul(self.rows_per_page)
    }

    /// Whether something of that name, in that state, asked for and ended then, is wanted.
    #[must_use]
    pub fn fits(&self, name: &str, status: JobStatus, asked: Timestamp, ended: Option<Timestamp>) -> bool {
        let within = |at: Timestamp, after: Option<Timestamp>, before: Option<Timestamp>| {
            after.is_none_or(|after| at >= after) && before.is_none_or(|before| at <= before)
        };
        let ends = match ended {
            Some(ended) => within(ended, self.ended_after, self.ended_before),
            None => self.ended_after.is_none() && self.ended_before.is_none(),
        };
        (self.names.is_empty() || self.names.iter().any(|wanted| wanted == name))
            && (self.statuses.is_empty() || self.statuses.contains(&status))
            && within(asked, self.asked_after, self.asked_before)
            && ends
    }
}

/// The names of the parameters of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// What `After` and `Before` go with, of the time at which it was asked for.
    pub(super) asked: &'static str,
    /// Whether packages may be named by their ids.
    pub(super) by_package: bool,
}

/// Reads what is asked for. `now`: no list begins later.
pub(super) fn read(query: &str, names: Names, now: Timestamp) -> Result<Wanted, Refusal> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let all = |name: &str| pairs.iter().filter(|(is, _)| is == name).map(|(_, text)| text.clone()).collect();
    // Each may be written in two ways, but not in both at once.
    let both = |name: &str| -> Result<Vec<String>, Refusal> {
        let (plain, listed): (Vec<_>, Vec<_>) = (all(name), all(&format!("{name}[]")));
        if !plain.is_empty() && !listed.is_empty() {
            return Err(Refusal::Bad(format!("Only one of {name} or {name}[] is allowed")));
        }
        Ok(plain.into_iter().chain(listed).filter(|text| !text.is_empty()).collect())
    };
    let time = |name: String| -> Result<Option<Timestamp>, Refusal> {
        let Some(text) = all(&name).pop().filter(|text: &String| !text.is_empty()) else { return Ok(None) };
        moment(&text)
            .map(Some)
            .ok_or_else(|| invalid(&name, "datetime_parsing", "Input should be a valid datetime", &text))
    };
    let number = |name: &str, usual: usize| -> Result<usize, Refusal> {
        let Some(text) = all(name).pop() else { return Ok(usual) };
        match text.parse() {
            Ok(0) => {
                Err(invalid(name, "greater_than_equal", "Input should be greater than or equal to 1", &text))
            }
            Ok(number) => Ok(number),
            Err(_) => Err(invalid(name, "int_parsing", "Input should be a valid integer", &text)),
        }
    };
    let status = |text: &String| {
        let known = JobStatus::ALL.map(|status| format!("'{}'", status.as_str())).join(", ");
        JobStatus::read(text)
            .ok_or_else(|| invalid("status", "enum", &format!("Input should be one of {known}"), text))
    };
    let package = |text: &String| {
        let why = || Refusal::Bad(format!("{text} is not the id of a package"));
        Shared::Package.read(text).ok_or_else(why)
    };
    let wanted = Wanted {
        names: both("packageName")?,
        packages: if names.by_package {
            both("packageId")?.iter().map(package).collect::<Result<_, _>>()?
        } else {
            Vec::new()
        },
        statuses: both("status")?.iter().map(status).collect::<Result<_, _>>()?,
        asked_after: time(format!("{}After", names.asked))?,
        asked_before: time(format!("{}Before", names.asked))?,
        ended_after: time("completedAfter".to_owned())?,
        ended_before: time("completedBefore".to_owned())?,
        page: number("page", 1)?,
        rows_per_page: number("rowsPerPage", USUAL_PAGE)?,
    };
    if !wanted.names.is_empty() && !wanted.packages.is_empty() {
        return Err(Refusal::Bad("Only one of packageId or packageName is allowed".to_owned()));
    }
    for (what, after, before) in [
        (names.asked, wanted.asked_after, wanted.asked_before),
        ("completed", wanted.ended_after, wanted.ended_before),
    ] {
        let Some(after) = after else { continue };
        if before.is_some_and(|before| after >= before) {
            return Err(Refusal::Bad(format!("{what}After must be less than {what}Before")));
        }
        if after >= now {
            return Err(Refusal::Bad(format!("{what}After must be less than the current time")));
        }
    }
    Ok(wanted)
}

/// A time, or a day in UTC.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
        return at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp());
    }
    let day: Date = text.parse().ok()?;
    day.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
}

fn invalid(name: &str, kind: &'static str, msg: &str, input: &str) -> Refusal {
    let loc = ["query", name].map(str::to_owned).to_vec();
    Refusal::Invalid(vec![Invalid { kind, loc, msg: msg.to_owned(), input: Value::from(input) }])
}

/// The pages beside that one, asked for in the same way.
pub(super) fn links(at: &Url, query: &str, wanted: &Wanted, count: usize) -> Links {
    let link = |page: usize| {
        let mut url = at.clone();
        let others = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name != "page" && name != "rowsPerPage");
        url.query_pairs_mut()
            .clear()
            .extend_pairs(others)
            .append_pair("page", &page.to_string())
            .append_pair("rowsPerPage", &wanted.rows_per_page.to_string());
        url.to_string()
    };
    let is_last = wanted.page.saturating_mul(wanted.rows_per_page) >= count;
    Links {
        previous: (wanted.page > 1).then(|| link(wanted.page - 1)),
        next: (!is_last).then(|| link(wanted.page + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSHES: Names = Names { asked: "created", by_package: true };

    fn now() -> Timestamp {
        "2026-11-30T09:00:00Z".parse().unwrap()
    }

    fn says(query: &str) -> Refusal {
        read(query, PUSHES, now()).unwrap_err()
    }

    #[test]
    fn filters_are_read_in_both_ways() {
        let wanted =
            read("status=FAILED&packageName[]=a&packageName[]=b&rowsPerPage=1000", PUSHES, now()).unwrap();
        assert_eq!((wanted.names.len(), wanted.rows_per_page, wanted.page), (2, 1000, 1));
        let wanted =
            read("createdAfter=2026-11-29&completedBefore=2026-11-30T08:00:00%2B10:00", PUSHES, now())
                .unwrap();
        assert_eq!(wanted.asked_after, "2026-11-29T00:00:00Z".parse().ok());
        assert_eq!(wanted.ended_before, "2026-11-29T22:00:00Z".parse().ok());
    }

    #[test]
    fn contradictions_are_told_in_the_words_of_the_original() {
        let bad = |text: &str| Refusal::Bad(text.to_owned());
        assert_eq!(says("status=FAILED&status[]=FAILED"), bad("Only one of status or status[] is allowed"));
        let id = format!("packageId=pkg.{}&packageName=x", "0".repeat(26));
        assert_eq!(says(&id), bad("Only one of packageId or packageName is allowed"));
        assert_eq!(
            says("createdAfter=2026-11-29&createdBefore=2026-11-28"),
            bad("createdAfter must be less than createdBefore")
        );
        assert_eq!(
            says("completedAfter=2027-01-01"),
            bad("completedAfter must be less than the current time")
        );
        for wrong in ["page=0", "rowsPerPage=x", "status=DONE", "createdAfter=yesterday"] {
            assert!(matches!(says(wrong), Refusal::Invalid(_)), "{wrong}");
        }
    }

    #[test]
    fn links_keep_all_filters() {
        let at: Url = "http://x/api/v1/push/".parse().unwrap();
        let query = "status=FAILED&status=ABORTED&page=2&rowsPerPage=1";
        let wanted = read(query, PUSHES, now()).unwrap();
        let links = links(&at, query, &wanted, 3);
        let link =
            |page| format!("http://x/api/v1/push/?status=FAILED&status=ABORTED&page={page}&rowsPerPage=1");
        assert_eq!(links, Links { previous: Some(link(1)), next: Some(link(3)) });
    }
}
