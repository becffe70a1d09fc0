//! Lines of the source's TSV on their way to COPY.
//!
//! The source writes COPY's own text format with a header. So a line is trusted: what it says about itself
//! (`meta.*`) is cut, and the rest passes as it is. Only what PostgreSQL reads otherwise costs more: lists
//! (JSON there, `{…}` here), times far away or with an offset, JSON that is none, and columns that are
//! treated. Where COPY refuses a part, it is taken again with [`Care::Strict`]: every field is held to its
//! type, so that COPY takes all that is let through.

mod escape;
mod inet;
mod json;
mod moments;
mod numbers;
mod strict;
mod tally;
mod write;

use std::{collections::BTreeMap, fmt};

use hmac::{Hmac, KeyInit as _, Mac as _};
use memchr::memmem::Finder;
use sha2::Sha256;

pub use self::tally::{Mending, Misfit, Tally};
use super::shape::{Column, Kind, Part, Scalar, Shape};

/// What the source writes where a text was too large to be sent.
pub const OVERSIZED: &str = "__cd2_oversized_truncated__";

/// What lines are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// All rows as they are.
    Snapshot,
    /// Rows that were changed or deleted. Their lines are given time (`meta.ts`) and action (`U`, `D`) as the
    /// first two fields.
    Changes,
}

/// How far lines are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Care {
    /// As far as can be.
    #[default]
    Trusting,
    /// Not at all: a value that can be mended is, and a line that cannot be stored is left out and told of.
    Strict,
}

/// What becomes of years after 9999 or before 1, which few readers can hold. What PostgreSQL cannot hold
/// either is clamped, or NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FarDates {
    /// They become the first or the last moment of the years 1 to 9999.
    #[default]
    Clamp,
    /// They stay.
    Keep,
    /// They become NULL.
    Null,
}

impl FarDates {
    /// What becomes of those that PostgreSQL cannot hold.
    const fn within(self) -> Self {
        match self {
            Self::Clamp | Self::Keep => Self::Clamp,
            Self::Null => Self::Null,
        }
    }
}

/// What is done to a column before the database sees it.
#[derive(Clone, PartialEq, Eq)]
pub enum Treatment {
    /// It is left out.
    Drop,
    /// It is NULL in every row.
    Null,
    /// Its values are replaced by their HMAC-SHA256 under that key, in hexadecimal digits. NULL stays NULL.
    Hash(Vec<u8>),
}

impl fmt::Debug for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "Drop",
            Self::Null => "Null",
            Self::Hash(_) => "Hash",
        })
    }
}

/// How lines are to be taken.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    /// How far they are trusted.
    pub care: Care,
    /// What becomes of far dates.
    pub far_dates: FarDates,
    /// Columns that are treated, by name.
    pub treatments: BTreeMap<String, Treatment>,
}

/// Why lines under a header cannot be loaded into a table of that shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The shape does not know a column: the schema is to be asked for again.
    #[error("the schema has no column `{0}`")]
    Unknown(String),
    /// A column that must be there is not.
    #[error("the file has no column `{0}`")]
    Missing(String),
    /// A column is there twice.
    #[error("the file has the column `{0}` twice")]
    Twice(String),
    /// It is no text.
    #[error("the header of the file is no UTF-8")]
    NoText,
}

/// Why a file cannot be read on. None of it is to be stored then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A line has another number of fields than the header.
    #[error("line {line} has {found} fields instead of {wanted}")]
    Fields {
        /// Which, without the header, from 1.
        line: u64,
        /// How many it has.
        found: usize,
        /// How many it should have.
        wanted: usize,
    },
    /// Neither put nor deleted.
    #[error("line {line} has an action that is neither `U` nor `D`")]
    Action {
        /// Which.
        line: u64,
    },
    /// More lines than may be put aside cannot be stored.
    #[error("more than {most} lines cannot be stored; the last is line {line}: {reason}")]
    Misfits {
        /// Which.
        line: u64,
        /// How many there may be.
        most: u64,
        /// Why it cannot be stored.
        reason: String,
    },
}

/// What is done with a field.
#[derive(Debug, Clone)]
enum Rule {
    /// It is no column.
    Cut,
    /// A column that is left out.
    Dropped,
    /// `meta.ts`.
    Time,
    /// `meta.action`.
    Action,
    /// A column; its number among those that are written.
    Column(usize, Box<Column>),
    /// A column that is NULL.
    Null,
    /// A column that is hashed.
    Hash(usize, Box<Column>, Box<Hmac<Sha256>>),
}

/// A reader of headers.
#[derive(Debug, Clone, Copy)]
pub struct Header;

impl Header {
    /// The rules for the lines under a header.
    pub fn read(line: &[u8], shape: &Shape, of: Of, manner: &Manner) -> Result<Rules, HeaderError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| HeaderError::NoText)?;
        let mut rules = Rules::none(of, manner);
        let mut seen: Vec<&str> = Vec::new();
        for name in line.split('\t') {
            if seen.contains(&name) {
                return Err(HeaderError::Twice(shown(name)));
            }
            seen.push(name);
            let rule = rules.rule(name, shape, of, &manner.treatments)?;
            rules.fields.push(rule);
        }
        if of == Of::Changes {
            let missing = |name: &str| HeaderError::Missing(name.to_owned());
            let place =
                |wanted: &str| seen.iter().position(|name| *name == wanted).ok_or_else(|| missing(wanted));
            rules.leading = Some((place("meta.ts")?, place("meta.action")?));
        }
        // Without them no line could be stored.
        let needed = |column: &&Column| {
            let treated = matches!(manner.treatments.get(&column.name), Some(Treatment::Drop));
            column.part == Part::Key || column.required && column.default.is_none() && !treated
        };
        for column in shape.columns.iter().filter(needed) {
            let name = full_name(column);
            if !seen.contains(&name.as_str()) {
                return Err(HeaderError::Missing(name));
            }
        }
        rules.plan();
        Ok(rules)
    }

    /// The rules for a file without even a header, which has no lines: those of a file with all columns.
    pub fn of_none(shape: &Shape, of: Of, manner: &Manner) -> Result<Rules, HeaderError> {
        let meta = ["meta.ts".to_owned(), "meta.action".to_owned()];
        let names: Vec<_> = meta.into_iter().chain(shape.columns.iter().map(full_name)).collect();
        Self::read(names.join("\t").as_bytes(), shape, of, manner)
    }
}

