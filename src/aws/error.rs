//! What the SDK's errors mean.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ConnectorError, ProvideErrorMetadata, SdkError},
};

use crate::ports::{Class, Error};

/// Classifies an error of the SDK. The service's own words are passed on only where they name
/// resources: elsewhere they may quote what we sent, task tokens included.
pub(super) fn classify<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => {
            Error::new(Class::Invalid, operation, "the request could not be made")
        }
        SdkError::TimeoutError(_) => Error::new(Class::Transient, operation, "no answer in time").ambiguous(),
        unsent @ SdkError::DispatchFailure(_) if let Some(why) = lacks_place(&unsent) => {
            let error = Error::new(Class::Invalid, operation, format!("no bucket can be called so: {why}"));
            Error { code: Some("InvalidBucketName".to_owned()), ..error }
        }
        unsent @ SdkError::DispatchFailure(_) if lacks_credentials(&unsent) => {
            Error::new(Class::Transient, operation, "there are no AWS credentials").caused_by(unsent)
        }
        SdkError::DispatchFailure(unsent) if unsent.as_connector_error().is_some_and(was_never_made) => {
            let why = unsent.as_connector_error().map_or_else(String::new, innermost);
            Error::new(Class::Invalid, operation, format!("the request could not be made: {why}"))
        }
        unsent @ SdkError::DispatchFailure(_) => {
            Error::new(Class::Transient, operation, "no answer").caused_by(unsent).ambiguous()
        }
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            with_status(Error::new(of_status(status), operation, "the answer cannot be read"), status)
                .ambiguous()
        }
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or("Unknown");
            with_status(refused(operation, code, status, answer.err().message()), status)
        }
        _ => Error::new(Class::Transient, operation, "failed in a way unknown here").ambiguous(),
    }
}

/// Whether a call was not made because there are no credentials.
fn lacks_credentials(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(CredentialsError::CredentialsNotLoaded(_)) = error.downcast_ref() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Why a call was not made that can be sent nowhere: what it names cannot be. The SDK keeps the type of that
/// error to itself.
fn lacks_place(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if format!("{error:?}").starts_with("ResolveEndpointError") {
            return Some(error.to_string());
        }
        cause = error.source();
    }
    None
}

