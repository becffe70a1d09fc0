//! Items in DynamoDB's own types: text is `S`, a number `N`, a set of texts `SS`.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::ports::{
    Class, Error, Result,
    store::{Item, Key, READS, Value, schema_of},
};

/// Partition key.
pub(super) const ID: &str = "id";
/// Sort key.
pub(super) const ID_TYPE: &str = "id_type";

/// Attributes as DynamoDB has them.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// A key.
pub(super) fn key(key: &Key) -> Attributes {
    HashMap::from([
        (ID.to_owned(), AttributeValue::S(key.id.clone())),
        (ID_TYPE.to_owned(), AttributeValue::S(key.id_type.clone())),
    ])
}

/// A whole item.
pub(super) fn encode(of: &Key, attributes: &BTreeMap<String, Value>) -> Attributes {
    let mut encoded = key(of);
    encoded.extend(attributes.iter().map(|(name, attribute)| (name.clone(), value(attribute))));
    encoded
}

/// A value.
pub(super) fn value(value: &Value) -> AttributeValue {
    match value {
        Value::Text(text) => AttributeValue::S(text.clone()),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::TextSet(set) => AttributeValue::Ss(set.iter().cloned().collect()),
    }
}

/// The item in DynamoDB's attributes. Those of another type than ours make it `Invalid`, unless a newer version wrote it.
pub(super) fn decode(mut attributes: Attributes) -> Result<Item> {
    let key = take_key(&mut attributes)?;
    let mut item = Item::new(key);
    let mut odd = None;
    for (name, attribute) in attributes {
        let decoded = match attribute {
            AttributeValue::S(text) => Some(Value::Text(text)),
            AttributeValue::N(number) => number.parse().ok().map(Value::Number),
            AttributeValue::Ss(members) => Some(Value::TextSet(members.into_iter().collect())),
            _ => None,
        };
        match decoded {
            Some(decoded) => drop(item.attributes.insert(name, decoded)),
            None => odd = Some(name),
        }
    }
    match odd {
        Some(name) if schema_of(&item) <= READS => {
            Err(unreadable(format!("attribute {name} of {} cannot be read", item.key)))
        }
        _ => Ok(item),
    }
}

/// The key in DynamoDB's attributes.
pub(super) fn take_key(attributes: &mut Attributes) -> Result<Key> {
    let mut take = |name: &str| match attributes.remove(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(unreadable(format!("an item without {name}"))),
    };
    Ok(Key::new(take(ID)?, take(ID_TYPE)?))
}

/// The error for an item that is not one of ours.
pub(super) fn unreadable(message: impl Into<String>) -> Error {
    Error::new(Class::Invalid, "read item", message)
}
