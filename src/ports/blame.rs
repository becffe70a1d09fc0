//! What a final error of a port means for a request: the name of its failure, and who said no.

use super::{Class, Error};
use crate::domain::outcome::{ErrorName, Failure};

/// Whether it was ICAv2 that was asked: the operations of its API have paths.
pub(crate) fn is_of_api(error: &Error) -> bool {
    error.operation.contains(" /api/")
}

/// The failure that a final port error means for a request.
pub(crate) fn final_failure(error: &Error) -> Failure {
    let name = match error.class {
        Class::NotFound => ErrorName::SourceNotFound,
        Class::Forbidden => ErrorName::PolicyDenied,
        Class::Conflict => ErrorName::DestinationConflict,
        Class::Invalid | Class::Transient | Class::Throttled | Class::Unauthorized => ErrorName::Internal,
    };
    let name = if lacks_place(error) { ErrorName::InvalidRequest } else { name };
    Failure::new(name, format!("{}{error}", who_said_no(error)))
}

/// Whether what a call names can be nowhere: a bucket of a name that none can have.
pub(crate) fn lacks_place(error: &Error) -> bool {
    error.code.as_deref() == Some("InvalidBucketName")
}

/// Who has refused a call, in words. Calls of ICAv2 are named by method and path.
fn who_said_no(error: &Error) -> &'static str {
    let operation = error.operation;
    if is_of_api(error) {
        "ICAv2 said no: "
    } else if ["Object", "Multipart", "UploadPart", "ListParts"].iter().any(|of| operation.contains(of)) {
        "S3 said no: "
    } else {
        ""
    }
}
