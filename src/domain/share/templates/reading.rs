//! Reading a key by its template.
//!
//! Of several ways to read it the one is taken in which what stands first is shortest; of fields whose values are
//! known, the one with the longest value. What was tried in vain is not tried again, so that a key takes no more
//! steps than it has bytes, times the parts of the template, times the bytes of a name.

use std::collections::{BTreeMap, HashSet};

use super::{Field, Known, Template, Token};
use crate::domain::share::{files::DataType, lims};

/// The longest lane, in digits.
const LANE_DIGITS: usize = 3;
/// Digits of the date that the id of a portal run begins with.
const DATE_DIGITS: usize = 8;
const FIELDS: usize = Field::ALL.len();

/// Where the fields are in the key.
type Bound = [Option<(usize, usize)>; FIELDS];

struct Reading<'a> {
    template: &'a Template,
    key: &'a str,
    known: &'a Known,
    /// Fields that the template has more than once, where they were found: what can still be read depends on them.
    repeated: [bool; FIELDS],
    bound: Bound,
    failed: HashSet<(usize, usize, Bound)>,
}

/// The fields of a key; `None` where it does not fit.
pub(super) fn read<'a>(template: &Template, key: &'a str, known: &Known) -> Option<BTreeMap<Field, &'a str>> {
    let times = |field: Field| template.tokens.iter().filter(|token| **token == Token::Field(field)).count();
    let mut reading = Reading {
        template,
        key,
        known,
        repeated: Field::ALL.map(|field| times(field) > 1),
        bound: [None; FIELDS],
        failed: HashSet::new(),
    };
    if !reading.fits(0, 0) {
        return None;
    }
    let bound = reading.bound;
    let fields = Field::ALL.into_iter().zip(bound);
    Some(fields.filter_map(|(field, place)| Some((field, key.get(place?.0..place?.1)?))).collect())
}

impl<'a> Reading<'a> {
    fn rest(&self, at: usize) -> &'a str {
        self.key.get(at..).unwrap_or_default()
    }

    /// Whether the key from there on fits the template from there on; its fields are bound then.
    fn fits(&mut self, n: usize, at: usize) -> bool {
        let template = self.template;
        let Some(token) = template.tokens.get(n) else { return at == self.key.len() };
        let rest = self.rest(at);
        let name = rest.split('/').next().unwrap_or_default();
        match token {
            Token::Text(text) => rest.starts_with(text.as_str()) && self.fits(n + 1, at + text.len()),
            Token::OneOf(texts) => {
                texts.iter().any(|text| rest.starts_with(text.as_str()) && self.fits(n + 1, at + text.len()))
            }
            Token::Rest => !rest.is_empty() && !rest.ends_with('/'),
            Token::Any | Token::Names | Token::Field(_) => {
                let mut state = self.bound;
                for (place, repeated) in state.iter_mut().zip(self.repeated) {
                    *place = place.filter(|_| repeated);
                }
                if self.failed.contains(&(n, at, state)) {
                    return false;
                }
                let fits = match token {
                    Token::Field(field) => self.field_fits(n, at, *field, name),
                    Token::Names => {
                        let ends = rest.match_indices('/').map(|(slash, _)| at + slash + 1);
                        std::iter::once(at).chain(ends).any(|end| self.fits(n + 1, end))
                    }
                    Token::Any | Token::Text(_) | Token::OneOf(_) | Token::Rest => {
                        ends(name).any(|length| self.fits(n + 1, at + length))
                    }
                };
                if !fits {
                    self.failed.insert((n, at, state));
                }
                fits
            }
        }
    }

    fn field_fits(&mut self, n: usize, at: usize, field: Field, name: &str) -> bool {
        let place = field as usize;
        if let Some((from, to)) = self.bound.get(place).copied().flatten() {
            let value = self.key.get(from..to).unwrap_or_default();
            return name.starts_with(value) && self.fits(n + 1, at + value.len());
        }
        let mut lengths: Vec<usize> = ends(name).filter(|length| *length > 0).collect();
        if self.known.of(field).is_some() {
            lengths.reverse();
        }
        for length in lengths {
            let value = name.get(..length).unwrap_or_default();
            if !self.may_be(field, value) {
                continue;
            }
            self.bind(place, Some((at, at + length)));
            if self.fits(n + 1, at + length) {
                return true;
            }
            self.bind(place, None);
        }
        false
    }

    fn bind(&mut self, place: usize, value: Option<(usize, usize)>) {
        if let Some(bound) = self.bound.get_mut(place) {
            *bound = value;
        }
    }

    /// Whether a field may have that value.
    fn may_be(&self, field: Field, value: &str) -> bool {
        if field == Field::Lane {
            return value.len() <= LANE_DIGITS && value.bytes().all(|byte| byte.is_ascii_digit());
        }
        let Some(values) = self.known.of(field) else {
            return field != Field::PortalRun || begins_with_a_date(value);
        };
        match (field, self.template.data_type()) {
            (Field::Library, DataType::Fastq) => values.contains(lims::library_id(value)),
            (Field::Library, DataType::SecondaryAnalysis) => {
                value.split("__").any(|library| values.contains(lims::library_id(library)))
            }
            _ => values.contains(value),
        }
    }
}

/// As ids of portal runs do: by that they are told from other directories, where `**` stands before them.
fn begins_with_a_date(value: &str) -> bool {
    value.len() > DATE_DIGITS && value.bytes().take(DATE_DIGITS).all(|byte| byte.is_ascii_digit())
}

/// Where a beginning of a text may end, from nothing on.
fn ends(text: &str) -> impl Iterator<Item = usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()])
}
