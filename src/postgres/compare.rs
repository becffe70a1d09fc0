//! What differs between a staged snapshot and the table.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tokio_postgres::Transaction;

use super::{failure, quote};
use crate::{
    domain::replica::{
        names::TableName,
        shape::{Column, Shape},
    },
    ports::replica::{Differences, Result, Trouble},
};

/// How many keys are named.
const EXAMPLES: i64 = 100;

/// Compares. `staged` and `changed` are names as a statement takes them, quoted: the staged snapshot, which
/// has all columns of the shape and each key once, and a temporary table with the columns of the key (among
/// others), whose keys are left out, as are those of `aside`, a table of keys as JSON. A column of the shape that the table lacks, since it is held, is not
/// looked at.
pub(super) async fn differences(
    tx: &Transaction<'_>,
    staged: &str,
    table: &TableName,
    shape: &Shape,
    changed: &str,
    aside: Option<&str>,
) -> Result<Differences> {
    let ident = quote::within(&table.namespace, &table.table);
    let (mine, theirs) = (types(tx, staged).await?, types(tx, &ident).await?);
    let mut question = Question::new(staged, &ident, changed, shape, &mine, &theirs)?;
    if let Some(aside) = aside {
        question.leave_out(aside);
    }
    let failed = failure::of("SELECT differences");
    let row = tx.query_one(&question.counts(), &[]).await.map_err(&failed)?;
    let counts: Vec<i64> = row.try_get(0).map_err(&failed)?;
    let mut counts = counts.into_iter().map(|count| u64::try_from(count).unwrap_or(0));
    let mut next = || counts.next().unwrap_or(0);
    let mut found =
        Differences { missing: next(), extra: next(), different: next(), ..Differences::default() };
    let columns = question.columns.iter().map(|(name, _)| (name.clone(), next()));
    found.columns = columns.filter(|(_, count)| *count > 0).collect();
    if !found.is_empty() {
        let rows = tx.query(&question.examples(), &[&EXAMPLES]).await.map_err(&failed)?;
        for row in rows {
            let key: String = row.try_get(1).map_err(&failed)?;
            found.examples.push((row.try_get(0).map_err(&failed)?, compact(key)));
        }
    }
    Ok(found)
}

/// A type as `format_type` writes it, and its family as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Type {
    oid: u32,
    category: String,
}

/// The types of the columns of a table, whose name is given as a statement takes it.
async fn types(tx: &Transaction<'_>, ident: &str) -> Result<BTreeMap<String, Type>> {
    let failed = failure::of("SELECT pg_attribute");
    let sql = "SELECT a.attname::text, a.atttypid, t.typcategory::text
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped";
    let rows = tx.query(sql, &[&ident]).await.map_err(&failed)?;
    let read = |row: &tokio_postgres::Row| {
        Ok((row.try_get(0)?, Type { oid: row.try_get(1)?, category: row.try_get(2)? }))
    };
    rows.iter().map(read).collect::<Result<_, tokio_postgres::Error>>().map_err(failed)
}

/// How two columns are compared: as they are where the server can, else by their texts.
fn operands(name: &str, mine: &Type, theirs: &Type) -> (String, String) {
    let column = quote::name(name);
    let both_are = |category: &str| mine.category == category && theirs.category == category;
    // Numbers of all widths, and dates with times, have operators with each other.
    if mine.oid == theirs.oid || both_are("N") || both_are("D") {
        return (format!("s.{column}"), format!("r.{column}"));
    }
    (format!("s.{column}::text"), format!("r.{column}::text"))
}

/// What is asked.
struct Question {
    /// Both tables side by side by key, without keys that have changed.
    from: String,
    /// Each column of the shape, with the condition that it differs.
    columns: Vec<(String, String)>,
    key: Vec<String>,
}

