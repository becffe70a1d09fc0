//! What is done to a replica beside what its source says: columns that never arrive as they are, changes that
//! wait, and tables that a setting names. What is written wrongly is refused: a column that a misspelt
//! setting was to keep out would arrive.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    changes::{Changes, Found, Sort, Step},
    names::TableName,
    shape::{Kind, Part, Scalar, Shape},
    written,
};

/// Why a setting cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTreatment {
    /// A line of `canvas.columns`.
    #[error(
        "{0:?} is not TABLE.COLUMN=drop, =null or =hash (NAMESPACE.TABLE.COLUMN where two have that table)"
    )]
    Column(String),
    /// Two lines about a column.
    #[error("{0:?} and {1:?} say different things about one column")]
    Twice(String, String),
    /// A line of `canvas.on_change`.
    #[error("{0:?} is not SORT=hold or =apply, where SORT is add, widen, retype, drop, enum or comment")]
    Change(String),
    /// The name of a table.
    #[error("{0:?} is not the name of a table, as TABLE or NAMESPACE.TABLE")]
    Table(String),
    /// A column that the table has not.
    #[error("canvas.columns has {0:?}, and {1} has no such column; if it has gone, take the line out")]
    Unknown(String, TableName),
    /// A column that the rows are told apart by.
    #[error(
        "canvas.columns has {0:?}, and the column is in the key of {1}: it can be hashed, but not left out"
    )]
    Key(String, TableName),
}

/// What is done to a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// The replica has no such column.
    Drop,
    /// Every value is null.
    Null,
    /// A keyed hash takes the place of the value; null stays null. The column is text.
    Hash,
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "drop",
            Self::Null => "null",
            Self::Hash => "hash",
        })
    }
}

/// `canvas.columns`: columns that are treated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Treatments(Vec<Line>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    table: Tables,
    column: String,
    treatment: Treatment,
    written: String,
}

/// A table as it is to be with its treated columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Treated {
    /// Its shape: without dropped columns, hashed ones as text, nulled ones not required.
    pub shape: Shape,
    /// What is done to the values of a column, by its name; also of those that are dropped.
    pub columns: BTreeMap<String, Treatment>,
}

impl Treated {
    /// What marks the table as treated, as `name=drop,login=hash`; `None`: nothing is done to it. Rows that
    /// were loaded under another mark are not what they would be under this one.
    #[must_use]
    pub fn mark(&self) -> Option<String> {
        mark(&self.columns)
    }
}

fn mark(columns: &BTreeMap<String, Treatment>) -> Option<String> {
    let lines = columns.iter().map(|(column, treatment)| format!("{column}={treatment}"));
    (!columns.is_empty()).then(|| lines.collect::<Vec<_>>().join(","))
}

impl Treatments {
    /// Reads the lines of the setting.
    pub fn parse<S: AsRef<str>>(lines: &[S]) -> Result<Self, BadTreatment> {
        let mut read = Vec::<Line>::new();
        for written in lines.iter().map(AsRef::as_ref) {
            let line = Self::line(written).ok_or_else(|| BadTreatment::Column(written.to_owned()))?;
            let about_same = |there: &&Line| there.column == line.column && there.table.overlaps(&line.table);
            match read.iter().find(about_same) {
                Some(there) if there.treatment != line.treatment => {
                    return Err(BadTreatment::Twice(there.written.clone(), line.written));
                }
                _ => read.push(line),
            }
        }
        Ok(Self(read))
    }

    fn line(written: &str) -> Option<Line> {
        let (place, treatment) = written.rsplit_once('=')?;
        let treatment = match treatment.trim() {
            "drop" => Treatment::Drop,
            "null" => Treatment::Null,
            "hash" => Treatment::Hash,
            _ => return None,
        };
        let (table, column) = place.trim().rsplit_once('.')?;
        let table = Tables::parse(&[table]).ok()?;
        (!column.is_empty()).then(|| Line {
            table,
            column: column.to_owned(),
            treatment,
            written: written.to_owned(),
        })
    }

