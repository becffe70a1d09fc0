//! The entries of a folder, by exact name: sorted once and searched, because a folder may hold hundreds of
//! thousands of files and every look needs all of them.

use crate::domain::{
    file::{Data, DataKind, FileInfo},
    ids::DataId,
};

/// One listing of a folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    entries: Vec<(Box<str>, FileInfo)>,
    /// Calls it took.
    pub pages: u32,
}

impl Listing {
    /// Takes a page in.
    pub(super) fn add(&mut self, page: Vec<Data>) {
        self.pages += 1;
        self.entries.extend(page.into_iter().map(|data| (Box::from(data.name()), FileInfo::from(data))));
    }

    /// To be called once, when every page is in.
    pub(super) fn complete(mut self) -> Self {
        // S3 lets a file and a folder have one name; the file is what is compared.
        self.entries.sort_by(|(a, data), (b, other)| {
            a.cmp(b).then_with(|| (data.kind == DataKind::Folder).cmp(&(other.kind == DataKind::Folder)))
        });
        self.entries.dedup_by(|(b, _), (a, _)| a == b);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get(&self, name: &str) -> Option<&FileInfo> {
        let at = self.entries.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        self.entries.get(at).map(|(_, standing)| standing)
    }

    /// Everything that is there.
    pub(super) fn all(&self) -> impl Iterator<Item = &FileInfo> {
        self.entries.iter().map(|(_, standing)| standing)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &DataId> {
        self.entries.iter().map(|(_, standing)| &standing.id)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{file::DataStatus, ids::ProjectId, location::DataPath};

    fn data(path: &str, kind: DataKind) -> Data {
        Data {
            id: DataId::new(path),
            owner: ProjectId::new("p"),
            path: DataPath::parse(path).unwrap(),
            kind,
            status: DataStatus::Available,
            size: 1,
            etag: None,
            created: Timestamp::UNIX_EPOCH,
            modified: Timestamp::UNIX_EPOCH,
            creator: None,
            unseen: false,
        }
    }

    #[test]
    fn a_file_hides_a_folder_of_its_name_whichever_comes_first() {
        for turned in [false, true] {
            let mut both = vec![data("/d/a/", DataKind::Folder), data("/d/a", DataKind::File)];
            if turned {
                both.reverse();
            }
            let mut listing = Listing::default();
            listing.add(both);
            listing.add(vec![data("/d/B", DataKind::File)]);
            let listing = listing.complete();
            assert_eq!(listing.get("a").unwrap().kind, DataKind::File);
            assert_eq!((listing.get("b"), listing.ids().count(), listing.pages), (None, 2, 2));
        }
    }
}