/// Whether a call has not even got as far as a connection, though we have credentials. A failure there is an
/// error of the network or of HTTP; anything else is an endpoint that does not exist or a request that cannot
/// be signed, and will be the same every time.
fn was_never_made(unsent: &ConnectorError) -> bool {
    if !unsent.is_other() {
        return false;
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(unsent);
    while let Some(error) = cause {
        if error.is::<std::io::Error>() || error.is::<hyper::Error>() || error.is::<CredentialsError>() {
            return false;
        }
        cause = error.source();
    }
    true
}

/// What lies at the bottom of an error.
fn innermost(error: &ConnectorError) -> String {
    let mut error: &(dyn StdError + 'static) = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// The error of one entry of a batch, of which there is only the code.
pub(super) fn of_entry(operation: &'static str, code: &str) -> Error {
    refused(operation, code, 400, None)
}

fn refused(operation: &'static str, code: &str, status: u16, words: Option<&str>) -> Error {
    let class = class(code, status);
    let words = words.filter(|_| matches!(class, Class::Forbidden | Class::NotFound));
    let message = words.map_or_else(|| code.to_owned(), |words| format!("{code}: {words}"));
    let mut error = Error::new(class, operation, message);
    error.code = Some(code.to_owned());
    let in_doubt = status >= 500 || (200..300).contains(&status);
    error.may_have_happened = in_doubt && class == Class::Transient;
    error
}

fn with_status(mut error: Error, status: u16) -> Error {
    error.status = Some(status);
    error
}

/// What an exception means. Codes are those of the services in use; SQS has some with a prefix.
fn class(code: &str, status: u16) -> Class {
    match code.rsplit('.').next().unwrap_or(code) {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "ThrottlingError"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "OverLimit"
        | "ProvisionedThroughputExceeded"
        | "ProvisionedThroughputExceededException"
        | "KmsThrottled"
        | "KmsThrottlingException"
        | "SlowDown" => Class::Throttled,
        "TransactionConflict"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "ReplicatedWriteConflictException"
        | "InternalFailure"
        | "InternalException"
        | "InternalError"
        // S3: the bytes were damaged or did not come; another attempt may do better.
        | "BadDigest"
        | "IncompleteBody"
        | "XAmzContentChecksumMismatch"
        // Another operation on the same key is under way, and the other one may well fail.
        | "OperationAborted"
        | "ConditionalRequestConflict"
        // A clock is off, and the SDK learns from the answer by how much.
        | "RequestTimeTooSkewed"
        | "RequestTimeout" => Class::Transient,
        "ConditionalCheckFailed" | "ConditionalCheckFailedException" => Class::Conflict,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationTokenException" => Class::Unauthorized,
        // A key that may not be used, or that is switched off or about to be deleted: a matter of rights.
        "AccessDenied"
        | "AccessDeniedException"
        | "KmsAccessDenied"
        | "KmsAccessDeniedException"
        | "KmsDisabled"
        | "KmsInvalidState"
        | "KmsInvalidStateException" => Class::Forbidden,
        "ResourceNotFoundException" | "ParameterNotFound" | "QueueDoesNotExist" | "NonExistentQueue" => {
            Class::NotFound
        }
        _ => of_status(status),
    }
}

fn of_status(status: u16) -> Class {
    match status {
        429 | 503 => Class::Throttled,
        401 => Class::Unauthorized,
        403 => Class::Forbidden,
        404 => Class::NotFound,
        409 | 412 => Class::Conflict,
        // S3 begins some answers before it knows how they end: then an error has the status of success.
        200..=299 | 408 | 500.. => Class::Transient,
        _ => Class::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_mean_what_they_should() {
        for (code, status, expected) in [
            ("ProvisionedThroughputExceededException", 400, Class::Throttled),
            ("ThrottlingException", 400, Class::Throttled),
            ("com.amazonaws.dynamodb.v20120810.ThrottlingException", 400, Class::Throttled),
            ("TransactionConflictException", 400, Class::Transient),
            ("ExpiredTokenException", 400, Class::Unauthorized),
            ("AccessDeniedException", 400, Class::Forbidden),
            ("KmsAccessDeniedException", 400, Class::Forbidden),
            ("KmsInvalidStateException", 400, Class::Forbidden),
            ("KmsThrottlingException", 400, Class::Throttled),
            ("AWS.SimpleQueueService.NonExistentQueue", 400, Class::NotFound),
            ("ResourceNotFoundException", 400, Class::NotFound),
            ("ValidationException", 400, Class::Invalid),
            ("InternalServerError", 500, Class::Transient),
            ("ServiceUnavailable", 503, Class::Throttled),
            ("NoSuchUpload", 404, Class::NotFound),
            ("PreconditionFailed", 412, Class::Conflict),
            ("ConditionalRequestConflict", 409, Class::Transient),
            ("RequestTimeTooSkewed", 403, Class::Transient),
            ("OperationAborted", 409, Class::Transient),
            ("InternalError", 200, Class::Transient),
            ("SlowDown", 200, Class::Throttled),
            ("BadDigest", 400, Class::Transient),
            ("InvalidAccessKeyId", 403, Class::Unauthorized),
            ("PermanentRedirect", 301, Class::Invalid),
        ] {
            assert_eq!(class(code, status), expected, "{code}");
        }
    }

    #[test]
    fn what_we_sent_is_not_quoted() {
        let error =
            refused("SendTaskSuccess", "ValidationException", 400, Some("Value 'secret' at 'taskToken'"));
        assert_eq!(error.to_string(), "SendTaskSuccess: ValidationException");
        let error = refused("PutItem", "ResourceNotFoundException", 400, Some("no table x"));
        assert_eq!(error.to_string(), "PutItem: ResourceNotFoundException: no table x");
    }
}
