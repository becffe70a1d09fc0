//! A file that is streamed, from the choice to the result.

use std::sync::Arc;

use super::wanted::{Origin, Source};
use crate::{
    domain::{
        file::ETag,
        ids::{DataId, ProjectId},
    },
    engine::{lease::RoundResult, liveness::RootRef},
    ports::platform::Destination,
};

/// How a file is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// With one PUT.
    Put,
    /// As an upload in parts.
    Parts,
    /// Copied by S3 from staging.
    Copy,
}

/// A file that is ready to be streamed.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub source: Source,
    pub nonce: String,
    /// The PARTIAL file of ours whose bytes it replaces; none when a file has to be made.
    pub target: Option<DataId>,
    /// A PARTIAL file that is ours if making it again returns it.
    pub claims: Option<DataId>,
    pub way: Way,
    pub to: Arc<Target>,
}

/// Where files are streamed to, and for which roots.
#[derive(Debug)]
pub(super) struct Target {
    pub project: ProjectId,
    pub folder: Option<Destination>,
    pub root_refs: Vec<RootRef>,
}

impl Task {
    /// The project to ask for a URL to read it, where one is needed.
    pub(super) fn asks(&self) -> Option<(&ProjectId, &DataId)> {
        match &self.source.origin {
            Origin::File { project, id } if self.way == Way::Put => Some((project, id)),
            Origin::File { .. } | Origin::Object(_) => None,
        }
    }
}

/// The answer of the destination about a file that was brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub tag: Option<ETag>,
    /// The MD5 of the bytes that were sent.
    pub md5: Option<String>,
}

/// The result.
#[derive(Debug)]
pub(super) struct Streamed {
    pub name: String,
    pub result: RoundResult<Brought>,
    /// The file that was made for it.
    pub made: Option<DataId>,
    pub claims: Option<DataId>,
}