/// A name as it is told: a file may have any bytes for one.
fn shown(name: &str) -> String {
    const MOST: usize = 100;
    let cut = if name.chars().nth(MOST).is_some() { "…" } else { "" };
    let begins: String = name.chars().take(MOST).collect();
    format!("{}{cut}", begins.escape_debug())
}

fn full_name(column: &Column) -> String {
    let part = match column.part {
        Part::Key => "key",
        Part::Value => "value",
    };
    format!("{part}.{}", column.name)
}

/// What is done with the lines of a file.
#[derive(Debug, Clone)]
pub struct Rules {
    care: Care,
    far_dates: FarDates,
    /// By field.
    fields: Vec<Rule>,
    /// The fields of time and action, where they are written.
    leading: Option<(usize, usize)>,
    names: Vec<String>,
    /// The fields that are written one after the other, where all pass as they are: first and last.
    runs: Vec<(usize, usize)>,
    /// The fields that are looked at in any case.
    watched: Vec<usize>,
    /// What makes a line be looked at: `\.`, which ends COPY's data; `\0`, which COPY takes for the beginning
    /// of a number; the placeholder.
    odd: [Finder<'static>; 3],
}

impl Rules {
    fn none(of: Of, manner: &Manner) -> Self {
        debug_assert!(matches!(of, Of::Snapshot | Of::Changes));
        Self {
            care: manner.care,
            far_dates: manner.far_dates,
            fields: Vec::new(),
            leading: None,
            names: Vec::new(),
            runs: Vec::new(),
            watched: Vec::new(),
            odd: ["\\.", "\\0", OVERSIZED].map(Finder::new),
        }
    }

    /// The names of the columns that are written, in their order; without time and action.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.names
    }

    fn rule(
        &mut self,
        name: &str,
        shape: &Shape,
        of: Of,
        treatments: &BTreeMap<String, Treatment>,
    ) -> Result<Rule, HeaderError> {
        let unknown = || HeaderError::Unknown(shown(name));
        let (part, bare) = name.split_once('.').ok_or_else(unknown)?;
        let part = match (part, bare, of) {
            ("meta", "ts", Of::Changes) => return Ok(Rule::Time),
            ("meta", "action", Of::Changes) => return Ok(Rule::Action),
            ("meta", _, _) => return Ok(Rule::Cut),
            ("key", _, _) => Part::Key,
            ("value", _, _) => Part::Value,
            _ => return Err(unknown()),
        };
        let treatment = treatments.get(bare);
        if matches!(treatment, Some(Treatment::Drop)) {
            return Ok(Rule::Dropped);
        }
        let known = |column: &&Column| column.part == part && column.name == bare;
        let column = Box::new(shape.columns.iter().find(known).ok_or_else(unknown)?.clone());
        let number = self.names.len();
        if self.names.iter().any(|name| name == bare) {
            return Err(HeaderError::Twice(shown(bare)));
        }
        self.names.push(bare.to_owned());
        Ok(match treatment {
            None | Some(Treatment::Drop) => Rule::Column(number, column),
            Some(Treatment::Null) => Rule::Null,
            Some(Treatment::Hash(key)) => match Hmac::new_from_slice(key) {
                Ok(keyed) => Rule::Hash(number, column, Box::new(keyed)),
                // A key of any length will do; if one would not, nothing is shown.
                Err(_) => Rule::Null,
            },
        })
    }

    /// Sees which fields pass as they are.
    fn plan(&mut self) {
        let leading = self.leading.map_or_else(Vec::new, |(time, action)| vec![time, action]);
        let columns = self
            .fields
            .iter()
            .enumerate()
            .filter(|(_, rule)| matches!(rule, Rule::Column(..) | Rule::Null | Rule::Hash(..)));
        for field in leading.into_iter().chain(columns.map(|(field, _)| field)) {
            match self.runs.last_mut() {
                Some((_, last)) if *last + 1 == field => *last = field,
                _ => self.runs.push((field, field)),
            }
        }
        let watched = self.fields.iter().enumerate().filter(|(_, rule)| match rule {
            Rule::Cut | Rule::Dropped | Rule::Action => false,
            Rule::Time | Rule::Null | Rule::Hash(..) => true,
            Rule::Column(_, column) => match &column.kind {
                Kind::List(_)
                | Kind::One(Scalar::Timestamp | Scalar::Date | Scalar::Jsonb | Scalar::JsonOrText) => true,
                Kind::One(_) => false,
            },
        });
        self.watched = watched.map(|(field, _)| field).collect();
    }
}

/// By which a key is known again, without telling it.
#[must_use]
pub fn fingerprint(key: &[u8]) -> String {
    let Ok(mut keyed) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    // No value begins so: the database keeps no NUL.
    keyed.update(b"\0which key this is");
    hex::encode(keyed.finalize().into_bytes()).chars().take(8).collect()
}

#[cfg(test)]
mod tests;
