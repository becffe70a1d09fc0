//! Histories by chance: tables of all types, schemas that change, rows that come, change, go and come back. The same
//! for the same seed.

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    state::text_of,
    world::{DapWorld, Fields, WorldChange, WorldCommit, WorldSchema, WorldTable},
};

mod values;

use values::{kind, value};

/// How much is made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Tables, all of the namespace `canvas`.
    pub tables: usize,
    /// Commits of each.
    pub commits: usize,
    /// The most changes of a commit.
    pub changes: usize,
    /// When the first commits happen.
    pub start: Timestamp,
    /// How much later the others.
    pub every: SignedDuration,
}

impl Default for Plan {
    fn default() -> Self {
        let start = super::DapSettings::default().epoch;
        Self { tables: 5, commits: 6, changes: 30, start, every: SignedDuration::from_hours(4) }
    }
}

/// A world of that seed.
pub fn world(seed: u64, plan: &Plan) -> DapWorld {
    let mut rng = StdRng::seed_from_u64(seed);
    DapWorld { tables: (0..plan.tables).map(|number| table(number, plan, &mut rng)).collect() }
}

/// A table that is being made.
struct Maker<'a> {
    rng: &'a mut StdRng,
    key: Fields,
    schema: WorldSchema,
    /// Keys of rows that are there, and of those that are not any more.
    there: Vec<Fields>,
    gone: Vec<Fields>,
    /// How many columns there ever were.
    columns: usize,
}

fn table(number: usize, plan: &Plan, rng: &mut StdRng) -> WorldTable {
    let id = |schema: Value| Fields::from_iter([("id".to_owned(), schema)]);
    let key = match rng.random_range(0..6) {
        0 => id(json!({"type": "string", "format": "uuid"})),
        1 => id(json!({"type": "string"})),
        2 => ["left_id", "right_id"]
            .map(|name| (name.to_owned(), json!({"type": "integer", "format": "int64"})))
            .into_iter()
            .collect(),
        _ => id(json!({"type": "integer", "format": "int64", "title": "The ID. Primary key."})),
    };
    let title = Some(format!("Table {number}."));
    let schema =
        WorldSchema { version: 1, title, description: None, value: Fields::new(), required: Vec::new() };
    let mut maker = Maker { rng, key: key.clone(), schema, there: Vec::new(), gone: Vec::new(), columns: 0 };
    for _ in 0..maker.rng.random_range(1..10) {
        let name = maker.add();
        if maker.rng.random_bool(0.2) {
            maker.schema.required.push(name);
        }
    }
    // Some tables never have a row.
    let most = if maker.rng.random_bool(0.05) { 0 } else { plan.changes };
    let mut schemas = vec![maker.schema.clone()];
    let mut commits = Vec::new();
    for commit in 0..plan.commits {
        if commit > 0 && maker.rng.random_bool(0.4) {
            maker.schema.version += 1;
            for _ in 0..maker.rng.random_range(1..4) {
                maker.evolve();
            }
            schemas.push(maker.schema.clone());
        }
        let late = plan.every.saturating_mul(i32::try_from(commit).unwrap_or(i32::MAX));
        let at = text_of(plan.start.saturating_add(late).unwrap_or(Timestamp::MAX));
        let changes = (0..maker.rng.random_range(0..=most)).map(|_| maker.change()).collect();
        commits.push(WorldCommit { at, version: maker.schema.version, changes });
    }
    let rows_per_part = maker.rng.random_range(1..=plan.changes.max(1));
    let twice = maker.rng.random_bool(0.1);
    WorldTable {
        namespace: "canvas".to_owned(),
        name: format!("t{number}"),
        key,
        schemas,
        commits,
        rows_per_part,
        twice,
    }
}

