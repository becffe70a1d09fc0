//! Where files and metadata come from: tables that somebody else writes, in S3 or beside this program, and what lies
//! in buckets.

pub mod jobs;
pub mod lims;
pub mod listing;
pub mod tables;
