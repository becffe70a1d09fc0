//! Wire formats, in and out: the only room that knows JSON field names.
//!
//! What comes in is judged here and either becomes a word of the domain or a refusal that says
//! what is wrong and where; what goes out is cut to the limits of its carrier. Each format has a
//! JSON Schema ([`schemas`]); `tests/house/events.rs` holds the two together.

pub mod intake;
pub mod jobs;
pub mod lists;
pub mod outgoing;
pub mod replica;
pub mod schemas;
pub mod share;
pub mod sns;
pub mod summary;

/// `detail-type` of a copy request.
pub const COPY_REQUEST: &str = "ICAv2DataCopySync";
/// `detail-type` of a request for what a manifest says.
pub const BATCH_REQUEST: &str = "ICAv2CopyBatchSync";
/// `detail-type` of a request for a list of objects in S3.
pub const COPY_OUT_REQUEST: &str = "S3CopyOutSync";
/// `detail-type` of a request for a package.
pub const PACKAGE_REQUEST: &str = "DataPackageSync";
/// `detail-type` of a request for a push of a package.
pub const PUSH_REQUEST: &str = "DataPushSync";
/// `detail-type` of a request for a run over the tables of a replica.
pub const REPLICA_REQUEST: &str = "CanvasReplicaSync";
/// `detail-type` of the events that say that a sequencing run is ready: the present one, and that from before 2025-11.
pub const RUN_READY: [&str; 2] = ["ReadSetsAdded", "FastqListRowsAdded"];
/// `detail-type` of the event that sends a child request over the internal bus.
pub const CHILD_REQUEST: &str = "CopyManagerChildRequest";
/// `detail-type` of what we tell everybody about a request.
pub const STATE_CHANGE: &str = "CopyManagerStateChange";
