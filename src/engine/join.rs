//! A request that can be understood, from its message to its records: stored when it is new, joined to
//! the one that is there when it is a repeat, refused when it contradicts that.

use serde::Serialize;

use super::{
    core::Core,
    dispatch::Priority,
    intake::Fate,
    names::{Names, alias_key},
    records::{self, attr, millis, started_at},
    refused::RejectedMessage,
    view::Sources,
};
use crate::{
    domain::{
        batch::BatchRequest,
        ids::{RequestId, digest},
        request::Asked,
        token::TaskToken,
    },
    events::intake::Submission,
    ports::{
        Error,
        store::{Action, Condition, DUE_AT, DUE_SHARD, EXPIRE_AT, Item, Key, Transacted, Write},
    },
    signals::{self, engine::Received},
};

/// How many sources are kept where they are seen without the payload, and how much of each, in characters.
const SHOWN_SOURCES: usize = 3;
const SHOWN: usize = 200;

/// A request on its way in.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The request, as it was read.
    pub submission: Submission,
    /// The event that brought it, or the message where there was none.
    pub own: String,
    /// The id of its record.
    pub id: RequestId,
    /// Where it goes, and what kind it is.
    destination: String,
    /// Whether its payload stands in an object, which may change while the message does not.
    is_elsewhere: bool,
}

impl Arrival {
    /// Before its payload is fetched, if that is elsewhere.
    pub(crate) fn new(submission: Submission, message_id: &str) -> Self {
        let own = submission.event_id.clone().unwrap_or_else(|| message_id.to_owned());
        let in_manifest =
            matches!(&submission.request, Asked::Batch(BatchRequest { manifest_uri: Some(_), .. }));
        Self {
            id: request_id(&submission, &own),
            destination: submission.request.destination(),
            is_elsewhere: submission.payload_uri.is_some() || in_manifest,
            own,
            submission,
        }
    }

    /// Whether its payload is known.
    pub(crate) const fn is_whole(&self) -> bool {
        !self.is_elsewhere
    }

    /// The names by which its caller knows it.
    pub(crate) fn names(&self) -> Names<'_> {
        let Submission { source, request_id, caller, .. } = &self.submission;
        Names { own: &self.own, source, name: request_id.as_deref(), caller: caller.as_deref() }
    }

    /// Its refusal.
    pub(crate) fn refused<'a>(
        &'a self,
        token: Option<&'a TaskToken>,
        contradicts: Option<&'a RequestId>,
        reason: &'a str,
    ) -> RejectedMessage<'a> {
        let kind = self.submission.request.kind().as_str();
        RejectedMessage {
            names: self.names(),
            kind,
            destination: &self.destination,
            token,
            contradicts,
            reason,
        }
    }

    fn hash(&self) -> String {
        digest(&[&self.submission.payload])
    }

    fn token_key(&self) -> Option<Key> {
        self.submission.token.as_ref().map(|token| records::token_key(&self.id, token.expose()))
    }
}

/// What is copied, as it is shown in lists.
fn sources(asked: &Asked) -> Sources {
    let list;
    let all: Vec<&String> = match asked {
        Asked::Copy(request) => request.sources.iter().chain(&request.external).collect(),
        Asked::Batch(BatchRequest { manifest_uri: Some(manifest), .. }) => vec![manifest],
        Asked::Batch(request) => request.sources.iter().collect(),
        Asked::CopyOut(request) => {
            list = format!("s3://{}/{}", request.list_bucket.as_deref().unwrap_or("-"), request.list_key);
            vec![&list]
        }
    };
    let first = all.iter().take(SHOWN_SOURCES).map(|source| source.chars().take(SHOWN).collect());
    Sources { first: first.collect(), total: all.len() }
}

/// What is there already of a request.
#[derive(Debug)]
pub(crate) enum Before {
    /// Nothing, or the remains of a request of that id that has expired.
    Nothing,
    /// The same request, of that id; whether the token is known as well.
    Same { id: RequestId, with_token: bool },
    /// Another one with the same id, name or token; whether that token is waited on by it.
    Other { id: RequestId, with_token: bool, reason: String },
}

