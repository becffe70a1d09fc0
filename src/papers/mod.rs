//! The papers of a package: what people and programs read of it. Pure texts; what writes them somewhere is
//! elsewhere.

pub mod delivery;
pub mod report;
pub mod script;
