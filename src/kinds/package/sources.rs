//! Where the files of packages may be read from, and what is seen of those that are in ICAv2 projects.

use std::collections::BTreeSet;

use crate::{
    domain::{
        file::{Data, DataKind, DataStatus, status_words},
        location::Location,
        outcome::Failure,
        policy::Place,
        share::{
            files::{InProject, PackagedFile, StorageClass},
            request::{Listed, PackageRequest},
            sums,
        },
    },
    engine::{core::Core, kind::PlanError},
    kinds::{
        frozen::{Dropped, PackageChunk},
        sources::{files, find::Found, places::Projects},
    },
};

/// The places that files and tables come from, each looked up once.
pub(super) struct Sources<'a> {
    buckets: BTreeSet<String>,
    projects: Projects<'a>,
}

/// Whether a URI is that of a file of a project.
fn is_of_project(uri: &str) -> bool {
    uri.starts_with("icav2://")
}

impl<'a> Sources<'a> {
    /// None yet.
    pub(super) fn new(core: &'a Core) -> Self {
        let projects = Projects::new(core.ports.platform.as_ref(), &core.settings.policy);
        Self { buckets: BTreeSet::new(), projects }
    }

    /// Whether the tables that a request names may be read: what they hold is told.
    pub(super) fn check_tables(&mut self, request: &PackageRequest) -> Result<(), Failure> {
        let manifest = request.manifest.as_ref().and_then(Listed::uri);
        let lims = request.lims_manifest.as_ref().and_then(Listed::uri);
        manifest.into_iter().chain(lims).try_for_each(|uri| self.check_bucket(uri))
    }

    /// Whether that file may be read.
    pub(super) async fn check(&mut self, uri: &str) -> Result<(), PlanError> {
        if !is_of_project(uri) {
            return Ok(self.check_bucket(uri)?);
        }
        files::check(&mut self.projects, uri).await.map(drop)
    }

    /// Whether that bucket may be read.
    fn check_bucket(&mut self, uri: &str) -> Result<(), Failure> {
        let bucket = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let bucket = bucket.map(|(bucket, _)| bucket).unwrap_or_default();
        if !self.buckets.contains(bucket) {
            self.projects.rules.check_source(Place::Bucket(bucket), uri)?;
            self.buckets.insert(bucket.to_owned());
        }
        Ok(())
    }

    /// Looks at the files of a chunk that are in projects.
    pub(super) async fn look(&mut self, chunk: &mut PackageChunk) -> Result<(), PlanError> {
        let uris = chunk.files.iter().enumerate().map(|(n, file)| (n, file.uri.as_str()));
        let uris: Vec<_> = uris.filter(|(_, uri)| is_of_project(uri)).collect();
        if uris.is_empty() {
            return Ok(());
        }
        for (n, found) in files::look(&mut self.projects, uris.into_iter()).await? {
            let Some(file) = chunk.files.get_mut(n) else { continue };
            let dropped = match found {
                None => Some(Dropped::Missing),
                Some(found) => {
                    unready(&found.data).map(|why| Dropped::Unready(why.to_owned())).or_else(|| {
                        keep(file, found);
                        None
                    })
                }
            };
            if let Some(why) = dropped {
                chunk.dropped.insert(n, why);
            }
        }
        Ok(())
    }

    /// Texts beside files of projects in which their sums may be.
    pub(super) async fn beside(
        &mut self,
        of: &[(usize, &str)],
    ) -> Result<Vec<(usize, InProject)>, PlanError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let named = |(n, uri): &(usize, &str)| {
            let n = *n;
            sums::ENDINGS.map(|ending| (n, format!("{uri}{ending}")))
        };
        // No file has a name that is too long for one.
        let uris = of.iter().flat_map(named).filter(|(_, uri)| Location::parse(uri).is_ok());
        let uris: Vec<(usize, String)> = uris.collect();
        let numbered = uris.iter().enumerate().map(|(at, (_, uri))| (at, uri.as_str()));
        let found = files::look(&mut self.projects, numbered).await?;
        let there = found.into_iter().filter_map(|(at, found)| {
            let found = found.filter(|found| unready(&found.data).is_none())?;
            let (n, _) = uris.get(at)?;
            Some((*n, InProject { project: found.project, data: found.data.id }))
        });
        Ok(there.collect())
    }
}

/// Why what was found cannot be copied as it is.
fn unready(data: &Data) -> Option<&'static str> {
    match data.status {
        _ if data.kind == DataKind::Folder => Some("it is a folder"),
        DataStatus::Available if data.lacks_size() => Some("ICAv2 does not tell its size"),
        DataStatus::Available => None,
        status => Some(status_words(status)),
    }
}

/// Keeps a file as it was seen. Whether a tag that looks like an MD5 is one, ICAv2 does not say.
fn keep(file: &mut PackagedFile, Found { project, data, .. }: Found) {
    let etag = data.etag.as_ref().map(ToString::to_string);
    let has_other_size = file.size != 0 && file.size != data.size;
    if has_other_size || file.etag.is_some() && file.etag != etag {
        // What a row says of another file holds for that one alone.
        (file.md5, file.sha256) = (None, None);
    }
    (file.size, file.etag, file.modified) = (data.size, etag, Some(data.modified));
    (file.storage_class, file.archived) = (StorageClass::Standard, false);
    file.icav2 = Some(InProject { project, data: data.id });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            file::ETag,
            ids::{DataId, ProjectId},
            location::DataPath,
        },
        kinds::package::tests::file,
    };

    fn data(status: DataStatus, size: u64, etag: Option<&str>) -> Data {
        Data {
            id: DataId::new("fil.1"),
            owner: ProjectId::new("p"),
            path: DataPath::parse("/a").unwrap(),
            kind: DataKind::File,
            status,
            size,
            etag: etag.map(ETag::new),
            created: jiff::Timestamp::UNIX_EPOCH,
            modified: jiff::Timestamp::UNIX_EPOCH,
            creator: None,
            unseen: false,
        }
    }

    #[test]
    fn what_cannot_be_read_now_is_said() {
        assert_eq!(unready(&data(DataStatus::Available, 1, Some("e"))), None);
        assert_eq!(unready(&data(DataStatus::Archived, 1, Some("e"))), Some("it is archived"));
        let silent = unready(&data(DataStatus::Available, 0, Some("e-2")));
        assert_eq!(silent, Some("ICAv2 does not tell its size"));
    }

    #[test]
    fn sums_of_a_row_hold_for_the_file_that_it_tells_of() {
        let found = |size, etag| Found {
            uri: String::new(),
            project: ProjectId::new("p"),
            data: data(DataStatus::Available, size, Some(etag)),
        };
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        let told = |etag| PackagedFile { md5: Some("0e".into()), ..file("p", etag) };
        let mut same = told("e");
        keep(&mut same, found(1, "e"));
        assert_eq!(same.md5.as_deref(), Some("0e"));
        let mut other = told("e");
        keep(&mut other, found(1, md5));
        assert_eq!((other.md5, other.etag.as_deref()), (None, Some(md5)), "a tag may be under KMS");
    }
}
