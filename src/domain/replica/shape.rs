//! What a table of the replica looks like, by the schema of its source.

/// The longest name that PostgreSQL keeps, in bytes; it cuts longer ones.
pub const LONGEST_NAME: usize = 63;

/// A table as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Key columns first, then those without a default, then those with one; each group in the order of the schema.
    pub columns: Vec<Column>,
    /// The comment of the table.
    pub comment: Option<String>,
}

impl Shape {
    /// The columns of the key.
    pub fn key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.part == Part::Key)
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Where a column stands in the source's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `key.NAME` in the header of a file.
    Key,
    /// `value.NAME`.
    Value,
}

/// A column as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name in source and replica.
    pub name: String,
    /// Where it stands in the source's rows.
    pub part: Part,
    /// What it holds.
    pub kind: Kind,
    /// Whether it is NOT NULL.
    pub required: bool,
    /// Its DEFAULT.
    pub default: Option<Literal>,
    /// Its comment.
    pub comment: Option<String>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One value.
    One(Scalar),
    /// A PostgreSQL array of values.
    List(Scalar),
}

impl Kind {
    /// The kind of the value, or of the elements.
    #[must_use]
    pub const fn scalar(&self) -> &Scalar {
        match self {
            Self::One(scalar) | Self::List(scalar) => scalar,
        }
    }
}

/// What one value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// 16 bits.
    Smallint,
    /// 32 bits.
    Integer,
    /// 64 bits.
    Bigint,
    /// 32-bit floating point.
    Real,
    /// 64-bit floating point.
    Double,
    /// `numeric(precision, scale)`.
    Numeric {
        /// Digits in all.
        precision: u32,
        /// Of them after the point.
        scale: u32,
    },
    /// `true`, `false`.
    Boolean,
    /// Of any length.
    Text,
    /// Of at most so many characters.
    Varchar(u32),
    /// Of exactly so many characters.
    Char(u32),
    /// Without zone, in UTC.
    Timestamp,
    /// A day.
    Date,
    /// Of a day, without zone.
    Time,
    /// 128 bits.
    Uuid,
    /// An address of the internet.
    Inet,
    /// Any JSON; the source writes JSON.
    Jsonb,
    /// Any JSON as well, stored as [`Self::Jsonb`] is; but the source may write a bare text (`five` of a schema that
    /// takes numbers or texts), which is stored as a JSON text.
    JsonOrText,
    /// One of some words.
    Enum(Enumeration),
}

/// An enumeration: a type of its own, in the schema of the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enumeration {
    /// The name of the type: `{table}__{column}`, at most [`LONGEST_NAME`] bytes.
    pub name: String,
    /// In the order of the source's schema.
    pub labels: Vec<String>,
}

/// A default, as JSON has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A number, as it is written.
    Number(String),
    /// `true`, `false`.
    Boolean(bool),
    /// A text.
    Text(String),
}