    /// Whether any column is to be hashed, so that a key is needed.
    #[must_use]
    pub fn hashes(&self) -> bool {
        self.0.iter().any(|line| line.treatment == Treatment::Hash)
    }

    /// What marks a table as treated, as [`Treated::mark`] has it; known without its shape.
    #[must_use]
    pub fn mark(&self, table: &TableName) -> Option<String> {
        let lines = self.0.iter().filter(|line| line.table.holds(table));
        mark(&lines.map(|line| (line.column.clone(), line.treatment)).collect())
    }

    /// The columns of a table that are hashed.
    pub fn hashed(&self, table: &TableName) -> impl Iterator<Item = &str> {
        let is_hashed = |line: &&Line| line.treatment == Treatment::Hash && line.table.holds(table);
        self.0.iter().filter(is_hashed).map(|line| line.column.as_str())
    }

    /// The shape of a table with its treated columns.
    pub fn apply(&self, table: &TableName, mut shape: Shape) -> Result<Treated, BadTreatment> {
        let mut columns = BTreeMap::new();
        for line in self.0.iter().filter(|line| line.table.holds(table)) {
            let Some(column) = shape.columns.iter_mut().find(|column| column.name == line.column) else {
                return Err(BadTreatment::Unknown(line.written.clone(), table.clone()));
            };
            if column.part == Part::Key && line.treatment != Treatment::Hash {
                return Err(BadTreatment::Key(line.written.clone(), table.clone()));
            }
            columns.insert(line.column.clone(), line.treatment);
            // A default would show what was to be kept out.
            column.default = None;
            match line.treatment {
                Treatment::Hash => column.kind = Kind::One(Scalar::Text),
                Treatment::Null | Treatment::Drop => column.required = false,
            }
        }
        shape.columns.retain(|column| columns.get(&column.name) != Some(&Treatment::Drop));
        Ok(Treated { shape, columns })
    }
}

/// `canvas.on_change`: sorts of changes that wait until somebody says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnChange(Vec<Sort>);

impl OnChange {
    /// Reads the lines of the setting; a sort that no line names is applied.
    pub fn parse<S: AsRef<str>>(lines: &[S]) -> Result<Self, BadTreatment> {
        let mut said = Vec::<(Sort, bool, &str)>::new();
        for written in lines.iter().map(AsRef::as_ref) {
            let (sort, held) = Self::line(written).ok_or_else(|| BadTreatment::Change(written.to_owned()))?;
            if let Some((_, _, before)) = said.iter().find(|before| before.0 == sort && before.1 != held) {
                return Err(BadTreatment::Twice((*before).to_owned(), written.to_owned()));
            }
            said.push((sort, held, written));
        }
        Ok(Self(said.into_iter().filter(|(_, held, _)| *held).map(|(sort, ..)| sort).collect()))
    }

    fn line(written: &str) -> Option<(Sort, bool)> {
        let (sort, what) = written.split_once('=')?;
        let sort = match sort.trim() {
            "add" => Sort::Add,
            "widen" => Sort::Widen,
            "retype" => Sort::Retype,
            "drop" => Sort::Drop,
            "enum" => Sort::Enum,
            "comment" => Sort::Comment,
            _ => return None,
        };
        match what.trim() {
            "hold" => Some((sort, true)),
            "apply" => Some((sort, false)),
            _ => None,
        }
    }

    /// Whether that step waits.
    #[must_use]
    pub fn held(&self, step: &Step) -> bool {
        self.0.contains(&step.sort())
    }

    /// The changes that are made, and the steps that wait. A column that would go and waits is no longer
    /// required: rows come without it from now on. What needs a step that waits, waits with it.
    #[must_use]
    pub fn hold(&self, found: &Found, changes: Changes) -> (Changes, Vec<Step>) {
        let (mut held, mut steps): (Vec<_>, Vec<_>) =
            changes.steps.into_iter().partition(|step| self.held(step));
        let missing: BTreeSet<String> = held.iter().filter_map(needed).map(str::to_owned).collect();
        let waits = |step: &mut Step| {
            if let Step::Required { column } = step {
                return missing.contains(column) && found.columns.iter().all(|there| there.name != *column);
            }
            // A value of the type, or a label, that is to come.
            matches!(step, Step::Default(column) if missing.contains(&column.name))
        };
        held.extend(steps.extract_if(.., waits));
        let freed = held.iter().filter_map(|step| {
            let Step::Drop { column } = step else { return None };
            let there = found.columns.iter().find(|there| there.name == *column)?;
            there.required.then(|| Step::Optional { column: column.clone() })
        });
        steps.splice(..0, freed);
        (Changes { steps, notes: changes.notes }, held)
    }
}

