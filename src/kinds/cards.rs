//! The cards of packages and pushes: what is told of one without its root, which is kept for a shorter time.
//!
//! A card is put in the transaction that makes the root: under its own id, and in the list of its month, by which
//! all are listed. How it ended is written once that is seen. Hints, both: what a root says goes before its card.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        copy_out::ThawParams,
        ids::RequestId,
        outcome::Outcome,
        receipt::Receipt,
        request::OnConflict,
        share::{
            deliver::Deliver,
            ids::Shared,
            outcome::{Delivered, IngestIds, PushPreview},
        },
    },
    events::share::shown::{JobStatus, delivered, ingest_ids, log_uri, preview},
    ports::{
        Class, Error, Result,
        store::{Change, Condition, EXPIRE_AT, Item, Key, Store, Value, Write},
    },
};

/// The record of a card below its own id.
const SHARE: &str = "SHARE";
/// What a card was made of.
const CARD: &str = "card";
/// How it ended.
const END: &str = "end";
/// Which attempt is the newest.
const ATTEMPT: &str = "attempt";

/// What is known of a package or a push from its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Card {
    /// The name of the package.
    pub name: String,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Who asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub who: String,
    /// Texts of its caller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Of a push: the package.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub package_id: String,
    /// Of a push: where to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub destination: String,
    /// Of a push: what is done where another object stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// Of a push: what is put beside its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliver: Vec<Deliver>,
    /// Of a push: how archived files are restored, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thaw: Option<ThawParams>,
    /// Of a push: whether it only says what it would do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Of a push: which attempt is the newest, if it was tried again.
    #[serde(skip)]
    pub attempt: u32,
    /// How it has ended, if that was seen.
    #[serde(skip)]
    pub end: Option<Ended>,
}

impl Card {
    /// That of something that nothing is known of.
    pub(crate) fn unknown(at: Timestamp) -> Self {
        Self {
            name: String::new(),
            asked_at: at,
            who: String::new(),
            labels: BTreeMap::new(),
            package_id: String::new(),
            destination: String::new(),
            on_conflict: None,
            deliver: Vec::new(),
            thaw: None,
            dry_run: false,
            attempt: 0,
            end: None,
        }
    }

    /// Its newest attempt, from 1.
    pub(crate) fn newest(&self) -> u32 {
        let ended = self.end.as_ref().map_or(0, |end| end.attempt);
        self.attempt.max(ended).max(1)
    }

    /// How its newest attempt has ended, if that was seen.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.end.as_ref().filter(|end| end.attempt >= self.attempt)
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// The name of the status.
    pub status: String,
    /// When.
    pub at: Timestamp,
    /// Why, where it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its files.
    #[serde(default)]
    pub files: u64,
    /// Their bytes.
    #[serde(default)]
    pub bytes: u64,
    /// Those that must be restored.
    #[serde(default)]
    pub archived: u64,
    /// Of a push: where it is told what became of each file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_uri: Option<String>,
    /// Of a push: its receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Of a push: what was put beside its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<Delivered>,
    /// Of a push: what became of the ids that reads keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest_ids: Option<IngestIds>,
    /// Of a push: what it would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<PushPreview>,
    /// Which attempt it was, from 1.
    #[serde(default)]
    pub attempt: u32,
}

impl Ended {
    /// The end of what has ended so, at its `attempt`th attempt.
    pub(crate) fn of(outcome: &Outcome, attempt: u32) -> Self {
        let status = JobStatus::of(outcome);
        let package = outcome.package.as_deref();
        Self {
            status: status.as_str().to_owned(),
            at: outcome.finished_at,
            error: outcome.failure.as_ref().map(|failure| failure.message.clone()),
            files: package.map_or(outcome.counters.files, |package| package.files),
            bytes: package.map_or(outcome.counters.bytes, |package| package.bytes),
            archived: package.map_or(0, |package| package.archived),
            log_uri: log_uri(outcome),
            receipt: outcome.receipt.clone(),
            delivered: delivered(outcome),
            ingest_ids: ingest_ids(outcome),
            preview: preview(outcome),
            attempt,
        }
    }

