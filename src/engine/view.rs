//! A request as it is seen from outside.

use jiff::Timestamp;

use super::{
    Engine,
    records::{self, Phase, RootState, attr, started_at},
};
use crate::{
    domain::outcome::{Counters, Outcome},
    ports::{Result, store::Key},
};

/// A request as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestView {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Where it goes.
    pub destination: String,
    /// Whether work on it has begun.
    pub begun: bool,
    /// What it waits for before it can begin.
    pub waiting_for: Option<String>,
    /// Sums of its tallies; exact once it has an outcome.
    pub counters: Counters,
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

impl Engine {
    /// A request as it stands, by its id, by the event that brought it, or by the name that its caller
    /// chose; `None` when there is none of that name.
    pub async fn view(&self, name: &str) -> Result<Option<RequestView>> {
        self.view_of(name, None).await
    }

    /// The same among the requests that events of one source have named.
    pub async fn view_of(&self, name: &str, source: Option<&str>) -> Result<Option<RequestView>> {
        let Some(id) = self.core.id_of(name, source).await? else { return Ok(None) };
        let keys = [records::request_key(&id), Key::new(id.as_str(), records::OUTCOME)];
        let items = self.core.ports.store.get_many(&keys).await?;
        let find = |id_type: &str| items.iter().find(|item| item.key.id_type == id_type);
        let Some(request) = find(records::REQUEST) else { return Ok(None) };
        let outcome: Option<Outcome> = match find(records::OUTCOME) {
            Some(item) => Some(self.core.read_document(item, attr::OUTCOME).await?),
            None => None,
        };
        let tallies = self.core.ports.store.query(id.as_str(), records::TALLY).await?;
        let (settled, sum) = records::sum_tallies(&tallies);
        let state: RootState = records::document(request, attr::STATE)?;
        let phase = Phase::of(request).unwrap_or(Phase::Received);
        let updated = request.number(attr::UPDATED_AT).and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Ok(Some(RequestView {
            id: id.to_string(),
            kind: request.text(attr::KIND).unwrap_or_default().to_owned(),
            destination: request.text(attr::DESTINATION).unwrap_or_default().to_owned(),
            begun: phase != Phase::Received,
            waiting_for: request.text(attr::WAITING_FOR).filter(|_| outcome.is_none()).map(str::to_owned),
            counters: outcome.as_ref().map_or(sum, |outcome| outcome.counters),
            children: (state.children, settled),
            started_at: started_at(request),
            updated_at: updated.unwrap_or_else(|| started_at(request)),
            outcome,
            settled: phase == Phase::Settled,
        }))
    }
}
