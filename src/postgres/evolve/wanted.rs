//! Which of the changes are still to be made.

use std::collections::{BTreeMap, BTreeSet};

use super::present::{Here, Present};
use crate::domain::replica::{
    changes::{Changes, Step},
    shape::{Column, Enumeration, Kind},
};

/// What is to be done, by its sort. What has its effect already is not in it.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) drops: BTreeMap<&'a str, &'a Here>,
    pub(super) retypes: Vec<(&'a str, &'a Here, &'a Kind)>,
    pub(super) labels: Vec<(&'a Here, &'a Enumeration)>,
    pub(super) adds: Vec<&'a Column>,
    pub(super) optional: Vec<&'a str>,
    pub(super) required: Vec<&'a str>,
    /// Defaults, with what is there of the column.
    pub(super) defaults: Vec<(&'a Column, Option<&'a Here>)>,
    pub(super) comments: Vec<(Option<&'a str>, Option<&'a str>)>,
}

impl<'a> Wanted<'a> {
    /// Of these changes.
    pub(super) fn of(changes: &'a Changes, present: &'a Present, namespace: &str) -> Self {
        let mut wanted = Self::default();
        let mut new: BTreeSet<&str> = BTreeSet::new();
        let added = changes.steps.iter().filter_map(|step| match step {
            Step::Add(column) => Some((column.name.as_str(), column)),
            _ => None,
        });
        let added: BTreeMap<&str, &Column> = added.collect();
        for step in &changes.steps {
            match step {
                Step::Drop { column } => {
                    let Some(here) = present.columns.get(column) else { continue };
                    // One that is made again under its name, and is: that has happened.
                    if added.get(column.as_str()).is_some_and(|added| here.is_all_of(&added.kind, namespace))
                    {
                        continue;
                    }
                    wanted.drops.insert(column, here);
                }
                Step::Add(column) => {
                    let goes = wanted.drops.contains_key(column.name.as_str());
                    if goes || !present.columns.contains_key(&column.name) {
                        new.insert(&column.name);
                        wanted.adds.push(column);
                    }
                }
                Step::Retype { column, to, .. } => {
                    let Some(here) = present.columns.get(column) else { continue };
                    if !here.is(to, namespace) && !new.contains(column.as_str()) {
                        wanted.retypes.push((column, here, to));
                    }
                }
                Step::AddLabels { column, enumeration } => {
                    if let Some(here) = present.columns.get(column).filter(|here| here.words.is_some()) {
                        wanted.labels.push((here, enumeration));
                    }
                }
                Step::Optional { column } => {
                    if present.columns.get(column).is_some_and(|here| here.required) {
                        wanted.optional.push(column);
                    }
                }
                Step::Required { column } => {
                    let is_open = present.columns.get(column).is_some_and(|here| !here.required);
                    if is_open && !new.contains(column.as_str()) {
                        wanted.required.push(column);
                    }
                }
                Step::Default(column)
                    if present.columns.contains_key(&column.name) && !new.contains(column.name.as_str()) =>
                {
                    wanted.defaults.push((column, present.columns.get(&column.name)));
                }
                Step::Default(_) => {}
                Step::Comment { column, text } => {
                    let (column, text) = (column.as_deref(), text.as_deref());
                    let here = match column {
                        None => Some(&present.comment),
                        Some(name) if new.contains(name) => None,
                        Some(name) => present.columns.get(name).map(|here| &here.comment),
                    };
                    let is_there = here.is_some_and(|here| here.as_deref() == text);
                    let has_place = here.is_some() || column.is_some_and(|name| new.contains(name));
                    if has_place && !is_there {
                        wanted.comments.push((column, text));
                    }
                }
            }
        }
        wanted
    }

    /// The numbers of columns that change their type, and of those that go.
    pub(super) fn numbers(&self) -> (Vec<i16>, Vec<i16>) {
        let retyped = self.retypes.iter().map(|(_, here, _)| here.number).collect();
        (retyped, self.drops.values().map(|here| here.number).collect())
    }
}
