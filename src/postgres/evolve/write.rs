//! The statements of a change.

use std::collections::BTreeSet;

use tokio_postgres::Transaction;

use super::{
    Statement, casts,
    labels::{add_label, add_labels, create_type, drop_type},
    present::{self, Here, Present, Words},
    wanted::Wanted,
};
use crate::{
    domain::replica::{
        names::TableName,
        shape::{Column, Kind, Literal, Scalar},
    },
    ports::replica::Result,
    postgres::{dependents::Dependents, failure, kinds, quote},
};

/// What of the rows matters. Read before anything is locked: it may take long.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Whether there are rows.
    has_rows: bool,
    /// Columns that are to be NOT NULL, and have nulls.
    with_nulls: BTreeSet<String>,
}

impl Facts {
    /// Reads them.
    pub(super) async fn read(tx: &Transaction<'_>, ident: &str, wanted: &Wanted<'_>) -> Result<Self> {
        let mut facts = Self::default();
        if wanted.adds.iter().any(|column| is_too_early(column)) {
            facts.has_rows = present::has_row(tx, ident, None).await?;
        }
        for column in &wanted.required {
            if present::has_row(tx, ident, Some(&quote::name(column))).await? {
                facts.with_nulls.insert((*column).to_owned());
            }
        }
        Ok(facts)
    }
}

/// Whether a column is to have a value in each row, and rows that are there would have none.
const fn is_too_early(column: &Column) -> bool {
    column.required && column.default.is_none()
}

/// The statements.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// What changes the table, while views are away.
    pub(super) alter: Vec<Statement>,
    /// What goes when the views are there again.
    pub(super) tidy: Vec<Statement>,
    /// What stays as it is.
    pub(super) notes: Vec<String>,
}

struct Writer<'a> {
    table: &'a TableName,
    ident: String,
    work: Work,
}

impl Work {
    /// For what is wanted, in the order in which the database can do it.
    pub(super) async fn of(
        tx: &Transaction<'_>,
        table: &TableName,
        present: &Present,
        wanted: &Wanted<'_>,
        facts: &Facts,
        dependents: &Dependents,
    ) -> Result<Self> {
        let ident = quote::within(&table.namespace, &table.table);
        let mut writer = Writer { table, ident, work: Self::default() };
        let gone = writer.drops(tx, present, wanted, dependents).await?;
        writer.types(tx, present, wanted, &gone).await?;
        writer.retypes(wanted);
        writer.adds(wanted, facts);
        writer.rest(wanted, facts);
        writer.leftovers(tx, present, wanted, dependents, &gone).await?;
        Ok(writer.work)
    }
}

