//! The two ways of paging: by cursor, complete and in no order of the caller's choice; by offset,
//! sortable, and only so deep.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use super::{api::Query, problem::Problem};

const LARGEST_PAGE: usize = 1000;
const DEEPEST_OFFSET: usize = 200_000;

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paging {
    pub(super) from: From,
    pub(super) size: usize,
}

/// Where the page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// After what a cursor says, or at the start.
    Cursor(Option<Cursor>),
    /// After that many.
    Offset(usize),
}

/// How far a listing by cursor has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// How many were looked at.
    pub(super) seen: usize,
    /// The last one.
    pub(super) last: String,
}

impl Cursor {
    fn parse(token: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (seen, last) = text.split_once(':')?;
        Some(Self { seen: seen.parse().ok()?, last: last.to_owned() })
    }

    fn print(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.seen, self.last))
    }
}

impl Paging {
    /// Reads `pageOffset`, `pageToken`, `pageSize` and whether there is a `sort`. Empty texts count
    /// as absent.
    pub(super) fn parse(query: &Query) -> Result<Self, Problem> {
        let number = |name, text: &str| {
            text.parse::<usize>().map_err(|_| Problem::parameter(name, text, "must be a number"))
        };
        let size = match query.one("pageSize") {
            Some(text) => number("pageSize", text)?,
            None => LARGEST_PAGE,
        };
        if size == 0 || size > LARGEST_PAGE {
            return Err(Problem::parameter("pageSize", &size.to_string(), "must be from 1 to 1000"));
        }
        let from = match (query.one("pageToken"), query.one("pageOffset"), query.one("sort")) {
            (Some(token), Some(_), _) => {
                return Err(Problem::parameter("pageToken", token, "not together with pageOffset"));
            }
            (Some(token), None, Some(_)) => {
                return Err(Problem::parameter("pageToken", token, "not together with sort"));
            }
            (Some(token), None, None) => {
                let cursor = Cursor::parse(token);
                From::Cursor(Some(
                    cursor.ok_or_else(|| Problem::parameter("pageToken", token, "is not one"))?,
                ))
            }
            (None, Some(offset), _) => From::Offset(number("pageOffset", offset)?),
            (None, None, Some(_)) => From::Offset(0),
            (None, None, None) => From::Cursor(None),
        };
        match from {
            From::Offset(offset) if offset + size > DEEPEST_OFFSET => {
                Err(Problem::parameter("pageOffset", &offset.to_string(), "goes beyond 200000 rows"))
            }
            From::Offset(_) | From::Cursor(_) => Ok(Self { from, size }),
        }
    }

    /// The page of a short list.
    pub(super) fn of<T>(&self, all: Vec<T>) -> Page<T> {
        let total = all.len();
        let start = match &self.from {
            From::Offset(offset) => *offset,
            From::Cursor(cursor) => cursor.as_ref().map_or(0, |cursor| cursor.seen),
        };
        let items: Vec<T> = all.into_iter().skip(start).take(self.size).collect();
        let seen = start + items.len();
        match self.from {
            From::Offset(_) => Page { items, next: None, remaining: None, total: Some(total) },
            From::Cursor(_) => {
                let next = (seen < total).then(|| Cursor { seen, last: String::new() });
                Page { items, next, remaining: Some(total.saturating_sub(seen)), total: None }
            }
        }
    }
}

/// One page.
#[derive(Debug, Clone)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<Cursor>,
    /// By cursor: about how many come after it.
    pub(super) remaining: Option<usize>,
    /// By offset: how many there are.
    pub(super) total: Option<usize>,
}

impl<T> Page<T> {
    /// The page as the API writes it.
    pub(super) fn json<'a, W: Serialize>(&'a self, write: impl FnMut(&'a T) -> W) -> Written<W> {
        Written {
            items: self.items.iter().map(write).collect(),
            next_page_token: self.next.as_ref().map(Cursor::print).unwrap_or_default(),
            remaining_records: self.remaining,
            total_item_count: self.total,
        }
    }
}

/// A page as the API writes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<W> {
    items: Vec<W>,
    next_page_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_records: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_item_count: Option<usize>,
}

/// One key of a `sort`: its name, and whether it descends.
pub(super) fn sort_keys<'a>(query: &'a Query, known: &[&str]) -> Result<Vec<(&'a str, bool)>, Problem> {
    let keys = query.one("sort").unwrap_or_default().split(',').map(str::trim).filter(|key| !key.is_empty());
    keys.map(|key| {
        let (name, descending) = match key.split_once(' ') {
            Some((name, "desc")) => (name, true),
            Some((name, "asc")) => (name, false),
            Some(_) => return Err(Problem::parameter("sort", key, "must end with asc or desc")),
            None => (key, false),
        };
        if known.contains(&name) {
            Ok((name, descending))
        } else {
            Err(Problem::parameter("sort", key, "cannot be sorted by"))
        }
    })
    .collect()
}
