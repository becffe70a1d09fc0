//! The JSON Schema of a table of the source → the shape of the table in the replica, as the official client
//! 2.3.1 makes it, and something whole for each schema that it fails at.
//!
//! A schema comes from outside: whatever it is, the answer is a shape or a sentence about the table, after a
//! bounded number of steps. What a column's schema says and PostgreSQL cannot hold to (a `maxLength` of
//! twenty million, a label of a hundred bytes, a default that is no value of its type) is left out, so that
//! the table is replicated.

mod flat;
mod kinds;
mod literal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use self::flat::Flattener;
use super::{
    names::TableName,
    shape::{Column, Kind, LONGEST_NAME, Part, Scalar, Shape},
};

/// How many columns PostgreSQL gives a table at most.
const MOST_COLUMNS: usize = 1600;
/// Columns that every table of PostgreSQL has.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Why a table cannot be made by its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchema {
    /// No properties.
    #[error("the schema of {0} is no JSON Schema of an object with properties")]
    NoObject(TableName),
    /// No key.
    #[error("the schema of {0} has no key")]
    NoKey(TableName),
    /// A column without a schema.
    #[error("the schema of {table} says nothing that can be read about column {column:?}")]
    NoColumn {
        /// The table.
        table: TableName,
        /// Its column.
        column: String,
    },
    /// A table whose name PostgreSQL would not keep as it is.
    #[error("the name of table {table} cannot be kept: {why}")]
    TableName {
        /// The table.
        table: TableName,
        /// Why.
        why: &'static str,
    },
    /// A column whose name PostgreSQL would not keep as it is.
    #[error("{table} has the column {column:?}, a name that cannot be kept: {why}")]
    ColumnName {
        /// The table.
        table: TableName,
        /// Its column.
        column: String,
        /// Why.
        why: &'static str,
    },
    /// A column that is in the key and in the value.
    #[error("{table} has the column {column:?} twice, in its key and in its value")]
    Twice {
        /// The table.
        table: TableName,
        /// Its column.
        column: String,
    },
    /// More columns than a table can have.
    #[error("{table} has {columns} columns, and PostgreSQL gives a table {MOST_COLUMNS} at most")]
    TooMany {
        /// The table.
        table: TableName,
        /// How many.
        columns: usize,
    },
    /// What is kept in `table_sync` is no JSON.
    #[error("the schema that is kept of {table} is no JSON: {why}")]
    Kept {
        /// The table.
        table: TableName,
        /// What the parser says, with its place.
        why: String,
    },
}

/// The schema as `table_sync` keeps it: without `properties.meta`, else as it came, the order of its keys
/// too.
#[must_use]
pub fn kept(schema: &Json) -> Json {
    let mut schema = schema.clone();
    if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        // `remove` would put the last one in its place.
        properties.shift_remove("meta");
    }
    schema
}

/// The text of `schema_description`: compact JSON.
#[must_use]
pub fn to_text(schema: &Json) -> String {
    kept(schema).to_string()
}

/// Reads what [`to_text`] or the official client has written.
pub fn from_text(table: &TableName, text: &str) -> Result<Json, BadSchema> {
    serde_json::from_str(text)
        .map_err(|error| BadSchema::Kept { table: table.clone(), why: error.to_string() })
}

/// The shape of a table by its schema, with or without `properties.meta`.
pub fn shape(table: &TableName, schema: &Json) -> Result<Shape, BadSchema> {
    for name in [&table.namespace, &table.table] {
        keepable(name).map_err(|why| BadSchema::TableName { table: table.clone(), why })?;
    }
    let mut flattener = Flattener::new(schema);
    let root = flattener.flat(schema);
    let Some(sections) = root.get("properties").and_then(Json::as_object) else {
        return Err(BadSchema::NoObject(table.clone()));
    };
    let mut columns = Vec::new();
    for (part, name) in [(Part::Key, "key"), (Part::Value, "value")] {
        if let Some(section) = sections.get(name) {
            let section = flattener.flat(section);
            columns.extend(of_section(table, part, &section, &mut flattener)?);
        }
    }
    check(table, &columns)?;
    name_enumerations(&mut columns);
    // The sort is stable: within a group the order is that of the schema.
    columns.sort_by_key(|column| (column.part != Part::Key, column.default.is_some()));
    Ok(Shape { columns, comment: comment(&root) })
}