    /// The end of what nobody has seen end.
    pub(crate) fn lost(at: Timestamp) -> Self {
        let error = Some("its record has expired before its end was seen".to_owned());
        let status = JobStatus::Failed.as_str().to_owned();
        Self {
            status,
            at,
            error,
            files: 0,
            bytes: 0,
            archived: 0,
            log_uri: None,
            receipt: None,
            delivered: Vec::new(),
            ingest_ids: None,
            preview: None,
            attempt: 1,
        }
    }

    /// Where it stands.
    pub(crate) fn status(&self) -> JobStatus {
        JobStatus::read(&self.status).unwrap_or(JobStatus::Failed)
    }
}

/// The cards of all packages and pushes.
#[derive(Debug, Clone)]
pub(crate) struct Cards {
    store: Arc<dyn Store>,
    keep: Duration,
}

/// Packages of one name that are looked for.
const MOST_OF_NAME: usize = 10;

/// The list of a month.
fn month(at: Timestamp) -> String {
    format!("share.{}", at.strftime("%Y-%m"))
}

/// What ids in a list begin with.
const fn listed_as(kind: Shared) -> &'static str {
    match kind {
        Shared::Package => "PKG#",
        Shared::Push => "PSH#",
    }
}

fn keys(id: &RequestId, asked_at: Timestamp) -> [Key; 2] {
    let kind = Shared::of(id).unwrap_or(Shared::Package);
    [key(id), Key::new(month(asked_at), format!("{}{id}", listed_as(kind)))]
}

/// Where the card of that id is.
pub(crate) fn key(id: &RequestId) -> Key {
    Key::new(id.as_str(), SHARE)
}

/// Reads a card.
pub(crate) fn read(item: &Item) -> Result<Card> {
    let wrong = |error: serde_json::Error| {
        Error::new(Class::Invalid, "read card", format!("{} cannot be read", item.key)).caused_by(error)
    };
    let mut card: Card = serde_json::from_str(item.text(CARD).unwrap_or_default()).map_err(wrong)?;
    card.attempt = item.number(ATTEMPT).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    card.end = item.text(END).map(serde_json::from_str).transpose().map_err(wrong)?;
    Ok(card)
}

impl Cards {
    pub(crate) fn new(store: Arc<dyn Store>, keep: Duration) -> Self {
        Self { store, keep }
    }

    /// The items that are put with a root.
    pub(crate) fn items(&self, id: &RequestId, card: &Card) -> Result<Vec<Item>> {
        let text = serde_json::to_string(card).map_err(|error| {
            Error::new(Class::Invalid, "write card", "a card cannot be written").caused_by(error)
        })?;
        let expire_at =
            card.asked_at.as_second().saturating_add(i64::try_from(self.keep.as_secs()).unwrap_or(i64::MAX));
        let item = |key| Item::new(key).with(CARD, text.as_str()).with(EXPIRE_AT, expire_at);
        Ok(keys(id, card.asked_at).map(item).into())
    }

    /// The card of that id.
    pub(crate) async fn of(&self, id: &RequestId) -> Result<Option<Card>> {
        let found = self.store.get(&key(id)).await?;
        found.as_ref().map(read).transpose()
    }

    /// Writes down how it has ended. A card that was deleted stays so.
    pub(crate) async fn end(&self, id: &RequestId, card: &Card, end: &Ended) -> Result<()> {
        // A later attempt that came to nothing takes nothing back of what an earlier one has delivered.
        let former = card.end.as_ref();
        let end = &Ended {
            log_uri: end.log_uri.clone().or_else(|| former?.log_uri.clone()),
            receipt: end.receipt.clone().or_else(|| former?.receipt.clone()),
            ..end.clone()
        };
        let text = serde_json::to_string(end).map_err(|error| {
            Error::new(Class::Invalid, "write card", "an end cannot be written").caused_by(error)
        })?;
        let write = |key| {
            let change = Change::Set(END.to_owned(), Value::from(text.as_str()));
            Write::update(key, vec![change]).when(Condition::Present)
        };
        self.store.transact(keys(id, card.asked_at).map(write).into()).await.map(drop)
    }

