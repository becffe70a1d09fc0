//! Whose a PARTIAL file is: nothing is deleted or written over whose writer may be alive.
//!
//! Ours are the files of which it can be proved: those that a create call of ours returned, and those that a
//! job of ours that has ended says it has made, or has made in a folder that it had to bring as a whole and
//! that no other writer was in before, as the user that made the job. Neither age nor an empty list of jobs proves anything: an upload may
//! last as long as the credentials it was given. Only after `icav2.abandoned_after` a PARTIAL file is taken
//! for abandoned, and then no running job may be at work in its folder.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::{
    FolderPlane,
    snapshot::Snapshot,
    state::{FolderState, MOST_REMEMBERED, Upload},
    submitted::{Left, RunningJob, Spent},
    waiter::Waiter,
};
use crate::{
    domain::{
        file::{DataKind, DataStatus, FileInfo},
        ids::{DataId, JobId},
        job::JobStatus,
    },
    engine::records::{as_millis, millis},
    ports::{Result, platform::Destination},
};

/// Ended jobs whose items may still be asked for.
const MOST_SPENT: usize = 100;

/// Bytes of names of files that were left behind.
const LEFT_BYTES: usize = 50_000;

impl FolderState {
    /// Notes a job that has ended without all of its files.
    pub(super) fn note_spent(&mut self, job: &RunningJob) {
        if job.lost || self.spent.iter().any(|spent| spent.batch == job.batch) {
            return;
        }
        self.spent.push(Spent { batch: job.batch.clone(), made_at: job.made_at });
        if self.spent.len() > MOST_SPENT {
            self.spent.remove(0);
        }
    }

    /// Forgets the uploads that are not to be kept, but for what they may have left.
    pub(super) fn drop_uploads(&mut self, now: i64, keep: impl Fn(&str, &Upload) -> bool) {
        let dropped: Vec<_> =
            self.uploads.extract_if(.., |name, upload| !keep(name.as_str(), upload)).collect();
        for (name, Upload { id, nonce, .. }) in dropped {
            if id.is_some() || !nonce.is_empty() {
                self.left.insert(name, Left { id, nonce, at: now });
            }
        }
        let bytes =
            |left: &std::collections::BTreeMap<String, Left>| -> usize { left.keys().map(String::len).sum() };
        while self.left.len() > MOST_REMEMBERED || bytes(&self.left) > LEFT_BYTES {
            let oldest = self.left.iter().min_by_key(|(_, left)| left.at).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { break };
            self.left.remove(&oldest);
        }
    }

    /// The upload of a file, with what is known of it from before.
    pub(super) fn upload_of(&mut self, name: &str) -> &mut Upload {
        let left = if self.uploads.contains_key(name) { None } else { self.left.remove(name) };
        let upload = self.uploads.entry(name.to_owned()).or_default();
        if let Some(left) = left {
            (upload.id, upload.nonce) = (left.id, left.nonce);
        }
        upload
    }

    /// Whether a create call of ours returned that file.
    fn has_made(&self, name: &str, id: &DataId) -> bool {
        let upload = self.uploads.get(name).and_then(|upload| upload.id.as_ref());
        let left = self.left.get(name).and_then(|left| left.id.as_ref());
        upload == Some(id) || left == Some(id)
    }

    /// Whether a file under that name may be one that a create call of ours made without our seeing its
    /// answer: the same call again tells, for it is answered as before.
    pub(super) fn may_claim(&self, name: &str, id: &DataId) -> bool {
        let upload = self.uploads.get(name).filter(|upload| upload.refused.as_ref() != Some(id));
        let left = || self.left.get(name).is_some_and(|left| left.id.is_none() && !left.nonce.is_empty());
        upload.map_or_else(left, |upload| upload.id.is_none() && !upload.nonce.is_empty())
    }
}

/// A PARTIAL file under a wanted name.
struct Partial<'a> {
    name: &'a str,
    data: &'a FileInfo,
    /// Whether jobs had to bring it with the whole of its folder, and it came meanwhile.
    of_tree: bool,
}

/// Jobs that had to bring a folder with the whole of another.
struct TreeJobs {
    /// When the first was made.
    began: i64,
    /// Who made them, where that is told.
    users: Vec<Option<Uuid>>,
    /// Whether every one says that it has failed, and not in part: nothing of theirs is still to show.
    failed: bool,
}

impl TreeJobs {
    /// Whether one of them may have made a file: it came since, and no other user has made it. Where either
    /// is not told, nothing speaks against it.
    fn may_have_made(&self, file: &FileInfo) -> bool {
        let may = |user: &Option<Uuid>| user.is_none() || file.creator.is_none() || *user == file.creator;
        millis(file.created) >= self.began && self.users.iter().any(may)
    }
}

