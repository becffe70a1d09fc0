//! Stands where `crate::events::schemas` will be; has the same functions.

use serde_json::Value;

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ["copy-request"].into_iter()
}

pub(super) fn schema(name: &str) -> Option<Value> {
    names().any(|known| known == name).then(|| Value::Object(serde_json::Map::default()))
}
