//! Source folders that go as one item of a copy job, and how the files that arrived are compared, one by one.
//!
//! Such a folder is tried by jobs only as long as nothing stands in their way. Files that they leave out are
//! not brought here: the outcome names the destination folders that still lack something, and the root has
//! those brought one by one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    FolderPlane,
    contents::Doubt,
    snapshot::{Snapshot, TreeStatus, key},
    state::FolderState,
    waiter::Waiter,
    wanted::{Origin, Source, Tree},
};
use crate::{
    domain::{
        diff::{Content, Surroundings, Verdict, Wanted, verdict},
        file::{self, Data, DataKind, DataStatus, ETag},
        ids::{DataId, ProjectId},
        location::DataPath,
        outcome::{Counters, Unfinished},
        route::Route,
        seen::Seen,
    },
    engine::records::{as_millis, millis},
    ports::{Class, Error},
};

/// Jobs that may try to bring a folder.
const TRIES: u32 = 2;

/// The files that stand at the destination of a tree, by path below it.
pub(super) type Below = BTreeMap<String, file::FileInfo>;

/// The sums over the files of one folder.
#[derive(Debug, Default)]
struct Level {
    counters: Counters,
    incomplete: bool,
}

impl Tree {
    /// Compares the files that are wanted with those that are there. `tries`: jobs that have tried already. With
    /// it, whether a file is not there yet, or not as it is to be: what jobs do not bring is not waited for.
    fn stand(
        &self,
        waiter: &Waiter,
        below: &Below,
        tries: u32,
        empty_folders: bool,
        content: impl Fn(&Origin, Option<&ETag>, &file::FileInfo) -> Content,
    ) -> (TreeStatus, bool) {
        let mut levels: BTreeMap<&str, Level> = BTreeMap::new();
        let (mut blocked, mut missing) = (!self.unready.is_empty(), false);
        for folder in &self.unready {
            levels.entry(folder).or_default().incomplete = true;
        }
        for (path, (id, size, etag)) in &self.files {
            let level = levels.entry(folder_of(path)).or_default();
            let wanted = Wanted { name: String::new(), size: *size, etag: etag.clone(), route: Route::Job };
            let there = below.get(path);
            let content =
                there.map_or(Content::Unknown, |there| content(&self.origin(id), etag.as_ref(), there));
            let around = Surroundings { content, ..Surroundings::default() };
            match verdict(&wanted, there, around, waiter.spec.on_conflict) {
                Verdict::Done { by_size } => count(&mut level.counters, *size, by_size, waiter, there),
                other => {
                    level.incomplete = true;
                    missing = true;
                    blocked |= other != Verdict::Missing;
                }
            }
        }
        for folder in self.folders.iter().filter(|_| empty_folders) {
            levels.entry(folder).or_default().incomplete |= !below.contains_key(folder);
        }
        let unfinished = levels.iter().filter(|(_, level)| level.incomplete);
        let unfinished: BTreeSet<_> = unfinished.map(|(folder, _)| self.place(waiter, folder)).collect();
        if missing && !blocked && tries < TRIES {
            return (TreeStatus::Missing, true);
        }
        let complete = levels.values().filter(|level| !level.incomplete);
        let counters = complete.fold(Counters::default(), |sum, level| sum.plus(&level.counters));
        let unfinished = Unfinished::of(unfinished.into_iter().flatten().collect());
        (TreeStatus::Ended { counters, unfinished }, missing)
    }

    fn origin(&self, id: &DataId) -> Origin {
        match &self.item.origin {
            Origin::File { project, .. } => Origin::File { project: project.clone(), id: id.clone() },
            object @ Origin::Object(_) => object.clone(),
        }
    }

    /// Files whose tags differ from those at the destination.
    fn doubts(&self, below: &Below) -> Vec<Doubt> {
        let doubt = |(path, (id, size, etag)): (&String, &(DataId, u64, Option<ETag>))| {
            Doubt::of(&self.origin(id), etag.as_ref(), *size, below.get(path)?)
        };
        self.files.iter().filter_map(doubt).collect()
    }

    /// Where a folder of the tree goes.
    fn place(&self, waiter: &Waiter, folder: &str) -> Option<DataPath> {
        DataPath::parse(&format!("{}{}{folder}", waiter.spec.path, self.item.wanted.name)).ok()
    }
}

fn folder_of(path: &str) -> &str {
    path.rfind('/').and_then(|end| path.get(..=end)).unwrap_or_default()
}

/// Counts a file that is there: as copied where it came since the request was planned.
fn count(counters: &mut Counters, size: u64, by_size: bool, waiter: &Waiter, there: Option<&file::FileInfo>) {
    counters.files += 1;
    if there.is_some_and(|data| is_news(waiter, data)) {
        counters.copied += 1;
        counters.bytes += size;
    } else {
        counters.skipped += 1;
        counters.skipped_by_size += u64::from(by_size);
    }
}

/// Whether an earlier step of the same request has brought that file.
pub(super) fn is_news(waiter: &Waiter, there: &file::FileInfo) -> bool {
    waiter.spec.since.is_some_and(|since| millis(there.created) >= since)
}

