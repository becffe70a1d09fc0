//! A view as it is dropped and made again.

use std::collections::BTreeMap;

use super::Statement;
use crate::postgres::quote;

/// Views by their numbers, with their owners.
pub(super) type Found = BTreeMap<u32, (View, String)>;

/// A view that is dropped and made again.
#[derive(Debug)]
pub(super) struct View {
    /// Its number, before.
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) is_filled: bool,
    /// What is taken away before any view is: rules that may name other views.
    pub(super) undo: Vec<Statement>,
    /// What makes it.
    pub(super) make: Vec<Statement>,
    /// What is made when all views are.
    pub(super) then: Vec<Statement>,
}

impl View {
    /// As `schema.name`.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// As it stands in statements.
    pub(super) fn ident(&self) -> String {
        quote::within(&self.schema, &self.name)
    }

    /// As `VIEW`, `MATERIALIZED VIEW` or `TABLE`.
    pub(super) const fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whether it is the table itself.
    pub(super) fn is_table(&self) -> bool {
        self.kind == TABLE
    }

    /// A statement that makes again a part of it.
    pub(super) fn again(&self, sql: String) -> Statement {
        let what = if self.is_table() { "what belongs to the table" } else { "the view" };
        Statement::dependent(format!("{what} {} cannot be made again as it was", self.name()), sql)
    }

    /// What takes it away.
    pub(super) fn drop(&self) -> Statement {
        let sql = format!("DROP {} {}", self.kind(), self.ident());
        Statement::dependent(format!("the view {} cannot be dropped", self.name()), sql)
    }

    /// What fills it, if it was filled.
    pub(super) fn refresh(&self) -> Option<Statement> {
        let sql = format!("REFRESH MATERIALIZED VIEW {}", self.ident());
        (self.kind == MATERIALISED && self.is_filled)
            .then(|| Statement::dependent(format!("the view {} cannot be filled again", self.name()), sql))
    }
}

pub(super) const TABLE: &str = "TABLE";
const MATERIALISED: &str = "MATERIALIZED VIEW";

pub(super) const fn kind(is_materialised: bool) -> &'static str {
    if is_materialised { MATERIALISED } else { "VIEW" }
}
