//! The files that ended jobs of ours have made at the destination, as the items of their batches tell.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::FolderPlane;
use crate::{
    domain::ids::{BatchId, DataId, ProjectId},
    ports::{Result, platform::BatchItem},
};

/// The status of an item that was copied.
pub(super) const COPIED: &str = "COPIED";

/// The statuses of items that were not copied, or not as a whole.
pub(super) const LEFT: [&str; 2] = ["FAILED", "PARTIALLY_COPIED"];

/// How many files that jobs have made are remembered, about 100 bytes each.
const MOST_MADE: usize = 200_000;

/// The files that one job has made, each with whether its item says that it was not copied, or not as a whole.
#[derive(Debug, Default)]
pub(super) struct Made(HashMap<DataId, bool>);

impl Made {
    /// Takes in what an item tells.
    pub(super) fn add(&mut self, item: &BatchItem) {
        if let Some(made) = &item.created {
            self.0.insert(made.clone(), LEFT.contains(&item.status.as_str()));
        }
    }

    pub(super) fn has(&self, file: &DataId) -> bool {
        self.0.contains_key(file)
    }

    /// Whether the job has made that file and says so.
    pub(super) fn has_left(&self, file: &DataId) -> bool {
        self.0.get(file) == Some(&true)
    }
}

/// The files of the ended jobs that this instance has asked for.
#[derive(Debug, Default)]
pub(crate) struct MadeByJobs(Mutex<HashMap<BatchId, Arc<Made>>>);

impl MadeByJobs {
    fn lock(&self) -> MutexGuard<'_, HashMap<BatchId, Arc<Made>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what the items of a batch have told.
    pub(super) fn note(&self, batch: &BatchId, made: Made) -> Arc<Made> {
        let made = Arc::new(made);
        let mut known = self.lock();
        known.remove(batch);
        if known.values().map(|made| made.0.len() + 1).sum::<usize>() + made.0.len() > MOST_MADE {
            known.clear();
        }
        known.insert(batch.clone(), Arc::clone(&made));
        made
    }
}

impl FolderPlane {
    /// The files that the items of a batch say that they have made. Its job has ended.
    pub(super) async fn made_by(&self, project: &ProjectId, batch: &BatchId) -> Result<Arc<Made>> {
        if let Some(made) = self.made.lock().get(batch) {
            return Ok(Arc::clone(made));
        }
        let mut made = Made::default();
        let mut from = None;
        loop {
            let page = match self.core.ports.platform.batch_items(project, batch, from.as_deref()).await {
                Ok(page) => page,
                Err(error) if error.is_passing() => return Err(error),
                // Nothing can be proved by it.
                Err(_) => break,
            };
            for item in &page.items {
                made.add(item);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(self.made.note(batch, made))
    }
}
