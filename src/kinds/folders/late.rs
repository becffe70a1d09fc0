//! Data that source folders come to hold after they were listed.
//!
//! ICAv2 shows new data with a delay (`icav2.settle`), and copies are asked for when the writer of their
//! sources has just ended. So source folders that were fresh when they were listed, or held nothing, are
//! listed once more, each with all below it: so late that everything shows that was there when the request
//! came. Folders in which something is new are gone through again by further children, which take the places
//! of those that did so before.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use super::Folders;
use crate::{
    domain::{
        file::{Data, DataKind, DataStatus},
        ids::{DataId, ProjectId, RequestId},
        location::DataPath,
        outcome::{Counters, ErrorName, Failure, Outcome, culprit},
        request::{FolderRequest, Want},
        seen::Seen,
    },
    engine::{
        lease::{Leased, SKEW},
        liveness::RootRef,
        records::{as_millis, millis, started_at},
    },
    planes::folder::reserved,
    ports::{
        Class, Error,
        platform::{DataPlatform, Folder},
    },
};

type Child = (RequestId, FolderRequest);

/// The way to go on with sources that were fresh.
#[derive(Debug)]
pub(crate) enum Late {
    /// Nothing: all that was there has been seen.
    Nothing,
    /// It is too early to list them again.
    At(i64),
    /// These are needed besides.
    More(Vec<FolderRequest>),
    /// Data has come that cannot be brought.
    Refused(Failure),
}

/// A source folder that lies in no other.
#[derive(Debug)]
struct Top {
    project: ProjectId,
    path: DataPath,
    seen: Seen,
}

impl Top {
    fn holds(&self, project: &ProjectId, path: &DataPath) -> bool {
        *project == self.project && path.inside(&self.path).is_some()
    }

    /// The places that its folders go to, by their own paths.
    fn places<'a>(&self, plan: &'a [Child]) -> BTreeMap<DataPath, Vec<&'a FolderRequest>> {
        let mut places: BTreeMap<DataPath, Vec<&FolderRequest>> = BTreeMap::new();
        for (_, spec) in plan.iter().filter(|(_, spec)| !spec.staging) {
            for (project, _, path) in levels(spec).filter(|(project, _, path)| self.holds(project, path)) {
                debug_assert_eq!(*project, self.project);
                places.entry(path.clone()).or_default().push(spec);
            }
        }
        places
    }

    /// Folders that hold other files than the children saw which went through them.
    fn changed<'a>(
        &self,
        plan: &'a [Child],
        children: impl Iterator<Item = (&'a Child, &'a Outcome)>,
        now: &BTreeMap<DataPath, Seen>,
    ) -> Changed<'a> {
        let mut changed = Changed::default();
        for (child, outcome) in children {
            let (_, spec) = child;
            let Some(seen) = outcome.seen.filter(|_| !spec.staging && !spec.again) else { continue };
            let own = levels(spec).filter(|(project, _, path)| self.holds(project, path));
            let own = own.filter_map(|(.., path)| now.get(path));
            let whole = trees(spec).filter(|(project, _, path)| self.holds(project, path));
            let whole = whole.flat_map(|(.., tree)| {
                now.iter().filter(|(path, _)| path.inside(tree).is_some()).map(|(_, seen)| seen)
            });
            let is_of_top = levels(spec).any(|(project, _, path)| self.holds(project, path))
                || trees(spec).any(|(project, _, path)| self.holds(project, path));
            let present = own.chain(whole).fold(Seen::default(), |sum, seen| sum.and(*seen));
            if !is_of_top {
                continue;
            }
            if present.is_as(&seen) {
                changed.not.extend(spec.sends_trees().then_some((spec, outcome)));
                continue;
            }
            if !spec.sends_trees() {
                changed.children.push(child);
                continue;
            }
            let ids: Vec<_> = trees(spec).map(|(_, id, _)| id).collect();
            let of_tree = plan.iter().filter(|(_, level)| {
                level.path.inside(&spec.path).is_some()
                    && level.of_tree.as_ref().is_some_and(|id| ids.contains(&id))
            });
            changed.children.extend(of_tree);
        }
        changed
    }
}

