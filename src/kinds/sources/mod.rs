//! The steps that plans of copies share: sources found and judged, places looked up, names given, limits
//! kept.

pub(crate) mod bring;
pub(crate) mod checks;
pub(crate) mod external;
pub(crate) mod files;
pub(crate) mod find;
pub(crate) mod landings;
pub(crate) mod limits;
pub(crate) mod manifest;
pub(crate) mod obstacles;
pub(crate) mod pieces;
pub(crate) mod places;
pub(crate) mod planner;
pub(crate) mod renames;
pub(crate) mod trees;
pub(crate) mod whole;
