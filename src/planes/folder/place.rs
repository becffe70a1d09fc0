//! Which folder it is: the root of a project is one that is always there, has no id and is never made.

use super::{state::FolderState, waiter::Waiter};
use crate::{
    domain::{
        ids::{DataId, ProjectId},
        location::DataPath,
    },
    engine::{lease::Leased, records::attr},
    ports::platform::Destination,
};

impl FolderState {
    /// The destination, which is at that path, as far as it is known.
    pub(super) fn destination(&self, path: &DataPath) -> Option<Destination> {
        if path.is_root() {
            return Some(Destination::Root);
        }
        self.folder.clone().map(Destination::Folder)
    }

    /// Notes the destination folder.
    pub(super) fn found(&mut self, folder: DataId) -> Destination {
        self.folder = Some(folder.clone());
        Destination::Folder(folder)
    }
}

/// The destination project.
pub(super) fn project_of(held: &Leased, waiters: &[Waiter]) -> Option<ProjectId> {
    place_of(held, waiters).map(|(project, _)| project)
}

/// The destination, by project and path: as the waiters say, or as the record does when there is no waiter.
pub(super) fn place_of(held: &Leased, waiters: &[Waiter]) -> Option<(ProjectId, DataPath)> {
    if let Some(waiter) = waiters.first() {
        return Some((waiter.spec.project.clone(), waiter.spec.path.clone()));
    }
    let destination = held.item.text(attr::DESTINATION)?.strip_prefix("icav2://")?;
    let (project, path) = destination.split_at(destination.find('/')?);
    Some((ProjectId::new(project), DataPath::told(path.to_owned()).ok()?))
}
