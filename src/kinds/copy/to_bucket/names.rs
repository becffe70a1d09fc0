//! The renaming map of a copy that leaves ICAv2, and files that would have one key.
//!
//! Files go by once, and are not kept: two can only have one key where the map gives one of them a name
//! of its own, so only those with such names are remembered.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::{
    outcome::{Culprit, ErrorName, Failure},
    renaming::{RenameEntry, RenameSource, check_name},
};

/// An entry of the map, with how often its file has gone by.
#[derive(Debug)]
struct Entry {
    source: String,
    name: String,
    met: u32,
}

/// The map, and what has gone by.
#[derive(Debug, Default)]
pub(super) struct Names {
    entries: Vec<Entry>,
    by_uri: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
    /// Every name that the map gives.
    given: HashSet<String>,
    /// Files that other files may be in the way of, by key.
    seen: BTreeMap<String, Vec<String>>,
    contradictions: Vec<Culprit>,
}

impl Names {
    /// Of a map whose URIs are written as those of what goes by.
    pub(super) fn new(map: Vec<RenameEntry>) -> Result<Self, Failure> {
        let mut names = Self::default();
        let mut culprits = Vec::new();
        for RenameEntry { source, name } in map {
            let what = source.as_str().to_owned();
            if let Err(error) = check_name(&name) {
                culprits.push(Culprit { what: what.clone(), why: error.to_string() });
            }
            let at = names.entries.len();
            let known = match source {
                RenameSource::Uri(uri) => names.by_uri.insert(uri, at),
                RenameSource::DataId(id) => names.by_id.insert(id, at),
            };
            if let Some(other) = known {
                names.contradict(&what, &name, other);
            }
            names.given.insert(name.clone());
            names.entries.push(Entry { source: what, name, met: 0 });
        }
        refuse("a name in the renaming map is not a file name", culprits)?;
        Ok(names)
    }

    fn contradict(&mut self, what: &str, name: &str, other: usize) {
        let other = self.entries.get(other).map_or("", |entry| entry.name.as_str());
        let why = format!("is to be `{name}`, and another entry says `{other}`");
        self.contradictions.push(Culprit { what: what.to_owned(), why });
    }

    /// The name that a file gets; `id`: its data id, if it has one.
    pub(super) fn name_of(&mut self, uri: &str, id: Option<&str>, own: &str) -> String {
        if self.entries.is_empty() {
            return own.to_owned();
        }
        let by_uri = self.by_uri.get(uri).copied();
        let by_id = id.and_then(|id| self.by_id.get(id).copied());
        if let (Some(one), Some(other)) = (by_uri, by_id) {
            let name = self.entries.get(one).map(|entry| entry.name.clone()).unwrap_or_default();
            self.contradict(uri, &name, other);
        }
        let mut name = None;
        for at in [by_uri, by_id].into_iter().flatten() {
            if let Some(entry) = self.entries.get_mut(at) {
                entry.met += 1;
                name = Some(entry.name.clone());
            }
        }
        name.unwrap_or_else(|| own.to_owned())
    }

    /// Notes where a file lands; `named`: it was named by itself, and may have the name of another one.
    pub(super) fn note(&mut self, to: &str, uri: &str, named: bool) {
        let name = to.rsplit('/').next().unwrap_or_default();
        if !self.entries.is_empty() && (named || self.given.contains(name)) {
            self.seen.entry(to.to_owned()).or_default().push(uri.to_owned());
        }
    }

    /// Refuses entries that do not mean exactly one file, and files that would have one key. All have
    /// gone by.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let odd = self.entries.into_iter().filter(|entry| entry.met != 1).map(|entry| {
            let why = if entry.met == 0 {
                "is the exact name of no file that this request copies"
            } else {
                "is copied to more than one place by this request"
            };
            Culprit { what: entry.source, why: why.to_owned() }
        });
        // Where an entry has a rival, it is the rivalry that is told.
        let culprits = if self.contradictions.is_empty() { odd.collect() } else { self.contradictions };
        refuse("each entry of the renaming map must name exactly one source file, once", culprits)?;
        let twice = self.seen.into_iter().filter(|(_, sources)| sources.len() > 1);
        let culprits = twice.flat_map(|(to, sources)| {
            let why = format!("would be `{to}` at the destination, and so would another source");
            sources.into_iter().map(move |what| Culprit { what, why: why.clone() })
        });
        refuse("two files would have one name at the destination", culprits.collect())
    }
}

fn refuse(message: &str, culprits: Vec<Culprit>) -> Result<(), Failure> {
    if culprits.is_empty() {
        return Ok(());
    }
    Err(Failure::new(ErrorName::InvalidRequest, message).naming(culprits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(map: &[(&str, &str)]) -> Names {
        let entry = |(source, name): &(&str, &str)| {
            let source = (*source).to_owned();
            let source = if source.starts_with("fil.") {
                RenameSource::DataId(source)
            } else {
                RenameSource::Uri(source)
            };
            RenameEntry { source, name: (*name).to_owned() }
        };
        Names::new(map.iter().map(entry).collect()).unwrap()
    }

    /// Lets files go by (URI, id, folder); returns why it is refused.
    fn refusal(map: &[(&str, &str)], files: &[(&str, &str, &str)]) -> Option<String> {
        let mut names = names(map);
        for (uri, id, folder) in files {
            let own = uri.rsplit('/').next().unwrap();
            let name = names.name_of(uri, Some(id), own);
            names.note(&format!("{folder}{name}"), uri, false);
        }
        names.finish().err().map(|failure| failure.culprits[0].why.clone())
    }

    #[test]
    fn an_entry_means_one_file_and_no_two_files_get_one_key() {
        let files = [("p/a", "fil.a", "x/"), ("p/b", "fil.b", "x/"), ("p/c/a", "fil.c", "x/c/")];
        assert_eq!(refusal(&[], &files), None);
        assert_eq!(refusal(&[("p/a", "b"), ("fil.b", "a")], &files), None, "names may be swapped");
        assert_eq!(refusal(&[("fil.c", "b")], &files), None, "in another folder");
        for (map, words) in [
            (&[("p/a", "b")][..], "would be `x/b` at the destination, and so would another source"),
            (&[("p/a", "z"), ("p/b", "z")], "would be `x/z`"),
            (&[("p/z", "y")], "is the exact name of no file"),
            (&[("p/a", "y"), ("fil.a", "z")], "another entry says `z`"),
            (&[("p/a", "y"), ("p/a", "y")], "another entry says `y`"),
        ] {
            let why = refusal(map, &files).unwrap();
            assert!(why.contains(words), "{why}");
        }
        let again = [("p/a", "fil.a", "x/"), ("p/a", "fil.a", "y/")];
        assert!(refusal(&[("p/a", "b")], &again).unwrap().contains("more than one place"));
    }

    #[test]
    fn names_must_be_names() {
        let entry = RenameEntry { source: RenameSource::Uri("p/a".into()), name: "x/y".into() };
        let failure = Names::new(vec![entry]).unwrap_err();
        assert_eq!(failure.culprits[0].what, "p/a");
    }
}
