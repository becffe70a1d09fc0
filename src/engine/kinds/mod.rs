//! What is special to each kind of request: how it becomes folders that must hold files. The rest
//! of the engine does not know kinds apart.

mod checks;
pub(crate) mod copy;
mod copy_out;
mod external;
mod find;
mod limits;
mod places;
mod renames;
pub(crate) mod staging;
mod trees;
mod whole;

use super::{Engine, records::millis};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{ErrorName, Failure},
        request::{CopyRequest, FolderRequest},
    },
    ports::{Class, Error},
};

/// Why a plan could not be made.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The request cannot be done as it stands.
    Failed(Failure),
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
    /// What children a request needs.
    pub(crate) async fn children_of(
        &self,
        id: &RequestId,
        event_source: &str,
        request: &CopyRequest,
    ) -> Result<Vec<FolderRequest>, Refused> {
        let planner = copy::Planner {
            platform: self.ports.platform.as_ref(),
            objects: self.ports.objects.as_ref(),
            settings: &self.settings.copy,
            rules: &self.settings.policy,
            now: millis(self.ports.clock.now()),
        };
        copy::plan(planner, id, event_source, request).await
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
