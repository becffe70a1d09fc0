//! In which layout a record is written (`docs/upgrading.md`).

use super::Item;

/// Attribute: the schema in which the item was written; absent in items of before there were any.
pub const SCHEMA: &str = "schema";

/// The newest schema that this version reads.
pub const READS: i64 = 1;

/// The first schema, which records have whose layout has not changed since.
pub const FIRST: i64 = 1;

/// The schema in which an item was written.
#[must_use]
pub fn schema_of(item: &Item) -> i64 {
    item.number(SCHEMA).unwrap_or(0)
}
