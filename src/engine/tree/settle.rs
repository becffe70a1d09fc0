//! How a child ends: its record and its root's tally change together, then the root is woken. The holder of
//! the child ends it so, or, while no instance has it in hand, the holder of what it waits for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    domain::{ids::RequestId, outcome::Outcome},
    engine::{
        backoff::jittered,
        concurrent::join_unordered,
        core::Core,
        dispatch::Priority,
        large,
        lease::{Leased, RoundError, RoundResult, id_of},
        liveness::RootRef,
        records::{self, Phase, attr, set},
        round::AfterRound,
    },
    ports::{
        Class, Error,
        store::{Change, Condition, DUE_AT, DUE_SHARD, Key, Transacted, Write},
    },
    signals,
};

/// How often a root is woken again that could not be, and the pauses before.
const WAKES_AGAIN: u32 = 4;
const WAKE_BASE: Duration = Duration::from_millis(500);
const WAKE_CAP: Duration = Duration::from_secs(2);

/// Roots woken at a time.
const WIDTH: usize = 16;

/// How often children are settled together again where others were in the way, and the pauses before.
const TRIES: u32 = 3;
const TRY_BASE: Duration = Duration::from_millis(50);
const TRY_CAP: Duration = Duration::from_millis(500);

/// The end of a child, found out by the holder of another record.
#[derive(Debug)]
pub(crate) struct ChildEnd<'a> {
    pub child: &'a RequestId,
    pub root: RootRef,
    pub outcome: &'a Outcome,
    /// What is added to its root's tally.
    pub tally: Vec<Change>,
    /// What changes with it.
    pub also: Write,
}

fn added(change: &Change) -> Option<(&str, i64)> {
    match change {
        Change::Add(name, by) => Some((name, *by)),
        Change::Set(..) | Change::Remove(_) | Change::Include(..) | Change::Exclude(..) => None,
    }
}

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
        changes.extend(self.settled(&held.lease.key, outcome).await?);
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

    /// Settles children on behalf of which another record was worked on, `by`: each child's record, its root's
    /// tally and a write `also` change together, if `by` is still held and no instance has the child in hand.
    /// False: it has settled, or is in hand, or they cannot be settled together; nothing was done for any of them.
    pub(crate) async fn settle_for(&self, by: &Leased, ends: Vec<ChildEnd<'_>>) -> RoundResult<bool> {
        let mut writes = vec![by.lease.still_held()];
        // An item may be in a transaction once.
        let mut tallies: BTreeMap<Key, BTreeMap<String, i64>> = BTreeMap::new();
        for end in &ends {
            let key = records::request_key(end.child);
            let settle = Write::update(key.clone(), self.settled(&key, end.outcome).await?);
            let in_nobodys_hand = settle.when(Condition::Has(DUE_AT.into()));
            writes.push(in_nobodys_hand.when(Condition::Free(attr::OWNER.into())));
            let tally = tallies.entry(records::tally_key(&end.root.root, end.child)).or_default();
            for (name, by) in end.tally.iter().filter_map(added) {
                *tally.entry(name.to_owned()).or_default() += by;
            }
        }
        let adds =
            |sums: BTreeMap<String, i64>| sums.into_iter().map(|(name, by)| Change::Add(name, by)).collect();
        writes.extend(tallies.into_iter().map(|(key, sums)| Write::update(key, adds(sums))));
        let roots: Vec<_> = ends.iter().map(|end| end.root.clone()).collect();
        writes.extend(ends.iter().map(|end| end.also.clone()));
        // Before the roots may know: they forget their signs when they end.
        self.record_progress(&roots);
        let mut tries = 0;
        loop {
            by.lease.check()?;
            match self.ports.store.transact(writes.clone()).await {
                Ok(Transacted::Done) => break,
                Ok(Transacted::Refused(which)) if which.contains(&0) => {
                    by.lease.lost.cancel();
                    return Err(RoundError::Lost);
                }
                Ok(Transacted::Refused(_)) => return Ok(false),
                Err(error) if error.may_have_happened => {
                    self.wake_roots(&roots).await?;
                    return Err(error.into());
                }
                // Others write to the same tallies (`TransactionConflict`).
                Err(error) if error.class == Class::Transient && tries < TRIES => tries += 1,
                Err(error) if error.class == Class::Transient || !error.is_passing() => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            sleep(jittered(TRY_BASE, TRY_CAP, tries, self.ports.chance.as_ref())).await;
        }
        for ChildEnd { child, root, outcome, .. } in &ends {
            signals::engine::child_settled(root.root.as_str(), child.as_str(), outcome);
        }
        self.wake_roots(&roots).await?;
        Ok(true)
    }

    async fn wake_roots(&self, roots: &[RootRef]) -> Result<(), Error> {
        let roots: BTreeSet<_> = roots.iter().map(|root| &root.root).collect();
        let woken = join_unordered(WIDTH, roots.into_iter().map(|root| self.wake_root(root))).await;
        woken.into_iter().collect()
    }

    /// The changes that settle a child.
    async fn settled(&self, key: &Key, outcome: &Outcome) -> Result<Vec<Change>, Error> {
        let mut changes = vec![
            set(attr::PHASE, Phase::Settled.as_str()),
            self.set_document(key, attr::OUTCOME, outcome).await?,
            Change::Remove(DUE_SHARD.into()),
            Change::Remove(DUE_AT.into()),
            set(attr::OWNER, ""),
            set(attr::STARTS, 0),
        ];
        changes.extend(large::removal(attr::SPEC));
        Ok(changes)
    }

    /// Wakes the root of a child that has just settled. No round comes back to the child for that: a wake
    /// that fails is tried again for a moment, and after that the root's own clock is left.
    async fn wake_root(&self, root: &RequestId) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            match self.wake(records::request_key(root), Priority::Root).await {
                // A newer instance sees it when the root is due.
                Err(error) if error.is_newer() => return Ok(()),
                Err(error) if error.is_passing() && tries < WAKES_AGAIN => tries += 1,
                woken => return woken,
            }
            sleep(jittered(WAKE_BASE, WAKE_CAP, tries, self.ports.chance.as_ref())).await;
        }
    }
}
