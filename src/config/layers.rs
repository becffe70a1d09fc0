//! Layers of settings laid over each other, each value with its origin.
//!
//! The embedded default says which settings there are and of what type, so every layer is judged
//! against it. A value that does not fit is noted and the one below it stays: the tree can always
//! be read to its end, and all problems come out at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{
    Shown,
    problems::{Origin, Problem},
};
use crate::domain::duration_text;

/// Settings that have got another name, with the one that they have now.
const MOVED: &[(&str, &str)] =
    &[("icav2.retry_base", "service.retry_base"), ("icav2.retry_cap", "service.retry_cap")];

/// Settings that are no more, with the value that says what is done now, and why there is no other.
const GONE: &[(&str, &str, &str)] =
    &[("heartbeat.enabled", "true", "is no setting any more: heartbeats are always sent")];

/// Settings by full name (`section.key`), as far as they are laid.
pub(super) struct Layers {
    known: BTreeMap<String, Value>,
    values: BTreeMap<String, (Value, Origin)>,
    problems: Vec<Problem>,
}

impl Layers {
    /// Starts with what is built in.
    pub(super) fn new(default: &str) -> Self {
        let mut layers = Self { known: BTreeMap::new(), values: BTreeMap::new(), problems: Vec::new() };
        match default.parse() {
            Ok(table) => {
                layers.known = flat(table);
                let defaults = layers.known.iter();
                layers.values =
                    defaults.map(|(key, value)| (key.clone(), (value.clone(), Origin::Default))).collect();
            }
            Err(error) => layers.note("", &Origin::Default, syntax(default, &error)),
        }
        layers
    }

    /// Lays a file over what is there.
    pub(super) fn file(&mut self, path: &Path) {
        let origin = Origin::File(path.to_owned());
        match std::fs::read_to_string(path) {
            Ok(text) => self.text(&text, &origin),
            Err(error) => self.note("", &origin, format!("cannot be read: {error}")),
        }
    }

    /// Lays what a file would say over what is there.
    pub(super) fn text(&mut self, text: &str, origin: &Origin) {
        match text.parse() {
            Ok(table) => {
                for (key, value) in flat(table) {
                    self.set(&key, value, origin);
                }
            }
            Err(error) => self.note("", origin, syntax(text, &error)),
        }
    }

    /// The same settings with others in one section: what is `own` is as it is built in there, and what is
    /// said is laid over the rest.
    pub(super) fn section(&self, section: &str, own: &[&str], said: Table, origin: &Origin) -> Self {
        let (known, values) = (self.known.clone(), self.values.clone());
        let mut layers = Self { known, values, problems: Vec::new() };
        for key in own.iter().map(|name| format!("{section}.{name}")) {
            if let Some(default) = layers.known.get(&key) {
                layers.values.insert(key, (default.clone(), Origin::Default));
            }
        }
        for (name, value) in said {
            layers.set(&format!("{section}.{name}"), value, origin);
        }
        layers
    }

    /// Lays the value of an environment variable over what is there. An empty one is not set: that is how
    /// containers are told so.
    pub(super) fn variable(&mut self, name: &str, key: &str, text: String) {
        let origin = Origin::Env(name.to_owned());
        if text.is_empty() && self.known.contains_key(key) {
            return;
        }
        let value = match self.known.get(key) {
            Some(Value::Integer(_)) => text.parse().map(Value::Integer).ok(),
            Some(Value::Boolean(_)) => text.parse().map(Value::Boolean).ok(),
            Some(Value::Array(_)) => {
                let entries = text.split(',').map(|entry| Value::String(entry.trim().to_owned()));
                Some(Value::Array(entries.collect()))
            }
            _ => None,
        };
        self.set(key, value.unwrap_or(Value::String(text)), &origin);
    }

