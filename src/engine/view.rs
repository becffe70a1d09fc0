//! A request as it is seen from outside.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Engine,
    records::{self, Phase, RootState, attr, started_at},
    tree::why,
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Counters, Outcome},
    },
    events::outgoing::Status,
    ports::{
        Error, Result,
        store::{DUE_AT, Item, Key},
    },
};

/// What is copied: the first sources, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// The first ones, as the caller wrote them.
    pub first: Vec<String>,
    /// All of them.
    pub total: usize,
}

/// A request as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestView {
    /// Its id.
    pub id: String,
    /// The name that its caller gave it.
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// The source of the event that asked.
    pub source: String,
    /// The event that asked.
    pub event_id: Option<String>,
    /// Who asked, in its own words (`detail.caller`): an execution's ARN, as a rule.
    pub caller: Option<String>,
    /// What is copied.
    pub sources: Sources,
    /// Where it goes.
    pub destination: String,
    /// Whether work on it has begun.
    pub begun: bool,
    /// What it waits for before it can begin.
    pub waiting_for: Option<String>,
    /// What keeps it, as it was last seen: an error that is tried again, or what is waited for.
    pub trouble: Option<String>,
    /// When it is next looked at, where it has trouble.
    pub next_at: Option<Timestamp>,
    /// When something of it last moved, as far as that is written down.
    pub progress_at: Timestamp,
    /// Sums of its tallies; exact once it has an outcome.
    pub counters: Counters,
    /// Files that are said to have arrived and have not been seen at the destination yet.
    pub unverified: u64,
    /// Its children: planned, settled.
    pub children: (u64, u64),
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When its record last changed hands.
    pub updated_at: Timestamp,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether every caller, and the bus, has been told.
    pub settled: bool,
}

impl RequestView {
    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.outcome {
            Some(outcome) => Status::of(outcome),
            None if self.begun => Status::Running,
            None => Status::Received,
        }
    }

    /// What a record alone tells of its request.
    fn of_record(request: &Item) -> Self {
        let text = |name: &str| request.text(name).map(str::to_owned);
        let updated_at = moment(request, attr::UPDATED_AT).unwrap_or_else(|| started_at(request));
        let phase = Phase::of(request).unwrap_or(Phase::Received);
        Self {
            id: request.key.id.clone(),
            name: text(attr::NAME),
            kind: text(attr::KIND).unwrap_or_default(),
            source: text(attr::SOURCE).unwrap_or_default(),
            event_id: text(attr::EVENT),
            caller: text(attr::CALLER),
            sources: Sources::default(),
            destination: text(attr::DESTINATION).unwrap_or_default(),
            begun: phase != Phase::Received,
            waiting_for: text(attr::WAITING_FOR),
            trouble: why(request).map(str::to_owned),
            next_at: None,
            progress_at: updated_at,
            counters: Counters::default(),
            unverified: 0,
            children: (0, 0),
            started_at: started_at(request),
            updated_at,
            outcome: None,
            settled: phase == Phase::Settled,
        }
    }

    /// One that cannot be read, with why.
    pub(super) fn unreadable(id: &RequestId, items: &[Item], error: &Error) -> Option<Self> {
        let request = items.iter().find(|item| item.key == records::request_key(id))?;
        let trouble = Some(format!("it cannot be read here: {error}"));
        Some(Self { trouble, ..Self::of_record(request) })
    }

    /// The texts by which people look for it.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let names = [Some(&self.id), self.name.as_ref(), self.event_id.as_ref(), self.caller.as_ref()];
        let names = names.into_iter().flatten().chain([&self.destination]);
        names.chain(&self.sources.first).map(String::as_str)
    }
}

impl Engine {
    /// A request as it stands, by anything that it is called: its id, the event that brought it, the name that
    /// its caller chose, what its caller calls itself, a job of it, or, the newest, where it copies from or to;
    /// `None` when there is none of that name.
    pub async fn view(&self, name: &str) -> Result<Option<RequestView>> {
        self.view_of(name, None).await
    }

    /// The same among the requests that events of one source have named.
    pub async fn view_of(&self, name: &str, source: Option<&str>) -> Result<Option<RequestView>> {
        let Some(id) = self.find(name, source).await? else { return Ok(None) };
        let keys = [records::request_key(&id), Key::new(id.as_str(), records::OUTCOME)];
        let items = self.core.ports.store.get_many(&keys).await?;
        self.view_in(id.as_str(), &items).await
    }

    /// The request of that id, whose record and outcome are among these items if they are there.
    pub(super) async fn view_in(&self, id: &str, items: &[Item]) -> Result<Option<RequestView>> {
        let find = |id_type: &str| items.iter().find(|item| item.key.id == id && item.key.id_type == id_type);
        let Some(request) = find(records::REQUEST) else { return Ok(None) };
        let outcome: Option<Outcome> = match find(records::OUTCOME) {
            Some(item) => Some(self.core.read_document(item, attr::OUTCOME).await?),
            None => None,
        };
        let known = RequestView::of_record(request);
        // What is settled needs none of them: it is when all of its children are.
        let tallies =
            if known.settled { Vec::new() } else { self.core.ports.store.query(id, records::TALLY).await? };
        let (settled, sum) = records::sum_tallies(&tallies);
        let so_far = records::sum_so_far(&tallies);
        let state: RootState = records::document(request, attr::STATE)?;
        let signs = tallies.iter().find(|item| item.key.id_type == records::SIGNS);
        let view = RequestView {
            sources: records::document(request, attr::SOURCES)?,
            children: (state.children, if known.settled { state.children } else { settled }),
            progress_at: signs
                .and_then(|signs| moment(signs, attr::EVIDENCE_AT))
                .unwrap_or(known.progress_at),
            ..known
        };
        Ok(Some(match outcome {
            Some(outcome) => RequestView {
                counters: outcome.counters,
                waiting_for: None,
                trouble: None,
                outcome: Some(outcome),
                ..view
            },
            None => RequestView {
                counters: sum.plus(&so_far.counters),
                unverified: so_far.unverified,
                next_at: view.trouble.as_ref().and_then(|_| moment(request, DUE_AT)),
                ..view
            },
        }))
    }
}

fn moment(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(item.number(name)?).ok()
}
