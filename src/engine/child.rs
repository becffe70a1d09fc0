//! The request reconciler, for children: wait for a folder, take over its verdict, tell the root.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    Engine,
    backoff::jittered,
    dispatch::Lane,
    evidence::Party,
    large,
    lease::{Halt, Held, Step},
    records::{self, Phase, Waiter, attr, millis, set},
    request::{id_of, started_at},
    round::Next,
};
use crate::{
    domain::{
        ids::{FolderId, RequestId},
        outcome::{Counters, Failure, Outcome},
        request::FolderRequest,
    },
    ports::{
        Error,
        store::{Change, DUE_AT, DUE_SHARD, EXPIRE_AT, Key, Transacted, Write},
    },
    signals,
};

/// How often a child looks by itself; the folder wakes it when there is something to see.
const LOOK: Duration = Duration::from_mins(10);

/// How often a root is woken again that could not be, and the pauses before.
const WAKES_AGAIN: u32 = 4;
const WAKE_BASE: Duration = Duration::from_millis(500);
const WAKE_CAP: Duration = Duration::from_secs(2);

impl Engine {
    pub(crate) async fn child_round(&self, held: &mut Held) -> Step<Next> {
        if Phase::of(&held.item) == Some(Phase::Settled) {
            return Ok(Next::Settled { changes: Vec::new() });
        }
        let id = id_of(held);
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let keys = [Key::new(id.as_str(), records::OUTCOME), records::stop_key(&root)];
        let found = self.ports.store.get_many(&keys).await?;
        let find = |id_type: &str| found.iter().find(|item| item.key.id_type == id_type);
        if let Some(verdict) = find(records::OUTCOME) {
            let outcome: Outcome = self.read_document(verdict, attr::OUTCOME).await?;
            return self.settle_child(held, &outcome).await;
        }
        if let Some(stop) = find(records::STOP) {
            let why: Failure = records::required(stop, attr::FAILURE)?;
            return self.settle_stopped(held, &why).await;
        }
        self.wait_for_folder(held).await?;
        Ok(Next::Due {
            changes: vec![set(attr::PHASE, Phase::Running.as_str())],
            due_at: records::after(self.ports.clock.now(), LOOK),
        })
    }

    /// Registers with the folder, and wakes it. May be repeated.
    async fn wait_for_folder(&self, held: &Held) -> Step<()> {
        let spec: FolderRequest = self.read_document(&held.item, attr::SPEC).await?;
        let folder = FolderId::of(&spec.project, spec.path.as_str());
        let now = self.ports.clock.now();
        let key = records::folder_key(&folder);
        let register = Write::update(
            key.clone(),
            vec![
                set(attr::SCHEMA, records::SCHEMA),
                set(attr::KIND, "folder"),
                set(attr::DESTINATION, format!("icav2://{}{}", spec.project, spec.path)),
                set(DUE_SHARD, records::shard(&key)),
                set(DUE_AT, millis(now)),
                Change::Remove(EXPIRE_AT.into()),
                Change::Add(attr::WAKES.into(), 1),
            ],
        );
        let waiter = Waiter {
            request: id_of(held),
            root: RequestId::new(held.item.text(attr::ROOT).unwrap_or_default()),
            spec,
            since: started_at(&held.item),
            siblings: records::siblings(&held.item),
        };
        held.lease.check()?;
        // The waiter first: a folder that is woken must find it. Only while the child is ours: put by who
        // stood still on the way, it would be left behind by a child that has settled meanwhile, and the
        // folder would go on working for nobody.
        let item = self.with_document(waiter.item(&folder), attr::SPEC, &waiter.spec).await?;
        let put = vec![held.lease.still_held(), Write::put_new(item)];
        if matches!(self.ports.store.transact(put).await?, Transacted::Refused(why) if why.contains(&0)) {
            held.lease.lost.cancel();
            return Err(Halt::Lost);
        }
        self.ports.store.write(register).await?;
        self.inbox.offer(key, Lane::Begun);
        Ok(())
    }

    /// Settles the child of a folder.
    pub(crate) async fn settle_child(&self, held: &mut Held, outcome: &Outcome) -> Step<Next> {
        let id = id_of(held);
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let spec: FolderRequest = self.read_document(&held.item, attr::SPEC).await?;
        let folder = FolderId::of(&spec.project, spec.path.as_str());
        // What is only on its way through is counted where it arrives.
        let counted = if spec.staging { Counters::default() } else { outcome.counters };
        held.lease.check()?;
        // The waiter goes first: once the child has settled, nobody would come back for it.
        self.ports.store.write(Write::delete(Waiter::key(&folder, &id))).await?;
        self.settle_as(held, &root, outcome, Vec::new(), records::tally(&counted)).await
    }

    /// Settles a child of any kind: its record (with `changes` besides) and its root's tally in one
    /// transaction, then wakes the root.
    pub(crate) async fn settle_as(
        &self,
        held: &mut Held,
        root: &RequestId,
        outcome: &Outcome,
        mut changes: Vec<Change>,
        tally: Vec<Change>,
    ) -> Step<Next> {
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
        self.moved(&[Party::of(&held.item)]);
        match self.ports.store.transact(vec![settle, tally]).await? {
            Transacted::Done => {}
            Transacted::Refused(_) => return Err(Halt::Lost),
        }
        signals::engine::child_settled(root.as_str(), id.as_str(), outcome);
        self.wake_root(root).await?;
        Ok(Next::Released)
    }

    /// Wakes the root of a child that has just settled. Nobody comes back to it for that: what fails is tried
    /// again for a moment, and after that the root's own clock is left.
    async fn wake_root(&self, root: &RequestId) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            match self.wake(records::request_key(root), Lane::Root).await {
                Err(error) if error.is_passing() && tries < WAKES_AGAIN => tries += 1,
                woken => return woken,
            }
            sleep(jittered(WAKE_BASE, WAKE_CAP, tries, self.ports.chance.as_ref())).await;
        }
    }
}