/// The column whose type or labels are not there before that step.
fn needed(step: &Step) -> Option<&str> {
    match step {
        Step::Add(column) => Some(&column.name),
        Step::Retype { column, .. } | Step::AddLabels { column, .. } => Some(column),
        Step::Drop { .. }
        | Step::Optional { .. }
        | Step::Required { .. }
        | Step::Default(_)
        | Step::Comment { .. } => None,
    }
}

/// The shape by which rows are loaded while steps wait: columns that are not added are not in it, and those
/// that are not changed are as they are found.
#[must_use]
pub fn meanwhile(mut shape: Shape, found: &Found, held: &[Step]) -> Shape {
    for step in held {
        match step {
            Step::Add(added) => shape.columns.retain(|column| column.name != added.name),
            Step::Retype { column: name, .. } | Step::AddLabels { column: name, .. } => {
                let there = found.columns.iter().find(|there| there.name == *name);
                let kind = there.and_then(|there| written::read(&there.kind, there.labels.as_deref()));
                let column = shape.columns.iter_mut().find(|column| column.name == *name);
                if let (Some(kind), Some(column)) = (kind, column) {
                    column.kind = kind;
                }
            }
            Step::Optional { column: name } | Step::Required { column: name } => {
                if let Some(column) = shape.columns.iter_mut().find(|column| column.name == *name) {
                    column.required = matches!(step, Step::Optional { .. });
                }
            }
            Step::Drop { .. } | Step::Default(_) | Step::Comment { .. } => {}
        }
    }
    shape
}

/// The shape of lines that every field is held to: as wide as what is found, since a table keeps what the schema has
/// no more.
#[must_use]
pub fn as_found(mut shape: Shape, found: &Found) -> Shape {
    for column in &mut shape.columns {
        let Some(there) = found.columns.iter().find(|there| there.name == column.name) else { continue };
        column.required &= there.required;
        if let Some(kind) = written::read(&there.kind, there.labels.as_deref()) {
            let is_json =
                matches!(column.kind, Kind::One(Scalar::JsonOrText)) && kind == Kind::One(Scalar::Jsonb);
            if !is_json {
                column.kind = kind;
            }
        }
    }
    shape
}

/// Tables that a setting names (`canvas.history`): `enrollments` in every namespace, `canvas.enrollments` in
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables(Vec<(Option<String>, String)>);

impl Tables {
    /// Reads the names.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, BadTreatment> {
        let one = |written: &str| {
            let (namespace, table) = match written.trim().split_once('.') {
                Some((namespace, table)) => (Some(namespace), table),
                None => (None, written.trim()),
            };
            let is_name = |name: &str| !(name.is_empty() || name.contains(['.', '=', ',']));
            (namespace.is_none_or(is_name) && is_name(table))
                .then(|| (namespace.map(str::to_owned), table.to_owned()))
                .ok_or_else(|| BadTreatment::Table(written.to_owned()))
        };
        names.iter().map(AsRef::as_ref).map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether that table is named.
    #[must_use]
    pub fn holds(&self, table: &TableName) -> bool {
        self.0.iter().any(|(namespace, name)| {
            *name == table.table && namespace.as_ref().is_none_or(|namespace| *namespace == table.namespace)
        })
    }

    /// Whether none is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a table may be named by both.
    fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|(namespace, name)| {
            other.0.iter().any(|(other_namespace, other_name)| {
                name == other_name
                    && (namespace.is_none() || other_namespace.is_none() || namespace == other_namespace)
            })
        })
    }
}
