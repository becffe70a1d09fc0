//! How the type of a column that is there relates to the one that is wanted.

use crate::domain::replica::{
    shape::{Kind, Scalar},
    written::ANY_NUMERIC,
};

/// Digits that `numeric` can be told to hold.
const MOST_DIGITS: u32 = 1000;

/// What is to be done about a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// Nothing.
    Same,
    /// Nothing: it holds all that the wanted one holds.
    Stays,
    /// It becomes another one; not always the wanted one.
    Becomes {
        /// Which.
        to: Kind,
        /// Whether every value of the old type is one of the new.
        widens: bool,
    },
}

/// What becomes of a column. `found`: `None` for a type that no shape has.
pub(super) fn verdict(found: Option<&Kind>, wanted: &Kind) -> Verdict {
    match (found, wanted) {
        (Some(Kind::One(found)), Kind::One(wanted)) => return of_kind(scalar(found, wanted), Kind::One),
        (Some(Kind::List(found)), Kind::List(wanted)) => return of_kind(scalar(found, wanted), Kind::List),
        (Some(Kind::One(found)), Kind::List(wanted)) => {
            let element = match scalar(found, wanted) {
                Relation::Same | Relation::Stays => found.clone(),
                Relation::Becomes(to, _) => to,
            };
            return Verdict::Becomes { to: Kind::List(element), widens: false };
        }
        (Some(Kind::List(_)) | None, Kind::One(_)) | (None, Kind::List(_)) => {}
    }
    let to = uncut(None, wanted.scalar());
    let to = if matches!(wanted, Kind::List(_)) { Kind::List(to) } else { Kind::One(to) };
    Verdict::Becomes { to, widens: false }
}

enum Relation {
    Same,
    Stays,
    Becomes(Scalar, bool),
}

fn of_kind(relation: Relation, kind: fn(Scalar) -> Kind) -> Verdict {
    match relation {
        Relation::Same => Verdict::Same,
        Relation::Stays => Verdict::Stays,
        Relation::Becomes(to, widens) => Verdict::Becomes { to: kind(to), widens },
    }
}

fn scalar(found: &Scalar, wanted: &Scalar) -> Relation {
    if is_same(found, wanted) {
        return Relation::Same;
    }
    if let (Some(found), Some(wanted)) = (Letters::of(found), Letters::of(wanted)) {
        return letters(found, wanted);
    }
    if holds(found, wanted) {
        return Relation::Stays;
    }
    if holds(wanted, found) {
        return Relation::Becomes(wanted.clone(), true);
    }
    match both_numeric(found, wanted) {
        Some(both) => Relation::Becomes(both, true),
        None => Relation::Becomes(uncut(Some(found), wanted), false),
    }
}

/// An enumeration is known by its column, not by the name of its type: the official client may have cut or
/// chosen another. Both sorts of JSON are stored as `jsonb`.
fn is_same(found: &Scalar, wanted: &Scalar) -> bool {
    let is_json = |scalar: &Scalar| matches!(scalar, Scalar::Jsonb | Scalar::JsonOrText);
    let is_enum = |scalar: &Scalar| matches!(scalar, Scalar::Enum(_));
    found == wanted || (is_json(found) && is_json(wanted)) || (is_enum(found) && is_enum(wanted))
}

/// Whether one number, or moment, holds all values of the other.
fn holds(one: &Scalar, other: &Scalar) -> bool {
    match (digits(one), digits(other)) {
        (Some(one), Some(other)) => return one.0 >= other.0 && one.1 >= other.1,
        (None, Some((whole, 0))) if is_integer(other) => {
            return (one == &Scalar::Double && whole <= 10) || (one == &Scalar::Real && whole <= 5);
        }
        _ => {}
    }
    let is_wider = [(ANY_NUMERIC, Scalar::Real), (ANY_NUMERIC, Scalar::Double)];
    let is_wider =
        is_wider.into_iter().chain([(Scalar::Double, Scalar::Real), (Scalar::Timestamp, Scalar::Date)]);
    is_wider.into_iter().any(|(wider, narrower)| (one, other) == (&wider, &narrower))
}