/// The changes in the folders of a source since they were gone through.
#[derive(Debug, Default)]
struct Changed<'a> {
    /// They hold other files than these children saw.
    children: Vec<&'a Child>,
    /// Trees that hold the files that these children saw.
    not: Vec<(&'a FolderRequest, &'a Outcome)>,
}

impl Changed<'_> {
    /// Whether a tree that holds the files that were seen has brought that folder, and counted its files.
    fn is_brought(&self, folder: &DataPath, to: &FolderRequest) -> bool {
        self.not.iter().any(|(spec, outcome)| {
            let is_of = |tree: &DataPath| {
                let top = spec.path.folder(tree.name());
                folder.inside(tree).is_some() && to.project == spec.project && to.path.inside(&top).is_some()
            };
            let is_whole = outcome.failure.is_none() && !outcome.unfinished.holds(&to.path);
            is_whole && trees(spec).any(|(.., tree)| is_of(tree))
        })
    }
}

fn levels(spec: &FolderRequest) -> impl Iterator<Item = (&ProjectId, Option<&DataId>, &DataPath)> {
    spec.wants.iter().filter_map(|want| match want {
        Want::Level { project, id, path } => Some((project, id.as_ref(), path)),
        Want::Files { .. } | Want::Tree { .. } | Want::Objects { .. } => None,
    })
}

fn trees(spec: &FolderRequest) -> impl Iterator<Item = (&ProjectId, &DataId, &DataPath)> {
    spec.wants.iter().filter_map(|want| match want {
        Want::Tree { project, id, path } => Some((project, id, path)),
        Want::Files { .. } | Want::Level { .. } | Want::Objects { .. } => None,
    })
}

impl Folders {
    /// When everything shows that was there when the request came, milliseconds since 1970. Another instance
    /// may have noted when that was.
    pub(crate) fn complete_at(&self, held: &Leased) -> i64 {
        millis(started_at(&held.item)).saturating_add(as_millis(self.settle()))
    }

    /// For how long the platform may hide what there is, as far as clocks that differ tell.
    pub(crate) fn settle(&self) -> Duration {
        self.core.settings.jobs.settle + SKEW
    }