impl FolderState {
    /// Whether a name is that of a tree.
    pub(super) fn is_tree(name: &str) -> bool {
        name.ends_with('/')
    }

    /// Takes note of a job that had trees to bring and did not bring all of them; true when it had.
    pub(super) fn note_trees(&mut self, names: &[String], arrived: bool) -> bool {
        let trees: Vec<_> = names.iter().filter(|name| Self::is_tree(name)).collect();
        if !arrived {
            for name in &trees {
                *self.trees.entry((*name).clone()).or_default() += 1;
            }
        }
        !trees.is_empty()
    }
}

impl FolderPlane {
    /// Reads everything below a source folder.
    pub(super) async fn read_tree(
        &self,
        project: &ProjectId,
        id: &DataId,
        path: &DataPath,
        seen: &mut Seen,
    ) -> Result<Tree, Error> {
        let mut tree = Tree {
            item: Source {
                wanted: Wanted { name: format!("{}/", path.name()), size: 0, etag: None, route: Route::Job },
                origin: Origin::File { project: project.clone(), id: id.clone() },
                renamed: false,
                staged: None,
            },
            files: BTreeMap::new(),
            folders: BTreeSet::new(),
            unready: BTreeSet::new(),
        };
        for (inside, data) in self.below(project, path, |data| seen.add(data)).await? {
            match (data.kind, data.status) {
                (_, DataStatus::Deleting) => {}
                (DataKind::Folder, _) => {
                    tree.folders.insert(inside);
                }
                (DataKind::File, DataStatus::Available) if !data.lacks_size() => {
                    tree.files.insert(inside, (data.id, data.size, data.etag));
                }
                (DataKind::File, _) => {
                    tree.unready.insert(folder_of(&inside).to_owned());
                }
            }
        }
        if tree.files.is_empty() && tree.folders.is_empty() && !self.is_there(project, id).await? {
            return Err(Error::new(Class::NotFound, "list source", "the source folder has vanished"));
        }
        Ok(tree)
    }

    async fn below(
        &self,
        project: &ProjectId,
        path: &DataPath,
        mut each: impl FnMut(&Data) + Send,
    ) -> Result<Below, Error> {
        let mut below = Below::new();
        let mut from = None;
        loop {
            let page = self.core.ports.platform.everything_below(project, path, from.as_deref()).await?;
            for data in page.items.into_iter().filter(|data| !super::reserved::holds(&data.path)) {
                each(&data);
                if let Some(inside) = data.path.inside(path).map(str::to_owned) {
                    below.insert(inside, data.into());
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(below);
            }
        }
    }

    /// Looks at the destinations of all trees that nothing is bringing now, and judges them.
    pub(super) async fn look_at_trees(
        &self,
        state: &FolderState,
        snapshot: &mut Snapshot,
    ) -> Result<(), Error> {
        let now = millis(self.core.ports.clock.now());
        let settle = as_millis(self.core.settings.jobs.settle);
        let flying: BTreeSet<String> = state.in_flight(now, settle).into_iter().map(str::to_owned).collect();
        let running: BTreeSet<&String> = state.running().flat_map(|job| &job.names).collect();
        let mut seen: BTreeMap<String, Arc<Below>> = BTreeMap::new();
        let mut standings = BTreeMap::new();
        for (waiter, resolved, _) in &snapshot.waiters {
            for tree in &resolved.trees {
                let name = &tree.item.wanted.name;
                let standing = if running.contains(name) {
                    TreeStatus::Coming
                } else {
                    let below = match seen.get(name) {
                        Some(below) => Arc::clone(below),
                        None => Arc::new(self.destination_of(waiter, snapshot, name).await?),
                    };
                    seen.insert(name.clone(), Arc::clone(&below));
                    let tries = state.trees.get(name).copied().unwrap_or(0);
                    self.settle_doubts(&snapshot.project, tree.doubts(&below)).await?;
                    let content = |origin: &Origin, etag: Option<&ETag>, there: &file::FileInfo| {
                        self.tell_apart(origin, etag, there)
                    };
                    let (standing, lacks_files) =
                        tree.stand(waiter, &below, tries, self.core.settings.copy.empty_folders, content);
                    // A job that has ended well is believed for as long as the index may lag.
                    if flying.contains(name) && lacks_files { TreeStatus::Coming } else { standing }
                };
                standings.insert(key(waiter, name), standing);
            }
        }
        snapshot.standings = standings;
        Ok(())
    }

    async fn destination_of(&self, waiter: &Waiter, snapshot: &Snapshot, name: &str) -> Result<Below, Error> {
        let bare = name.trim_end_matches('/');
        let is_folder = |data: &file::FileInfo| data.kind == DataKind::Folder;
        if !snapshot.listing.get(bare).is_some_and(is_folder) {
            return Ok(Below::new());
        }
        self.below(&snapshot.project, &waiter.spec.path.folder(bare), |_| ()).await
    }
}
