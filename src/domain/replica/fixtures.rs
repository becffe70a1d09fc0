//! Tables of our own making with what they become (`tests/fixtures/canvas`), and a model of what changes do,
//! for tests.

use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    changes::{Changes, Found, FoundColumn, Step},
    names::TableName,
    schema,
    shape::{Column, Kind, Literal, Scalar, Shape},
};

#[derive(Deserialize)]
pub(super) struct Fixture {
    namespace: String,
    table: String,
    pub(super) commits: Vec<Commit>,
}

#[derive(Deserialize)]
pub(super) struct Commit {
    pub(super) schema: Json,
    pub(super) becomes: Becomes,
}

/// The table after this commit and those before it.
#[derive(Deserialize)]
pub(super) struct Becomes {
    pub(super) comment: Option<String>,
    columns: Vec<FixtureColumn>,
    enums: std::collections::BTreeMap<String, Vec<String>>,
    pub(super) kept: Json,
}

#[derive(Deserialize)]
struct FixtureColumn {
    name: String,
    r#type: String,
    #[serde(default)]
    required: bool,
    default: Option<String>,
    comment: Option<String>,
}

impl Fixture {
    pub(super) fn all() -> Vec<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/canvas");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        files.map(|text| serde_json::from_str(&text).unwrap()).collect()
    }

    pub(super) fn named(name: &str) -> Self {
        Self::all().into_iter().find(|fixture| fixture.table == name).unwrap()
    }

    pub(super) fn table(&self) -> TableName {
        TableName::new(&self.namespace, &self.table)
    }

    pub(super) fn shape(&self, commit: usize) -> Shape {
        schema::shape(&self.table(), &self.commits[commit].schema).unwrap()
    }

    /// The table as it is found after that commit.
    pub(super) fn found(&self, commit: usize) -> Found {
        let Becomes { comment, columns, enums, .. } = &self.commits[commit].becomes;
        let column = |column: &FixtureColumn| FoundColumn {
            name: column.name.clone(),
            kind: column.r#type.clone(),
            labels: enums.get(column.r#type.trim_end_matches("[]")).cloned(),
            required: column.required,
            default: column.default.clone(),
            comment: column.comment.clone(),
        };
        let key =
            self.commits[commit].schema.pointer("/properties/key/properties").unwrap().as_object().unwrap();
        Found {
            columns: columns.iter().map(column).collect(),
            comment: comment.clone(),
            key: key.keys().cloned().collect(),
        }
    }
}

/// The table that is made by a shape, as it is found afterwards.
pub(super) fn made(shape: &Shape) -> Found {
    Found {
        columns: shape.columns.iter().map(found).collect(),
        comment: shape.comment.clone(),
        key: shape.key().map(|column| column.name.clone()).collect(),
    }
}

/// A model of what a database does with changes: a column that is made required has no nulls.
pub(super) fn applied(mut table: Found, changes: &Changes) -> Found {
    for step in &changes.steps {
        let mut with = |name: &str, change: &mut dyn FnMut(&mut FoundColumn)| {
            change(table.columns.iter_mut().find(|column| column.name == name).unwrap());
        };
        match step {
            Step::Add(column) => table.columns.push(found(column)),
            Step::Drop { column } => table.columns.retain(|there| there.name != *column),
            Step::Retype { column, from, to, .. } => with(column, &mut |there| {
                assert_eq!(there.kind, *from);
                there.kind = to.to_string();
                there.labels = labels(to);
            }),
            Step::AddLabels { column, enumeration } => with(column, &mut |there| {
                let (labels, kind) = (there.labels.as_mut().unwrap(), there.kind.trim_end_matches("[]"));
                assert_eq!(
                    (kind, &enumeration.labels[..labels.len()]),
                    (enumeration.name.as_str(), &labels[..])
                );
                labels.clone_from(&enumeration.labels);
            }),
            Step::Optional { column } => with(column, &mut |there| there.required = false),
            Step::Required { column } => with(column, &mut |there| there.required = true),
            Step::Default(column) => with(&column.name, &mut |there| there.default = written(column)),
            Step::Comment { column: Some(column), text } => {
                with(column, &mut |there| there.comment.clone_from(text));
            }
            Step::Comment { column: None, text } => table.comment.clone_from(text),
        }
    }
    table
}

fn found(column: &Column) -> FoundColumn {
    FoundColumn {
        name: column.name.clone(),
        kind: column.kind.to_string(),
        labels: labels(&column.kind),
        required: column.required,
        default: written(column),
        comment: column.comment.clone(),
    }
}

fn labels(kind: &Kind) -> Option<Vec<String>> {
    if let Scalar::Enum(enumeration) = kind.scalar() { Some(enumeration.labels.clone()) } else { None }
}

/// The default as `pg_get_expr` writes it.
fn written(column: &Column) -> Option<String> {
    Some(match column.default.as_ref()? {
        Literal::Number(number) => number.clone(),
        Literal::Boolean(value) => value.to_string(),
        Literal::Text(text) => format!("'{}'::{}", text.replace('\'', "''"), column.kind),
    })
}