impl FolderPlane {
    /// Fills in which of the PARTIAL files under wanted names are ours, and which of those nothing will make
    /// whole any more.
    pub(super) async fn prove(&self, state: &FolderState, snapshot: &mut Snapshot) -> Result<()> {
        let now = millis(self.core.ports.clock.now());
        let flying = state.in_flight(now, as_millis(self.core.settings.jobs.settle));
        let mut partials = partials(snapshot);
        partials.retain(|partial| !flying.contains(partial.name));
        let mut leftovers = snapshot.leftovers.clone();
        let mut ours = leftovers.clone();
        let made = partials.iter().filter(|partial| state.has_made(partial.name, &partial.data.id));
        ours.extend(made.map(|partial| partial.data.id.clone()));
        for spent in state.spent.iter().rev() {
            let open = |partial: &&Partial<'_>| {
                !ours.contains(&partial.data.id) && millis(partial.data.created) >= spent.made_at
            };
            let open: Vec<_> = partials.iter().filter(open).collect();
            if open.is_empty() {
                continue;
            }
            let made = self.made_by(&snapshot.project, &spent.batch).await?;
            let open = || open.iter().map(|partial| &partial.data.id);
            leftovers.extend(open().filter(|id| made.has_left(id)).cloned());
            ours.extend(open().filter(|id| made.has(id)).cloned());
        }
        let long_ago = now - as_millis(self.core.settings.jobs.abandoned_after);
        let of_tree = match snapshot.folder.as_ref().and_then(Destination::id) {
            Some(folder) if partials.iter().any(|partial| partial.of_tree) => {
                self.tree_began(snapshot, folder).await?
            }
            _ => None,
        };
        let is_of_tree = |partial: &&Partial<'_>| {
            partial.of_tree && of_tree.as_ref().is_some_and(|tree| tree.may_have_made(partial.data))
        };
        let given_up = |partial: &&Partial<'_>| {
            let is_old = millis(partial.data.created) <= long_ago;
            !ours.contains(&partial.data.id) && (is_old || is_of_tree(partial))
        };
        let given_up: Vec<_> = partials.iter().filter(given_up).collect();
        if !given_up.is_empty() && !self.foreign_job(state, snapshot).await? {
            let have_failed = of_tree.as_ref().is_some_and(|tree| tree.failed);
            let failed = given_up.iter().filter(|partial| have_failed && is_of_tree(partial));
            leftovers.extend(failed.map(|partial| partial.data.id.clone()));
            ours.extend(given_up.iter().map(|partial| partial.data.id.clone()));
        }
        (snapshot.leftovers, snapshot.ours) = (leftovers, ours);
        Ok(())
    }

    /// Our jobs that had to bring this folder with the whole of another, if the folder has been made since they
    /// began: no writer was in it before. Files that our own user uploads here by other means while such a job
    /// runs cannot be told from those that the job has left.
    async fn tree_began(&self, snapshot: &Snapshot, folder: &DataId) -> Result<Option<TreeJobs>> {
        let jobs: BTreeSet<&JobId> =
            snapshot.waiters.iter().flat_map(|(waiter, ..)| &waiter.spec.tree_jobs).collect();
        let mut tree = TreeJobs { began: i64::MAX, users: Vec::new(), failed: true };
        for job in jobs {
            match self.core.ports.platform.job(job).await {
                Ok(job) => {
                    tree.began = tree.began.min(millis(job.created));
                    tree.users.push(job.owner);
                    tree.failed &= job.status == JobStatus::Failed;
                }
                Err(error) if error.is_passing() => return Err(error),
                Err(_) => tree.failed = false,
            }
        }
        if tree.users.is_empty() {
            return Ok(None);
        }
        match self.core.ports.platform.get(&snapshot.project, folder).await {
            Ok(data) => Ok(Some(tree).filter(|tree| millis(data.created) >= tree.began)),
            Err(error) if error.is_passing() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// How long a waiter waits for a file that is not ours: a little less than it takes to be told that
    /// nothing moves, which would say less.
    pub(super) fn patience(&self) -> i64 {
        as_millis(self.core.settings.heartbeat.stalled_after) / 10 * 9
    }
}

fn partials(snapshot: &Snapshot) -> Vec<Partial<'_>> {
    let is_partial = |data: &FileInfo| data.kind == DataKind::File && data.status == DataStatus::Partial;
    if !snapshot.listing.all().any(is_partial) {
        return Vec::new();
    }
    let mut met = HashSet::new();
    let mut partials = Vec::new();
    for (waiter, resolved, _) in &snapshot.waiters {
        for source in &resolved.files {
            let name = source.wanted.name.as_str();
            let there = snapshot.listing.get(name).filter(|data| is_partial(data));
            if let Some(data) = there.filter(|_| met.insert(name)) {
                partials.push(Partial { name, data, of_tree: of_tree(waiter, data) });
            }
        }
    }
    partials
}

/// Whether jobs, which have ended, had to bring a file with its whole folder, and the file came meanwhile.
/// Jobs do not tell of a file in a folder whether they have made it.
fn of_tree(waiter: &Waiter, data: &FileInfo) -> bool {
    let spec = &waiter.spec;
    let came = |since: i64| (since..=millis(waiter.since)).contains(&millis(data.created));
    spec.of_tree.is_some() && !spec.tree_jobs.is_empty() && spec.since.is_some_and(came)
}
