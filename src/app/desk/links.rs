//! Links of our own: whoever has one may read what it leads to until it ends. They outlive our credentials, can be
//! taken back, and count what is asked for by them. Of the secret in a link its sum is kept.
//!
//! A link is an item of its package, below `links.{package}`: `LINK#…` leads to the files of the package, `PAPER#…`
//! to one of its papers. It is good while the package has a card, so that a package that is deleted takes all of
//! them with it at once, whatever is left of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    domain::{ids::RequestId, share::ids::Shared},
    events::share::linked::LinkShown,
    kinds::cards::{self, Card},
    ports::{
        Class, Error, Result,
        chance::Chance,
        clock::Clock,
        store::{Action, Change, Condition, EXPIRE_AT, Item, Key, Store, Transacted, Write, Written},
    },
};

/// What a link was made of.
const DOCUMENT: &str = "link";
/// How often a file was asked for by it.
const FILES: &str = "files";
/// How many bytes were.
const BYTES: &str = "bytes";
/// When one was last, in milliseconds.
const ASKED_AT: &str = "asked_at";
/// When it was ended, in milliseconds.
const REVOKED_AT: &str = "revoked_at";

/// Letters of a ULID, and of what follows it in the id of a link.
const ULID: usize = 26;
const SUFFIX: usize = 16;
/// Links whose secrets are remembered, to be told again to who has asked for them.
const REMEMBERED: usize = 256;

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// The files of a package.
    Files,
    /// A paper.
    Paper,
}

impl Family {
    const ALL: [Self; 2] = [Self::Files, Self::Paper];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Files => "LINK#",
            Self::Paper => "PAPER#",
        }
    }
}

/// What a link was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    /// Who it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Who had it made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub who: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// How long it is good.
    pub until: Timestamp,
    /// Of a link to a paper: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<String>,
}

/// A link as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    terms: Terms,
    /// The sum of its secret, in hex.
    sum: String,
}

/// A link that is followed.
#[derive(Debug)]
pub(super) struct Found {
    /// The package.
    pub package: RequestId,
    /// Its card.
    pub card: Card,
    /// What the link was made of.
    pub terms: Terms,
    key: Key,
}

/// A link with its secret. A capability: it is in no log.
pub(super) struct Whole {
    /// As it stands in a URL.
    pub text: String,
    /// As it is shown.
    pub shown: LinkShown,
}

/// The links of all packages.
#[derive(Debug)]
pub(super) struct Links {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    remembered: Mutex<VecDeque<Remembered>>,
}

/// A link that was made for somebody.
struct Remembered {
    package: RequestId,
    who: String,
    text: String,
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembered").field("package", &self.package).finish_non_exhaustive()
    }
}