impl Question {
    fn new(
        staged: &str,
        ident: &str,
        changed: &str,
        shape: &Shape,
        mine: &BTreeMap<String, Type>,
        theirs: &BTreeMap<String, Type>,
    ) -> Result<Self> {
        let key: Vec<String> = shape.key().map(|column| column.name.clone()).collect();
        let lacks = || Trouble::Refused("the table has another key than its schema says".to_owned());
        let mut same = Vec::new();
        let mut known = Vec::new();
        for name in &key {
            let (mine, theirs) = (mine.get(name).ok_or_else(lacks)?, theirs.get(name).ok_or_else(lacks)?);
            let (left, right) = operands(name, mine, theirs);
            same.push(format!("{left} = {right}"));
            let column = quote::name(name);
            // By text where the table has another type, since COALESCE takes one type alone.
            known.push(format!("c.{column}::text = coalesce(s.{column}::text, r.{column}::text)"));
            if mine.oid == theirs.oid {
                known.pop();
                known.push(format!("c.{column} = coalesce(s.{column}, r.{column})"));
            }
        }
        if key.is_empty() {
            return Err(lacks());
        }
        let values = shape.columns.iter().filter(|column| !key.contains(&column.name));
        let differs = |column: &Column| {
            let (mine, theirs) = (mine.get(&column.name)?, theirs.get(&column.name)?);
            let (left, right) = operands(&column.name, mine, theirs);
            Some((column.name.clone(), format!("{left} IS DISTINCT FROM {right}")))
        };
        let from = format!(
            "{staged} s FULL JOIN {ident} r ON {} WHERE NOT EXISTS (SELECT FROM {changed} c WHERE {})",
            same.join(" AND "),
            known.join(" AND ")
        );
        Ok(Self { from, columns: values.filter_map(differs).collect(), key })
    }

    /// Leaves out rows that were put aside: what they hold is not known.
    fn leave_out(&mut self, aside: &str) {
        let same = |name: &String| {
            let (literal, column) = (quote::text(name), quote::name(name));
            format!("a.key->{literal} = coalesce(to_jsonb(s.{column}), to_jsonb(r.{column}))")
        };
        let same: Vec<String> = self.key.iter().map(same).collect();
        self.from =
            format!("{} AND NOT EXISTS (SELECT FROM {aside} AS a WHERE {})", self.from, same.join(" AND "));
    }

    /// The first column of the key: it is null in the one of both that lacks the row, and in no other case.
    fn first(&self) -> String {
        self.key.first().map(|name| quote::name(name)).unwrap_or_default()
    }

    /// Whether both have the row, and any column differs.
    fn differs(&self) -> String {
        let any: Vec<&str> = self.columns.iter().map(|(_, condition)| condition.as_str()).collect();
        let first = self.first();
        let any = if any.is_empty() { "false".to_owned() } else { any.join(" OR ") };
        format!("s.{first} IS NOT NULL AND r.{first} IS NOT NULL AND ({any})")
    }

    /// One row with one list: missing, extra, different, and how often each column differs.
    fn counts(&self) -> String {
        let first = self.first();
        let both = format!("s.{first} IS NOT NULL AND r.{first} IS NOT NULL");
        let mut conditions = vec![format!("r.{first} IS NULL"), format!("s.{first} IS NULL"), self.differs()];
        conditions.extend(self.columns.iter().map(|(_, condition)| format!("{both} AND {condition}")));
        let counts: Vec<String> =
            conditions.iter().map(|condition| format!("count(*) FILTER (WHERE {condition})")).collect();
        format!("SELECT ARRAY[{}] FROM {}", counts.join(", "), self.from)
    }

    /// The first keys, in their order.
    fn examples(&self) -> String {
        let first = self.first();
        let both = |name: &String| {
            let column = quote::name(name);
            (column.clone(), format!("coalesce(to_jsonb(s.{column}), to_jsonb(r.{column}))"))
        };
        let pairs: Vec<String> =
            self.key.iter().map(|name| format!("{}, {}", quote::text(name), both(name).1)).collect();
        let order: Vec<String> = self.key.iter().map(|name| both(name).1).collect();
        format!(
            "SELECT CASE WHEN r.{first} IS NULL THEN 'missing' WHEN s.{first} IS NULL THEN 'extra' \
             ELSE 'different' END, json_build_object({})::text FROM {} \
             AND (r.{first} IS NULL OR s.{first} IS NULL OR {}) ORDER BY {} LIMIT $1",
            pairs.join(", "),
            self.from,
            self.differs(),
            order.join(", ")
        )
    }
}

/// JSON without blanks between.
fn compact(json: String) -> String {
    serde_json::from_str::<Json>(&json).map_or(json, |value| value.to_string())
}
