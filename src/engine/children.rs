//! The children of a request as they are seen from outside, and what has happened to each.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Engine,
    core::Core,
    lease::{Leased, RoundError, RoundResult},
    records::{self, Phase, RootState, attr, millis, started_at},
    tree::why,
};
use crate::{
    domain::{
        ids::RequestId,
        journal::{self, Entry, Journal},
        outcome::{Counters, ErrorName, Outcome},
    },
    ports::{
        Result,
        store::{DUE_AT, Item, Key},
    },
};

/// Children that are looked at, of one request; the others are only counted.
const MOST: usize = 5_000;
/// Those that an explanation looks at.
pub const MOST_EXPLAINED: usize = 500;
/// Records whose journals are read at a time.
const AT_ONCE: usize = 50;
/// Entries of journals that are kept in one answer, the newest.
const MOST_ENTRIES: usize = 2_000;

/// How a child stands; those that need attention come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChildStatus {
    /// It has failed.
    Failed,
    /// It is at work, or waits for something.
    Running,
    /// Nobody has begun with it.
    Received,
    /// All of it has arrived.
    Succeeded,
}

impl ChildStatus {
    /// As it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "FAILED",
            Self::Running => "RUNNING",
            Self::Received => "RECEIVED",
            Self::Succeeded => "SUCCEEDED",
        }
    }
}

/// A child of a request: a folder, or a part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildView {
    /// Its id.
    pub id: String,
    /// Where it goes.
    pub destination: String,
    /// How it stands.
    pub status: ChildStatus,
    /// How it has failed.
    pub error: Option<ErrorName>,
    /// Why it has failed, or what keeps it.
    pub why: Option<String>,
    /// When it is next looked at, where it goes on.
    pub next_at: Option<Timestamp>,
    /// Its files, once it has ended.
    pub counters: Counters,
    /// The jobs that were made for it, once it has ended.
    pub jobs: usize,
}

/// The children of a request, those that need attention first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Children {
    /// The children.
    pub children: Vec<ChildView>,
    /// How many are planned, which may be more.
    pub total: u64,
}

/// One entry of a journal, with where it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The destination of the folder; none where it is the request itself.
    pub place: Option<String>,
    /// What has happened.
    pub entry: Entry,
}

/// What has happened to a request and its children, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The entries that are kept: of each record the last ones.
    pub entries: Vec<Told>,
    /// Whether there were more than are kept.
    pub is_cut: bool,
}

/// A root, with the records of its first children, and how many are planned.
struct Family {
    root: Item,
    children: Vec<Item>,
    total: u64,
}

/// Adds what a record tells of the time since a request was made; whether it may have told more.
fn told_by(record: &Item, began: i64, entries: &mut Vec<Told>) -> bool {
    let place = record.text(attr::DESTINATION).map(str::to_owned);
    let journal = Journal::read(record.text(attr::JOURNAL));
    // A folder has a past of its own, with other requests.
    let since = journal.entries().iter().filter(|entry| entry.last >= began);
    entries.extend(since.map(|entry| Told { place: place.clone(), entry: entry.clone() }));
    let oldest = journal.entries().first();
    journal.entries().len() >= journal::MOST && oldest.is_some_and(|oldest| oldest.at >= began)
}

impl Engine {
    /// The children of the request of that id; `None` where there is none. At most five thousand are looked at.
    ///
    /// # Errors
    ///
    /// Those of the table.
    pub async fn children(&self, id: &RequestId) -> Result<Option<Children>> {
        let Some(family) = self.family(id, MOST).await? else { return Ok(None) };
        self.children_of(&family).await.map(Some)
    }

    /// What has happened to the request of that id, as the journals of its records tell; `None` where there is
    /// no such request.
    ///
    /// # Errors
    ///
    /// Those of the table.
    pub async fn history(&self, id: &RequestId) -> Result<Option<History>> {
        let Some(family) = self.family(id, MOST_EXPLAINED).await? else { return Ok(None) };
        self.history_of(&family).await.map(Some)
    }

    /// Both, of the first hundreds of its children; `None` where there is no such request.
    ///
    /// # Errors
    ///
    /// Those of the table.
    pub async fn children_and_history(&self, id: &RequestId) -> Result<Option<(Children, History)>> {
        let Some(family) = self.family(id, MOST_EXPLAINED).await? else { return Ok(None) };
        Ok(Some((self.children_of(&family).await?, self.history_of(&family).await?)))
    }

    async fn children_of(&self, family: &Family) -> Result<Children> {
        let mut children = Vec::with_capacity(family.children.len());
        for child in &family.children {
            children.push(self.child_view(child).await?);
        }
        children.sort_by(|one, other| {
            (one.status, &one.destination, &one.id).cmp(&(other.status, &other.destination, &other.id))
        });
        Ok(Children { children, total: family.total })
    }

