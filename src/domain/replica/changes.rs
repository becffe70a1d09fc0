//! How a table that is there becomes one of another shape.

use super::shape::{Column, Enumeration, Kind};

/// A table as it is found in the replica.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// In their order.
    pub columns: Vec<FoundColumn>,
    /// The comment of the table.
    pub comment: Option<String>,
    /// The columns of its primary key, in their order.
    pub key: Vec<String>,
}

/// A column as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundColumn {
    /// Its name.
    pub name: String,
    /// Its type as `format_type` writes it without a schema, as `character varying(255)`, `timestamp without time
    /// zone[]`; of an enumeration its bare name (with `[]` where it is a list).
    pub kind: String,
    /// The labels of its enumeration, in their order.
    pub labels: Option<Vec<String>>,
    /// Whether it is NOT NULL.
    pub required: bool,
    /// Its default, as `pg_get_expr` writes it.
    pub default: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}

/// What is to be done to a table, in this order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// What is done.
    pub steps: Vec<Step>,
    /// What stays as it is although the schema says otherwise, one sentence each.
    pub notes: Vec<String>,
}

/// One change of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A column more, at the end.
    Add(Column),
    /// A column less; with its enumeration, if that is its own.
    Drop {
        /// Its name.
        column: String,
    },
    /// A column of another type: `SET DATA TYPE … USING c::t`.
    Retype {
        /// Its name.
        column: String,
        /// The type as it was found.
        from: String,
        /// The type to come.
        to: Kind,
        /// Whether every value of the old type is one of the new.
        widens: bool,
    },
    /// Labels more of an enumeration, at its end.
    AddLabels {
        /// The column whose enumeration it is.
        column: String,
        /// The whole enumeration as it is to be; labels that are there are left.
        enumeration: Enumeration,
    },
    /// `DROP NOT NULL`.
    Optional {
        /// The column.
        column: String,
    },
    /// `SET NOT NULL`, where no null is left: it is looked at when the step is done, and left with a note.
    Required {
        /// The column.
        column: String,
    },
    /// `SET DEFAULT` or `DROP DEFAULT`, as that column has it.
    Default(Column),
    /// A comment.
    Comment {
        /// The column; `None`: the table.
        column: Option<String>,
        /// The text; `None`: none.
        text: Option<String>,
    },
}

/// What sort of change a step is, as settings name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// A column more.
    Add,
    /// A wider type, or a column that need not be there any more.
    Widen,
    /// Another type, or a column that must be there now.
    Retype,
    /// A column less.
    Drop,
    /// Labels.
    Enum,
    /// Comments and defaults.
    Comment,
}

impl Step {
    /// What sort of change it is.
    #[must_use]
    pub const fn sort(&self) -> Sort {
        match self {
            Self::Add(_) => Sort::Add,
            Self::Drop { .. } => Sort::Drop,
            Self::Retype { widens: true, .. } | Self::Optional { .. } => Sort::Widen,
            Self::Retype { widens: false, .. } | Self::Required { .. } => Sort::Retype,
            Self::AddLabels { .. } => Sort::Enum,
            Self::Default(_) | Self::Comment { .. } => Sort::Comment,
        }
    }
}
