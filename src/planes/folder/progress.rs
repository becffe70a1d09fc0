//! How far the files of waiters are, added to the tallies of their roots before the waiters end: a large copy moves
//! from its first minute.
//!
//! What was added for a waiter stands in the waiter's own item and changes together with the tally, so it is
//! added once, and the end of the waiter adds the rest.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    FolderPlane,
    state::FolderState,
    waiter::{Progress, Waiter},
    wanted::Resolved,
};
use crate::{
    domain::{ids::FolderId, outcome::Counted},
    engine::{
        lease::{Leased, RoundError, RoundResult},
        records::{self, as_millis, attr, millis, set},
    },
    ports::{
        platform::Load,
        store::{Condition, Key, Transacted, Write},
    },
    signals,
};

/// How often it is told at most.
const EVERY: Duration = Duration::from_secs(15);

/// How long calls have to wait for their turn, in seconds, for what is foreseen to be told: else the look that
/// is to come tells it soon.
const LONG_QUEUE: f64 = 5.0;

/// Waiters told of in one transaction, each of which may have a tally of its own.
const TOGETHER: usize = 45;

impl FolderState {
    /// The names of the files that are said to have arrived: a job has succeeded, or an upload was answered.
    pub(super) fn unverified(&self) -> HashSet<&str> {
        let ended = self.jobs.iter().filter(|job| job.ended_at.is_some() && !job.has_failed());
        let put = self.uploads.iter().filter(|(_, upload)| upload.put_at.is_some());
        let names = ended.flat_map(|job| job.brings().iter().map(String::as_str));
        names.chain(put.map(|(name, _)| name.as_str())).collect()
    }

    /// What the tallies hold of these waiters, now that they were told.
    fn note_counted(&self, waiters: &mut [(Waiter, Arc<Resolved>)]) {
        for (waiter, _) in waiters {
            if let Some(progress) = self.progress.iter().find(|progress| progress.request == waiter.request) {
                waiter.counted = Some(progress.counted);
            }
        }
    }

    /// How far the waiters are before the next look, which may have to wait for its turn.
    fn foresee(&mut self, waiters: &[(Waiter, Arc<Resolved>)]) {
        let unverified = self.unverified();
        let foreseen = waiters.iter().filter(|(waiter, _)| !waiter.spec.staging).map(|(waiter, resolved)| {
            let counters = waiter.counted.unwrap_or_default().counters;
            let open = (resolved.files.len() as u64).saturating_sub(counters.done());
            let arrived = resolved.files.iter().filter(|file| unverified.contains(file.wanted.name.as_str()));
            Progress::new(waiter, Counted { counters, unverified: open.min(arrived.count() as u64) })
        });
        self.progress = foreseen.collect();
    }
}

impl FolderPlane {
    /// Tells roots what is said to have arrived, where the next look will have to wait for long.
    pub(super) async fn tell_foreseen(
        &self,
        held: &Leased,
        state: &mut FolderState,
        waiters: &mut [(Waiter, Arc<Resolved>)],
    ) -> RoundResult<()> {
        let Load { waiting, per_second } = self.core.ports.platform.load();
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        if waiting as f64 <= LONG_QUEUE * per_second {
            return Ok(());
        }
        state.foresee(waiters);
        self.tell_progress(held, state, false).await?;
        state.note_counted(waiters);
        Ok(())
    }

    /// Tells roots how far the waiters are that go on: once in a while, and before a long sleep what has
    /// arrived. What cannot be told now is told later.
    pub(super) async fn tell_progress(
        &self,
        held: &Leased,
        state: &mut FolderState,
        sleeps: bool,
    ) -> RoundResult<()> {
        let now = millis(self.core.ports.clock.now());
        let every = as_millis(EVERY);
        let sleeps_long = sleeps && state.due_at() > now.saturating_add(every);
        let is_due = |progress: &Progress| {
            let late = now >= progress.since.max(state.counted_at).saturating_add(every);
            late && progress.now != progress.counted || sleeps_long && progress.has_moved()
        };
        let due: Vec<_> = state.progress.iter().filter(|progress| is_due(progress)).cloned().collect();
        if due.is_empty() {
            return Ok(());
        }
        state.counted_at = now;
        for some in due.chunks(TOGETHER) {
            held.lease.check()?;
            match self.core.ports.store.transact(writes(held, some)?).await {
                Ok(Transacted::Done) => {
                    for progress in &mut state.progress {
                        if some.iter().any(|told| told.request == progress.request) {
                            progress.counted = progress.now;
                        }
                    }
                }
                Ok(Transacted::Refused(which)) if which.contains(&0) => {
                    held.lease.lost.cancel();
                    return Err(RoundError::Lost);
                }
                // A waiter has gone meanwhile.
                Ok(Transacted::Refused(_)) => {}
                // That it is not told is no reason to fail anything.
                Err(error) => signals::engine::evidence_untold(&error),
            }
        }
        Ok(())
    }
}

/// The writes that tell it, of which the first says that the folder is still held.
fn writes(held: &Leased, progress: &[Progress]) -> RoundResult<Vec<Write>> {
    let folder = FolderId::new(held.lease.key.id.as_str());
    let mut writes = vec![held.lease.still_held()];
    // An item may be in a transaction once.
    let mut tallies: BTreeMap<Key, BTreeMap<String, i64>> = BTreeMap::new();
    for Progress { request, root, now, counted, .. } in progress {
        let key = Waiter::key(&folder, request);
        let known = if *counted == Counted::default() {
            Condition::Lacks(attr::COUNTED.to_owned())
        } else {
            Condition::Equals(attr::COUNTED.to_owned(), records::text(counted)?.into())
        };
        let write = Write::update(key, vec![set(attr::COUNTED, records::text(now)?)]);
        writes.push(write.when(Condition::Present).when(known));
        let tally = tallies.entry(records::tally_key(root, request)).or_default();
        for (name, by) in records::added(now, counted) {
            *tally.entry(records::so_far(name)).or_default() += by;
        }
    }
    let adds =
        |sums: BTreeMap<String, i64>| sums.into_iter().map(|(name, by)| records::add(&name, by)).collect();
    writes.extend(tallies.into_iter().map(|(key, sums)| Write::update(key, adds(sums))));
    Ok(writes)
}
