//! The tools of plans of copies.

use crate::{
    domain::policy::Rules,
    engine::{
        core::Core,
        records::millis,
        settings::{CopySettings, SameProject},
    },
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
            now: millis(core.ports.clock.now()),
        }
    }
}