impl Maker<'_> {
    /// A column more, whose name comes back.
    fn add(&mut self) -> String {
        self.columns += 1;
        let (word, schema) = kind(self.rng);
        let name = format!("{word}_{}", self.columns);
        self.schema.value.insert(name.clone(), schema);
        name
    }

    /// A change of the schema, of those that the platform makes.
    fn evolve(&mut self) {
        let names: Vec<_> = self.schema.value.keys().cloned().collect();
        let name = names.get(self.rng.random_range(0..names.len().max(1))).cloned().unwrap_or_default();
        match self.rng.random_range(0..6) {
            0 => self.schema.title = Some(format!("Renamed in version {}.", self.schema.version)),
            1 if names.len() > 1 => {
                self.schema.value.shift_remove(&name);
                self.schema.required.retain(|known| *known != name);
            }
            2 => drop(self.schema.required.pop()),
            3 | 4 => {
                if let Some(Value::Object(column)) = self.schema.value.get_mut(&name) {
                    widen(column);
                }
            }
            _ => drop(self.add()),
        }
    }

    fn change(&mut self) -> WorldChange {
        let draw: f64 = self.rng.random();
        if draw < 0.05 {
            return WorldChange { key: self.fresh(), value: None };
        }
        if draw < 0.15 && !self.there.is_empty() {
            let key = self.there.swap_remove(self.rng.random_range(0..self.there.len()));
            self.gone.push(key.clone());
            return WorldChange { key, value: None };
        }
        let known = draw < 0.4 && !self.there.is_empty();
        let key = if known {
            self.there.get(self.rng.random_range(0..self.there.len())).cloned().unwrap_or_default()
        } else {
            let back = self.rng.random_bool(0.2).then(|| self.gone.pop()).flatten();
            let key = back.unwrap_or_else(|| self.fresh());
            self.there.push(key.clone());
            key
        };
        let mut row = Fields::new();
        for (name, schema) in &self.schema.value {
            let empty = !self.schema.required.contains(name) && self.rng.random_bool(0.15);
            row.insert(name.clone(), if empty { Value::Null } else { value(schema, self.rng) });
        }
        WorldChange { key, value: Some(row) }
    }

    /// A key that no row has.
    fn fresh(&mut self) -> Fields {
        loop {
            let key: Fields =
                self.key.iter().map(|(name, schema)| (name.clone(), value(schema, self.rng))).collect();
            if !self.there.contains(&key) && !self.gone.contains(&key) {
                return key;
            }
        }
    }
}

/// Makes a column hold more than it did, where that can be.
fn widen(column: &mut Fields) {
    let wider = match column.get("format").and_then(Value::as_str) {
        Some("int16") => Some("int32"),
        Some("int32") => Some("int64"),
        _ => None,
    };
    if let Some(wider) = wider {
        column.insert("format".to_owned(), json!(wider));
    }
    if let Some(length) = column.get("maxLength").and_then(Value::as_u64) {
        column.insert("maxLength".to_owned(), json!(length * 2));
    }
    if let Some(Value::Array(labels)) = column.get_mut("enum") {
        labels.push(json!(format!("label {}", labels.len())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_world_twice_and_another_one_another() {
        let plan = Plan::default();
        assert_eq!(world(7, &plan), world(7, &plan));
        assert_ne!(world(7, &plan), world(8, &plan));
    }

    #[test]
    fn every_sort_of_history_is_among_a_hundred() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let world = world(seed, &Plan::default());
            world.check().unwrap();
            for table in &world.tables {
                seen.extend(table.key.len().checked_sub(2).map(|_| "two key columns"));
                seen.extend(table.twice.then_some("rows twice"));
                for (before, after) in table.schemas.iter().zip(table.schemas.iter().skip(1)) {
                    let has = |schema: &WorldSchema, name: &String| schema.value.contains_key(name);
                    seen.extend(after.value.keys().any(|name| !has(before, name)).then_some("added"));
                    seen.extend(before.value.keys().any(|name| !has(after, name)).then_some("dropped"));
                    let both = |name: &&String| has(after, name) && before.value[*name] != after.value[*name];
                    seen.extend(before.value.keys().find(both).map(|_| "widened"));
                    seen.extend((before.required.len() > after.required.len()).then_some("optional"));
                }
                let last = table.commits.len();
                let puts = table.commits.iter().flat_map(|commit| &commit.changes);
                let mut deleted = Vec::new();
                for change in puts {
                    if change.value.is_none() {
                        deleted.push(&change.key);
                    } else {
                        seen.extend(deleted.contains(&&change.key).then_some("came back"));
                    }
                }
                seen.extend(table.snapshot(last).is_empty().then_some("empty"));
            }
        }
        let all = [
            "added",
            "came back",
            "dropped",
            "empty",
            "optional",
            "rows twice",
            "two key columns",
            "widened",
        ];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    }
}
