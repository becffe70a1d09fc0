//! How a file gets to its destination.

use serde::{Deserialize, Serialize};

use super::file::ETag;

/// How a transfer is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// By an ICAv2 copy job, with others.
    Job,
    /// By GET and PUT through this process.
    Stream,
    /// Inside S3, from bucket to bucket.
    S3Copy,
}

impl Route {
    /// The name as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Stream => "stream",
            Self::S3Copy => "s3_copy",
        }
    }
}

/// What is done with single-part files (`copy.single_part`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinglePart {
    /// Through us: ICAv2 jobs mishandle the object tags of single-part files (FACTS, tag defect).
    #[default]
    Stream,
    /// By a job, for tenants where the defect is gone.
    Job,
}

/// How a source folder is brought (`copy.folders`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folders {
    /// Each folder of its tree on its own, file by file.
    #[default]
    PerFolder,
    /// As one item of a copy job, for tenants whose jobs treat single-part files well.
    Whole,
}

/// The route of one file. A file without an `ETag` is not known to be multi-part, so it is treated
/// as single-part.
#[must_use]
pub fn route(etag: Option<&ETag>, single_part: SinglePart) -> Route {
    match (etag.is_some_and(ETag::is_multipart), single_part) {
        (true, _) | (false, SinglePart::Job) => Route::Job,
        (false, SinglePart::Stream) => Route::Stream,
    }
}
