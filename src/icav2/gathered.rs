//! Lookups of names in one folder, several of them in one call.
//!
//! Siblings are looked up at the same time: the folders of a tree by those that fill them. While one call for a
//! folder is under way, whoever asks for another name in it waits, and the next call asks for all of them. So
//! an answer is never older than the question.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::call::{MOST_ASKED, encoded};
use crate::{
    domain::{file::Data, ids::ProjectId, location::DataPath},
    ports::Result,
};

/// Where a path leads.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// Here it is.
    There(Data),
    /// If anywhere, then below this folder, which another project owns.
    Below(Data),
    Nowhere,
}

/// Answers of the platform, in the order of the paths.
pub(super) type Asked<'a> = BoxFuture<'a, Result<Vec<Found>>>;

type Key = (ProjectId, DataPath, bool);

/// The folders in which names are looked up at present, and whether those of folders or of files.
#[derive(Debug, Default)]
pub(super) struct Gathered(Mutex<HashMap<Key, Arc<InFolder>>>);

#[derive(Debug, Default)]
struct InFolder {
    /// Held by the call that is under way.
    turn: tokio::sync::Mutex<()>,
    wanted: Mutex<Vec<Wanted>>,
}

#[derive(Debug)]
struct Wanted {
    path: DataPath,
    tell: oneshot::Sender<Found>,
}

impl Gathered {
    /// Where a path leads. `ask` is given paths with one parent, of which it is one, and answers in their order.
    pub(super) async fn find<'a>(
        &self,
        project: &ProjectId,
        path: &DataPath,
        ask: impl Fn(Vec<DataPath>) -> Asked<'a>,
    ) -> Result<Found> {
        let key = (project.clone(), path.parent(), path.is_folder());
        let folder = Arc::clone(self.folders().entry(key.clone()).or_default());
        let found = folder.find(path, ask).await;
        drop(folder);
        let mut folders = self.folders();
        if folders.get(&key).is_some_and(|folder| Arc::strong_count(folder) == 1) {
            folders.remove(&key);
        }
        found
    }

    fn folders(&self) -> MutexGuard<'_, HashMap<Key, Arc<InFolder>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFolder {
    async fn find<'a>(&self, path: &DataPath, ask: impl Fn(Vec<DataPath>) -> Asked<'a>) -> Result<Found> {
        let mut told = self.want(path);
        loop {
            let turn = tokio::select! {
                biased;
                answer = &mut told => {
                    if let Ok(found) = answer {
                        return Ok(found);
                    }
                    // Whoever asked for it has failed, or was dropped.
                    told = self.want(path);
                    continue;
                }
                turn = self.turn.lock() => turn,
            };
            let (paths, tell): (Vec<_>, Vec<_>) = self.next().into_iter().unzip();
            let together = paths.len() > 1;
            let found = match ask(paths).await {
                // One of the names may be to blame for it: each asks for itself.
                Err(error) if together && !error.is_passing() => {
                    let mut found = ask(vec![path.clone()]).await?;
                    return found.pop().ok_or(error);
                }
                found => found?,
            };
            for (tell, found) in tell.into_iter().zip(found) {
                // Who does not wait any more needs no answer.
                drop(tell.send(found));
            }
            drop(turn);
        }
    }

    fn want(&self, path: &DataPath) -> oneshot::Receiver<Found> {
        let (tell, told) = oneshot::channel();
        self.wanted().push(Wanted { path: path.clone(), tell });
        told
    }

    /// As many of those that are wanted as one call takes; nobody waits any longer for some.
    fn next(&self) -> Vec<(DataPath, oneshot::Sender<Found>)> {
        let mut wanted = self.wanted();
        wanted.retain(|wanted| !wanted.tell.is_closed());
        let mut bytes = 0;
        let fit = wanted.iter().take_while(|wanted| {
            bytes += encoded(wanted.path.name()) + "&filename=".len();
            bytes <= MOST_ASKED
        });
        let fit = fit.count().max(1).min(wanted.len());
        wanted.drain(..fit).map(|wanted| (wanted.path, wanted.tell)).collect()
    }

    fn wanted(&self) -> MutexGuard<'_, Vec<Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
