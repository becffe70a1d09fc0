//! How data moves: reconcilers of the children of roots. [`folder`] brings files into one folder of a
//! project, [`objects`] objects into one bucket.

pub mod folder;
pub mod objects;
pub mod table;
