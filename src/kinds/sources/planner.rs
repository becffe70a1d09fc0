//! The tools of plans of copies.

use crate::{
    domain::{ids::RequestId, policy::Rules, route},
    engine::{
        core::Core,
        records::millis,
        settings::{CopySettings, SameProject},
    },
    planes::folder::{FolderPlane, listed::Listed},
    ports::{objects::ObjectStore, platform::DataPlatform},
};

/// The tools of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planner<'a> {
    pub platform: &'a dyn DataPlatform,
    pub objects: &'a dyn ObjectStore,
    pub settings: &'a CopySettings,
    /// What is done about copies inside one project.
    pub same_project: SameProject,
    pub rules: &'a Rules,
    /// Where listings of whole trees are kept for the children of a root; none where it has no children that
    /// list folders.
    pub listed: Option<(&'a Listed, &'a RequestId)>,
    /// Milliseconds since 1970.
    pub now: i64,
}

impl<'a> Planner<'a> {
    /// A planner over these ports and settings, as of now.
    pub(crate) fn new(core: &'a Core) -> Self {
        Self {
            platform: core.ports.platform.as_ref(),
            objects: core.ports.objects.as_ref(),
            settings: &core.settings.copy,
            same_project: core.settings.jobs.same_project_copies,
            rules: &core.settings.policy,
            listed: None,
            now: millis(core.ports.clock.now()),
        }
    }

    /// The same for a root whose children go through the folders of its sources.
    pub(crate) fn of(core: &'a Core, plane: &'a FolderPlane, root: &'a RequestId) -> Self {
        // Those of folders that go whole are seldom needed.
        let is_whole = core.settings.copy.folders == route::Folders::Whole;
        Self { listed: (!is_whole).then(|| (plane.listed(), root)), ..Self::new(core) }
    }
}
