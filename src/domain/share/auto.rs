//! Packages that are pushed without being asked for twice: those of automatic sharing, and those whose caller has said
//! where they go.

use serde::{Deserialize, Serialize};

use super::{jobs::Approval, request::PackageOrder};

/// What is to be done by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AutoOrder {
    /// A sequencing run is ready: the jobs that are for it.
    Run(RunOrder),
    /// A package, and its push.
    Share(Box<ShareOrder>),
}

/// A sequencing run that is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunOrder {
    /// The run.
    pub instrument_run_id: String,
    /// The only job that is done; none: all that are for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// Who asked.
    pub requested_by: String,
    /// Whether a caller of the API has asked, who has shown who it is, and not an event.
    #[serde(default)]
    pub by_hand: bool,
    /// Where callers reach the API.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub public_url: String,
}

/// A package, and where it goes once it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareOrder {
    /// The package.
    pub package: PackageOrder,
    /// Where it goes.
    pub destination: String,
    /// Who lets it go.
    #[serde(default)]
    pub approval: Approval,
    /// The job of automatic sharing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// The root that has shared an earlier state of the same: only what is new since then is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A package that waits for someone to let it go, or was let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The root that waits.
    pub root: String,
    /// The name of the package.
    pub package_name: String,
    /// Where it is to go.
    pub destination: String,
    /// Who has let it go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}
