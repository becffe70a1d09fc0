//! Deleting PARTIAL leftovers, and files that a request wants overwritten: the one dangerous act.
//!
//! A file is condemned (stored first, so that no waiter takes it for present), looked at again by id,
//! pardoned if it is no longer PARTIAL, and else deleted. Only names that this folder's requests want are
//! ever condemned, and of PARTIAL files only those that are ours ([`super::own`]).
//!
//! A sentence that was never seen to be carried out (its author died, or the delete was not answered)
//! is carried out by the next round, of this or another holder, while the file is still what it was. No file
//! is pardoned then: the first delete may still be on its way, and is given ten minutes.

use std::collections::HashSet;

use super::{
    FolderPlane, document,
    snapshot::Snapshot,
    state::{Condemned, FolderState},
};
use crate::{
    domain::{
        file::{DataStatus, FileInfo},
        ids::{DataId, ProjectId},
    },
    engine::{
        concurrent::join_unordered,
        lease::{Lease, Leased, RoundError, RoundResult},
        records::millis,
    },
    ports::Class,
    signals,
};

/// Files looked at and deleted at a time.
const WIDTH: usize = 8;

impl FolderPlane {
    /// Condemns the files that are in the way and deletes them, and looks at those condemned long ago; true
    /// when one was deleted or pardoned.
    pub(super) async fn clear_leftovers(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        snapshot: &Snapshot,
        fresh: Vec<(String, FileInfo)>,
        orphans: Vec<DataId>,
    ) -> RoundResult<bool> {
        let fresh = self.without_strangers(state, snapshot, fresh).await?;
        if fresh.is_empty() && orphans.is_empty() {
            return Ok(false);
        }
        let (now, epoch) = (millis(self.core.ports.clock.now()), held.lease.epoch);
        let mut repeated = HashSet::new();
        for (name, data) in &fresh {
            let condemned = Condemned { name: name.clone(), epoch, at: now, deleted: false };
            if state.condemned.insert(data.id.to_string(), condemned).is_some() {
                repeated.insert(data.id.clone());
            }
        }
        if !fresh.is_empty() {
            self.core.save(held, vec![document(state)?]).await?;
        }
        let lease = held.lease.as_ref();
        let sentences = fresh
            .into_iter()
            .map(|(_, seen)| async move { (self.execute(lease, &snapshot.project, &seen).await, seen.id) });
        let mut done = Ok(());
        for (sentence, id) in join_unordered(WIDTH, sentences).await {
            match sentence {
                Ok(true) => {
                    if let Some(condemned) = state.condemned.get_mut(id.as_str()) {
                        condemned.deleted = true;
                    }
                    self.core.record_progress(&state.root_refs);
                }
                // The instance that condemned it first may still be on its way to delete it.
                Ok(false) if repeated.contains(&id) => {}
                Ok(false) => {
                    state.condemned.remove(id.as_str());
                }
                Err(RoundError::Port(error)) if !error.may_have_happened && !repeated.contains(&id) => {
                    // Nothing was deleted; the sentence is taken back and may be passed again.
                    state.condemned.remove(id.as_str());
                    done = Err(error.into());
                }
                Err(halt) => done = Err(halt),
            }
        }
        for id in orphans {
            // Still PARTIAL: the delete never arrived, and it may be condemned anew. Otherwise it
            // was spared, or is gone; either way nothing is owed.
            match self.core.ports.platform.get(&snapshot.project, &id).await {
                Ok(data) if data.status == DataStatus::Deleting => {}
                Err(error) if error.class != Class::NotFound => return Err(error.into()),
                Ok(_) | Err(_) => {
                    state.condemned.remove(id.as_str());
                }
            }
        }
        done.map(|()| true)
    }

    /// Leaves out files to be replaced while a copy job that is not ours may be at work in the folder.
    /// Leftovers are ours.
    async fn without_strangers(
        &self,
        state: &FolderState,
        snapshot: &Snapshot,
        condemned: Vec<(String, FileInfo)>,
    ) -> RoundResult<Vec<(String, FileInfo)>> {
        let ours = |(_, data): &(String, FileInfo)| data.status == DataStatus::Partial;
        if condemned.iter().all(ours) || !self.foreign_job(state, snapshot).await? {
            return Ok(condemned);
        }
        Ok(condemned.into_iter().filter(ours).collect())
    }

    /// Looks once more and deletes; false when the file is not what was condemned any more.
    async fn execute(&self, lease: &Lease, project: &ProjectId, seen: &FileInfo) -> RoundResult<bool> {
        match self.core.ports.platform.get(project, &seen.id).await {
            Ok(data) if (data.status, data.size, &data.etag) == (seen.status, seen.size, &seen.etag) => {
                lease.check()?;
                self.core.ports.platform.delete(project, &seen.id).await?;
                signals::engine::condemned_deleted(
                    &lease.key.id,
                    &seen.id,
                    seen.status == DataStatus::Partial,
                );
                Ok(true)
            }
            Ok(data) if data.status == DataStatus::Deleting => Ok(true),
            Err(error) if error.class == Class::NotFound => Ok(true),
            Ok(_) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