impl Writer<'_> {
    fn alter(&mut self, about: String, what: &str) {
        let sql = format!("ALTER TABLE {} {what}", self.ident);
        self.work.alter.push(Statement::new(about, sql));
    }

    /// Columns that go, with what goes with them. Gives the enumerations that go.
    async fn drops(
        &mut self,
        tx: &Transaction<'_>,
        present: &Present,
        wanted: &Wanted<'_>,
        dependents: &Dependents,
    ) -> Result<Vec<u32>> {
        let mut gone = Vec::new();
        let numbers: Vec<i16> = wanted.drops.values().map(|here| here.number).collect();
        for (name, here) in &wanted.drops {
            for what in companions(tx, present.oid, here.number).await? {
                self.work.notes.push(format!("{what} goes with the column {name}"));
            }
            self.alter(
                format!("the column {name} cannot be dropped"),
                &format!("DROP COLUMN {}", quote::name(name)),
            );
        }
        for words in wanted.drops.values().filter_map(|here| here.words.as_ref()) {
            if gone.contains(&words.oid) {
                continue;
            }
            let users = present::users(tx, words, present.oid, &numbers, &dependents.oids()).await?;
            if users.is_empty() {
                gone.push(words.oid);
                self.work.alter.push(drop_type(words));
            } else if !users.iter().all(|user| is_of_retyped(user, wanted)) {
                self.kept(words, &users);
            }
        }
        Ok(gone)
    }

    fn kept(&mut self, words: &Words, users: &[String]) {
        let Words { schema, name, .. } = words;
        self.work.notes.push(format!("the enumeration {schema}.{name} stays: {} uses it", users.join(", ")));
    }

    /// Enumerations of columns that come, and labels.
    async fn types(
        &mut self,
        tx: &Transaction<'_>,
        present: &Present,
        wanted: &Wanted<'_>,
        gone: &[u32],
    ) -> Result<()> {
        let namespace = &self.table.namespace;
        let kinds = wanted
            .retypes
            .iter()
            .map(|(_, _, kind)| *kind)
            .chain(wanted.adds.iter().map(|column| &column.kind));
        let mut made: BTreeSet<&str> = BTreeSet::new();
        for kind in kinds {
            let Scalar::Enum(enumeration) = kind.scalar() else { continue };
            if !made.insert(&enumeration.name) {
                continue;
            }
            let there = present::words(tx, namespace, enumeration).await?;
            match there.filter(|words| !gone.contains(&words.oid)) {
                None => self.work.alter.push(create_type(namespace, enumeration)),
                // Left by somebody: what it lacks is added. A label that is new cannot be used at once, that of a type
                // that is new can.
                Some(words) if add_labels(&words, enumeration).next().is_none() => {}
                Some(words) if present::users(tx, &words, present.oid, &[], &[]).await?.is_empty() => {
                    self.work.alter.extend([drop_type(&words), create_type(namespace, enumeration)]);
                }
                Some(words) => self.work.alter.extend(add_labels(&words, enumeration)),
            }
        }
        for (here, enumeration) in &wanted.labels {
            if let Some(words) = &here.words {
                for statement in add_labels(words, enumeration) {
                    if !self.work.alter.contains(&statement) {
                        self.work.alter.push(statement);
                    }
                }
            }
        }
        Ok(())
    }

    /// All columns that change their type, in one statement: the table is written anew once.
    fn retypes(&mut self, wanted: &Wanted<'_>) {
        if wanted.retypes.is_empty() {
            return;
        }
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let (mut told, mut lenient) = (Vec::new(), Vec::new());
        for (column, here, kind) in &wanted.retypes {
            let name = quote::name(column);
            let to = kinds::type_of(kind, &self.table.namespace);
            let (using, instead) = casts::using(&name, &here.kind, kind, &to);
            let is_set = wanted.defaults.iter().any(|(default, _)| default.name == *column);
            for (all, using) in [(&mut first, &using), (&mut second, instead.as_ref().unwrap_or(&using))] {
                if here.default.is_some() {
                    all.push(format!("ALTER COLUMN {name} DROP DEFAULT"));
                }
                all.push(format!("ALTER COLUMN {name} SET DATA TYPE {to} USING {using}"));
                if let Some(default) = here.default.as_ref().filter(|_| !is_set) {
                    all.push(format!("ALTER COLUMN {name} SET DEFAULT {}", moved(default, &to)));
                }
            }
            if instead.is_some() {
                lenient.push((*column).to_owned());
            }
            told.push(format!("the column {column} cannot become {}", to.replace('"', "")));
        }
        let sql = |parts: &[String]| format!("ALTER TABLE {} {}", self.ident, parts.join(", "));
        let mut statement = Statement::new(told.join("; "), sql(&first));
        if !lenient.is_empty() {
            let note = format!("what was no JSON in {} is a JSON text now", lenient.join(", "));
            statement = statement.or(sql(&second), note);
        }
        self.work.alter.push(statement);
    }

    fn adds(&mut self, wanted: &Wanted<'_>, facts: &Facts) {
        for column in &wanted.adds {
            let is_early = is_too_early(column) && facts.has_rows;
            let column = Column { required: column.required && !is_early, ..(*column).clone() };
            let name = &column.name;
            let what = format!("ADD COLUMN {}", kinds::definition(&column, &self.table.namespace));
            self.alter(format!("the column {name} cannot be added"), &what);
            if is_early {
                self.work
                    .notes
                    .push(format!("the column {name} is required, and may be null until no null is left"));
            }
            if let Some(comment) = &column.comment {
                self.comment(Some(name), Some(comment));
            }
        }
    }

    /// What changes neither types nor rows.
    fn rest(&mut self, wanted: &Wanted<'_>, facts: &Facts) {
        for column in &wanted.optional {
            let what = format!("ALTER COLUMN {} DROP NOT NULL", quote::name(column));
            self.alter(format!("the column {column} cannot become nullable"), &what);
        }
        for column in &wanted.required {
            if facts.with_nulls.contains(*column) {
                self.work
                    .notes
                    .push(format!("the column {column} is required, and has nulls: it stays nullable"));
                continue;
            }
            let what = format!("ALTER COLUMN {} SET NOT NULL", quote::name(column));
            self.alter(format!("the column {column} cannot be required"), &what);
        }
        for (column, here) in &wanted.defaults {
            self.default(column, *here, wanted);
        }
        for (column, text) in &wanted.comments {
            self.comment(*column, *text);
        }
    }

    fn default(&mut self, column: &Column, here: Option<&Here>, wanted: &Wanted<'_>) {
        let Column { name, default, .. } = column;
        let is_retyped = wanted.retypes.iter().any(|(retyped, _, _)| retyped == name);
        let old = here.and_then(|here| here.default.as_deref()).filter(|_| !is_retyped);
        let (what, about) = match default {
            None if old.is_none() => return,
            None => ("DROP DEFAULT".to_owned(), "dropped"),
            Some(new) if old.and_then(casts::constant).is_some_and(|old| is_same(&old, new)) => return,
            Some(new) if self.is_new_label(new, here) => {
                let note =
                    format!("the default of {name} is set by the next change, when its label can be used");
                self.work.notes.push(note);
                return;
            }
            Some(new) => (format!("SET DEFAULT {}", quote::literal(new)), "set"),
        };
        let about = format!("the default of the column {name} cannot be {about}");
        self.alter(about, &format!("ALTER COLUMN {} {what}", quote::name(name)));
    }

    /// Whether a default is a label that this change adds to an enumeration that is there: the server refuses
    /// its use in the same transaction.
    fn is_new_label(&self, default: &Literal, here: Option<&Here>) -> bool {
        let Some(words) = here.and_then(|here| here.words.as_ref()) else { return false };
        let Literal::Text(label) = default else { return false };
        self.work.alter.contains(&add_label(words, label))
    }

    fn comment(&mut self, column: Option<&str>, text: Option<&str>) {
        let (on, about) = match column {
            None => (format!("TABLE {}", self.ident), "the comment cannot be set".to_owned()),
            Some(name) => (
                format!("COLUMN {}.{}", self.ident, quote::name(name)),
                format!("the comment of the column {name} cannot be set"),
            ),
        };
        let sql = format!("COMMENT ON {on} IS {}", quote::text_or_null(text));
        self.work.alter.push(Statement::new(about, sql));
    }

    /// Enumerations that nothing uses when the columns have their new types.
    async fn leftovers(
        &mut self,
        tx: &Transaction<'_>,
        present: &Present,
        wanted: &Wanted<'_>,
        dependents: &Dependents,
        gone: &[u32],
    ) -> Result<()> {
        let (mut going, dropped) = wanted.numbers();
        going.extend(dropped);
        let mut seen = gone.to_vec();
        for (_, here, _) in &wanted.retypes {
            let Some(words) = &here.words else { continue };
            let is_wanted = wanted.retypes.iter().any(|(_, _, kind)| names(kind, &words.name));
            if seen.contains(&words.oid) || is_wanted && words.schema == self.table.namespace {
                continue;
            }
            seen.push(words.oid);
            let users = present::users(tx, words, present.oid, &going, &dependents.oids()).await?;
            if users.is_empty() {
                self.work.tidy.push(drop_type(words));
            } else {
                self.kept(words, &users);
            }
        }
        Ok(())
    }
}

