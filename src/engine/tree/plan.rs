//! The plan of a root, in items of the table: the children that it will have.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    domain::ids::RequestId,
    engine::{
        core::Core,
        lease::{Leased, RoundResult, id_of},
        records::{self, RootState, attr},
    },
    ports::{
        Class, Error,
        store::{Action, Condition, EXPIRE_AT, Item, Key, Write, Written},
    },
};

/// The keys of the items of a plan.
pub(super) fn keys(root: &RequestId, state: &RootState) -> Vec<Key> {
    (0..state.chunks).map(|chunk| records::plan_key(root, state.generation, chunk)).collect()
}

impl Core {
    /// The content of an item of a plan, and which write of it was read.
    pub(crate) async fn chunk<T: DeserializeOwned>(
        &self,
        root: &RequestId,
        generation: u32,
        n: u32,
    ) -> Result<(T, Option<String>), Error> {
        let item = self.ports.store.get(&records::plan_key(root, generation, n)).await?;
        let gone = || Error::new(Class::Invalid, "read plan", format!("the plan of {root} is gone"));
        let item = item.ok_or_else(gone)?;
        let chunk = self.read_document(&item, attr::SPEC).await?;
        Ok((chunk, item.text(attr::REVISION).map(str::to_owned)))
    }

    /// Writes an item of a plan: over the one that was read (`seen`), or over the one that an earlier round
    /// of the same generation has left. An attempt that lands late finds another one there, and changes
    /// nothing.
    pub(crate) async fn put_chunk<T: Serialize + Sync>(
        &self,
        held: &Leased,
        (generation, n): (u32, u32),
        chunk: &T,
        seen: Option<String>,
    ) -> RoundResult<()> {
        held.lease.check()?;
        let key = records::plan_key(&id_of(held), generation, n);
        // The chunk stays until the root settles, and expires where no record knows of it any more.
        let expire_at = self.outlives_a_root();
        let own = self.ports.chance.uuid().to_string();
        let item = self.with_document(Item::new(key), attr::SPEC, chunk).await?;
        let item = item.with(EXPIRE_AT, expire_at).with(attr::REVISION, own.as_str());
        let is_rewritten = seen.is_some();
        let over = |seen: String| Condition::Equals(attr::REVISION.into(), seen.into());
        let mut condition = seen.map_or(Condition::Absent, over);
        loop {
            let put = Write {
                key: item.key.clone(),
                action: Action::Put(item.attributes.clone()),
                conditions: vec![condition],
            };
            let Written::Refused(there) = self.ports.store.write(put).await? else { return Ok(()) };
            let seen = there.as_ref().and_then(|there| there.text(attr::REVISION)).map(str::to_owned);
            if seen.as_ref() == Some(&own) {
                // The answer of the first attempt was lost.
                return Ok(());
            }
            if is_rewritten {
                let message = "another instance has written it";
                return Err(Error::new(Class::Transient, "write plan", message).into());
            }
            condition = match (there, seen) {
                (_, Some(seen)) => over(seen),
                // Of an older version, which gave it none.
                (Some(_), None) => Condition::Lacks(attr::REVISION.into()),
                (None, None) => Condition::Absent,
            };
            held.lease.check()?;
        }
    }
}
