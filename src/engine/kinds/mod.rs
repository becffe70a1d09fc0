//! What is special to each kind of request: how it becomes folders that must hold files. The rest
//! of the engine does not know kinds apart.

pub(crate) mod batch;
mod begin;
mod checks;
pub(crate) mod copy;
mod copy_out;
mod external;
mod find;
mod late;
mod limits;
pub(crate) mod outward;
mod patience;
mod places;
mod renames;
pub(crate) mod staging;
mod trees;
mod whole;

pub(crate) use copy_out::SummaryUploads;
pub(crate) use late::{Late, replace};

use super::{
    Engine,
    lease::{Held, Step},
    records::{RootState, millis},
    request::kind_of,
    slices::Common,
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{ErrorName, Failure},
        request::{Asked, CopyRequest, FolderRequest, Kind},
    },
    ports::{Class, Error},
};

/// Why a plan could not be made.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The request cannot be done as it stands.
    Failed(Failure),
    /// Its sources are not there, or not ready, as far as ICAv2 shows them now.
    NotYet(Failure),
    /// A port failed; try again later.
    Port(Error),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for Refused {
    /// What passes is tried again; what does not, ends the request.
    fn from(error: Error) -> Self {
        if error.is_passing() { Self::Port(error) } else { Self::Failed(final_failure(&error)) }
    }
}

impl Engine {
    /// What children a request of any kind needs that copies into projects.
    pub(crate) async fn children_of_any(
        &self,
        id: &RequestId,
        event_source: &str,
        asked: &Asked,
    ) -> Result<Vec<FolderRequest>, Refused> {
        match asked {
            Asked::Copy(request) => self.children_of(id, event_source, request).await,
            Asked::Batch(request) => {
                let most = self.settings.jobs.max_items_per_job;
                batch::plan(self.planner(), event_source, request, most).await
            }
            Asked::CopyOut(_) => {
                Err(Failure::new(ErrorName::Internal, "a list of objects has no folders").into())
            }
        }
    }

    /// What children a copy needs.
    pub(crate) async fn children_of(
        &self,
        id: &RequestId,
        event_source: &str,
        request: &CopyRequest,
    ) -> Result<Vec<FolderRequest>, Refused> {
        copy::plan(self.planner(), id, event_source, request).await
    }

    /// Concludes a root of slices, once all have settled; false while one has not.
    pub(crate) async fn end_list(&self, held: &mut Held, state: &RootState, common: &Common) -> Step<bool> {
        match kind_of(held) {
            Some(Kind::CopyOut) => self.end_copy_out(held, state, common).await,
            _ => self.end_outward(held, state, common).await,
        }
    }

    fn planner(&self) -> copy::Planner<'_> {
        copy::Planner {
            platform: self.ports.platform.as_ref(),
            objects: self.ports.objects.as_ref(),
            settings: &self.settings.copy,
            same_project: self.settings.jobs.same_project_copies,
            rules: &self.settings.policy,
            now: millis(self.ports.clock.now()),
        }
    }
}

/// The failure that a final port error means for a request.
pub(crate) fn final_failure(error: &Error) -> Failure {
    let name = match error.class {
        Class::NotFound => ErrorName::SourceNotFound,
        Class::Forbidden => ErrorName::PolicyDenied,
        Class::Conflict => ErrorName::DestinationConflict,
        Class::Invalid | Class::Transient | Class::Throttled | Class::Unauthorized => ErrorName::Internal,
    };
    Failure::new(name, format!("ICAv2 said no: {error}"))
}
