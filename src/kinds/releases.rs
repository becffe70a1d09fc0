//! Packages that wait until somebody lets them go.
//!
//! The holder of the root that waits puts the record, whoever may let it go marks it and wakes the root.

use std::sync::Arc;

use crate::{
    domain::{ids::RequestId, share::auto::Release},
    ports::{
        Class, Error, Result,
        store::{Change, Condition, EXPIRE_AT, Item, Key, Store, Value, Write, Written},
    },
};

/// The record below the id of the package.
const RELEASE: &str = "RELEASE";
const DOCUMENT: &str = "release";
/// Who has let it go, and the name of the question.
const APPROVED_BY: &str = "approved_by";
const ASKED_AS: &str = "asked_as";

/// The records of all packages.
#[derive(Debug, Clone)]
pub(crate) struct Releases(Arc<dyn Store>);

/// A package that waits, or was let go.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// Which, for whom.
    pub release: Release,
    /// The name of the question that people were asked.
    pub asked_as: Option<String>,
}

fn key(package: &RequestId) -> Key {
    Key::new(package.as_str(), RELEASE)
}

impl Releases {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// The record of a package, if it has one.
    pub(crate) async fn of(&self, package: &RequestId) -> Result<Option<Held>> {
        let Some(item) = self.0.get(&key(package)).await? else { return Ok(None) };
        let mut release: Release = serde_json::from_str(item.text(DOCUMENT).unwrap_or_default())
            .map_err(|error| Error::new(Class::Invalid, "read release", "unreadable").caused_by(error))?;
        release.approved_by = item.text(APPROVED_BY).map(str::to_owned);
        Ok(Some(Held { release, asked_as: item.text(ASKED_AS).map(str::to_owned) }))
    }

    /// Puts the record, unless it is there. `expire_at`: seconds since 1970.
    pub(crate) async fn put(&self, package: &RequestId, release: &Release, expire_at: i64) -> Result<()> {
        let text = serde_json::to_string(release)
            .map_err(|error| Error::new(Class::Invalid, "write release", "unwritable").caused_by(error))?;
        let item = Item::new(key(package)).with(DOCUMENT, text).with(EXPIRE_AT, expire_at);
        self.0.write(Write::put_new(item)).await.map(drop)
    }

    /// Notes the name of the question.
    pub(crate) async fn asked(&self, package: &RequestId, name: &str) -> Result<()> {
        self.set(package, ASKED_AS, name).await.map(drop)
    }

    /// Lets it go; false where somebody has before.
    pub(crate) async fn approve(&self, package: &RequestId, who: &str) -> Result<bool> {
        self.set(package, APPROVED_BY, who).await
    }

    async fn set(&self, package: &RequestId, name: &str, text: &str) -> Result<bool> {
        let change = Change::Set(name.to_owned(), Value::from(text));
        let write = Write::update(key(package), vec![change])
            .when(Condition::Present)
            .when(Condition::Lacks(name.to_owned()));
        Ok(matches!(self.0.write(write).await?, Written::Done(_)))
    }
}
