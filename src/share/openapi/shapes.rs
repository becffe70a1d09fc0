//! Shapes of the API that are described here alone: bodies are read by hand, so that what is wrong with them can be
//! said as ever, and files are of the domain.
#![expect(dead_code, reason = "they are described, not made")]

use serde_json::Value;
use utoipa::ToSchema;

/// A package that is asked for. Keys may be written in `snake_case`, too.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct PackageAsked {
    /// A letter, then letters, digits, `.`, `_`, `+`, `-`.
    package_name: String,
    package_request: PackageRequest,
}

/// What it is to hold. Of the four lists of libraries, subjects, individuals and projects at most one may be given.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct PackageRequest {
    library_id_list: Option<Vec<String>>,
    subject_id_list: Option<Vec<String>>,
    individual_id_list: Option<Vec<String>>,
    project_id_list: Option<Vec<String>>,
    /// Only libraries with reads in these sequencing runs.
    instrument_run_id_list: Option<Vec<String>>,
    /// These runs of workflows, instead of the newest of each library.
    portal_run_id_list: Option<Vec<String>>,
    portal_run_id_exclusion_list: Option<Vec<String>>,
    /// `fastq`, `secondaryAnalysis`.
    data_type_list: Vec<String>,
    /// Names of workflows; none: all.
    secondary_analysis_type_list: Option<Vec<String>>,
    defrost_archived_fastqs: Option<bool>,
    use_workflow_filters: Option<bool>,
    /// `fastq`, `primary` or `/`.
    primary_data_path_prefix: Option<String>,
    /// `secondary-analysis`, `analysis` or `/`.
    secondary_analysis_path_prefix: Option<String>,
    /// The files themselves: rows as in a catalogue, or `{"uri": "s3://…"}`.
    #[schema(value_type = Option<Object>)]
    manifest: Option<Value>,
    /// What is known of libraries: rows as the LIMS writes them, or `{"uri": "s3://…"}`.
    #[schema(value_type = Option<Object>)]
    lims_manifest: Option<Value>,
    /// Without what that package held.
    since_package_id: Option<String>,
    allow_missing: Option<bool>,
    /// Whether files are read of which no sum is known.
    compute_sums: Option<bool>,
    /// Texts by name.
    #[schema(value_type = Option<Object>)]
    labels: Option<Value>,
}

/// A push that is asked for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct PushAsked {
    /// `s3://bucket/prefix/` or `icav2://project/folder/`.
    share_destination: String,
    /// What is done where another object stands.
    on_conflict: Option<String>,
    /// What is put beside the files: `md5`, `sha256`, `report`, `ro-crate`.
    deliver: Option<Vec<String>>,
    /// How archived files are restored, to a bucket: `glacierDeepArchiveThawSpeed` and so on, as of lists.
    #[schema(value_type = Option<Object>)]
    thaw_params: Option<Value>,
    /// Whether it is only told what would be done.
    dry_run: Option<bool>,
}

/// A sequencing run that is to be shared by itself.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct RunAsked {
    instrument_run_id: String,
    /// The only job that is done; none: all that are for the run.
    job_name: Option<String>,
}

/// Something that was asked for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Ordered {
    /// Where more is told of it: `/v1/requests/{requestId}` of the listener of operators.
    request_id: String,
}

/// A link that is asked for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct LinkAsked {
    /// Who it is for.
    label: String,
    /// When it ends (RFC 3339): at most when its package does, and then where nothing is said.
    until: Option<String>,
}

/// A file of a package, as it was when that was made.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct File {
    /// Its place in the package.
    path: String,
    /// Where it is.
    uri: String,
    size: u64,
    etag: Option<String>,
    storage_class: Option<String>,
    archived: Option<bool>,
    modified: Option<String>,
    /// `fastq` or `secondaryAnalysis`.
    data_type: String,
    library_id: Option<String>,
    instrument_run_id: Option<String>,
    lane: Option<u32>,
    portal_run_id: Option<String>,
    workflow_name: Option<String>,
    workflow_version: Option<String>,
    md5: Option<String>,
    sha256: Option<String>,
}

/// A page of files.
#[derive(ToSchema)]
pub(super) struct Files {
    results: Vec<File>,
}
