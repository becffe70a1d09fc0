//! Requests, newest first.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Engine,
    concurrent::join_unordered,
    records::{self, DAY_MILLIS, Phase, as_millis, attr, millis},
    view::RequestView,
};
use crate::{
    domain::ids::RequestId,
    events::outgoing::Status,
    ports::{
        Class, Error, Result,
        store::{Item, Key, Recent},
    },
};

/// Requests looked at in one call; a page ends there, however few fit.
const MOST_LOOKED: usize = 2000;
/// Days looked at in one call.
const MOST_DAYS: i64 = 31;
/// Requests read at a time.
const PAGE: usize = 100;
/// How long it looks in one call; a page ends then too.
const LONGEST: Duration = Duration::from_secs(3);
/// Queries under way at a time.
const WIDTH: usize = 8;
/// How far ahead another instance's clock may be.
const AHEAD: i64 = 1;

/// Which requests are wanted: those for which all holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How they stand.
    pub status: Option<Status>,
    /// The name of their kind.
    pub kind: Option<String>,
    /// The source of the event that asked.
    pub source: Option<String>,
    /// A part of their id, name, caller, destination, or of one of the sources that are kept.
    pub text: Option<String>,
    /// Made then or later.
    pub since: Option<Timestamp>,
    /// How many.
    pub limit: usize,
    /// [`Listed::next`] of the page before.
    pub cursor: Option<String>,
}

impl Wanted {
    /// Whether it may be wanted, as far as its record tells.
    fn may_fit(&self, request: &Item) -> bool {
        let same = |wanted: &Option<String>, name: &str| {
            wanted.as_ref().is_none_or(|wanted| request.text(name) == Some(wanted.as_str()))
        };
        let ends = self.status.is_none_or(|status| match status {
            Status::Succeeded | Status::Failed => match request.text(attr::ENDED) {
                Some(ended) => ended == status.as_str(),
                None => has_ended(request),
            },
            // It may have just got its outcome.
            Status::Received | Status::Running => Phase::of(request) != Some(Phase::Settled),
        });
        ends && same(&self.kind, attr::KIND) && same(&self.source, attr::SOURCE)
    }

    /// Whether one that may be wanted is.
    fn fits(&self, view: &RequestView) -> bool {
        self.status.is_none_or(|status| status == view.status())
            && self.text.as_ref().is_none_or(|text| view.texts().any(|is| is.contains(text.as_str())))
    }
}

/// A page of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The requests, newest first.
    pub requests: Vec<RequestView>,
    /// Where the next page begins; `None` on the last. A page may be short, or empty, and not the last.
    pub next: Option<String>,
}

impl Engine {
    /// A page of the requests of callers, newest first. One that was made in the same second may be missing yet.
    ///
    /// # Errors
    ///
    /// `Invalid` where the cursor is none; those of the table.
    pub async fn list(&self, wanted: &Wanted) -> Result<Listed> {
        let now = self.core.ports.clock.now();
        let today = records::day(millis(now));
        let mut before = match &wanted.cursor {
            Some(cursor) => cursor.parse().map_err(|error| {
                Error::new(Class::Invalid, "list requests", "the cursor is none of ours").caused_by(error)
            })?,
            None => i64::MAX,
        };
        let oldest = wanted.since.map_or(i64::MIN, millis);
        let keep = records::day(as_millis(self.core.settings.service.keep));
        // One that runs for long is listed for as long as one that has ended is kept, and no longer.
        let first = records::day(oldest).max(today - keep - MOST_DAYS);
        let mut day = records::day(before.saturating_sub(1)).min(today + AHEAD);
        let (mut requests, mut looked, mut days) = (Vec::new(), 0, 0);
        let until = Instant::now() + LONGEST;
        let goes_on = |found: usize, looked: usize, days: i64| {
            found < wanted.limit && looked < MOST_LOOKED && days < MOST_DAYS && Instant::now() < until
        };
        while goes_on(requests.len(), looked, days) {
            if day < first {
                return Ok(Listed { requests, next: None });
            }
            let page = self.core.ports.store.recent(day, before, PAGE).await?;
            let Some(last) = page.last() else {
                before = day.saturating_mul(DAY_MILLIS);
                (day, days) = (day - 1, days + 1);
                continue;
            };
            looked += page.len();
            before = last.created_at;
            for view in self.views(&page, oldest, wanted).await? {
                if wanted.fits(&view) {
                    requests.push(view);
                }
            }
        }
        // Those of one millisecond are not parted.
        let end =
            requests.get(wanted.limit.saturating_sub(1)).map(|last: &RequestView| millis(last.started_at));
        if let Some(end) = end.filter(|_| requests.len() > wanted.limit) {
            requests.retain(|view| millis(view.started_at) >= end);
            before = end;
        }
        Ok(Listed { requests, next: Some(before.to_string()) })
    }