    fn set(&mut self, key: &str, value: Value, origin: &Origin) {
        if let Some((_, is_now)) = MOVED.iter().find(|(was, _)| *was == key) {
            return self.set(is_now, value, origin);
        }
        if let Some((_, only, why)) = GONE.iter().find(|(was, ..)| *was == key) {
            let said = value.as_bool().map(|value| value.to_string());
            if said.as_deref().or(value.as_str()) != Some(*only) {
                self.note(key, origin, *why);
            }
            return;
        }
        let Some(default) = self.known.get(key) else {
            let is_section = self.known.keys().any(|known| parent(known) == Some(key));
            return match value {
                Value::Table(_) if is_section => {}
                _ if is_section => self.note(key, origin, "is a section, not a setting"),
                _ => self.note(key, origin, self.unknown(key)),
            };
        };
        if !default.same_type(&value) {
            let message = format!("must be {}, not {}", described(default), article(value.type_str()));
            self.note(key, origin, message);
        } else if is_empty(&value) && !is_empty(default) {
            self.note(key, origin, "must not be empty");
        } else {
            self.values.insert(key.to_owned(), (value, origin.clone()));
        }
    }

    /// Reads what has been laid. A value that does not fit gives way to the built-in one.
    pub(super) fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            let error = match serde_path_to_error::deserialize::<_, T>(self.tree()) {
                Ok(settings) => return Some(settings),
                Err(error) => error,
            };
            let path = error.path().to_string();
            // What is wrong with an entry is told of its list.
            let key = path.split('[').next().unwrap_or_default().to_owned();
            let message = error.inner().message().trim().to_owned();
            self.note(&key, &self.origin(&key), message);
            let default = self.known.get(&key)?.clone();
            let (value, origin) = self.values.get_mut(&key)?;
            if *value == default {
                return None;
            }
            (*value, *origin) = (default, Origin::Default);
        }
    }

    /// Where the value of a setting came from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.values.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Notes that something is wrong.
    pub(super) fn note(&mut self, key: &str, origin: &Origin, message: impl Into<String>) {
        self.problems.push(Problem { key: key.to_owned(), origin: origin.clone(), message: message.into() });
    }

    /// The settings that something is wrong with.
    pub(super) fn broken(&self) -> BTreeSet<String> {
        self.problems.iter().map(|problem| problem.key.clone()).collect()
    }

    /// Every setting with its origin; of those that are secret, only whether they are set.
    pub(super) fn shown(&self, secret: &[&str]) -> Vec<Shown> {
        let show = |(key, (value, origin)): (&String, &(Value, Origin))| {
            let is_hidden = secret.contains(&key.as_str()) && !is_empty(value);
            let value = if is_hidden { "(set)".to_owned() } else { value.to_string() };
            Shown { key: key.clone(), value, origin: origin.clone() }
        };
        self.values.iter().map(show).collect()
    }

    /// What was noted.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// The tree of what is set; an empty text means that it is not.
    fn tree(&self) -> Table {
        let mut tree = Table::new();
        for (key, (value, _)) in self.values.iter().filter(|(_, (value, _))| !is_empty(value)) {
            let (holder, name) = match key.split_once('.') {
                Some((section, name)) => {
                    (tree.entry(section).or_insert_with(|| Table::new().into()).as_table_mut(), name)
                }
                None => (Some(&mut tree), key.as_str()),
            };
            if let Some(holder) = holder {
                holder.insert(name.to_owned(), value.clone());
            }
        }
        tree
    }

    fn unknown(&self, key: &str) -> String {
        let name = key.rsplit('.').next().unwrap_or_default();
        // The right name in the wrong section is nearer than any misspelling.
        let distance = |known: &&str| {
            let same_name = known.rsplit_once('.').is_some_and(|(_, known)| known == name);
            (!same_name, strsim::damerau_levenshtein(known, key))
        };
        let sections = self.known.keys().filter_map(|known| parent(known));
        let nearest = self.known.keys().map(String::as_str).chain(sections).min_by_key(distance);
        format!("is not a setting; the nearest is `{}`", nearest.unwrap_or_default())
    }
}

/// The leaves of a tree by full name. A table without leaves is one itself.
fn flat(table: Table) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                leaves.extend(flat(inner).into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            leaf => {
                leaves.insert(name, leaf);
            }
        }
    }
    leaves
}

fn parent(key: &str) -> Option<&str> {
    key.rsplit_once('.').map(|(parent, _)| parent)
}

fn is_empty(value: &Value) -> bool {
    value.as_str() == Some("")
}

fn described(default: &Value) -> String {
    match default.as_str() {
        Some(text) if duration_text::parse(text).is_ok() => format!("a duration such as \"{text}\""),
        Some(_) => "a text in quotes".to_owned(),
        None => article(default.type_str()),
    }
}

fn article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// A complaint about syntax that does not show the line, which may hold a secret.
pub(super) fn syntax(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}
