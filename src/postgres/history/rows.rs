//! Which rows change, come and go. Texts alone.

use crate::postgres::{quote, statements::Flow};

/// Rows of a table that are about to become others: `r` is the table, `f` what comes.
#[derive(Debug, Clone)]
pub(in crate::postgres) struct Rows {
    /// What is joined, and which of it are rows that change or go.
    pub(super) former_from: String,
    pub(super) former_where: String,
    /// The same of those that come or change.
    came_from: String,
    came_where: String,
    /// The key of a row of the table, and of one that comes.
    pub(super) key_of_live: String,
    key_of_coming: String,
}

/// A key as `since` has it: its values as texts, whatever their types become.
fn key(of: &str, flow: &Flow) -> String {
    let values: Vec<_> = flow.key.iter().map(|name| format!("{of}.{}::text", quote::name(name))).collect();
    format!("ARRAY[{}]", values.join(", "))
}

impl Rows {
    /// Of changes, whose action is in that column.
    pub(in crate::postgres) fn of_changes(flow: &Flow, action: &str) -> Self {
        let (action, same) = (quote::name(action), flow.same("r", "f"));
        let differs = flow.differs_from("r", |name, _| format!("f.{}", quote::name(name)));
        let Flow { live, from, .. } = flow;
        Self {
            former_from: format!("{live} AS r JOIN {from} AS f ON {same}"),
            former_where: format!("(f.{action} = 'D' OR f.{action} = 'U' AND {differs})"),
            came_from: format!("{from} AS f LEFT JOIN {live} AS r ON {same}"),
            came_where: format!("f.{action} = 'U' AND ({} OR {differs})", lacks("r", flow)),
            key_of_live: key("r", flow),
            key_of_coming: key("f", flow),
        }
    }

    /// Of a whole snapshot.
    pub(in crate::postgres) fn of_snapshot(flow: &Flow) -> Self {
        let same = flow.same("r", "f");
        let differs = flow.differs_from("r", |name, kind| format!("f.{}::{kind}", quote::name(name)));
        let Flow { live, from, .. } = flow;
        Self {
            former_from: format!("{live} AS r LEFT JOIN {from} AS f ON {same}"),
            // What is lacking differs from every row.
            former_where: format!(
                "CASE WHEN {} THEN {} ELSE {differs} END",
                lacks("f", flow),
                flow.is_not_aside("r")
            ),
            came_from: format!("{from} AS f LEFT JOIN {live} AS r ON {same}"),
            came_where: format!("({} OR {differs})", lacks("r", flow)),
            key_of_live: key("r", flow),
            key_of_coming: key("f", flow),
        }
    }

    /// The statement that notes since when those hold that come or change. What is noted of one that goes stays: it is
    /// of nobody until the row comes again, and then it is noted anew.
    pub(super) fn note(&self, since: &str) -> String {
        let Self { came_from, came_where, key_of_coming, .. } = self;
        format!(
            "INSERT INTO {since} AS s (namespace, \"table\", key, since) \
             SELECT $1, $2, {key_of_coming}, $3::text::timestamp FROM {came_from} WHERE {came_where} \
             ON CONFLICT (namespace, \"table\", key) DO UPDATE SET since = greatest(s.since, excluded.since)"
        )
    }
}

/// That one of the two has no such row.
fn lacks(one: &str, flow: &Flow) -> String {
    let first = flow.key.first().map(String::as_str).unwrap_or_default();
    format!("({one}.{} IS NULL)", quote::name(first))
}
