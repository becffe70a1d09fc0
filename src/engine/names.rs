//! The names by which a request is found besides its id: the event or message that brought it, and the name
//! that its caller chose.
//!
//! A name leads to an id, and that either to a record or to another name: a refused request is kept
//! under the event that brought it, so that the name stays free for the corrected one.

use jiff::Timestamp;

use super::{
    core::Core,
    records::{self, attr, millis},
};
use crate::{
    domain::ids::{RequestId, digest},
    ports::{
        Result,
        store::{Action, EXPIRE_AT, Item, Key, Write},
    },
};

/// The item that leads from a name to a record; of callers' names, and of what they call themselves, one
/// per source follows a `#`.
const ALIAS: &str = "ALIAS";
/// How often one name may lead to another.
const HOPS: usize = 3;
/// The longest name that is looked for; ids of records are shorter.
const LONGEST: usize = 1024;

/// The names by which a caller knows its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    /// The event, or the message where there was none.
    pub own: &'a str,
    /// The source of the event.
    pub source: &'a str,
    /// The name that the caller chose.
    pub name: Option<&'a str>,
    /// What the caller calls itself, which leads to the newest of its requests.
    pub caller: Option<&'a str>,
}

impl Names<'_> {
    /// The record of the request that its caller has named.
    pub(crate) fn named(&self) -> Option<RequestId> {
        self.name.map(|name| RequestId::of_caller(self.source, name))
    }
}

/// Where the name of an event or a message is kept.
pub(crate) fn alias_key(id: &str) -> Key {
    Key::new(id, ALIAS)
}

/// Where the names that callers choose are kept.
fn chosen(name: &str) -> String {
    format!("name.{}", digest(&[name]))
}

/// Where it is kept what callers call themselves.
fn called(caller: &str) -> String {
    format!("caller.{}", digest(&[caller]))
}

impl Core {
    /// The writes after which the record `id` is found by these names.
    pub(crate) fn names(&self, names: &Names<'_>, id: &RequestId) -> Vec<Write> {
        let now = self.ports.clock.now();
        let mut writes = Vec::new();
        if names.own != id.as_str() {
            writes.push(self.alias(alias_key(names.own), id, now));
        }
        if let (Some(name), Some(named)) = (names.name, names.named()) {
            let key = Key::new(chosen(name), format!("{ALIAS}#{}", digest(&[names.source])));
            writes.push(self.alias(key, &named, now));
            if named != *id {
                writes.push(self.alias(alias_key(named.as_str()), id, now));
            }
        }
        if let Some(caller) = names.caller {
            let key = Key::new(called(caller), format!("{ALIAS}#{}", digest(&[names.source])));
            writes.push(self.alias(key, id, now));
        }
        writes
    }

    /// The writes after which the names that people use lead to the record `id`, which was made in place of another.
    pub(crate) fn newest_names(
        &self,
        source: &str,
        name: Option<&str>,
        caller: Option<&str>,
        id: &RequestId,
    ) -> Vec<Write> {
        let now = self.ports.clock.now();
        let of_source = format!("{ALIAS}#{}", digest(&[source]));
        let places = name.map(chosen).into_iter().chain(caller.map(called));
        places.map(|place| self.alias(Key::new(place, of_source.clone()), id, now)).collect()
    }

    /// The write by which a name leads to a record.
    pub(crate) fn alias(&self, key: Key, to: &RequestId, now: Timestamp) -> Write {
        let item = Item::new(key)
            .with(attr::ROOT, to.as_str())
            .with(attr::CREATED_AT, millis(now))
            .with(EXPIRE_AT, self.outlives_a_root());
        Write { key: item.key, action: Action::Put(item.attributes), conditions: Vec::new() }
    }

    /// The id of the record that a name leads to; the name itself where it is an id already.
    pub(crate) async fn id_of(&self, name: &str, source: Option<&str>) -> Result<Option<RequestId>> {
        if name.is_empty() || name.len() > LONGEST {
            return Ok(None);
        }
        let mut id = match source {
            Some(source) => RequestId::of_caller(source, name),
            None => RequestId::new(name),
        };
        for _ in 0..HOPS {
            let request = records::request_key(&id);
            let items = self.ports.store.get_many(&[request.clone(), alias_key(id.as_str())]).await?;
            if items.iter().any(|item| item.key == request) {
                return Ok(Some(id));
            }
            let next = match items.first() {
                Some(alias) => alias.text(attr::ROOT).map(RequestId::new),
                // A name goes before what others call themselves.
                None => match self.newest_of(&chosen(id.as_str())).await? {
                    Some(next) => Some(next),
                    None => self.newest_of(&called(id.as_str())).await?,
                },
            };
            let Some(next) = next else { return Ok(None) };
            id = next;
        }
        Ok(None)
    }

    /// The request that these names lead to; the newest one where several sources have given them.
    async fn newest_of(&self, names: &str) -> Result<Option<RequestId>> {
        let aliases = self.ports.store.query(names, ALIAS).await?;
        let newest = aliases.iter().max_by_key(|alias| alias.number(attr::CREATED_AT));
        Ok(newest.and_then(|alias| alias.text(attr::ROOT)).map(RequestId::new))
    }
}