fn of_section(
    table: &TableName,
    part: Part,
    section: &Map<String, Json>,
    flattener: &mut Flattener<'_>,
) -> Result<Vec<Column>, BadSchema> {
    let Some(properties) = section.get("properties").and_then(Json::as_object) else { return Ok(Vec::new()) };
    let demanded: BTreeSet<&str> = section
        .get("required")
        .and_then(Json::as_array)
        .map(|names| names.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    let one = |(name, schema): (&String, &Json)| {
        if !(schema.is_object() || schema.is_boolean()) {
            return Err(BadSchema::NoColumn { table: table.clone(), column: name.clone() });
        }
        let flat = flattener.flat(schema);
        let kind = kinds::kind(&flat, flattener, || format!("{}__{name}", table.table));
        let default = flat.get("default").and_then(|value| literal::literal(&kind, value));
        Ok(Column {
            name: name.clone(),
            part,
            required: part == Part::Key || (demanded.contains(name.as_str()) && !kinds::may_be_null(&flat)),
            comment: comment(&flat),
            kind,
            default,
        })
    };
    properties.iter().map(one).collect()
}

fn check(table: &TableName, columns: &[Column]) -> Result<(), BadSchema> {
    if !columns.iter().any(|column| column.part == Part::Key) {
        return Err(BadSchema::NoKey(table.clone()));
    }
    if columns.len() > MOST_COLUMNS {
        return Err(BadSchema::TooMany { table: table.clone(), columns: columns.len() });
    }
    let mut seen = BTreeSet::new();
    for Column { name, .. } in columns {
        let bad = |why| BadSchema::ColumnName { table: table.clone(), column: name.clone(), why };
        keepable(name).map_err(bad)?;
        if SYSTEM_COLUMNS.contains(&name.as_str()) {
            return Err(bad("every table of PostgreSQL has a column of its own of that name"));
        }
        if !seen.insert(name) {
            return Err(BadSchema::Twice { table: table.clone(), column: name.clone() });
        }
    }
    Ok(())
}

fn keepable(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("it is empty")
    } else if name.contains('\0') {
        Err("it has a NUL")
    } else if name.len() > LONGEST_NAME {
        Err("it is longer than 63 bytes, and PostgreSQL would cut it")
    } else {
        Ok(())
    }
}

/// Cuts the names of enumerations to what PostgreSQL keeps. Where two of the table would become one, each of
/// them ends with a hash: so the name of one does not depend on which other was there first.
fn name_enumerations(columns: &mut [Column]) {
    let mut taken = BTreeMap::<String, usize>::new();
    for name in columns.iter().filter_map(enumeration) {
        *taken.entry(cut(name, LONGEST_NAME).to_owned()).or_default() += 1;
    }
    for column in columns {
        let (Kind::One(scalar) | Kind::List(scalar)) = &mut column.kind;
        let Scalar::Enum(enumeration) = scalar else { continue };
        let short = cut(&enumeration.name, LONGEST_NAME);
        enumeration.name = if taken.get(short).is_some_and(|times| *times > 1) {
            let hash = hex::encode(Sha256::digest(&enumeration.name));
            let end = cut(&hash, 8);
            format!("{}_{end}", cut(&enumeration.name, LONGEST_NAME - 9))
        } else {
            short.to_owned()
        };
    }
}

fn enumeration(column: &Column) -> Option<&str> {
    if let Scalar::Enum(enumeration) = column.kind.scalar() { Some(&enumeration.name) } else { None }
}

/// The longest beginning of so many bytes at most that ends with a whole character, as PostgreSQL cuts.
fn cut(name: &str, bytes: usize) -> &str {
    name.get(..name.floor_char_boundary(bytes)).unwrap_or(name)
}

/// The title, else the description, in one line.
fn comment(schema: &Map<String, Json>) -> Option<String> {
    ["title", "description"].into_iter().find_map(|name| {
        let text = schema.get(name)?.as_str()?.replace('\0', "");
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        (!line.is_empty()).then_some(line)
    })
}