    /// Looks whether sources hold more than `children`, which have settled with these outcomes, have seen.
    pub(crate) async fn late(
        &self,
        held: &Leased,
        planned_at: i64,
        plan: &[Child],
        children: &[Child],
        outcomes: &[Outcome],
    ) -> Result<Late, Error> {
        let is_final = |failure: &Failure| failure.error != ErrorName::SourceNotReady;
        if outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).any(is_final) {
            return Ok(Late::Nothing);
        }
        let (complete_at, settle) = (self.complete_at(held), as_millis(self.settle()));
        let mut tops = tops(children, outcomes);
        // A folder that was listed late enough has shown its files, but those below it were looked for when
        // the plan was made.
        tops.retain(|top| Seen { at: top.seen.at.min(planned_at), ..top.seen }.is_fresh(complete_at, settle));
        if tops.is_empty() {
            return Ok(Late::Nothing);
        }
        let party = [RootRef::of(&held.item)];
        self.core.record_progress(&party);
        if millis(self.core.ports.clock.now()) < complete_at {
            return Ok(Late::At(complete_at));
        }
        let began = millis(started_at(&held.item));
        let step = plan.iter().map(|(_, spec)| spec.step).max().unwrap_or(0) + 1;
        // The API tells times in whole seconds.
        let again = Again { step, since: began - began % 1000 };
        let (mut more, mut repeated) = (Vec::new(), HashSet::new());
        for top in &tops {
            let places = top.places(plan);
            let listing = everything(self.core.ports.platform.as_ref(), top, &places);
            let all = self.core.while_moving(&party, listing).await?;
            if let Err(failure) = self.is_allowed(top, &all) {
                return Ok(Late::Refused(failure));
            }
            let mut levels: BTreeMap<DataPath, Seen> = BTreeMap::new();
            for data in &all {
                levels.entry(data.path.parent()).or_insert_with(|| Seen::at(complete_at)).add(data);
            }
            let changed = top.changed(plan, children.iter().zip(outcomes), &levels);
            // A folder may have changed both for itself and as part of a tree.
            let new = changed.children.iter().filter(|(id, _)| repeated.insert(id));
            more.extend(new.map(|(_, spec)| again.of(spec)));
            again.new_folders(&all, places, &changed, &mut more);
        }
        Ok(if more.is_empty() { Late::Nothing } else { Late::More(more) })
    }

    /// Whether a source may have become what it is.
    fn is_allowed(&self, top: &Top, all: &[Data]) -> Result<(), Failure> {
        let (depth, most) = (self.core.settings.copy.max_depth, self.core.settings.copy.max_files);
        let uri = format!("icav2://{}{}", top.project, top.path);
        let is_too_deep = |data: &&Data| {
            let inside = data.path.inside(&top.path).unwrap_or_default();
            data.kind == DataKind::Folder && inside.matches('/').count() > depth as usize
        };
        if let Some(deep) = all.iter().find(is_too_deep) {
            let message = format!("a source folder is deeper than copy.max_depth = {depth}");
            return Err(culprit(ErrorName::RecursionLimit, message, &uri, deep.path.as_str()));
        }
        if most > 0 && all.iter().filter(|data| data.kind == DataKind::File).count() as u64 > most {
            let message = format!("the request has more files than copy.max_files = {most}");
            return Err(culprit(ErrorName::InvalidRequest, message, &uri, "has come to hold more files"));
        }
        Ok(())
    }
}

/// Source folders that lie in no other, with the files that were seen in them and below.
fn tops(children: &[Child], outcomes: &[Outcome]) -> Vec<Top> {
    let mut folders: BTreeMap<(&ProjectId, &DataPath), Seen> = BTreeMap::new();
    for ((_, spec), outcome) in children.iter().zip(outcomes) {
        let Some(seen) = outcome.seen.filter(|_| !spec.staging && !spec.again) else { continue };
        let wanted = levels(spec).map(|(project, _, path)| (project, path));
        for folder in wanted.chain(trees(spec).map(|(project, _, path)| (project, path))) {
            folders.entry(folder).and_modify(|known| *known = known.and(seen)).or_insert(seen);
        }
    }
    let mut tops: Vec<Top> = Vec::new();
    for ((project, path), seen) in folders {
        match tops.last_mut().filter(|top| top.holds(project, path)) {
            Some(top) => top.seen = top.seen.and(seen),
            None => tops.push(Top { project: project.clone(), path: path.clone(), seen }),
        }
    }
    tops
}

