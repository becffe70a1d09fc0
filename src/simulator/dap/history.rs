//! A table as a history: what a query answers follows from the commits that have happened, so that a client may
//! skip some, repeat a query, or come late.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::world::{Fields, WorldCommit, WorldSchema, WorldTable};

/// A row of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row<'a> {
    /// When it was last changed.
    pub(super) ts: &'a str,
    /// `U` or `D`; none in a snapshot.
    pub(super) action: Option<&'static str>,
    pub(super) key: &'a Fields,
    /// None of a deletion.
    pub(super) value: Option<&'a Fields>,
}

impl WorldTable {
    /// The last commit that has happened, where `commit` is the number of the last one that may have.
    fn last(&self, commit: usize) -> Option<&WorldCommit> {
        self.commits.get(commit.min(self.commits.len().saturating_sub(1)))
    }

    /// The number of the last commit before that time; the first, where there is none.
    pub(super) fn commit_at(&self, now: Timestamp) -> usize {
        self.commits.iter().filter(|commit| commit.time() <= now).count().saturating_sub(1)
    }

    /// The version of the schema after that commit.
    pub(super) fn version(&self, commit: usize) -> i64 {
        self.last(commit).map_or(0, |commit| commit.version)
    }

    /// A moment after that commit and, as a rule, before the next.
    pub(super) fn after(&self, commit: usize) -> Timestamp {
        let at = self.last(commit).map_or(Timestamp::UNIX_EPOCH, WorldCommit::time);
        at.checked_add(SignedDuration::from_secs(1)).unwrap_or(at)
    }

    pub(super) fn schema(&self, version: i64) -> Option<&WorldSchema> {
        self.schemas.iter().find(|schema| schema.version == version)
    }

    /// The schema as the platform tells it.
    pub(super) fn json_schema(&self, version: i64) -> Value {
        let Some(schema) = self.schema(version) else { return Value::Null };
        let mut value = json!({
            "type": "object", "properties": schema.value, "additionalProperties": false,
        });
        if let (false, Value::Object(value)) = (schema.required.is_empty(), &mut value) {
            value.insert("required".to_owned(), json!(schema.required));
        }
        let key = json!({
            "type": "object", "properties": self.key, "required": self.key.keys().collect::<Vec<_>>(),
            "additionalProperties": false,
        });
        let mut whole = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"});
        if let Value::Object(whole) = &mut whole {
            let texts = [("title", &schema.title), ("description", &schema.description)];
            for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
                whole.insert(name.to_owned(), json!(text));
            }
            whole.insert("properties".to_owned(), json!({"meta": meta(), "key": key, "value": value}));
            whole.insert("required".to_owned(), json!(["meta", "key"]));
            whole.insert("additionalProperties".to_owned(), json!(false));
        }
        whole
    }

    /// All rows after that commit, those that were put last at the end.
    pub(super) fn snapshot(&self, commit: usize) -> Vec<Row<'_>> {
        let mut rows: Vec<Option<Row<'_>>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for past in self.commits.iter().take(commit.saturating_add(1)) {
            for change in &past.changes {
                let name = name_of(&change.key);
                if let Some(row) = places.remove(&name).and_then(|place| rows.get_mut(place)) {
                    *row = None;
                }
                if let Some(value) = &change.value {
                    places.insert(name, rows.len());
                    let (ts, key) = (past.at.as_str(), &change.key);
                    rows.push(Some(Row { ts, action: None, key, value: Some(value) }));
                }
            }
        }
        self.doubled(rows.into_iter().flatten())
    }

    /// The last change of each key since then. What was changed again at `until` or later is not in it, not even in
    /// its former state.
    pub(super) fn increment(
        &self,
        commit: usize,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> Vec<Row<'_>> {
        let mut rows: Vec<(Timestamp, Row<'_>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let past = self.commits.iter().take(commit.saturating_add(1));
        for (at, past) in past.map(|past| (past.time(), past)).filter(|(at, _)| *at >= since) {
            for change in &past.changes {
                let action = Some(if change.value.is_some() { "U" } else { "D" });
                let row = Row { ts: &past.at, action, key: &change.key, value: change.value.as_ref() };
                let place = *places.entry(name_of(&change.key)).or_insert(rows.len());
                match rows.get_mut(place) {
                    Some(known) => *known = (at, row),
                    None => rows.push((at, row)),
                }
            }
        }
        let in_time = |at: Timestamp| until.is_none_or(|until| at < until);
        self.doubled(rows.into_iter().filter(|(at, _)| in_time(*at)).map(|(_, row)| row))
    }

    fn doubled<'a>(&self, rows: impl Iterator<Item = Row<'a>>) -> Vec<Row<'a>> {
        let times = if self.twice { 2 } else { 1 };
        rows.flat_map(|row| std::iter::repeat_n(row, times)).collect()
    }
}