fn names(kind: &Kind, name: &str) -> bool {
    matches!(kind.scalar(), Scalar::Enum(enumeration) if enumeration.name == name)
}

/// Whether a user of an enumeration is a column that gets another type: then it is looked at when that has
/// happened.
fn is_of_retyped(user: &str, wanted: &Wanted<'_>) -> bool {
    wanted.retypes.iter().any(|(column, here, _)| here.words.is_some() && user.contains(column))
}

/// A default of the old type as one of the new.
fn moved(default: &str, to: &str) -> String {
    casts::constant(default).map_or_else(|| format!("(({default})::text)::{to}"), |text| quote::text(&text))
}

fn is_same(old: &str, new: &Literal) -> bool {
    match new {
        Literal::Number(text) | Literal::Text(text) => old == text,
        Literal::Boolean(value) => old == if *value { "true" } else { "false" },
    }
}

/// What the server drops with a column: indexes, constraints, statistics.
async fn companions(tx: &Transaction<'_>, table: u32, number: i16) -> Result<Vec<String>> {
    let failed = failure::of("SELECT pg_depend");
    let sql = "SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
        FROM pg_depend d
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2
          AND d.deptype = 'a' AND (d.classid = 'pg_class'::regclass AND d.objid <> $1
            OR d.classid IN ('pg_constraint'::regclass, 'pg_statistic_ext'::regclass))
        ORDER BY 1";
    let rows = tx.query(sql, &[&table, &i32::from(number)]).await.map_err(&failed)?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, tokio_postgres::Error>>().map_err(failed)
}
