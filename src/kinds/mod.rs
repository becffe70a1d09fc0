//! What callers ask for: each kind decides what a request needs and how it ended.
//!
//! [`sources`] is what planning copies shares, [`folders`] and [`slices`] the life of roots whose
//! children are those.

pub mod batch;
pub mod copy;
pub mod copy_out;
pub(crate) mod folders;
pub(crate) mod slices;
pub(crate) mod sources;
