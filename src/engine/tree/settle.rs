//! How a child ends: its record and its root's tally change together, then the root is woken.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    domain::{ids::RequestId, outcome::Outcome},
    engine::{
        backoff::jittered,
        core::Core,
        dispatch::Priority,
        large,
        lease::{Leased, RoundError, RoundResult, id_of},
        liveness::RootRef,
        records::{self, Phase, attr, set},
        round::AfterRound,
    },
    ports::{
        Error,
        store::{Change, DUE_AT, DUE_SHARD, Transacted, Write},
    },
    signals,
};

/// How often a root is woken again that could not be, and the pauses before.
const WAKES_AGAIN: u32 = 4;
const WAKE_BASE: Duration = Duration::from_millis(500);
const WAKE_CAP: Duration = Duration::from_secs(2);

impl Core {
    /// Settles a child of any kind: its record (with `changes` besides) and its root's tally in one
    /// transaction, then wakes the root.
    pub(crate) async fn settle_as(
        &self,
        held: &mut Leased,
        root: &RequestId,
        outcome: &Outcome,
        mut changes: Vec<Change>,
        tally: Vec<Change>,
    ) -> RoundResult<AfterRound> {
        let id = id_of(held);
        changes.extend([
            set(attr::PHASE, Phase::Settled.as_str()),
            self.set_document(&held.lease.key, attr::OUTCOME, outcome).await?,
            Change::Remove(DUE_SHARD.into()),
            Change::Remove(DUE_AT.into()),
            set(attr::OWNER, ""),
            set(attr::STARTS, 0),
        ]);
        changes.extend(large::removal(attr::SPEC));
        let settle = held.lease.guarded(changes);
        let tally = Write::update(records::tally_key(root, &id), tally);
        held.lease.check()?;
        // Before the root may know: it forgets its signs when it ends.
        self.record_progress(&[RootRef::of(&held.item)]);
        match self.ports.store.transact(vec![settle, tally]).await? {
            Transacted::Done => {}
            Transacted::Refused(_) => return Err(RoundError::Lost),
        }
        signals::engine::child_settled(root.as_str(), id.as_str(), outcome);
        self.wake_root(root).await?;
        Ok(AfterRound::Released)
    }

    /// Wakes the root of a child that has just settled. No round comes back to the child for that: a wake
    /// that fails is tried again for a moment, and after that the root's own clock is left.
    async fn wake_root(&self, root: &RequestId) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            match self.wake(records::request_key(root), Priority::Root).await {
                Err(error) if error.is_passing() && tries < WAKES_AGAIN => tries += 1,
                woken => return woken,
            }
            sleep(jittered(WAKE_BASE, WAKE_CAP, tries, self.ports.chance.as_ref())).await;
        }
    }
}
