//! Source folders with everything below them: one child for each folder of the tree.

use std::collections::{BTreeMap, HashMap};

use super::{find::Found, limits};
use crate::{
    domain::{
        file::{Data, DataKind},
        location::DataPath,
        outcome::{Culprit, ErrorName, Failure, culprit},
        request::{FolderRequest, Want},
        route::Folders,
    },
    engine::{kind::PlanError, settings::CopySettings},
    planes::folder::reserved,
    ports::{
        Class,
        platform::{DataPlatform, Folder, Project},
    },
};

/// Source folders by URI, each with every folder below it.
pub(crate) type Trees = HashMap<String, Vec<Data>>;

/// The trees of these folders.
pub(crate) async fn trees_of(
    platform: &dyn DataPlatform,
    settings: &CopySettings,
    folders: impl Iterator<Item = &Found>,
) -> Result<Trees, PlanError> {
    let mut trees = Trees::new();
    let mut known = 0;
    for folder in folders {
        let below = tree_of(platform, settings, folder, known).await?;
        known += below.len();
        trees.insert(folder.uri.clone(), below);
    }
    Ok(trees)
}

/// The children that bring one folder: one per folder of its tree, which is `folders`. They are marked as
/// parts of it where a job could bring it whole, which it cannot where something is linked from another
/// project.
pub(crate) async fn levels(
    platform: &dyn DataPlatform,
    settings: &CopySettings,
    source: &Found,
    target: &Project,
    destination: &DataPath,
    folders: &[Data],
) -> Result<Vec<FolderRequest>, PlanError> {
    let top = &source.data;
    let base = destination.folder(top.name());
    let mut children = Vec::new();
    not_around(platform, source, folders, target, destination).await?;
    let is_own = |folder: &Data| folder.owner == source.project;
    let whole = settings.folders == Folders::Whole && folders.iter().all(is_own)
        // A job would take along what is on another request's way.
        && !folders.iter().any(|folder| reserved::holds(&folder.path));
    for folder in folders.iter().filter(|folder| !reserved::holds(&folder.path)) {
        let inside = inside(settings, source, folder)?;
        // The names are those of folders that ICAv2 has: only together they may be too long.
        let path = DataPath::told(format!("{base}{inside}"));
        let path = path.and_then(|path| path.check_length().map(|()| path)).map_err(|error| {
            let message = "a folder would get a name that cannot be";
            let what = format!("icav2://{}{}", source.project, folder.path);
            culprit(ErrorName::InvalidRequest, message, &what, &error.to_string())
        })?;
        let (project, id) = (source.project.clone(), Some(folder.id.clone()));
        let want = Want::Level { project, id, path: folder.path.clone() };
        let mut child = FolderRequest::at(target.id.clone(), path).wanting(vec![want]);
        child.of_tree = whole.then(|| top.id.clone());
        children.push(child);
    }
    Ok(children)
}

/// Where a folder lies, seen from the source that it is below.
pub(crate) fn inside<'a>(
    settings: &CopySettings,
    source: &Found,
    folder: &'a Data,
) -> Result<&'a str, Failure> {
    let Some(inside) = folder.path.inside(&source.data.path) else {
        let message = "a folder below the source is shown at another place";
        return Err(culprit(ErrorName::Internal, message, &source.uri, folder.path.as_str()));
    };
    if inside.matches('/').count() > settings.max_depth as usize {
        let message = format!("a source folder is deeper than copy.max_depth = {}", settings.max_depth);
        return Err(culprit(ErrorName::RecursionLimit, message, &source.uri, folder.path.as_str()));
    }
    Ok(inside)
}

