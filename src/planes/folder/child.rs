//! The request reconciler, for children: wait for a folder, take over its verdict, tell the root.

use std::time::Duration;

use super::{
    FolderPlane,
    waiter::{self, Waiter},
};
use crate::{
    domain::{
        ids::{FolderId, ProjectId, RequestId},
        outcome::{Counters, ErrorName, Failure, Outcome},
        request::FolderRequest,
    },
    engine::{
        dispatch::Priority,
        lease::{Leased, RoundResult, id_of},
        records::{self, Phase, attr, millis, set, started_at},
        round::AfterRound,
    },
    ports::store::{Change, DUE_AT, DUE_SHARD, EXPIRE_AT, Item, Key, Transacted, Write},
};

/// How often a child looks by itself; the folder tells when there is something to see.
const LOOK: Duration = Duration::from_mins(10);

/// When it looks first: an instance that dies before the folder is woken is followed by another then.
const FIRST_LOOK: Duration = Duration::from_mins(2);

impl FolderPlane {
    pub(crate) async fn child_round(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        if Phase::of(&held.item) == Some(Phase::Settled) {
            return Ok(AfterRound::Settled { changes: Vec::new() });
        }
        let id = id_of(held);
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let mut keys = vec![Key::new(id.as_str(), records::OUTCOME), records::stop_key(&root)];
        let wakes = held.item.number(attr::WAKES).unwrap_or(0);
        let is_woken = wakes != held.item.number(attr::HEARD).unwrap_or(0);
        if Phase::of(&held.item) == Some(Phase::Running) && !is_woken {
            keys.extend(folder_of(&held.item).map(|folder| Waiter::key(&folder, &id)));
        }
        let found = self.core.ports.store.get_many(&keys).await?;
        let find = |id_type: &str| found.iter().find(|item| item.key.id_type == id_type);
        if let Some(verdict) = find(records::OUTCOME) {
            let outcome: Outcome = self.core.read_document(verdict, attr::OUTCOME).await?;
            return self.settle_child(held, &outcome).await;
        }
        if let Some(stop) = find(records::STOP) {
            let why: Failure = records::required(stop, attr::FAILURE)?;
            return self.settle_stopped(held, &why).await;
        }
        if found.iter().any(|item| item.text(attr::SEEN).is_some()) {
            // The folder knows, and looks by itself.
            return Ok(AfterRound::at(records::after(self.core.ports.clock.now(), LOOK)));
        }
        self.wait_for_folder(held).await
    }

    /// Registers with the folder, and wakes it. The call may be repeated.
    async fn wait_for_folder(&self, held: &Leased) -> RoundResult<AfterRound> {
        let spec: FolderRequest = self.core.read_document(&held.item, attr::SPEC).await?;
        let folder = FolderId::of(&spec.project, spec.path.as_str());
        let now = self.core.ports.clock.now();
        let key = waiter::folder_key(&folder);
        let register = Write::update(
            key.clone(),
            vec![
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
            siblings: waiter::siblings(&held.item),
            counted: None,
        };
        held.lease.check()?;
        let mut changes = vec![set(attr::PHASE, Phase::Running.as_str())];
        changes.extend(held.item.attributes.get(attr::WAKES).cloned().map(|wakes| set(attr::HEARD, wakes)));
        let is_first = Phase::of(&held.item) == Some(Phase::Received);
        let due_at = records::after(now, if is_first { FIRST_LOOK } else { LOOK });
        // The waiter is put first: a folder that is woken must find it. It is put only while the child is
        // ours: put by an instance that stood still on the way, it would be left behind by a child that has
        // settled meanwhile, and the folder would go on working for no request. The child is given back with
        // the same call, so that the holder of the folder can settle it.
        let item = self.core.with_document(waiter.item(&folder), attr::SPEC, &waiter.spec).await?;
        let past =
            [attr::FAILURES, attr::DEFECTS].into_iter().filter(|name| held.item.number(name).is_some());
        let all = changes.iter().cloned().chain(past.map(|name| set(name, 0))).collect();
        let give_back = self.core.giving_back(held, all, Some(due_at));
        let put = vec![give_back.when(held.no_news()), Write::put_new(item)];
        let next = match self.core.ports.store.transact(put).await? {
            Transacted::Done => AfterRound::Released,
            // It was put before, or there is news, or the lease is lost; the release tells.
            Transacted::Refused(why) if why.contains(&1) => AfterRound::Due { changes, due_at },
            Transacted::Refused(_) => return Ok(AfterRound::Due { changes, due_at: millis(now) }),
        };
        self.core.ports.store.write(register).await?;
        self.core.inbox.offer(key, Priority::Begun);
        Ok(next)
    }

    /// Settles the child of a folder.
    pub(crate) async fn settle_child(&self, held: &mut Leased, outcome: &Outcome) -> RoundResult<AfterRound> {
        let id = id_of(held);
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let spec: FolderRequest = self.core.read_document(&held.item, attr::SPEC).await?;
        let folder = FolderId::of(&spec.project, spec.path.as_str());
        held.lease.check()?;
        let key = Waiter::key(&folder, &id);
        let counted = self.core.ports.store.get(&key).await?.and_then(|item| waiter::counted(&item));
        let outcome = Outcome { counted: counted.or(outcome.counted), ..outcome.clone() };
        // The waiter goes first: once the child has settled, no round would come back for it.
        self.core.ports.store.write(Write::delete(key)).await?;
        self.core.settle_as(held, &root, &outcome, Vec::new(), tally_of(&spec, &outcome)).await
    }
}

impl FolderPlane {
    /// Settles a child whose root was stopped; its folder learns that the child waits no more.
    pub(crate) async fn settle_stopped(&self, held: &mut Leased, why: &Failure) -> RoundResult<AfterRound> {
        let folder = folder_of(&held.item);
        let failure = Failure::new(ErrorName::Cancelled, why.message.clone());
        let outcome = self.core.failed_outcome(&held.item, failure);
        let next = self.settle_child(held, &outcome).await?;
        if let Some(folder) = folder {
            self.core.wake(waiter::folder_key(&folder), Priority::Begun).await?;
        }
        Ok(next)
    }
}

/// The changes of its root's tally by a child that has ended so.
pub(super) fn tally_of(spec: &FolderRequest, outcome: &Outcome) -> Vec<Change> {
    // Files that are only on their way through are counted where they arrive.
    if spec.staging {
        return records::tally(&Counters::default(), None);
    }
    records::tally(&outcome.counters, outcome.counted.as_ref())
}

/// The folder that a child waits for.
pub(super) fn folder_of(child: &Item) -> Option<FolderId> {
    let place = child.text(attr::DESTINATION)?.strip_prefix("icav2://")?;
    let (project, path) = place.split_at(place.find('/')?);
    Some(FolderId::of(&ProjectId::new(project), path))
}