/// Everything below a source folder, in the order of paths. One recursive listing shows it, but does not
/// enter what is linked from another project: that is listed folder by folder.
async fn everything(
    platform: &dyn DataPlatform,
    top: &Top,
    places: &BTreeMap<DataPath, Vec<&FolderRequest>>,
) -> Result<Vec<Data>, Error> {
    let mut all: BTreeMap<DataId, Data> = BTreeMap::new();
    let mut from = None;
    loop {
        let page = platform.everything_below(&top.project, &top.path, from.as_deref()).await?;
        all.extend(page.items.into_iter().map(|data| (data.id.clone(), data)));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let linked = |data: &&Data| data.kind == DataKind::Folder && data.owner != top.project;
    let mut unseen: Vec<DataId> = all.values().filter(linked).map(|data| data.id.clone()).collect();
    for (path, specs) in places.iter().filter(|(path, _)| all.is_empty() || **path != top.path) {
        let ids = specs.iter().flat_map(|spec| levels(spec)).filter(|(.., other)| *other == path);
        unseen.extend(ids.filter_map(|(_, id, _)| id).filter(|id| !all.contains_key(*id)).cloned());
    }
    let mut listed = BTreeSet::new();
    while let Some(id) = unseen.pop() {
        if !listed.insert(id.clone()) {
            continue;
        }
        let folder = Folder::Id(id);
        let mut from = None;
        loop {
            let page = match platform.children(&top.project, &folder, from.as_deref()).await {
                // It has gone since.
                Err(error) if error.class == Class::NotFound => break,
                page => page?,
            };
            for data in page.items {
                if data.kind == DataKind::Folder && !listed.contains(&data.id) {
                    unseen.push(data.id.clone());
                }
                all.insert(data.id.clone(), data);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    let mut all: Vec<_> = all.into_values().filter(|data| !reserved::holds(&data.path)).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

/// The fields that the children that are needed besides have in common.
struct Again {
    step: u32,
    since: i64,
}

impl Again {
    fn of(&self, spec: &FolderRequest) -> FolderRequest {
        let since = Some(spec.since.unwrap_or(self.since));
        FolderRequest { step: self.step, since, again: true, of_tree: None, ..spec.clone() }
    }

    /// Folders that no child has gone through.
    fn new_folders(
        &self,
        all: &[Data],
        places: BTreeMap<DataPath, Vec<&FolderRequest>>,
        changed: &Changed<'_>,
        more: &mut Vec<FolderRequest>,
    ) {
        let mut places: BTreeMap<DataPath, Vec<FolderRequest>> = places
            .into_iter()
            .map(|(path, specs)| (path, specs.into_iter().map(|spec| self.of(spec)).collect()))
            .collect();
        let folders = all.iter().filter(|data| data.kind == DataKind::Folder);
        for folder in folders.filter(|data| data.status != DataStatus::Deleting) {
            if places.contains_key(&folder.path) {
                continue;
            }
            let above = places.get(&folder.path.parent()).cloned().unwrap_or_default();
            let made: Vec<_> = above.iter().filter_map(|above| below(above, folder)).collect();
            more.extend(made.iter().filter(|to| !changed.is_brought(&folder.path, to)).cloned());
            places.insert(folder.path.clone(), made);
        }
    }
}

/// The child that brings a folder into the place of the one that it lies in.
fn below(above: &FolderRequest, folder: &Data) -> Option<FolderRequest> {
    let (project, ..) = levels(above).next()?;
    let want =
        Want::Level { project: project.clone(), id: Some(folder.id.clone()), path: folder.path.clone() };
    let FolderRequest { on_conflict, step, since, piece, again, .. } = above.clone();
    let path = above.path.folder(folder.name());
    let at = FolderRequest::at(above.project.clone(), path).wanting(vec![want]);
    Some(FolderRequest { on_conflict, step, since, piece, again, ..at })
}

/// Takes back the outcomes of folders that were gone through once more: the child that did that tells all of
/// it.
pub(crate) fn replace(children: &[Child], outcomes: &mut [Outcome]) {
    let key = |to: &FolderRequest, project: &ProjectId, path: &DataPath| {
        (to.project.clone(), to.path.clone(), project.clone(), path.clone())
    };
    let again = children.iter().map(|(_, spec)| spec).filter(|spec| spec.again);
    let keys: HashSet<_> =
        again.flat_map(|spec| levels(spec).map(|(project, _, path)| key(spec, project, path))).collect();
    for ((_, spec), outcome) in children.iter().zip(outcomes) {
        let by_level = || levels(spec).any(|(project, _, path)| keys.contains(&key(spec, project, path)));
        // A tree is gone through again as a whole, and with it the folder at its top.
        let by_tree = || {
            trees(spec).any(|(project, _, tree)| {
                let top = FolderRequest::at(spec.project.clone(), spec.path.folder(tree.name()));
                keys.contains(&key(&top, project, tree))
            })
        };
        if !spec.again && (by_level() || by_tree()) {
            outcome.counters = Counters::default();
            outcome.failure = None;
        }
    }
}
