//! Lookups of names in one folder, several of them in one call.
//!
//! Siblings are looked up at the same time: the folders of a tree by those that fill them. While one call for a
//! folder is under way, whoever asks for another name in it waits, and the next call asks for all of them. So
//! an answer is never older than the question.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;

use super::{
    call::{Call, encoded},
    client::Client,
    linked::LIST,
};
use crate::{
    domain::{file::Data, ids::ProjectId, location::DataPath},
    ports::{Class, Result},
};

/// Bytes of the names in one query. Servers take URLs of 8 KB, and often no longer ones.
const MOST_ASKED: usize = 4096;

/// Where a path leads.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// Here it is.
    There(Data),
    /// If anywhere, then below this folder, which another project owns.
    Below(Data),
    Nowhere,
}

/// The folders in which names are looked up at present, and whether those of folders or of files.
#[derive(Debug, Default)]
pub(super) struct Gathered(Mutex<HashMap<(ProjectId, DataPath, bool), Arc<InFolder>>>);

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

impl InFolder {
    fn want(&self, path: &DataPath) -> oneshot::Receiver<Found> {
        let (tell, told) = oneshot::channel();
        let wanted = Wanted { path: path.clone(), tell };
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).push(wanted);
        told
    }

    /// As many of those that are wanted as one call takes; nobody waits any longer for some.
    fn next(&self) -> Vec<Wanted> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|wanted| !wanted.tell.is_closed());
        let mut bytes = 0;
        let fit = wanted.iter().take_while(|wanted| {
            bytes += encoded(wanted.path.name()) + "&filename=".len();
            bytes <= MOST_ASKED
        });
        let fit = fit.count().max(1).min(wanted.len());
        wanted.drain(..fit).collect()
    }
}

impl Client {
    /// Where a path that is not the root leads.
    pub(super) async fn find_in_folder(&self, project: &ProjectId, path: &DataPath) -> Result<Found> {
        let key = (project.clone(), path.parent(), path.is_folder());
        let folder = {
            let mut folders = self.gathered.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(folders.entry(key.clone()).or_default())
        };
        let found = self.in_turn(&folder, project, path).await;
        drop(folder);
        let mut folders = self.gathered.0.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.get(&key).is_some_and(|folder| Arc::strong_count(folder) == 1) {
            folders.remove(&key);
        }
        found
    }

    async fn in_turn(&self, folder: &InFolder, project: &ProjectId, path: &DataPath) -> Result<Found> {
        let mut told = folder.want(path);
        loop {
            let turn = tokio::select! {
                biased;
                answer = &mut told => match answer {
                    Ok(found) => return Ok(found),
                    // Whoever asked for it has failed, or was dropped.
                    Err(_) => {
                        told = folder.want(path);
                        continue;
                    }
                },
                turn = folder.turn.lock() => turn,
            };
            // The call before may have answered.
            if let Ok(found) = told.try_recv() {
                return Ok(found);
            }
            let wanted = folder.next();
            self.ask_for(project, &path.parent(), wanted).await?;
            drop(turn);
        }
    }

    /// Asks for some names of one folder, and tells who wants them.
    async fn ask_for(&self, project: &ProjectId, parent: &DataPath, wanted: Vec<Wanted>) -> Result<()> {
        let Some(first) = wanted.first() else { return Ok(()) };
        let call = Call::read(LIST, &[project.as_str()]).with("parentFolderPath", parent.as_str());
        let mut asked = HashSet::new();
        let call = wanted
            .iter()
            .filter(|wanted| asked.insert(wanted.path.name()))
            .fold(call, |call, wanted| call.with("filename", wanted.path.name()));
        let call = call
            .with("filenameMatchMode", "EXACT")
            .with("filePathMatchMode", "FULL_CASE_INSENSITIVE")
            .with("type", if first.path.is_folder() { "FOLDER" } else { "FILE" });
        let mut there = HashMap::new();
        let mut from = None;
        loop {
            let page = match self.list(call.clone(), &DataPath::root(), from.as_deref()).await {
                Err(error) if error.class == Class::NotFound => break,
                other => other?,
            };
            for data in page.items {
                there.entry(data.path.clone()).or_insert(data);
            }
            from = page.next;
            if from.is_none() || wanted.iter().all(|wanted| there.contains_key(&wanted.path)) {
                break;
            }
        }
        let all = wanted.iter().all(|wanted| there.contains_key(&wanted.path));
        let linked = if all { None } else { self.linked_above(project, &first.path).await? };
        let elsewhere = linked.map_or(Found::Nowhere, Found::Below);
        for Wanted { path, tell } in wanted {
            let found = there.get(&path).cloned().map_or_else(|| elsewhere.clone(), Found::There);
            // Who does not wait any more needs no answer.
            drop(tell.send(found));
        }
        Ok(())
    }
}
