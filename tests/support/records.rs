//! Records that released versions have written (`tests/fixtures/records`).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use copy_manager::ports::store::{Item, Key, Value};
use serde_json::{Map, Value as Json};

/// The folder of a version, or of all.
pub(crate) fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records").join(version)
}

/// The versions whose records there are.
pub(crate) fn versions() -> Vec<String> {
    let entries = fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The records that a version had in the table at a moment.
pub(crate) fn read(version: &str, moment: &str) -> Vec<Item> {
    let text = fs::read_to_string(folder(version).join(format!("{moment}.jsonl"))).unwrap();
    text.lines().map(|line| item(serde_json::from_str(line).unwrap())).collect()
}

/// Writes them down, in the order of their keys, each with its attributes in the order of their names.
pub(crate) fn write(version: &str, moment: &str, items: &[Item]) {
    fs::create_dir_all(folder(version)).unwrap();
    let mut items: Vec<_> = items.iter().collect();
    items.sort_by(|one, other| one.key.cmp(&other.key));
    let lines: Vec<_> = items.into_iter().map(|item| line(item).to_string()).collect();
    fs::write(folder(version).join(format!("{moment}.jsonl")), lines.join("\n") + "\n").unwrap();
}

fn line(item: &Item) -> Json {
    let mut fields = Map::new();
    fields.insert("id".to_owned(), item.key.id.as_str().into());
    fields.insert("type".to_owned(), item.key.id_type.as_str().into());
    for (name, value) in &item.attributes {
        let value = match value {
            Value::Text(text) => text.as_str().into(),
            Value::Number(number) => (*number).into(),
            Value::TextSet(members) => members.iter().map(String::as_str).collect(),
        };
        fields.insert(name.clone(), value);
    }
    fields.into()
}

fn item(line: Json) -> Item {
    let mut fields: BTreeMap<String, Json> = serde_json::from_value(line).unwrap();
    let mut key = |name: &str| fields.remove(name).unwrap().as_str().unwrap().to_owned();
    let mut item = Item::new(Key::new(key("id"), key("type")));
    for (name, value) in fields {
        let value = match value {
            Json::String(text) => Value::Text(text),
            Json::Number(number) => Value::Number(number.as_i64().unwrap()),
            Json::Array(members) => {
                Value::TextSet(members.iter().map(|member| member.as_str().unwrap().to_owned()).collect())
            }
            other => panic!("{name} is {other}"),
        };
        item.attributes.insert(name, value);
    }
    item
}
