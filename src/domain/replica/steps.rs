//! What is to be done to a table so that it becomes what its schema says.
//!
//! What is there is compared with what is wanted, never an old schema with a new one: so a change that was
//! held, half done or made by another is found, and what stays as it is says so each time in the same words.
//! Nothing that is there is cut: a type that holds all that the wanted one holds stays, and where neither
//! holds the other, the column gets one that holds both.

mod defaults;
mod kinds;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use self::kinds::Verdict;
use super::{
    changes::{Changes, Found, FoundColumn, Step},
    shape::{Column, Enumeration, Kind, Part, Scalar, Shape},
    written,
};

/// The steps from a table as it is found to its shape, and what stays as it is.
///
/// - A required column that is new or has been optional is made so by [`Step::Required`], which looks for
///   nulls.
/// - The key does not change: where the schema says another one, that is a note, and the table has to be loaded
///   anew ([`other_key`]).
#[must_use]
pub fn changes(found: &Found, shape: &Shape) -> Changes {
    let mut plan = Plan::default();
    plan.notes.extend(other_key(found, shape));
    for column in found.columns.iter().filter(|column| shape.column(&column.name).is_none()) {
        if !found.key.contains(&column.name) {
            plan.drops.push(Step::Drop { column: column.name.clone() });
        }
    }
    for column in &shape.columns {
        match found.columns.iter().find(|there| there.name == column.name) {
            Some(there) => plan.column(there, column),
            None => plan.add(column),
        }
    }
    if found.comment != shape.comment {
        plan.comments.push(Step::Comment { column: None, text: shape.comment.clone() });
    }
    plan.in_order()
}

/// That the table has another key than its schema says, in one sentence. Its rows cannot be told apart by it.
#[must_use]
pub fn other_key(found: &Found, shape: &Shape) -> Option<String> {
    let there: BTreeSet<&str> = found.key.iter().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = shape.key().map(|column| column.name.as_str()).collect();
    let listed = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
    (there != wanted).then(|| {
        format!(
            "the key stays ({}), although the schema says ({}); drop the table, and have it loaded anew",
            listed(&there),
            listed(&wanted)
        )
    })
}

#[derive(Default)]
struct Plan {
    drops: Vec<Step>,
    optional: Vec<Step>,
    retypes: Vec<Step>,
    labels: Vec<Step>,
    adds: Vec<Step>,
    required: Vec<Step>,
    defaults: Vec<Step>,
    comments: Vec<Step>,
    notes: Vec<String>,
}

impl Plan {
    fn add(&mut self, column: &Column) {
        // A key is not changed.
        if column.part == Part::Key {
            return;
        }
        let mut added = column.clone();
        if column.required && column.default.is_none() {
            // The rows that are there have nothing for it yet.
            added.required = false;
            self.required.push(Step::Required { column: column.name.clone() });
        }
        self.adds.push(Step::Add(added));
    }

    fn column(&mut self, there: &FoundColumn, wanted: &Column) {
        let name = || wanted.name.clone();
        let kind = self.kind(there, wanted);
        if there.required && !wanted.required {
            self.optional.push(Step::Optional { column: name() });
        } else if !there.required && wanted.required {
            self.required.push(Step::Required { column: name() });
        }
        if !defaults::same(there.default.as_deref(), wanted.default.as_ref(), &kind) {
            self.defaults.push(Step::Default(Column { kind, ..wanted.clone() }));
        }
        if there.comment != wanted.comment {
            self.comments.push(Step::Comment { column: Some(name()), text: wanted.comment.clone() });
        }
    }

    /// What the column will hold.
    fn kind(&mut self, there: &FoundColumn, wanted: &Column) -> Kind {
        let name = &wanted.name;
        let found = written::read(&there.kind, there.labels.as_deref());
        let kind = match (kinds::verdict(found.as_ref(), &wanted.kind), found) {
            (Verdict::Same, Some(found)) => found,
            (Verdict::Stays, Some(found)) => {
                self.notes
                    .push(format!("{name} stays {}, although the schema says {}", there.kind, wanted.kind));
                found
            }
            (Verdict::Becomes { to, widens }, _) => {
                if to != wanted.kind {
                    let (from, said) = (&there.kind, &wanted.kind);
                    let why = format!("which holds what it held as {from}, although the schema says {said}");
                    self.notes.push(format!("{name} becomes {to}, {why}"));
                }
                let (column, from) = (name.clone(), there.kind.clone());
                self.retypes.push(Step::Retype { column, from, to: to.clone(), widens });
                to
            }
            (Verdict::Same | Verdict::Stays, None) => wanted.kind.clone(),
        };
        self.labels(name, there, &kind, &wanted.kind)
    }

    /// Labels that the enumeration lacks are added; those that it has beyond the schema stay.
    fn labels(&mut self, name: &str, there: &FoundColumn, kind: &Kind, wanted: &Kind) -> Kind {
        let (Some(labels), Scalar::Enum(has), Scalar::Enum(wanted)) =
            (&there.labels, kind.scalar(), wanted.scalar())
        else {
            return kind.clone();
        };
        let shown = |labels: Vec<&String>| {
            labels.iter().map(|label| format!("{label:?}")).collect::<Vec<_>>().join(", ")
        };
        let gone: Vec<_> = labels.iter().filter(|label| !wanted.labels.contains(label)).collect();
        if !gone.is_empty() {
            self.notes.push(format!(
                "the enumeration of {name} keeps {}, which the schema has no more",
                shown(gone)
            ));
        }
        let new: Vec<_> = wanted.labels.iter().filter(|label| !labels.contains(label)).cloned().collect();
        let grows = !new.is_empty();
        let enumeration =
            Enumeration { name: has.name.clone(), labels: labels.iter().cloned().chain(new).collect() };
        if grows {
            self.labels.push(Step::AddLabels { column: name.to_owned(), enumeration: enumeration.clone() });
        }
        match kind {
            Kind::One(_) => Kind::One(Scalar::Enum(enumeration)),
            Kind::List(_) => Kind::List(Scalar::Enum(enumeration)),
        }
    }

    fn in_order(self) -> Changes {
        let Self { drops, optional, retypes, labels, adds, required, defaults, comments, notes } = self;
        // What goes makes room for the names of what comes; a default is set when its type and label are
        // there.
        let steps = [drops, optional, retypes, labels, adds, required, defaults, comments].concat();
        Changes { steps, notes }
    }
}
