//! What is found out about lines while they are written.

use std::collections::BTreeMap;

use super::LineError;

/// What was done to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mending {
    /// NUL was taken out of a text.
    Nul,
    /// `\u0000` was taken out of JSON.
    JsonNul,
    /// What is no UTF-8, or half of a surrogate pair, became U+FFFD.
    NoUtf8,
    /// A year after 9999 or before 1 was clamped, or written as PostgreSQL writes it, or became NULL.
    FarDate,
    /// What is no JSON became a text of JSON.
    NoJson,
    /// The source has cut it: not mended, but counted.
    Oversized,
}

impl Mending {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Nul => "NUL taken out",
            Self::JsonNul => "\\u0000 taken out",
            Self::NoUtf8 => "no UTF-8: replaced by U+FFFD",
            Self::FarDate => "year after 9999 or before 1",
            Self::NoJson => "no JSON: kept as a text",
            Self::Oversized => "too large for the source: a placeholder came",
        }
    }
}

/// A line that could not be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Its key, as JSON.
    pub key: String,
    /// The line as it came, but for columns that are treated.
    pub line: String,
    /// Why.
    pub reason: String,
}

/// Bytes of a line that are kept of one that could not be stored.
const LONGEST_KEPT: usize = 64 * 1024;

/// What is found out, and what is needed on the way.
#[derive(Debug)]
pub struct Tally {
    /// Lines that were read, without the header.
    pub read: u64,
    /// Lines that were written.
    pub written: u64,
    /// Lines that could not be stored; whoever takes them out makes room for no more than there was.
    pub misfits: Vec<Misfit>,
    /// How many there may be in all.
    most_misfits: u64,
    misfits_in_all: u64,
    mended: BTreeMap<(usize, Mending), u64>,
    pending: Vec<(usize, Mending, u64)>,
    /// Where the fields of the line end.
    pub(super) ends: Vec<usize>,
    /// A field on its way.
    pub(super) text: Vec<u8>,
}

impl Tally {
    /// None yet; of lines that cannot be stored at most so many are taken.
    #[must_use]
    pub const fn new(most_misfits: u64) -> Self {
        Self {
            read: 0,
            written: 0,
            misfits: Vec::new(),
            most_misfits,
            misfits_in_all: 0,
            mended: BTreeMap::new(),
            pending: Vec::new(),
            ends: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Values that were mended: number of the column among those that are written, what was done, and how
    /// often.
    pub fn mended(&self) -> impl Iterator<Item = (usize, Mending, u64)> {
        self.mended.iter().map(|((column, mending), count)| (*column, *mending, *count))
    }

    /// Notes what was done to a value of the line in hand.
    pub(super) fn mend(&mut self, column: usize, mending: Mending, count: u64) {
        if count > 0 {
            self.pending.push((column, mending, count));
        }
    }

    /// The line in hand was written.
    pub(super) fn keep(&mut self) {
        self.written += 1;
        for (column, mending, count) in self.pending.drain(..) {
            *self.mended.entry((column, mending)).or_default() += count;
        }
    }

    /// The line in hand was not written, or not so.
    pub(super) fn forget(&mut self) {
        self.pending.clear();
    }

    pub(super) fn reject(&mut self, key: String, line: &[u8], reason: String) -> Result<(), LineError> {
        self.misfits_in_all += 1;
        if self.misfits_in_all > self.most_misfits {
            return Err(LineError::Misfits { line: self.read, most: self.most_misfits, reason });
        }
        let kept = String::from_utf8_lossy(line.get(..LONGEST_KEPT).unwrap_or(line));
        // The database takes no NUL in a text.
        self.misfits.push(Misfit { key, line: kept.replace('\0', "\u{FFFD}"), reason });
        Ok(())
    }
}
