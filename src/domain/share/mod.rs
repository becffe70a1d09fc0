//! Sharing: packages of files, what is in them, and where they may go. Pure; nothing here knows a table or a
//! network.

pub mod auto;
pub mod claims;
pub mod deliver;
pub mod destination;
pub mod files;
pub mod filters;
pub mod ids;
pub mod jobs;
pub mod lims;
pub mod outcome;
pub mod places;
pub mod prices;
pub mod request;
pub mod restores;
pub mod rows;
pub mod rules;
pub mod selection;
pub mod settings;
pub mod sums;
pub mod templates;
pub mod tokens;