/// Refuses a destination that lies in a folder which this source only shows, because it is linked there
/// from the destination project. One call for each link.
async fn not_around(
    platform: &dyn DataPlatform,
    source: &Found,
    folders: &[Data],
    target: &Project,
    destination: &DataPath,
) -> Result<(), PlanError> {
    if source.project == target.id {
        return Ok(());
    }
    let mut linked: Option<&DataPath> = None;
    for folder in folders.iter().filter(|folder| folder.owner == target.id) {
        if linked.is_some_and(|linked| folder.path.inside(linked).is_some()) {
            continue;
        }
        linked = Some(&folder.path);
        let home = match platform.get(&target.id, &folder.id).await {
            Ok(home) => home,
            Err(error) if matches!(error.class, Class::NotFound | Class::Forbidden) => continue,
            Err(error) => return Err(error.into()),
        };
        if destination.inside(&home.path).is_some() {
            let message = "the destination lies inside a source";
            let why =
                format!("shows {} of the project `{}`, which holds the destination", home.path, target.name);
            return Err(culprit(ErrorName::RecursionLimit, message, &source.uri, &why).into());
        }
    }
    Ok(())
}

/// Waits for folders that are told without their paths: what is in them would go to another place.
fn not_unplaced(source: &Found, folders: &[Data]) -> Result<(), PlanError> {
    let bare = folders.iter().filter(|folder| folder.is_bare()).map(|folder| Culprit {
        what: format!("icav2://{}{} (`{}`)", source.project, folder.path.name(), folder.id),
        why: "ICAv2 does not tell where this folder lies".to_owned(),
    });
    let failure =
        Failure::new(ErrorName::SourceNotReady, "a source folder cannot be gone through").naming(bare);
    if failure.culprits_total == 0 { Ok(()) } else { Err(PlanError::NotYet(failure)) }
}

/// Refuses folders whose content the platform does not show: what is in them would be left out, and no caller
/// would know.
fn not_unseen(source: &Found, folders: &[Data]) -> Result<(), Failure> {
    let unseen = folders.iter().filter(|folder| folder.unseen).map(|folder| Culprit {
        what: format!("icav2://{}{}", source.project, folder.path),
        why: "it is not indexed: ICAv2 does not show what is in it".to_owned(),
    });
    let message = "a source folder holds what cannot be seen; nothing is copied";
    let failure = Failure::new(ErrorName::InvalidRequest, message).naming(unseen);
    if failure.culprits_total == 0 { Ok(()) } else { Err(failure) }
}

/// A source folder with every folder below it.
///
/// One recursive listing shows them, but does not enter folders that are linked from another
/// project: those are walked level by level. `others`: folders of the same request that are known.
pub(crate) async fn tree_of(
    platform: &dyn DataPlatform,
    settings: &CopySettings,
    source: &Found,
    others: usize,
) -> Result<Vec<Data>, PlanError> {
    let check = |known: usize| {
        limits::check_folders(settings.max_folders, known.saturating_add(others), Some(&source.uri))
    };
    let linked = |folder: &Data| folder.owner != source.project;
    let mut known = BTreeMap::from([(source.data.id.clone(), source.data.clone())]);
    if !linked(&source.data) {
        let mut from = None;
        loop {
            let page = platform.folders_below(&source.project, &source.data.path, from.as_deref()).await?;
            known.extend(page.items.into_iter().map(|folder| (folder.id.clone(), folder)));
            check(known.len())?;
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    let mut unseen: Vec<Data> = known.values().filter(|folder| linked(folder)).cloned().collect();
    while let Some(folder) = unseen.pop() {
        // Deeper than allowed is refused by the caller; here it only must not go on for ever.
        if folder.path.as_str().matches('/').count() > settings.max_depth as usize + 1024 {
            continue;
        }
        let mut from = None;
        loop {
            let page =
                platform.children(&source.project, &Folder::Id(folder.id.clone()), from.as_deref()).await?;
            for child in page.items.into_iter().filter(|child| child.kind == DataKind::Folder) {
                if known.insert(child.id.clone(), child.clone()).is_none() {
                    unseen.push(child);
                }
            }
            check(known.len())?;
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    let mut folders: Vec<_> = known.into_values().collect();
    not_unplaced(source, &folders)?;
    not_unseen(source, &folders)?;
    folders.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(folders)
}