    /// Writes down that it is tried again, for the `attempt`th time: how an earlier one has ended counts for nothing.
    pub(crate) async fn again(&self, id: &RequestId, card: &Card, attempt: u32) -> Result<()> {
        let attempt = i64::from(attempt);
        let write = |key| {
            let change = Change::Set(ATTEMPT.to_owned(), Value::from(attempt));
            let is_newer = Condition::AtMost(ATTEMPT.to_owned(), attempt);
            Write::update(key, vec![change]).when(Condition::Present).when(is_newer)
        };
        self.store.transact(keys(id, card.asked_at).map(write).into()).await.map(drop)
    }

    /// Forgets it.
    pub(crate) async fn delete(&self, id: &RequestId, card: &Card) -> Result<()> {
        self.store.transact(keys(id, card.asked_at).map(Write::delete).into()).await.map(drop)
    }

    /// The packages of that name that were asked for before then, and no longer ago than `within`: the last ones,
    /// the newest first.
    pub(crate) async fn of_name(
        &self,
        name: &str,
        before: Timestamp,
        within: Duration,
    ) -> Result<Vec<RequestId>> {
        let within = jiff::SignedDuration::try_from(within).unwrap_or(jiff::SignedDuration::MAX);
        let oldest = before.checked_sub(within).unwrap_or(Timestamp::MIN);
        let first = oldest.to_zoned(TimeZone::UTC).first_of_month().map_err(no_month)?;
        let mut at = before.to_zoned(TimeZone::UTC).first_of_month().map_err(no_month)?;
        let mut found: Vec<(Timestamp, RequestId)> = Vec::new();
        while at.date() >= first.date() && found.len() < MOST_OF_NAME {
            for item in self.store.query(&month(at.timestamp()), listed_as(Shared::Package)).await? {
                let card = read(&item)?;
                if card.name == name && card.asked_at < before {
                    let id = item.key.id_type.strip_prefix(listed_as(Shared::Package)).unwrap_or_default();
                    found.push((card.asked_at, RequestId::new(id)));
                }
            }
            at = at.checked_sub(1.month()).map_err(no_month)?;
        }
        found.sort_by(|one, other| other.cmp(one));
        found.truncate(MOST_OF_NAME);
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    /// All of that kind that are kept, newest first. `after`: none that was asked for before then is wanted.
    pub(crate) async fn all(
        &self,
        kind: Shared,
        after: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<(RequestId, Card)>> {
        let kept = now - jiff::SignedDuration::try_from(self.keep).unwrap_or(jiff::SignedDuration::MAX);
        let oldest = after.map_or(kept, |after| after.max(kept)).to_zoned(TimeZone::UTC);
        // The clock of another instance may be ahead, into another month.
        let mut at = (now + jiff::SignedDuration::from_hours(1))
            .to_zoned(TimeZone::UTC)
            .first_of_month()
            .map_err(no_month)?;
        let mut all = Vec::new();
        let first = oldest.first_of_month().map_err(no_month)?;
        while at.date() >= first.date() {
            for item in self.store.query(&month(at.timestamp()), listed_as(kind)).await? {
                let id = item.key.id_type.strip_prefix(listed_as(kind)).unwrap_or_default();
                all.push((RequestId::new(id), read(&item)?));
            }
            at = at.checked_sub(1.month()).map_err(no_month)?;
        }
        all.sort_by(|(id, card), (other_id, other)| (other.asked_at, other_id).cmp(&(card.asked_at, id)));
        Ok(all)
    }
}

fn no_month(error: jiff::Error) -> Error {
    Error::new(Class::Invalid, "list cards", "there is no such month").caused_by(error)
}

#[cfg(test)]
mod tests;
