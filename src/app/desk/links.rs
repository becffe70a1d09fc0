//! Links of our own: whoever has one may read what it leads to until it ends. They outlive our credentials, and can
//! be taken back. Of the secret in a link its sum is kept.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ports::{
    Class, Error, Result,
    chance::Chance,
    clock::Clock,
    store::{EXPIRE_AT, Item, Key, Store, Write},
};

/// The record of a link.
const LINK: &str = "LINK";
/// What it leads to.
const DOCUMENT: &str = "link";

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    /// The name of an artifact.
    pub artifact: String,
    /// How long it is good.
    pub until: Timestamp,
    /// The sum of its secret, in hex.
    sum: String,
}

/// The links of all packages.
#[derive(Debug, Clone)]
pub(super) struct Links {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

fn sum(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

fn key(id: &str) -> Key {
    Key::new(format!("link.{id}"), LINK)
}

impl Links {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Self {
        Self { store, clock, chance }
    }

    /// A link to an artifact: its id and its secret, as they stand in a URL.
    pub(super) async fn make(&self, artifact: &str, lasts: Duration) -> Result<String> {
        let id = self.chance.uuid().simple().to_string();
        let secret = format!("{}{}", self.chance.uuid().simple(), self.chance.uuid().simple());
        let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
        let until = self.clock.now() + lasts;
        let link = Link { artifact: artifact.to_owned(), until, sum: sum(&secret) };
        let text = serde_json::to_string(&link).map_err(|error| {
            Error::new(Class::Invalid, "write link", "it cannot be written").caused_by(error)
        })?;
        let item = Item::new(key(&id)).with(DOCUMENT, text).with(EXPIRE_AT, until.as_second());
        self.store.write(Write::put_new(item)).await?;
        Ok(format!("{id}.{secret}"))
    }

    /// What a link leads to, as it stands in a URL; `None` where there is no such link, or it has ended.
    pub(super) async fn follow(&self, link: &str) -> Result<Option<Link>> {
        let Some((id, secret)) = link.split_once('.') else { return Ok(None) };
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id {
            return Ok(None);
        }
        let Some(item) = self.store.get(&key(id)).await? else { return Ok(None) };
        let link: Link = serde_json::from_str(item.text(DOCUMENT).unwrap_or_default())
            .map_err(|error| Error::new(Class::Invalid, "read link", "it cannot be read").caused_by(error))?;
        // Sums are compared: how long that takes tells nothing of the secret.
        Ok(Some(link).filter(|link| link.sum == sum(secret) && self.clock.now() < link.until))
    }
}
