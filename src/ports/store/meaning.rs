//! What a write means, where no expression of DynamoDB says it.

use std::collections::BTreeSet;

use super::{Action, Change, Condition, Item, MAX_ITEM_BYTES, Value, Write, Written, item_bytes};
use crate::ports::error::{Class, Error, Result};

/// What becomes of a write in stores that hold items in memory or in rows; DynamoDB computes the same from
/// expressions, and the conformance suite compares the two.
pub fn apply(current: Option<&Item>, write: &Write) -> Result<Written> {
    if !write.conditions.iter().all(|condition| holds(current, condition)) {
        return Ok(Written::Refused(current.cloned()));
    }
    let after = match &write.action {
        Action::Delete => return Ok(Written::Done(None)),
        Action::Check => return Ok(Written::Done(current.cloned())),
        Action::Put(attributes) => Item { key: write.key.clone(), attributes: attributes.clone() },
        Action::Update(changes) => {
            let removes = |change: &Change| matches!(change, Change::Remove(_) | Change::Exclude(..));
            if current.is_none() && !changes.is_empty() && changes.iter().all(removes) {
                // As DynamoDB has it: taking something from an item that is not there makes none.
                return Ok(Written::Done(None));
            }
            let mut item = current.cloned().unwrap_or_else(|| Item::new(write.key.clone()));
            for change in changes {
                change_item(&mut item, change)?;
            }
            item
        }
    };
    if item_bytes(&after) > MAX_ITEM_BYTES {
        return Err(Error::new(Class::Invalid, "write", format!("item {} is larger than 400 KB", write.key)));
    }
    Ok(Written::Done(Some(after)))
}

fn holds(current: Option<&Item>, condition: &Condition) -> bool {
    let attribute = |name: &str| current.and_then(|item| item.attributes.get(name));
    match condition {
        Condition::Absent => current.is_none(),
        Condition::Present => current.is_some(),
        Condition::Has(name) => attribute(name).is_some(),
        Condition::Lacks(name) => attribute(name).is_none(),
        Condition::Equals(name, value) => attribute(name) == Some(value),
        Condition::Free(name) => attribute(name).is_none_or(|value| *value == Value::from("")),
        Condition::AtMost(name, n) => {
            attribute(name).is_none_or(|it| matches!(it, Value::Number(is) if is <= n))
        }
        Condition::Room { set, member, limit } => {
            let members = current.map(|item| item.members(set)).unwrap_or_default();
            members.contains(member) || i64::try_from(members.len()).is_ok_and(|n| n < *limit)
        }
    }
}

fn change_item(item: &mut Item, change: &Change) -> Result<()> {
    let wrong =
        |name: &str| Error::new(Class::Invalid, "write", format!("attribute {name} has another type"));
    match change {
        Change::Set(name, value) => {
            item.attributes.insert(name.clone(), value.clone());
        }
        Change::Remove(name) => {
            item.attributes.remove(name);
        }
        Change::Add(name, by) => match item.attributes.entry(name.clone()).or_insert(Value::Number(0)) {
            Value::Number(number) => *number = number.saturating_add(*by),
            Value::Text(_) | Value::TextSet(_) => return Err(wrong(name)),
        },
        Change::Include(name, member) => {
            match item.attributes.entry(name.clone()).or_insert_with(|| Value::TextSet(BTreeSet::new())) {
                Value::TextSet(set) => set.insert(member.clone()),
                Value::Text(_) | Value::Number(_) => return Err(wrong(name)),
            };
        }
        Change::Exclude(name, members) => {
            if let Some(Value::TextSet(set)) = item.attributes.get_mut(name) {
                set.retain(|member| !members.contains(member));
                if set.is_empty() {
                    item.attributes.remove(name);
                }
            }
        }
    }
    Ok(())
}