impl Core {
    /// Puts the records of a request, or joins the one that is there.
    pub(crate) async fn store(&self, arrival: &Arrival) -> Result<(Fate, Option<Key>), Error> {
        let Arrival { submission, id, .. } = arrival;
        let now = self.ports.clock.now();
        let destination = submission.request.destination();
        let request = records::new_request(id, id, submission.request.kind().as_str(), &destination, now)
            .with(attr::HASH, arrival.hash())
            .with(attr::SOURCE, submission.source.as_str())
            .with(attr::SOURCES, records::text(&sources(&submission.request))?);
        let Submission { request_id, event_id, caller, .. } = submission;
        let known = [(attr::NAME, request_id), (attr::EVENT, event_id), (attr::CALLER, caller)];
        let known = known.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        let request = known.fold(request, |request, (name, text)| request.with(name, text));
        let mut writes = self.root_records(id, request, &submission.request).await?;
        writes.extend(self.names(&arrival.names(), id));
        let token = submission.token.as_ref().map(|token| (token, self.token_item(id, token, &destination)));
        let token_key = token.as_ref().map(|(_, item)| item.key.clone());
        if let Some((token, item)) = token {
            writes.push(Write::put_new(item));
            // A token is waited on by one request.
            let holder = holder(token);
            if holder == *id {
                writes.push(absent(alias_key(holder.as_str())));
            } else {
                writes.push(absent(records::request_key(&holder)));
                writes.push(self.alias(alias_key(holder.as_str()), id, now).when(Condition::Absent));
            }
        }
        if self.ports.store.transact(writes).await? == Transacted::Done {
            let sources = sources(&submission.request);
            let received = Received {
                request: id.as_str(),
                source: &submission.source,
                kind: submission.request.kind().as_str(),
                name: request_id.as_deref(),
                caller: caller.as_deref(),
                sources: (&sources.first, sources.total),
                destination: &destination,
                has_token: token_key.is_some(),
            };
            signals::engine::received(&received, &submission.unknown);
            self.inbox.offer(records::request_key(id), Priority::Root);
            return Ok((Fate::Delete, token_key));
        }
        self.join(arrival).await.map(|fate| (fate, token_key))
    }

    /// The writes that make a root: its record, its payload, and that it has no outcome yet.
    pub(super) async fn root_records<T: Serialize + Sync>(
        &self,
        id: &RequestId,
        request: Item,
        asked: &T,
    ) -> Result<Vec<Write>, Error> {
        let payload = Item::new(Key::new(id.as_str(), records::PAYLOAD));
        let payload = self.with_document(payload, attr::SPEC, asked).await?;
        let outcome = absent(Key::new(id.as_str(), records::OUTCOME));
        let day = records::day(millis(started_at(&request)));
        let request = request.with(attr::DAY, day);
        Ok(vec![Write::put_new(request), Write::put_new(payload), outcome])
    }

    /// A repeat of a request that is there: its token is beaten and answered like the first one.
    async fn join(&self, arrival: &Arrival) -> Result<Fate, Error> {
        let Arrival { submission, id, .. } = arrival;
        match self.before(arrival).await? {
            Before::Same { id: there, with_token } => {
                for name in self.names(&arrival.names(), &there) {
                    self.ports.store.write(name).await?;
                }
                if let (Some(token), false) = (&submission.token, with_token) {
                    self.ports
                        .store
                        .write(Write::put_new(self.token_item(
                            &there,
                            token,
                            &submission.request.destination(),
                        )))
                        .await?;
                    let holder = alias_key(holder(token).as_str());
                    self.ports.store.write(self.alias(holder, &there, self.ports.clock.now())).await?;
                }
                signals::engine::repeated(there.as_str());
                Ok(Fate::Delete)
            }
            Before::Other { id: there, with_token, reason } => {
                let token = submission.token.as_ref();
                let refused = arrival.refused(token.filter(|_| !with_token), Some(&there), &reason);
                Ok(self.set_aside(&refused, token.is_some()).await)
            }
            Before::Nothing => {
                // Left-overs vanish in any order; once all are gone, the message that comes back is a
                // new request.
                let holder = submission.token.as_ref().map(holder).filter(|holder| holder != id);
                for id in [Some(id), holder.as_ref()].into_iter().flatten() {
                    for item in self.ports.store.query(id.as_str(), "").await? {
                        let expired = Write::delete(item.key).when(Condition::Has(EXPIRE_AT.into()));
                        self.ports.store.write(expired).await?;
                    }
                }
                Ok(Fate::Release)
            }
        }
    }

