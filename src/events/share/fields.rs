//! The fields of a body.

use serde_json::{Map, Value};

use super::Invalid;

/// Things that are told of one body.
const MOST_WRONG: usize = 100;

/// The fields of an object, whichever way their names are written.
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    at: Vec<&'a str>,
    /// What is wrong with them, so far.
    pub(super) wrong: Vec<Invalid>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(object: &'a Map<String, Value>, at: &[&'a str]) -> Self {
        Self { object, at: at.to_vec(), wrong: Vec::new() }
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        let value = self.object.get(name).or_else(|| self.object.get(&snake(name)))?;
        (!value.is_null()).then_some(value)
    }

    pub(super) fn complain(&mut self, kind: &'static str, name: &str, msg: impl Into<String>, input: &Value) {
        // The first ones tell enough.
        if self.wrong.len() >= MOST_WRONG {
            return;
        }
        let at: Vec<&str> = self.at.iter().copied().chain([name]).collect();
        self.wrong.push(Invalid::new(kind, &at, msg, input));
    }

    pub(super) fn read<T>(
        &mut self,
        name: &str,
        (kind, msg): (&'static str, &str),
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(name)?;
        let read = read(value);
        if read.is_none() {
            self.complain(kind, name, msg, value);
        }
        read
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, ("string_type", "Input should be a valid string"), |value| {
            value.as_str().map(str::to_owned)
        })
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, ("bool_type", "Input should be a valid boolean"), Value::as_bool)
    }

    /// A list of texts, each once, without empty ones. Numbers are taken as they are written: ids may be all
    /// digits.
    pub(super) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null => Some(String::new()),
            _ => None,
        };
        self.read(name, ("list_type", "Input should be a valid list of strings"), |value| {
            let texts: Option<Vec<String>> = value.as_array()?.iter().map(text).collect();
            let mut seen = std::collections::BTreeSet::new();
            let fresh = |text: &String| !text.is_empty() && seen.insert(text.clone());
            texts.map(|texts| texts.into_iter().filter(fresh).collect())
        })
    }
}

/// `libraryIdList` as `library_id_list`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
