//! The kinds of requests: each decides which children a request needs and how it ended.
//!
//! [`sources`] holds the steps that plans of copies share, [`folders`] and [`slices`] the life of roots whose
//! children are those, [`lists`] that of roots that are lists, [`frozen`] the files of packages.

pub(crate) mod asked;
pub mod auto;
pub mod batch;
pub(crate) mod cards;
pub mod copy;
pub mod copy_out;
pub(crate) mod folders;
pub(crate) mod frozen;
pub(crate) mod lists;
pub(crate) mod orders;
pub mod package;
pub mod push;
pub(crate) mod releases;
pub mod replica;
pub(crate) mod slices;
pub(crate) mod sources;
pub(crate) mod told;
