//! The table as this version uses it, and, in builds with the simulator, as a newer version would.
//!
//! The newer version is an imitation, for tests of upgrades and rollbacks: it reads schema 2 besides, writes some
//! types of records in it, and differs from this one in two things. Documents of those records are wrapped, so that
//! this version would take each for an empty one if it read them; and every record that it writes has an attribute
//! more, which this version does not know. It does not imitate another engine.

use std::sync::Arc;

use crate::{engine::schema::Guarded, ports::store::Store};

#[cfg(feature = "simulator")]
pub use self::newer::{Newer, UNKNOWN, WORK, plain};

/// The variable that has a daemon imitate a newer version.
#[cfg(feature = "simulator")]
const VARIABLE: &str = "COPY_MANAGER_IMITATES_NEWER";

/// The table as this version uses it.
pub(super) fn guarded(store: impl Store + 'static) -> Arc<dyn Store> {
    #[cfg(feature = "simulator")]
    if crate::config::environment().any(|(name, value)| name == VARIABLE && !value.is_empty()) {
        return Newer::table(Arc::new(store), WORK);
    }
    Arc::new(Guarded::new(Arc::new(store)))
}

#[cfg(feature = "simulator")]
mod newer {
    use std::{collections::BTreeMap, sync::Arc};

    use async_trait::async_trait;
    use serde_json::{Value as Json, json};

    use crate::{
        engine::schema::{Guarded, Schema},
        ports::{
            Result,
            store::{
                Action, Change, Due, Item, Key, READS, Recent, SCHEMA, Store, Transacted, Value, Write,
                Written,
            },
        },
    };

    /// An attribute that this version does not know.
    pub const UNKNOWN: &str = "x_newer";

    /// The schema that the newer version writes.
    const NEWER: i64 = READS + 1;

    /// The types of records that the newer version of a process writes otherwise.
    pub const WORK: &[(&str, i64)] = &[
        ("REQUEST", NEWER),
        ("PAYLOAD", NEWER),
        ("PLAN#", NEWER),
        ("FOLDER", NEWER),
        ("WAITER#", NEWER),
        ("OUTCOME", NEWER),
        ("STOP", NEWER),
        ("TOKEN#", NEWER),
    ];

    /// Attributes that hold documents.
    const DOCUMENTS: [&str; 4] = ["state", "spec", "outcome", "failure"];

    /// The table below a newer version.
    #[derive(Debug)]
    pub struct Newer {
        store: Arc<dyn Store>,
        changed: &'static [(&'static str, i64)],
    }

    impl Newer {
        /// The table as a newer version uses it that writes records of these types otherwise.
        pub fn table(store: Arc<dyn Store>, changed: &'static [(&'static str, i64)]) -> Arc<dyn Store> {
            let below = Arc::new(Self { store, changed });
            Arc::new(Guarded::with(below, Schema { reads: NEWER, changed }))
        }

        fn is_changed(&self, key: &Key) -> bool {
            self.changed.iter().any(|(of, _)| key.id_type.starts_with(of))
        }

        /// A write as the newer version has it.
        fn written(&self, mut write: Write) -> Write {
            let wraps = self.is_changed(&write.key);
            match &mut write.action {
                Action::Put(attributes) => {
                    if wraps {
                        wrap_all(attributes);
                    }
                    attributes.insert(UNKNOWN.to_owned(), 1.into());
                }
                Action::Update(changes) => {
                    for change in &mut *changes {
                        if let Change::Set(name, value) = change
                            && wraps
                        {
                            wrap(name, value);
                        }
                    }
                    if changes.iter().any(|change| change.name() == SCHEMA) {
                        changes.push(Change::Set(UNKNOWN.to_owned(), 1.into()));
                    }
                }
                Action::Delete | Action::Check => {}
            }
            write
        }
    }

    fn wrap_all(attributes: &mut BTreeMap<String, Value>) {
        for (name, value) in attributes {
            wrap(name, value);
        }
    }

    fn wrap(name: &str, value: &mut Value) {
        if let Value::Text(text) = value
            && DOCUMENTS.contains(&name)
        {
            *text = json!({ "newer": text }).to_string();
        }
    }

    /// An item with its documents as this version writes them.
    #[must_use]
    pub fn plain(mut item: Item) -> Item {
        for name in DOCUMENTS {
            if let Some(Value::Text(text)) = item.attributes.get_mut(name)
                && text.starts_with("{\"newer\":")
                && let Ok(Json::Object(wrapped)) = serde_json::from_str(text)
                && let Some(Json::String(within)) = wrapped.get("newer")
            {
                within.clone_into(text);
            }
        }
        item
    }

    #[async_trait]
    impl Store for Newer {
        async fn get(&self, key: &Key) -> Result<Option<Item>> {
            Ok(self.store.get(key).await?.map(plain))
        }

        async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
            Ok(self.store.get_many(keys).await?.into_iter().map(plain).collect())
        }

        async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
            Ok(self.store.query(id, prefix).await?.into_iter().map(plain).collect())
        }

        async fn write(&self, write: Write) -> Result<Written> {
            Ok(match self.store.write(self.written(write)).await? {
                Written::Done(item) => Written::Done(item.map(plain)),
                Written::Refused(item) => Written::Refused(item.map(plain)),
            })
        }

        async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
            self.store.transact(writes.into_iter().map(|write| self.written(write)).collect()).await
        }

        async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
            self.store.due(shard, until, limit).await
        }

        async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
            self.store.due_after(shard, after, limit).await
        }

        async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
            self.store.recent(day, before, limit).await
        }
    }
}
