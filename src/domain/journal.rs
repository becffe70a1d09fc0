//! The journal of a request or of a folder: the last things that have happened to it, kept in its record.
//!
//! It is what `copy-manager explain` tells from: logs may be gone, or with another instance.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Entries that are kept.
pub const MOST: usize = 50;
/// The longest note, in characters.
const LONGEST: usize = 200;

/// One thing that has happened, maybe several times in a row.
///
/// Stored as an array, as there are many of them: `[at, code, note, times, last]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it first happened, milliseconds since 1970.
    pub at: i64,
    /// What, by the code that the log line has, such as `job.submitted`.
    pub code: String,
    /// The particulars, in words.
    pub note: String,
    /// How often, one after the other.
    pub times: u32,
    /// When it last happened.
    pub last: i64,
}

impl Entry {
    /// Something that has just happened.
    #[must_use]
    pub fn new(at: i64, code: &str, note: &str) -> Self {
        let mut note: String = note.chars().take(LONGEST + 1).collect();
        if note.chars().count() > LONGEST {
            note = note.chars().take(LONGEST - 1).chain(['…']).collect();
        }
        Self { at, code: code.to_owned(), note, times: 1, last: at }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        if !self.note.is_empty() {
            write!(f, " {}", self.note)?;
        }
        if self.times > 1 { write!(f, " (×{})", self.times) } else { Ok(()) }
    }
}

impl Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { at, code, note, times, last } = self;
        if *times == 1 {
            return (at, code, note).serialize(serializer);
        }
        (at, code, note, times, last).serialize(serializer)
    }
}

impl Entry {
    /// The entry in a stored array; what newer versions may have added to it is ignored.
    fn read(stored: &[Value]) -> Option<Self> {
        let at = stored.first()?.as_i64()?;
        let text = |place: usize| stored.get(place).and_then(Value::as_str).map(str::to_owned);
        let times =
            stored.get(3).and_then(Value::as_u64).and_then(|times| u32::try_from(times).ok()).unwrap_or(1);
        let last = stored.get(4).and_then(Value::as_i64).unwrap_or(at);
        Some(Self { at, code: text(1)?, note: text(2)?, times, last })
    }
}

/// The last entries, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Journal(Vec<Entry>);

impl Journal {
    /// The journal in a stored text, without entries that cannot be read: they are no reason to fail anything.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        let stored: Option<Vec<Vec<Value>>> = text.and_then(|text| serde_json::from_str(text).ok());
        Self(stored.unwrap_or_default().iter().filter_map(|entry| Entry::read(entry)).collect())
    }

    /// Adds an entry; what happens again in the same way is counted, and the oldest ones go.
    pub fn add(&mut self, entry: Entry) {
        match self.0.last_mut() {
            Some(last) if last.code == entry.code && last.note == entry.note => {
                last.times = last.times.saturating_add(entry.times);
                last.last = entry.last;
            }
            _ => self.0.push(entry),
        }
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// As it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_counted_and_the_last_are_kept() {
        let mut journal = Journal::default();
        for at in 0..3 {
            journal.add(Entry::new(at, "file.deleted", "leftover"));
        }
        assert_eq!(journal.to_text(), r#"[[0,"file.deleted","leftover",3,2]]"#);
        assert_eq!(journal.entries()[0].to_string(), "file.deleted leftover (×3)");
        for at in 3..200 {
            journal.add(Entry::new(at, "job.ended", &at.to_string()));
        }
        assert_eq!((journal.entries().len(), journal.entries()[0].at), (MOST, 150));
        assert_eq!(Journal::read(Some(&journal.to_text())), journal);
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_empty_and_a_note_is_bounded() {
        assert_eq!(Journal::read(Some("[[1]]")), Journal::default());
        let newer = Journal::read(Some(r#"[[1,"a.b","c",2,9,"more"],[2],[3,"a.b","d",4]]"#));
        assert_eq!(
            newer.entries().iter().map(|entry| (entry.at, entry.times)).collect::<Vec<_>>(),
            [(1, 2), (3, 4)]
        );
        assert_eq!(Journal::read(None), Journal::default());
        assert_eq!(Entry::new(0, "a", &"é".repeat(1000)).note.chars().count(), LONGEST);
    }
}
