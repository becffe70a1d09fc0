//! What listings of source folders have shown, in a few numbers, so that it can be told later whether
//! more has come.

use serde::{Deserialize, Serialize};

use super::{
    file::{Data, DataKind, DataStatus},
    ids::digest,
};

/// What was seen in source folders. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// When the first listing was taken.
    pub at: i64,
    /// When the newest of what is there was made or changed.
    pub newest: i64,
    /// Whether there are files at all.
    pub any: bool,
    /// Whether there are files that cannot be read yet.
    pub waits: bool,
    /// How many files can be read.
    pub files: u64,
    /// A sum over their ids, in any order.
    pub sum: u64,
}

impl Seen {
    /// Nothing, as of that time.
    #[must_use]
    pub fn at(at: i64) -> Self {
        Self { at, ..Self::default() }
    }

    /// Takes a file or folder in.
    pub fn add(&mut self, data: &Data) {
        if data.status == DataStatus::Deleting {
            return;
        }
        self.newest = self.newest.max(data.touched().as_millisecond());
        if data.kind == DataKind::Folder {
            return;
        }
        self.any = true;
        match data.status {
            DataStatus::Available if !data.lacks_size() => {
                let digest = digest(&[data.id.as_str()]);
                let number = digest.get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok());
                self.files += 1;
                self.sum = self.sum.wrapping_add(number.unwrap_or_default());
            }
            DataStatus::Available | DataStatus::Partial | DataStatus::Unknown => self.waits = true,
            DataStatus::Archiving | DataStatus::Archived | DataStatus::Unarchiving | DataStatus::Deleting => {
            }
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            at: self.at.min(other.at),
            newest: self.newest.max(other.newest),
            any: self.any || other.any,
            waits: self.waits || other.waits,
            files: self.files + other.files,
            sum: self.sum.wrapping_add(other.sum),
        }
    }

    /// Whether the same files can be read.
    #[must_use]
    pub const fn is_as(&self, other: &Self) -> bool {
        self.files == other.files && self.sum == other.sum
    }

    /// Whether more may have been there than was shown. `settle` is how long the platform may hide what
    /// there is, in milliseconds; what was there at all shows at `complete_at`. Where the newest is older,
    /// no writer is at work there any more.
    #[must_use]
    pub const fn is_fresh(&self, complete_at: i64, settle: i64) -> bool {
        self.at < complete_at && (!self.any || self.waits || self.newest > self.at - settle)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{
        ids::{DataId, ProjectId},
        location::DataPath,
    };

    fn file(id: &str, status: DataStatus, made: i64) -> Data {
        let made = Timestamp::from_millisecond(made).unwrap();
        Data {
            id: DataId::new(id),
            owner: ProjectId::new("p"),
            path: DataPath::parse(&format!("/{id}")).unwrap(),
            kind: DataKind::File,
            status,
            size: 1,
            etag: None,
            created: made,
            modified: made,
            creator: None,
            unseen: false,
        }
    }

    fn seen(at: i64, files: &[Data]) -> Seen {
        let mut seen = Seen::at(at);
        for file in files {
            seen.add(file);
        }
        seen
    }

    #[test]
    fn only_what_nobody_works_on_is_old() {
        use DataStatus::{Archived, Available, Deleting, Partial};
        for (files, is_fresh) in [
            (&[][..], true),
            (&[file("a", Available, 100)], false),
            (&[file("a", Available, 100), file("b", Available, 951)], true),
            (&[file("a", Available, 100), file("b", Partial, 100)], true),
            (&[file("a", Archived, 100)], false),
            (&[file("a", Deleting, 999)], true),
        ] {
            assert_eq!(seen(1000, files).is_fresh(1050, 50), is_fresh, "{files:?}");
            assert!(!seen(1050, files).is_fresh(1050, 50), "all that was there shows by now");
        }
    }

    #[test]
    fn the_same_files_in_any_order_are_the_same() {
        let (a, b) = (file("a", DataStatus::Available, 1), file("b", DataStatus::Available, 2));
        let (one, other) = (seen(1, std::slice::from_ref(&a)), seen(1, std::slice::from_ref(&b)));
        let both = seen(1, &[a.clone(), b.clone()]);
        assert!(both.is_as(&seen(2, &[b, a, file("c", DataStatus::Partial, 3)])));
        assert!(both.is_as(&one.and(other)) && !one.is_as(&other));
    }
}
