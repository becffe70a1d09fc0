//! Roots that wait for the end of another root.

use super::{
    core::Core,
    dispatch::Priority,
    lease::Leased,
    records::{self, Phase, attr},
};
use crate::{
    domain::ids::RequestId,
    ports::{
        Result,
        store::{Change, Condition, Value, Write, Written},
    },
};

impl Core {
    /// Whether a root has settled, or is not there (any more). Where it has not, `waiter` is woken when it
    /// does: once, and perhaps for another reason, so that it asks again.
    ///
    /// # Guarantees
    ///
    /// A root that is told `false` is woken after the other one has settled, whatever dies in between.
    pub async fn has_settled(&self, root: &RequestId, waiter: &RequestId) -> Result<bool> {
        let key = records::request_key(root);
        let mut there = self.ports.store.get(&key).await?;
        loop {
            let Some(item) = there else { return Ok(true) };
            // A phase that only a newer version knows is no end.
            let phase = item.text(attr::PHASE).unwrap_or_default();
            if phase == Phase::Settled.as_str() {
                return Ok(true);
            }
            // Its holder does not give the record back before it has woken the waiter (again): a waiter that
            // was woken may ask before the end is stored.
            let changes = vec![
                Change::Include(attr::AWAITED_BY.into(), waiter.to_string()),
                Change::Add(attr::WAKES.into(), 1),
            ];
            let same_phase = Condition::Equals(attr::PHASE.into(), Value::from(phase));
            match self.ports.store.write(Write::update(key.clone(), changes).when(same_phase)).await? {
                Written::Done(_) => return Ok(false),
                Written::Refused(now) => there = now,
            }
        }
    }

    /// Wakes the roots that wait for one that settles now.
    pub(crate) async fn wake_those_who_wait(&self, held: &Leased) -> Result<()> {
        for waiter in held.item.members(attr::AWAITED_BY) {
            self.wake(records::request_key(&RequestId::new(waiter.as_str())), Priority::Root).await?;
        }
        Ok(())
    }
}