fn is_integer(scalar: &Scalar) -> bool {
    matches!(scalar, Scalar::Smallint | Scalar::Integer | Scalar::Bigint)
}

/// Decimal digits before and after the point.
fn digits(scalar: &Scalar) -> Option<(u32, u32)> {
    if let Scalar::Numeric { precision, scale } = scalar {
        return Some((precision.saturating_sub(*scale), *scale));
    }
    let integers = [(Scalar::Smallint, 5), (Scalar::Integer, 10), (Scalar::Bigint, 19)];
    integers.iter().find(|(integer, _)| integer == scalar).map(|(_, whole)| (*whole, 0))
}

/// The `numeric` that holds two numbers of which neither holds the other: nothing that is there, and nothing that
/// comes, is rounded.
fn both_numeric(found: &Scalar, wanted: &Scalar) -> Option<Scalar> {
    let is_number =
        |scalar: &Scalar| digits(scalar).is_some() || matches!(scalar, Scalar::Real | Scalar::Double);
    let (Some(one), Some(other)) = (digits(found), digits(wanted)) else {
        return (is_number(found) && is_number(wanted)).then_some(ANY_NUMERIC);
    };
    let (whole, scale) = (one.0.max(other.0), one.1.max(other.1));
    let precision = whole + scale;
    Some(if precision <= MOST_DIGITS { Scalar::Numeric { precision, scale } } else { ANY_NUMERIC })
}

/// Texts of a limited length, and enumerations.
#[derive(Clone, Copy)]
struct Letters<'a> {
    scalar: &'a Scalar,
    /// The longest, in characters; none: any.
    longest: Option<u32>,
}

impl<'a> Letters<'a> {
    fn of(scalar: &'a Scalar) -> Option<Self> {
        let longest = if let Scalar::Varchar(length) | Scalar::Char(length) = scalar {
            Some(*length)
        } else if let Scalar::Enum(enumeration) = scalar {
            let lengths = enumeration.labels.iter().map(|label| label.chars().count());
            Some(u32::try_from(lengths.max().unwrap_or(0)).unwrap_or(u32::MAX).max(1))
        } else if scalar == &Scalar::Text {
            None
        } else {
            return None;
        };
        Some(Self { scalar, longest })
    }

    fn holds(self, other: Self) -> bool {
        let long_enough = match (self.longest, other.longest) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(one), Some(other)) => one >= other,
        };
        // A `char` fills up with blanks.
        let is_kept = matches!(self.scalar, Scalar::Text | Scalar::Varchar(_))
            || matches!((self.scalar, other.scalar), (Scalar::Char(_), Scalar::Char(_)));
        long_enough && is_kept
    }
}

fn letters(found: Letters<'_>, wanted: Letters<'_>) -> Relation {
    if found.holds(wanted) {
        return Relation::Stays;
    }
    if wanted.holds(found) {
        return Relation::Becomes(wanted.scalar.clone(), true);
    }
    let both = found
        .longest
        .zip(wanted.longest)
        .map_or(Scalar::Text, |(one, other)| Scalar::Varchar(one.max(other)));
    Relation::Becomes(both, true)
}

/// The wanted type, or `text` where values of the other would be cut to fit it, or be no labels.
fn uncut(found: Option<&Scalar>, wanted: &Scalar) -> Scalar {
    match (wanted, found.and_then(longest_text)) {
        (Scalar::Varchar(length), Some(longest)) if *length >= longest => wanted.clone(),
        (Scalar::Varchar(_) | Scalar::Char(_) | Scalar::Enum(_), _) => Scalar::Text,
        _ => wanted.clone(),
    }
}

/// How long a value is as a text.
fn longest_text(scalar: &Scalar) -> Option<u32> {
    let lengths = [
        (Scalar::Boolean, 5),
        (Scalar::Smallint, 6),
        (Scalar::Integer, 11),
        (Scalar::Bigint, 20),
        (Scalar::Uuid, 36),
    ];
    lengths.iter().find(|(of, _)| of == scalar).map(|(_, length)| *length)
}