impl WorldCommit {
    /// Checked where the world was read.
    fn time(&self) -> Timestamp {
        self.at.parse().unwrap_or(Timestamp::MAX)
    }
}

fn name_of(key: &Fields) -> String {
    key.values().map(Value::to_string).collect::<Vec<_>>().join("\u{1f}")
}

fn meta() -> Value {
    json!({
        "type": "object",
        "properties": {
            "ts": {"type": "string", "format": "date-time"},
            "action": {"type": "string", "enum": ["U", "D"]},
        },
        "required": ["ts"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    /// Row 1 put, changed, deleted and put again; row 2 put once.
    fn table() -> WorldTable {
        let change = |id: i64, value: Value| json!({"key": {"id": id}, "value": value});
        let commit = |day: u8, changes: Vec<Value>| json!({"at": format!("2026-01-0{day}T00:00:00Z"), "version": 1, "changes": changes});
        let world = json!({
            "namespace": "canvas", "name": "t", "key": {"id": {"type": "integer"}},
            "schemas": [{"version": 1, "value": {"n": {"type": "integer"}}}],
            "commits": [
                commit(1, vec![change(1, json!({"n": 1})), change(2, json!({"n": 2}))]),
                commit(2, vec![change(1, json!({"n": 3}))]),
                commit(3, vec![change(1, Value::Null), change(9, Value::Null)]),
                commit(4, vec![change(1, json!({"n": 4}))]),
            ],
        });
        serde_json::from_value(world).unwrap()
    }

    fn shown(rows: &[Row<'_>]) -> Vec<String> {
        let show = |row: &Row<'_>| {
            let n = row.value.map_or(Value::Null, |value| value["n"].clone());
            format!("{}{}={n}", row.action.unwrap_or_default(), row.key["id"])
        };
        rows.iter().map(show).collect()
    }

    fn day(day: u8) -> Timestamp {
        format!("2026-01-0{day}T00:00:00Z").parse().unwrap()
    }

    #[test]
    fn a_snapshot_is_the_state_after_the_last_commit() {
        let table = table();
        let states: Vec<_> = (0..5).map(|commit| shown(&table.snapshot(commit))).collect();
        let state = |rows: &[&str]| rows.iter().map(ToString::to_string).collect::<Vec<_>>();
        let later = state(&["2=2", "1=4"]);
        assert_eq!(
            states,
            [state(&["1=1", "2=2"]), state(&["2=2", "1=3"]), state(&["2=2"]), later.clone(), later]
        );
    }

    #[test]
    fn an_increment_has_the_last_change_of_each_key() {
        let table = table();
        assert_eq!(shown(&table.increment(2, day(1), None)), ["D1=null", "U2=2", "D9=null"]);
        assert_eq!(shown(&table.increment(3, day(3), None)), ["U1=4", "D9=null"]);
        assert!(table.increment(3, day(5), None).is_empty());
    }

    #[test]
    fn since_is_inclusive_and_until_exclusive() {
        let table = table();
        assert_eq!(shown(&table.increment(1, day(2), None)), ["U1=3"]);
        assert_eq!(shown(&table.increment(1, day(1), Some(day(2)))), ["U2=2"]);
    }

    #[test]
    fn a_row_changed_again_after_until_is_not_in_it_at_all() {
        assert_eq!(shown(&table().increment(3, day(1), Some(day(4)))), ["U2=2", "D9=null"]);
    }

    #[test]
    fn the_clock_says_which_commits_have_happened() {
        let table = table();
        assert_eq!([day(1), day(2), day(9)].map(|now| table.commit_at(now)), [0, 1, 3]);
        assert_eq!(table.commit_at(Timestamp::UNIX_EPOCH), 0);
    }
}
