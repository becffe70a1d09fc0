//! Items as rows: attributes as one JSON object, in which a text is a string, a number a number and
//! a set an array, so that `sqlite3` shows them readably; what the indexes need, as columns.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value as Json;

use super::database::failed;
use crate::ports::{
    Class, Error, Result,
    store::{CREATED_AT, DAY, DUE_AT, DUE_SHARD, EXPIRE_AT, Item, Key, READS, Value, schema_of},
};

/// The columns that [`item`] reads, in its order.
pub(super) const COLUMNS: &str = "id, id_type, attributes";

/// The item of a row.
pub(super) fn item(row: &Row<'_>) -> rusqlite::Result<(Key, String)> {
    Ok((Key::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?), row.get(2)?))
}

/// The item in what [`item`] read.
pub(super) fn decode((key, attributes): (Key, String)) -> Result<Item> {
    let unreadable = |key: &Key| Error::new(Class::Invalid, "read item", format!("{key} cannot be read"));
    let members: BTreeMap<String, Json> =
        serde_json::from_str(&attributes).map_err(|error| unreadable(&key).caused_by(error))?;
    let (mut item, mut odd) = (Item::new(key), false);
    for (name, json) in members {
        let value = match json {
            Json::String(text) => Some(Value::Text(text)),
            Json::Number(number) => number.as_i64().map(Value::Number),
            Json::Array(members) => members
                .iter()
                .map(|member| member.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .map(Value::TextSet),
            Json::Null | Json::Bool(_) | Json::Object(_) => None,
        };
        match value {
            Some(value) => drop(item.attributes.insert(name, value)),
            None => odd = true,
        }
    }
    // One that a newer version wrote may hold what this one does not know.
    if odd && schema_of(&item) <= READS { Err(unreadable(&item.key)) } else { Ok(item) }
}

/// Reads one item.
pub(super) fn find(connection: &Connection, key: &Key) -> Result<Option<Item>> {
    let look = || {
        connection
            .prepare_cached("SELECT id, id_type, attributes FROM items WHERE id = ?1 AND id_type = ?2")?
            .query_row(params![key.id, key.id_type], item)
            .optional()
    };
    look().map_err(|error| failed("read item", error))?.map(decode).transpose()
}

/// Writes one item, whole.
pub(super) fn save(connection: &Connection, item: &Item) -> Result<()> {
    let attributes = encode(item)?;
    let both = |one, other| item.number(one).zip(item.number(other)).unzip();
    let (shard, at): (Option<i64>, Option<i64>) = both(DUE_SHARD, DUE_AT);
    let (day, created): (Option<i64>, Option<i64>) = both(DAY, CREATED_AT);
    let write = || {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO items
                     (id, id_type, attributes, due_shard, due_at, expire_at, day, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                item.key.id,
                item.key.id_type,
                attributes,
                shard,
                at,
                item.number(EXPIRE_AT),
                day,
                created
            ])
    };
    write().map(drop).map_err(|error| failed("write item", error))
}

/// Removes one item, if it is there.
pub(super) fn remove(connection: &Connection, key: &Key) -> Result<()> {
    let write = || {
        connection
            .prepare_cached("DELETE FROM items WHERE id = ?1 AND id_type = ?2")?
            .execute(params![key.id, key.id_type])
    };
    write().map(drop).map_err(|error| failed("delete item", error))
}

fn encode(item: &Item) -> Result<String> {
    let mut members = serde_json::Map::new();
    for (name, value) in &item.attributes {
        let json = match value {
            Value::Text(text) => Json::from(text.as_str()),
            Value::Number(number) => Json::from(*number),
            Value::TextSet(set) if set.is_empty() => {
                let message = format!("set {name} of {} is empty", item.key);
                return Err(Error::new(Class::Invalid, "write item", message));
            }
            Value::TextSet(set) => set.iter().map(String::as_str).collect(),
        };
        members.insert(name.clone(), json);
    }
    Ok(Json::Object(members).to_string())
}
