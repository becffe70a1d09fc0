//! What a replica of a source's tables is: names, shapes of tables, how a shape becomes another, and lines on their
//! way into it. Pure.

pub mod changes;
pub mod counts;
#[cfg(test)]
mod fixtures;
pub mod lines;
pub mod meta;
pub mod names;
pub mod order;
pub mod run;
pub mod schema;
pub mod settings;
pub mod shape;
pub mod steps;
pub mod target;
pub mod treat;
pub mod written;
