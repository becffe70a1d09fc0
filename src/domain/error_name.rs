//! The names of failures.

use serde::{Deserialize, Serialize};

/// The names a caller's `Catch` can match on; they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ErrorName {
    /// The request cannot be understood or contradicts itself.
    InvalidRequest,
    /// A rule of this installation forbids it.
    PolicyDenied,
    /// A named source is not there.
    SourceNotFound,
    /// A source is archived or its bytes are not (all) in.
    SourceNotReady,
    /// Something else stands at the destination.
    DestinationConflict,
    /// ICAv2 copy jobs kept failing.
    CopyJobFailed,
    /// A streamed file kept failing.
    TransferFailed,
    /// What arrived is not what was sent.
    VerificationFailed,
    /// Deeper than allowed, or a destination inside its own source.
    RecursionLimit,
    /// Nothing moved for too long.
    Stalled,
    /// Ended by an operator or the caller.
    Cancelled,
    /// A defect of ours, or a fault that would not go away.
    Internal,
    /// The bucket is in another region than it must be.
    WrongRegionError,
    /// A prefix at the destination does not end with `/`.
    DestinationPrefixKeyNoTrailingSlashError,
    /// A prefix at the destination is not usable.
    DestinationPrefixFieldInvalid,
    /// A folder below the prefix is not usable.
    DestinationRelativeFolderKeyFieldInvalid,
    /// A line of a list names no bucket.
    SourceBucketFieldInvalid,
    /// A line of a list names no key, or one that leads upwards.
    SourceKeyFieldInvalid,
    /// A line of a list contradicts itself, or another one.
    InvokeArgumentsInvariantError,
    /// A wildcard stands for too many objects.
    WildcardExpansionMaximumError,
    /// A wildcard stands for no object.
    WildcardExpansionEmptyError,
    /// Restores are asked for that S3 does not offer.
    InvalidThawParamsError,
    /// Objects of a list could not be copied.
    CopyError,
    /// Tables of a replica are not up to date.
    ReplicaError,
}

impl ErrorName {
    /// Every name.
    pub const ALL: [Self; 24] = [
        Self::InvalidRequest,
        Self::PolicyDenied,
        Self::SourceNotFound,
        Self::SourceNotReady,
        Self::DestinationConflict,
        Self::CopyJobFailed,
        Self::TransferFailed,
        Self::VerificationFailed,
        Self::RecursionLimit,
        Self::Stalled,
        Self::Cancelled,
        Self::Internal,
        Self::WrongRegionError,
        Self::DestinationPrefixKeyNoTrailingSlashError,
        Self::DestinationPrefixFieldInvalid,
        Self::DestinationRelativeFolderKeyFieldInvalid,
        Self::SourceBucketFieldInvalid,
        Self::SourceKeyFieldInvalid,
        Self::InvokeArgumentsInvariantError,
        Self::WildcardExpansionMaximumError,
        Self::WildcardExpansionEmptyError,
        Self::InvalidThawParamsError,
        Self::CopyError,
        Self::ReplicaError,
    ];

    /// The name as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::PolicyDenied => "PolicyDenied",
            Self::SourceNotFound => "SourceNotFound",
            Self::SourceNotReady => "SourceNotReady",
            Self::DestinationConflict => "DestinationConflict",
            Self::CopyJobFailed => "CopyJobFailed",
            Self::TransferFailed => "TransferFailed",
            Self::VerificationFailed => "VerificationFailed",
            Self::RecursionLimit => "RecursionLimit",
            Self::Stalled => "Stalled",
            Self::Cancelled => "Cancelled",
            Self::Internal => "Internal",
            Self::WrongRegionError => "WrongRegionError",
            Self::DestinationPrefixKeyNoTrailingSlashError => "DestinationPrefixKeyNoTrailingSlashError",
            Self::DestinationPrefixFieldInvalid => "DestinationPrefixFieldInvalid",
            Self::DestinationRelativeFolderKeyFieldInvalid => "DestinationRelativeFolderKeyFieldInvalid",
            Self::SourceBucketFieldInvalid => "SourceBucketFieldInvalid",
            Self::SourceKeyFieldInvalid => "SourceKeyFieldInvalid",
            Self::InvokeArgumentsInvariantError => "InvokeArgumentsInvariantError",
            Self::WildcardExpansionMaximumError => "WildcardExpansionMaximumError",
            Self::WildcardExpansionEmptyError => "WildcardExpansionEmptyError",
            Self::InvalidThawParamsError => "InvalidThawParamsError",
            Self::CopyError => "CopyError",
            Self::ReplicaError => "ReplicaError",
        }
    }

    /// Whether its caller can mend it, and neither we nor the platform.
    #[must_use]
    pub const fn is_callers(self) -> bool {
        !matches!(
            self,
            Self::CopyJobFailed
                | Self::TransferFailed
                | Self::VerificationFailed
                | Self::Stalled
                | Self::Internal
                | Self::CopyError
                | Self::ReplicaError
        )
    }

    /// What the person who reads the failure should do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::InvalidRequest => "correct the request and send it again",
            Self::PolicyDenied => "ask the operators of copy-manager to allow it, or use another place",
            Self::SourceNotFound => "check the source URIs; names are exact and case-sensitive",
            Self::SourceNotReady => {
                "wait until the files are AVAILABLE in ICAv2, then send the request again"
            }
            Self::DestinationConflict => "move or delete what stands at the destination, or use another one",
            Self::CopyJobFailed => {
                "look at the ICAv2 jobs named here; sending the request again copies only what is missing"
            }
            Self::TransferFailed => {
                "see the reason per file; sending the request again copies only what is missing"
            }
            Self::VerificationFailed => {
                "compare source and destination; delete what differs and send the request again"
            }
            Self::RecursionLimit => "copy sub-folders on their own, or have copy.max_depth raised",
            Self::Stalled => "check ICAv2's status; sending the request again copies only what is missing",
            Self::Cancelled => "send the request again to continue; what arrived is kept",
            Self::Internal => "send the request again; if it repeats, give the operators the request id",
            Self::WrongRegionError => "name a bucket of the right region, or drop the required one",
            Self::DestinationPrefixKeyNoTrailingSlashError => {
                "end the prefix with `/` and send the request again"
            }
            Self::DestinationPrefixFieldInvalid => "correct the prefix and send the request again",
            Self::DestinationRelativeFolderKeyFieldInvalid
            | Self::SourceBucketFieldInvalid
            | Self::SourceKeyFieldInvalid => "correct the line of the list and send the request again",
            Self::InvokeArgumentsInvariantError => {
                "correct the lines that are named and send the request again"
            }
            Self::WildcardExpansionMaximumError => {
                "use a narrower wildcard, or have copy_out.max_expansion raised"
            }
            Self::WildcardExpansionEmptyError => {
                "correct or remove the line of the list and send the request again"
            }
            Self::InvalidThawParamsError => "correct `thawParams` and send the request again",
            Self::CopyError => {
                "see the reason per object; sending the request again copies only what is missing"
            }
            Self::ReplicaError => "see the reason per table; the next run goes on where this one ended",
        }
    }
}

impl std::fmt::Display for ErrorName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
