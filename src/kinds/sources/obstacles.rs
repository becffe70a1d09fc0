//! Obstacles at a destination that give way to nothing, whatever a request wants done about conflicts: seen
//! with one call, before anything is copied. Those that one call does not show, the folders' own rounds find.

use super::{external::ExternalSource, find::Found};
use crate::{
    domain::{
        file::{Data, DataKind, DataStatus},
        location::DataPath,
        outcome::{Culprit, ErrorName, Failure, culprit},
    },
    engine::kind::PlanError,
    ports::platform::{DataPlatform, Project},
};

/// How many bytes of paths one call asks for: those on the way to the destination, and with them those in it.
const ON_THE_WAY: usize = 1000;
const IN_ALL: usize = 2500;

/// Something that goes into a destination under its own name.
pub(crate) struct Top<'a> {
    name: &'a str,
    is_folder: bool,
    uri: &'a str,
}

impl<'a> From<&'a Found> for Top<'a> {
    fn from(found: &'a Found) -> Self {
        let is_folder = found.data.kind == DataKind::Folder;
        Self { name: found.data.name(), is_folder, uri: &found.uri }
    }
}

impl<'a> From<&'a ExternalSource> for Top<'a> {
    fn from(outside: &'a ExternalSource) -> Self {
        Self { name: &outside.name, is_folder: outside.is_folder, uri: &outside.uri }
    }
}

/// Refuses a destination that cannot be a folder of this project, and sources that cannot be put into it.
pub(crate) async fn check(
    platform: &dyn DataPlatform,
    project: &Project,
    path: &DataPath,
    tops: &[Top<'_>],
) -> Result<(), PlanError> {
    let (mut paths, mut bytes) = (Vec::new(), 0);
    let mut above = path.clone();
    while !above.is_root() && bytes < ON_THE_WAY {
        bytes += 2 * above.as_str().len();
        paths.extend(bare(&above));
        paths.push(above.clone());
        above = above.parent();
    }
    let mut rivals = Vec::with_capacity(tops.len());
    for top in tops {
        // A folder is in the way of a file, and a file in that of a folder.
        let rival = if top.is_folder { path.file(top.name) } else { path.folder(top.name) };
        bytes += rival.as_str().len();
        if bytes > IN_ALL {
            break;
        }
        paths.push(rival.clone());
        rivals.push((rival, top));
    }
    let there = platform.standing(&project.id, &paths).await?;
    let there: Vec<_> = there.into_iter().filter(|data| data.status != DataStatus::Deleting).collect();
    on_the_way(project, path, &there)?;
    let in_the_way = rivals.iter().filter(|(rival, _)| there.iter().any(|data| data.path == *rival));
    let culprits: Vec<_> = in_the_way
        .map(|(rival, top)| {
            let kind = if top.is_folder { "file" } else { "folder" };
            Culprit {
                what: format!("icav2://{}{rival}", project.id),
                why: format!("a {kind} of that name is there, and {} would get it", top.uri),
            }
        })
        .collect();
    if culprits.is_empty() {
        return Ok(());
    }
    let message = "files and folders stand in the way of others of their names";
    Err(Failure::new(ErrorName::DestinationConflict, message).naming(culprits).into())
}

fn on_the_way(project: &Project, path: &DataPath, there: &[Data]) -> Result<(), Failure> {
    let uri = format!("icav2://{}{path}", project.id);
    for data in there.iter().filter(|data| path.inside(&data.path.as_folder()).is_some()) {
        let here = &data.path;
        if data.kind == DataKind::File {
            let message = "a file stands where the destination folder would have to be";
            let what = format!("icav2://{}{here}", project.id);
            return Err(culprit(ErrorName::DestinationConflict, message, &what, "is a file"));
        }
        if data.owner != project.id {
            let message = "the destination lies in a folder that is linked from another project";
            let why = format!("{here} belongs to the project {}: name that as the destination", data.owner);
            return Err(culprit(ErrorName::InvalidRequest, message, &uri, &why));
        }
        if data.unseen {
            let message = "the destination lies in a folder that ICAv2 does not index";
            let why = format!("what is in {here} is not shown, so nothing could be found to have arrived");
            return Err(culprit(ErrorName::InvalidRequest, message, &uri, &why));
        }
    }
    Ok(())
}

/// The file of a folder's name; none for the root.
fn bare(folder: &DataPath) -> Option<DataPath> {
    let name = folder.name();
    (!name.is_empty()).then(|| folder.parent().file(name))
}
