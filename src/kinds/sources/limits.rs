//! How many files a copy may have (`copy.max_files`), and how many folders it may write to
//! (`copy.max_folders`), found out before anything is copied.
//!
//! Folders are counted as they are found, so that nothing grows beyond the limit.
//!
//! Asking for files costs one call per folder source: the API says how many lie below a path without
//! listing them. Its filter knows no case, so it may count those of a folder besides, whose name
//! differs in case only; a request that is over the limit by that count is counted again, file by file. What
//! is inside a folder that another project owns is only seen by that second count.

use super::{find::Found, renames::files_in};
use crate::{
    domain::{
        file::{DataKind, DataStatus},
        outcome::{Culprit, ErrorName, Failure},
        request::{FolderRequest, Want},
    },
    engine::kind::PlanError,
    ports::platform::{DataPlatform, Folder},
};

/// Refuses a request that has more than `most` folders, each as often as it is copied; 0 is no limit.
pub(crate) fn check_folders(most: u64, folders: usize, uri: Option<&str>) -> Result<(), Failure> {
    if most == 0 || folders as u64 <= most {
        return Ok(());
    }
    let message = format!("the request has more folders than copy.max_folders = {most}");
    let culprit =
        uri.map(|uri| Culprit { what: uri.to_owned(), why: "has too many folders below it".to_owned() });
    Err(Failure::new(ErrorName::InvalidRequest, message).naming(culprit))
}

/// Refuses a request that has more than `most` files, `outside` among them; 0 is no limit, and asks nothing.
/// Each source comes with how often it is copied.
pub(crate) async fn check_files(
    platform: &dyn DataPlatform,
    most: u64,
    found: &[(&Found, u64)],
    outside: u64,
    children: &[FolderRequest],
) -> Result<(), PlanError> {
    if most == 0 {
        return Ok(());
    }
    let of_kind = |kind| found.iter().filter(move |(found, _)| found.data.kind == kind);
    let named = outside + of_kind(DataKind::File).map(|(_, times)| times).sum::<u64>();
    let mut sum = Some(named);
    let mut culprits = Vec::new();
    let folders = of_kind(DataKind::Folder);
    for (folder, times) in folders.filter(|(folder, _)| folder.data.owner == folder.project) {
        let below = platform.count_files_below(&folder.project, &folder.data.path).await?;
        sum = sum.zip(below).map(|(sum, below)| sum.saturating_add(below.saturating_mul(*times)));
        let why = below.map_or_else(String::new, |below| format!("files below it: {below}"));
        culprits.push(Culprit { what: folder.uri.clone(), why });
    }
    if sum.is_some_and(|sum| sum <= most) {
        return Ok(());
    }
    let mut exact = named;
    for child in children {
        if exact > most {
            break;
        }
        for want in &child.wants {
            let Want::Level { project, id, path } = want else { continue };
            let folder = id.clone().map_or_else(|| Folder::Path(path.clone()), Folder::Id);
            let files = files_in(platform, project, &folder).await?;
            exact += files.iter().filter(|file| file.status != DataStatus::Deleting).count() as u64;
        }
    }
    if exact <= most {
        return Ok(());
    }
    let message = format!("the request has at least {exact} files, more than copy.max_files = {most}");
    Err(Failure::new(ErrorName::InvalidRequest, message).naming(culprits).into())
}
