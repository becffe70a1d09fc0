//! Conditions and changes as DynamoDB expressions. Every name and value is a placeholder: names of
//! ours may be words of DynamoDB's.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::items::{self, Attributes, ID};
use crate::ports::store::{Change, Condition, Value};

/// Expressions in the making, with what their placeholders stand for.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    names: HashMap<String, String>,
    values: Attributes,
}

impl Expressions {
    /// The condition expression of `conditions`; `None` when there are none.
    pub(super) fn condition(&mut self, conditions: &[Condition]) -> Option<String> {
        let all: Vec<String> = conditions.iter().map(|condition| self.one_condition(condition)).collect();
        (!all.is_empty()).then(|| all.join(" AND "))
    }

    /// The update expression of `changes`; `None` when there are none.
    pub(super) fn update(&mut self, changes: &[Change]) -> Option<String> {
        let mut clauses: [(&str, Vec<String>); 4] =
            [("SET", vec![]), ("REMOVE", vec![]), ("ADD", vec![]), ("DELETE", vec![])];
        let [set, remove, add, delete] = &mut clauses;
        for change in changes {
            match change {
                Change::Set(name, value) => set.1.push(self.pair(name, items::value(value), " = ")),
                Change::Remove(name) => remove.1.push(self.name(name)),
                Change::Add(name, by) => add.1.push(self.pair(name, AttributeValue::N(by.to_string()), " ")),
                Change::Include(name, member) => add.1.push(self.pair(name, set_of([member]), " ")),
                Change::Exclude(name, members) => delete.1.push(self.pair(name, set_of(members), " ")),
            }
        }
        let clauses: Vec<String> = clauses
            .into_iter()
            .filter(|(_, terms)| !terms.is_empty())
            .map(|(verb, terms)| format!("{verb} {}", terms.join(", ")))
            .collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }

    /// What the placeholders for names stand for; none when there are none.
    pub(super) fn take_names(&mut self) -> Option<HashMap<String, String>> {
        Some(std::mem::take(&mut self.names)).filter(|names| !names.is_empty())
    }

    /// What the placeholders for values stand for; none when there are none.
    pub(super) fn take_values(&mut self) -> Option<Attributes> {
        Some(std::mem::take(&mut self.values)).filter(|values| !values.is_empty())
    }

    fn one_condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Absent => format!("attribute_not_exists({})", self.name(ID)),
            Condition::Present => format!("attribute_exists({})", self.name(ID)),
            Condition::Has(name) => format!("attribute_exists({})", self.name(name)),
            Condition::Lacks(name) => format!("attribute_not_exists({})", self.name(name)),
            Condition::Equals(name, value) => self.pair(name, items::value(value), " = "),
            Condition::Free(name) => self.absent_or(name, " = ", &Value::from("")),
            Condition::AtMost(name, most) => self.absent_or(name, " <= ", &Value::Number(*most)),
            Condition::Room { set, member, limit } => self.room(set, member, *limit),
        }
    }

    fn absent_or(&mut self, name: &str, between: &str, value: &Value) -> String {
        let or = self.pair(name, items::value(value), between);
        format!("(attribute_not_exists({}) OR {or})", self.name(name))
    }

    fn room(&mut self, set: &str, member: &str, limit: i64) -> String {
        let (set, member) = (self.name(set), self.value(AttributeValue::S(member.to_owned())));
        let limit_value = self.value(items::value(&Value::Number(limit)));
        let absent = if limit > 0 { format!(" OR attribute_not_exists({set})") } else { String::new() };
        format!("(size({set}) < {limit_value} OR contains({set}, {member}){absent})")
    }

    fn pair(&mut self, name: &str, value: AttributeValue, between: &str) -> String {
        format!("{}{between}{}", self.name(name), self.value(value))
    }

    fn name(&mut self, name: &str) -> String {
        let known =
            self.names.iter().find(|(_, meant)| *meant == name).map(|(placeholder, _)| placeholder.clone());
        known.unwrap_or_else(|| {
            let placeholder = format!("#n{}", self.names.len());
            self.names.insert(placeholder.clone(), name.to_owned());
            placeholder
        })
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }
}

fn set_of<'a>(members: impl IntoIterator<Item = &'a String>) -> AttributeValue {
    AttributeValue::Ss(members.into_iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_joined_and_names_shared() {
        let mut expressions = Expressions::default();
        let condition = expressions.condition(&[
            Condition::Present,
            Condition::Equals("owner".into(), Value::from("me")),
            Condition::Lacks("owner".into()),
            Condition::Free("owner".into()),
            Condition::AtMost("schema".into(), 1),
            Condition::Room { set: "jobs".into(), member: "j".into(), limit: 2 },
        ]);
        assert_eq!(
            condition.as_deref(),
            Some(
                "attribute_exists(#n0) AND #n1 = :v0 AND attribute_not_exists(#n1) AND \
                 (attribute_not_exists(#n1) OR #n1 = :v1) AND (attribute_not_exists(#n2) OR #n2 <= :v2) AND \
                 (size(#n3) < :v4 OR contains(#n3, :v3) OR attribute_not_exists(#n3))"
            )
        );
        assert_eq!(expressions.take_names().unwrap().len(), 4);
        assert_eq!(expressions.take_values().unwrap().len(), 5);
    }

    #[test]
    fn changes_are_sorted_into_clauses() {
        let mut expressions = Expressions::default();
        let update = expressions.update(&[
            Change::Add("wakes".into(), 1),
            Change::Set("phase".into(), Value::from("x")),
            Change::Remove("due_at".into()),
            Change::Include("jobs".into(), "a".into()),
            Change::Exclude("waiters".into(), ["b".into()].into()),
        ]);
        assert_eq!(update.as_deref(), Some("SET #n1 = :v1 REMOVE #n2 ADD #n0 :v0, #n3 :v2 DELETE #n4 :v3"));
    }

    #[test]
    fn nothing_is_no_expression() {
        let mut expressions = Expressions::default();
        assert_eq!(expressions.condition(&[]), None);
        assert_eq!(expressions.update(&[]), None);
        assert_eq!(expressions.take_names(), None);
        assert_eq!(expressions.take_values(), None);
    }
}