fn sum(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Where the links of a package are.
fn place(package: &RequestId) -> String {
    format!("links.{package}")
}

/// The package and the rest of the id of a link.
fn read_id(id: &str) -> Option<(RequestId, &str)> {
    // Of a push, all of its id stands there.
    let (kind, rest) = match id.strip_prefix(Shared::Push.prefix()) {
        Some(rest) => (Shared::Push, rest),
        None => (Shared::Package, id),
    };
    let (ulid, suffix) = rest.split_at_checked(ULID)?;
    let is_suffix = suffix.len() == SUFFIX && suffix.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((kind.read(ulid).filter(|_| is_suffix)?, suffix))
}

/// The id of a link.
fn id_of(package: &RequestId, suffix: &str) -> String {
    let ulid = package.as_str().trim_start_matches(Shared::Package.prefix());
    format!("{ulid}{suffix}")
}

fn read(item: &Item) -> Result<Kept> {
    serde_json::from_str(item.text(DOCUMENT).unwrap_or_default())
        .map_err(|error| Error::new(Class::Invalid, "read link", "it cannot be read").caused_by(error))
}

fn time(item: &Item, name: &str) -> Option<Timestamp> {
    item.number(name).and_then(|millis| Timestamp::from_millisecond(millis).ok())
}

impl Links {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Self {
        Self { store, clock, chance, remembered: Mutex::default() }
    }

    /// A link of a package, which is kept until `keep`; `None` where the package is not there any more.
    pub(super) async fn make(
        &self,
        package: &RequestId,
        terms: Terms,
        keep: Timestamp,
    ) -> Result<Option<Whole>> {
        let family = if terms.paper.is_some() { Family::Paper } else { Family::Files };
        let fresh = self.chance.uuid().simple().to_string();
        // The first half of a UUID is less random than the second: 62 bits of chance.
        let suffix = fresh.get(SUFFIX..).unwrap_or_default();
        let secret = format!("{}{}", self.chance.uuid().simple(), self.chance.uuid().simple());
        let kept = Kept { terms, sum: sum(&secret) };
        let text = serde_json::to_string(&kept).map_err(|error| {
            Error::new(Class::Invalid, "write link", "it cannot be written").caused_by(error)
        })?;
        let key = Key::new(place(package), format!("{}{suffix}", family.prefix()));
        let item = Item::new(key).with(DOCUMENT, text).with(EXPIRE_AT, keep.as_second());
        let shown = self.shown(package, &item)?;
        let there =
            Write { key: cards::key(package), action: Action::Check, conditions: vec![Condition::Present] };
        match self.store.transact(vec![Write::put_new(item), there]).await? {
            Transacted::Done => Ok(Some(Whole { text: format!("{}.{secret}", shown.id), shown })),
            Transacted::Refused(_) => Ok(None),
        }
    }

    /// The link that was made for somebody here, if it is still good.
    pub(super) async fn made_for(&self, package: &RequestId, who: &str) -> Result<Option<String>> {
        let known = {
            let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            let found = remembered.iter().find(|link| link.package == *package && link.who == who);
            found.map(|link| link.text.clone())
        };
        let Some(text) = known else { return Ok(None) };
        Ok(self.find(&text).await?.map(|_| text))
    }

    /// Remembers that a link was made for somebody.
    pub(super) fn remember(&self, package: &RequestId, who: &str, text: &str) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|link| link.package != *package || link.who != who);
        if remembered.len() >= REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(Remembered {
            package: package.clone(),
            who: who.to_owned(),
            text: text.to_owned(),
        });
    }

    /// What a link leads to, as it stands in a URL; `None` where there is no such link, or it has ended.
    pub(super) async fn find(&self, link: &str) -> Result<Option<Found>> {
        let Some((id, secret)) = link.rsplit_once('.') else { return Ok(None) };
        let Some((package, suffix)) = read_id(id) else { return Ok(None) };
        let at = |family: Family| Key::new(place(&package), format!("{}{suffix}", family.prefix()));
        let keys = [at(Family::Files), at(Family::Paper), cards::key(&package)];
        let mut items = self.store.get_many(&keys).await?;
        let Some(card) = items.iter().position(|item| item.key == cards::key(&package)) else {
            return Ok(None);
        };
        let card = cards::read(&items.swap_remove(card))?;
        let Some(item) = items.pop() else { return Ok(None) };
        let Kept { terms, sum: expected } = read(&item)?;
        // Sums are compared: how long that takes tells nothing of the secret.
        let is_good =
            expected == sum(secret) && self.clock.now() < terms.until && item.number(REVOKED_AT).is_none();
        Ok(is_good.then_some(Found { package, card, terms, key: item.key }))
    }

    /// Counts a file that is asked for, of so many bytes; whether the link is still good.
    pub(super) async fn count(&self, found: &Found, bytes: u64) -> Result<bool> {
        let changes = vec![
            Change::Add(FILES.to_owned(), 1),
            Change::Add(BYTES.to_owned(), i64::try_from(bytes).unwrap_or(i64::MAX)),
            Change::Set(ASKED_AT.to_owned(), self.clock.now().as_millisecond().into()),
        ];
        let write = Write::update(found.key.clone(), changes)
            .when(Condition::Present)
            .when(Condition::Lacks(REVOKED_AT.to_owned()));
        Ok(matches!(self.store.write(write).await?, Written::Done(_)))
    }

    /// The links to the files of a package, and to papers of a package or a push, oldest first.
    pub(super) async fn all(&self, of: &RequestId) -> Result<Vec<LinkShown>> {
        let mut all = Vec::new();
        for family in Family::ALL {
            for item in self.store.query(&place(of), family.prefix()).await? {
                all.push(self.shown(of, &item)?);
            }
        }
        all.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        Ok(all)
    }

    /// Ends a link at once; `None` where there is no such link.
    pub(super) async fn end(&self, of: &RequestId, id: &str) -> Result<Option<LinkShown>> {
        let Some((_, suffix)) = read_id(id).filter(|(named, _)| named == of) else { return Ok(None) };
        for family in Family::ALL {
            let key = Key::new(place(of), format!("{}{suffix}", family.prefix()));
            let change = Change::Set(REVOKED_AT.to_owned(), self.clock.now().as_millisecond().into());
            // One that was ended before stays as it is.
            let write = Write::update(key, vec![change])
                .when(Condition::Present)
                .when(Condition::Lacks(REVOKED_AT.to_owned()));
            let (Written::Done(item) | Written::Refused(item)) = self.store.write(write).await?;
            if let Some(item) = item {
                return self.shown(of, &item).map(Some);
            }
        }
        Ok(None)
    }

    /// Forgets all links of a package.
    pub(super) async fn forget(&self, package: &RequestId) -> Result<()> {
        for family in Family::ALL {
            for item in self.store.query(&place(package), family.prefix()).await? {
                self.store.write(Write::delete(item.key)).await?;
            }
        }
        Ok(())
    }

    fn shown(&self, package: &RequestId, item: &Item) -> Result<LinkShown> {
        let Kept { terms, .. } = read(item)?;
        let (_, suffix) = item.key.id_type.split_once('#').unwrap_or_default();
        let revoked_at = time(item, REVOKED_AT);
        let count = |name: &str| item.number(name).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        Ok(LinkShown {
            id: id_of(package, suffix),
            label: terms.label,
            created_by: terms.who,
            created_at: terms.made_at,
            until: terms.until,
            has_ended: revoked_at.is_some() || self.clock.now() >= terms.until,
            revoked_at,
            files: count(FILES),
            bytes: count(BYTES),
            last_asked_at: time(item, ASKED_AT),
            paper: terms.paper.map(|name| name.rsplit('/').next().unwrap_or_default().to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_back_to_what_it_is_of() {
        for id in ["pkg.01M8P176469MSSA0NDVMCQHTP0", "psh.01M8P176469MSSA0NDVMCQHTP0"] {
            let (id, suffix) = (RequestId::new(id), "0123456789abcdef");
            let text = format!("{}.{}", id_of(&id, suffix), "5ec4e7");
            let (link, secret) = text.rsplit_once('.').unwrap();
            assert_eq!(read_id(link), Some((id, suffix)));
            assert_eq!(secret, "5ec4e7");
        }
        assert_eq!(read_id("psh.01M8P176469MSSA0NDVMCQHTP0"), None);
    }
}