    /// What is there already of a request.
    pub(crate) async fn before(&self, arrival: &Arrival) -> Result<Before, Error> {
        let Arrival { submission, own, id, is_elsewhere, .. } = arrival;
        let holder = submission.token.as_ref().map(holder);
        let (own_alias, outcome) = (alias_key(own), Key::new(id.as_str(), records::OUTCOME));
        let mut keys = vec![records::request_key(id), outcome.clone(), own_alias.clone()];
        keys.extend(arrival.token_key());
        for holder in holder.iter().filter(|holder| *holder != id) {
            keys.push(records::request_key(holder));
        }
        keys.extend(holder.iter().map(|holder| alias_key(holder.as_str())));
        let items = self.ports.store.get_many(&keys).await?;
        let find = |key: &Key| items.iter().find(|item| item.key == *key);

        // A token that another request waits on.
        if let Some(holder) = &holder {
            let alias = find(&alias_key(holder.as_str())).and_then(|alias| alias.text(attr::ROOT));
            let direct = find(&records::request_key(holder)).map(|_| holder.as_str());
            if let Some(other) = direct.or(alias).filter(|other| *other != id.as_str()) {
                return self.before_by_token(arrival, RequestId::new(other)).await;
            }
        }
        let with_token = arrival.token_key().is_some_and(|key| find(&key).is_some());
        let Some(there) = find(&records::request_key(id)) else { return Ok(Before::Nothing) };
        // A request that was refused leaves its id to the one that is not.
        let lives = find(&outcome).is_some() || there.number(DUE_AT).is_some();
        let hash = there.text(attr::HASH);
        let is_same_message = *is_elsewhere && (own == id.as_str() || find(&own_alias).is_some());
        if hash.is_some() && (hash == Some(&arrival.hash()) || is_same_message) && (lives || with_token) {
            // The very same message again is a repeat also when the object that it names has changed.
            return Ok(Before::Same { id: id.clone(), with_token });
        }
        if hash.is_none() || !(lives || with_token) {
            return Ok(Before::Nothing);
        }
        let reason = match (&submission.request_id, &submission.token) {
            (Some(name), _) => format!("request id `{name}` was used before with another payload"),
            (None, Some(_)) => "the task token was used before with another payload".to_owned(),
            (None, None) => format!("the id `{id}` was used before with another payload"),
        };
        Ok(Before::Other { id: id.clone(), with_token, reason })
    }

    /// What is there of a request whose token another one waits on.
    async fn before_by_token(&self, arrival: &Arrival, other: RequestId) -> Result<Before, Error> {
        let Some(there) = self.ports.store.get(&records::request_key(&other)).await? else {
            return Ok(Before::Nothing);
        };
        Ok(if there.text(attr::HASH) == Some(&arrival.hash()) {
            Before::Same { id: other, with_token: true }
        } else {
            let reason = "the task token was used before, by a request of another name".to_owned();
            Before::Other { id: other, with_token: true, reason }
        })
    }

    /// Whether an earlier receive of the same message has stored it.
    pub(crate) async fn was_stored(&self, arrival: &Arrival) -> Result<bool, Error> {
        match arrival.token_key() {
            Some(key) => Ok(self.ports.store.get(&key).await?.is_some()),
            None => Ok(matches!(self.before(arrival).await?, Before::Same { .. })),
        }
    }

    pub(super) fn token_item(&self, root: &RequestId, token: &TaskToken, destination: &str) -> Item {
        let key = records::token_key(root, token.expose());
        let shard = records::shard(&key);
        Item::new(key)
            .with(attr::TOKEN, token.expose())
            .with(attr::DESTINATION, destination)
            .with(attr::CREATED_AT, millis(self.ports.clock.now()))
            .with(DUE_SHARD, shard)
            .with(DUE_AT, millis(self.ports.clock.now()))
    }
}

fn absent(key: Key) -> Write {
    Write { key, action: Action::Check, conditions: vec![Condition::Absent] }
}

/// The id of the request that a token alone names.
fn holder(token: &TaskToken) -> RequestId {
    RequestId::new(format!("token.{}", digest(&[token.expose()])))
}

/// The caller's own id within its event source, else the token, else the event or message.
fn request_id(submission: &Submission, own: &str) -> RequestId {
    match (&submission.request_id, &submission.token) {
        (Some(name), _) => RequestId::of_caller(&submission.source, name),
        (None, Some(token)) => holder(token),
        (None, None) => RequestId::new(own),
    }
}