    async fn history_of(&self, family: &Family) -> Result<History> {
        let Family { root, children, total } = family;
        let began = millis(started_at(root));
        let mut entries = vec![Told { place: None, entry: Entry::new(began, "request.received", "") }];
        let own = Journal::read(root.text(attr::JOURNAL));
        // Of each record the last ones are kept, and of many children the first are read.
        let mut is_cut = own.entries().len() >= journal::MOST || *total > children.len() as u64;
        entries.extend(own.entries().iter().map(|entry| Told { place: None, entry: entry.clone() }));
        let shared: BTreeSet<Key> = children.iter().filter_map(|child| self.shared(child)).collect();
        let keys: Vec<_> = shared.into_iter().collect();
        for some in keys.chunks(AT_ONCE) {
            // The state of a folder may be large, and only its journal is wanted.
            for record in &self.core.ports.store.get_many(some).await? {
                is_cut |= told_by(record, began, &mut entries);
            }
        }
        for child in children {
            is_cut |= told_by(child, began, &mut entries);
        }
        // Of one moment: it begins before its children do, and ends after them.
        let began = ["request.received", "request.planned"];
        entries
            .sort_by_key(|told| (told.entry.at, told.place.is_none() && !began.contains(&&*told.entry.code)));
        let surplus = entries.len().saturating_sub(MOST_ENTRIES);
        entries.drain(..surplus);
        Ok(History { entries, is_cut: is_cut || surplus > 0 })
    }

    /// A root with its first children.
    async fn family(&self, id: &RequestId, most: usize) -> Result<Option<Family>> {
        let Some(root) = self.core.ports.store.get(&records::request_key(id)).await? else {
            return Ok(None);
        };
        let state: RootState = records::document(&root, attr::STATE)?;
        let children = self.child_records(root.clone(), &state, most).await?;
        Ok(Some(Family { root, children, total: state.children }))
    }

    /// The records of the children that are there.
    async fn child_records(&self, root: Item, state: &RootState, most: usize) -> Result<Vec<Item>> {
        let Some(kind) = self.registry.kind(root.text(attr::KIND).unwrap_or_default()) else {
            return Ok(Vec::new());
        };
        let has_plan = !matches!(Phase::of(&root), None | Some(Phase::Received)) && state.children > 0;
        if !has_plan {
            return Ok(Vec::new());
        }
        let seen = self.core.only_seen(root);
        let roster = async { RoundResult::Ok(kind.tree(state)?.roster(&seen, state).await?.first(most)) };
        let ids = match roster.await {
            Ok(ids) => ids,
            Err(RoundError::Port(error)) if error.is_passing() => return Err(error),
            // The plan is gone where the request has long ended.
            Err(_) => return Ok(Vec::new()),
        };
        let keys: Vec<_> = ids.iter().map(records::request_key).collect();
        self.core.ports.store.get_many(&keys).await
    }

    /// The record that a child shares with children of others.
    fn shared(&self, child: &Item) -> Option<Key> {
        self.registry.plane(child.text(attr::KIND)?)?.shared_record(child)
    }

    async fn child_view(&self, child: &Item) -> Result<ChildView> {
        let phase = Phase::of(child).unwrap_or(Phase::Received);
        let outcome: Option<Outcome> = match phase {
            Phase::Settled => Some(self.core.read_document(child, attr::OUTCOME).await?),
            _ => None,
        };
        let failure = outcome.as_ref().and_then(|outcome| outcome.failure.as_ref());
        let status = match (&outcome, phase) {
            (Some(_), _) if failure.is_some() => ChildStatus::Failed,
            (Some(_), _) => ChildStatus::Succeeded,
            (None, Phase::Received) => ChildStatus::Received,
            (None, _) => ChildStatus::Running,
        };
        let due = child.number(DUE_AT).and_then(|at| Timestamp::from_millisecond(at).ok());
        Ok(ChildView {
            id: child.key.id.clone(),
            destination: child.text(attr::DESTINATION).unwrap_or_default().to_owned(),
            status,
            error: failure.map(|failure| failure.error),
            why: failure.map(|failure| failure.message.clone()).or_else(|| why(child).map(str::to_owned)),
            next_at: due.filter(|_| outcome.is_none()),
            counters: outcome.as_ref().map(|outcome| outcome.counters).unwrap_or_default(),
            jobs: outcome.map_or(0, |outcome| outcome.jobs.len()),
        })
    }
}

impl Core {
    /// A record that is only looked at: nothing may be done under its lease, which is over.
    fn only_seen(&self, item: Item) -> Leased {
        let held = self.leased(item, Instant::now(), None);
        held.lease.lost.cancel();
        held
    }
}