    /// Those of the entries that are requests, are not older than that, and may be wanted, in their order.
    async fn views(&self, entries: &[Recent], oldest: i64, wanted: &Wanted) -> Result<Vec<RequestView>> {
        let entries = entries.iter().filter(|entry| entry.created_at >= oldest);
        let ids: Vec<RequestId> =
            entries.clone().map(|entry| RequestId::new(entry.key.id.as_str())).collect();
        let keys: Vec<_> = ids.iter().map(records::request_key).collect();
        let (mut items, mut newer) = self.readable(&keys).await?;
        // Of those that a newer version has written, it is known that they are there, and since when.
        let known = entries.filter(|entry| newer.contains_key(&entry.key.id));
        let stub = |entry: &Recent| {
            Item::new(records::request_key(&RequestId::new(entry.key.id.as_str())))
                .with(attr::CREATED_AT, entry.created_at)
        };
        items.extend(known.map(stub));
        // Most are told apart by their records alone; outcomes may be long.
        items.retain(|request| wanted.may_fit(request));
        let ended = items.iter().filter(|request| has_ended(request));
        let outcomes: Vec<_> = ended.map(|request| Key::new(&request.key.id, records::OUTCOME)).collect();
        let (outcomes, more) = self.readable(&outcomes).await?;
        items.extend(outcomes);
        newer.extend(more);
        let (items, newer) = (&items, &newer);
        let view = |id: RequestId| async move {
            let viewed = match newer.get(id.as_str()) {
                Some(error) => return Ok(RequestView::unreadable(&id, items, error)),
                None => self.view_in(id.as_str(), items).await,
            };
            match viewed {
                // One that cannot be read, of a newer version perhaps, hides no other.
                Err(error) if error.is_newer() || !error.is_passing() => {
                    Ok(RequestView::unreadable(&id, items, &error))
                }
                viewed => viewed,
            }
        };
        let views: Vec<Option<RequestView>> =
            stream::iter(ids).map(view).buffered(WIDTH).try_collect().await?;
        Ok(views.into_iter().flatten().collect())
    }

    /// Those of the items that this version reads, and the errors of the others by their ids.
    async fn readable(&self, keys: &[Key]) -> Result<(Vec<Item>, BTreeMap<String, Error>)> {
        let store = &self.core.ports.store;
        match store.get_many(keys).await {
            Err(error) if error.is_newer() => {}
            read => return Ok((read?, BTreeMap::new())),
        }
        let (mut items, mut newer) = (Vec::new(), BTreeMap::new());
        let reads = keys.iter().map(|key| async move { (key, store.get(key).await) });
        for (key, read) in join_unordered(WIDTH, reads).await {
            match read {
                Err(error) if error.is_newer() => drop(newer.insert(key.id.clone(), error)),
                read => items.extend(read?),
            }
        }
        Ok((items, newer))
    }
}

fn has_ended(request: &Item) -> bool {
    matches!(Phase::of(request), Some(Phase::Finishing | Phase::Settled))
}
