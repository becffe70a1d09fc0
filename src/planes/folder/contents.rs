//! Whether files of one size whose tags differ are the same.
//!
//! A tag that looks like an MD5 may be none: its form does not tell, only S3's answer about the object
//! does, which names its encryption. So in doubt this plane asks for one byte of it. The content of objects
//! that were read or written here is known without that. Where nothing is proven, sizes are compared.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    FolderPlane,
    snapshot::Snapshot,
    state::{FolderState, Upload},
    wanted::{Origin, Source},
};
use crate::{
    domain::{
        diff::Content,
        file::{DataKind, DataStatus, ETag, FileInfo},
        ids::{DataId, ProjectId},
    },
    engine::concurrent::join_unordered,
    ports::{
        Class, Error,
        objects::ObjectInfo,
        transfers::{ObjectSource, PresignedUrl},
    },
};

/// The most tags that are remembered, about 200 bytes each; then the memory begins anew.
const MOST_KNOWN: usize = 100_000;

/// Objects asked about in one look at most; more are compared by size.
const MOST_ASKED: usize = 10_000;

/// URLs asked for with one call: their lifetime is unknown.
const URLS_PER_CALL: usize = 100;

/// Objects asked about at a time.
const WIDTH: usize = 16;

/// How often an object is asked about.
const TRIES: u32 = 2;

/// The findings about the tags of objects.
#[derive(Debug, Default)]
pub(crate) struct Contents(Mutex<HashMap<(String, ETag), Proof>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    /// It is this MD5, in hex, or stands for bytes that have it.
    Md5(Arc<str>),
    /// It says nothing of the bytes.
    Nothing,
}

impl Contents {
    fn known(&self, id: &str, etag: &ETag) -> Option<Proof> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(id.to_owned(), etag.clone())).cloned()
    }

    fn note(&self, id: &str, etag: &ETag, md5: Option<&str>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        let proof = md5.map_or(Proof::Nothing, |md5| Proof::Md5(md5.to_ascii_lowercase().into()));
        known.insert((id.to_owned(), etag.clone()), proof);
    }
}

/// Two tags of which it is not known whether they are MD5s.
#[derive(Debug)]
pub(super) struct Doubt {
    origin: Origin,
    etag: ETag,
    there: DataId,
    tag: ETag,
}

impl Doubt {
    /// The question whose answer would tell the two apart, if there is one.
    pub(super) fn of(origin: &Origin, etag: Option<&ETag>, size: u64, there: &FileInfo) -> Option<Self> {
        let (etag, tag) = (etag?, there.etag.as_ref()?);
        let may_differ = etag.md5().zip(tag.md5()).is_some_and(|(a, b)| !a.eq_ignore_ascii_case(b));
        let is_there = there.kind == DataKind::File && there.status == DataStatus::Available;
        (may_differ && is_there && size > 0 && there.size == size).then(|| Self {
            origin: origin.clone(),
            etag: etag.clone(),
            there: there.id.clone(),
            tag: tag.clone(),
        })
    }
}

fn id_of(origin: &Origin) -> String {
    match origin {
        Origin::File { id, .. } => id.to_string(),
        Origin::Object(object) => object.at.to_string(),
    }
}

impl FolderPlane {
    /// How a file compares with the one that stands in its place, beyond its size.
    pub(super) fn tell_apart(&self, origin: &Origin, etag: Option<&ETag>, there: &FileInfo) -> Content {
        let (Some(etag), Some(tag)) = (etag, &there.etag) else { return Content::Unknown };
        if etag.md5().is_none() || tag.md5().is_none() {
            return Content::Unknown;
        }
        match (self.contents.known(&id_of(origin), etag), self.contents.known(there.id.as_str(), tag)) {
            (Some(Proof::Md5(ours)), Some(Proof::Md5(theirs))) if ours == theirs => Content::Same,
            (Some(Proof::Md5(_)), Some(Proof::Md5(_))) => Content::Other,
            _ => Content::Unknown,
        }
    }

    /// The same for a file of a folder that is reconciled: what our own upload was answered is what we
    /// have put there.
    pub(super) fn content_here(&self, source: &Source, upload: Option<&Upload>, there: &FileInfo) -> Content {
        let put = upload.filter(|upload| upload.tag.is_some() && upload.tag == there.etag);
        let Some(put) = put else {
            return self.tell_apart(&source.origin, source.wanted.etag.as_ref(), there);
        };
        // The upload is soon forgotten.
        if let (Some(md5), Some(tag)) = (&put.md5, &there.etag) {
            self.contents.note(there.id.as_str(), tag, Some(md5));
            if let Some(etag) = &source.wanted.etag {
                self.contents.note(&id_of(&source.origin), etag, Some(md5));
            }
        }
        Content::Same
    }

    /// Asks about files that cannot be told apart yet and have to be.
    pub(super) async fn weigh(&self, state: &FolderState, snapshot: &Snapshot) -> Result<(), Error> {
        let mut doubts = Vec::new();
        for (_, resolved, _) in &snapshot.waiters {
            for source in &resolved.files {
                let wanted = &source.wanted;
                let Some(there) = snapshot.listing.get(&wanted.name) else { continue };
                let upload = state.uploads.get(&wanted.name);
                if upload.is_none_or(|upload| upload.tag.is_none() || upload.tag != there.etag) {
                    doubts.extend(Doubt::of(&source.origin, wanted.etag.as_ref(), wanted.size, there));
                }
            }
        }
        self.settle_doubts(&snapshot.project, doubts).await
    }

    /// Asks about both ends of each, as far as that has not been done.
    pub(super) async fn settle_doubts(&self, project: &ProjectId, doubts: Vec<Doubt>) -> Result<(), Error> {
        let mut files: BTreeMap<ProjectId, BTreeMap<DataId, ETag>> = BTreeMap::new();
        let mut objects: Vec<(Box<ObjectSource>, ETag)> = Vec::new();
        for Doubt { origin, etag, there, tag } in doubts.into_iter().take(MOST_ASKED) {
            if self.contents.known(there.as_str(), &tag).is_none() {
                files.entry(project.clone()).or_default().insert(there, tag);
            }
            if self.contents.known(&id_of(&origin), &etag).is_some() {
                continue;
            }
            match origin {
                Origin::File { project, id } => drop(files.entry(project).or_default().insert(id, etag)),
                Origin::Object(object) => objects.push((object, etag)),
            }
        }
        for (project, files) in files {
            let files: Vec<_> = files.into_iter().collect();
            for some in files.chunks(URLS_PER_CALL) {
                self.ask_about(&project, some).await?;
            }
        }
        let looks = objects.into_iter().map(|(object, etag)| async move {
            let look = self.core.ports.objects.look(&object.at, &object.access).await;
            (object.at.to_string(), etag, look)
        });
        for (id, etag, look) in join_unordered(WIDTH, looks).await {
            let info = match look {
                Ok(info) => info.unwrap_or_default(),
                Err(error) if error.is_passing() => return Err(error),
                Err(_) => ObjectInfo::default(),
            };
            let said = info.etag.as_ref().filter(|_| !info.opaque);
            self.contents.note(&id, &etag, said.and_then(|etag| etag.md5()));
        }
        Ok(())
    }

    async fn ask_about(&self, project: &ProjectId, files: &[(DataId, ETag)]) -> Result<(), Error> {
        let ids: Vec<_> = files.iter().map(|(id, _)| id.clone()).collect();
        let urls = match self.core.ports.platform.download_urls(project, &ids).await {
            Ok(urls) => urls,
            Err(error) if error.is_passing() => return Err(error),
            // They are not for us to read.
            Err(error) if error.class == Class::Forbidden || files.len() == 1 => {
                for (id, etag) in files {
                    self.contents.note(id.as_str(), etag, None);
                }
                return Ok(());
            }
            // One of them is gone.
            Err(_) => {
                for one in files.chunks(1) {
                    Box::pin(self.ask_about(project, one)).await?;
                }
                return Ok(());
            }
        };
        let looks = files
            .iter()
            .zip(urls)
            .map(|((id, etag), url)| async move { (id, etag, self.look_behind(&url).await) });
        for (id, etag, md5) in join_unordered(WIDTH, looks).await {
            self.contents.note(id.as_str(), etag, md5?.as_deref());
        }
        Ok(())
    }

    /// The MD5 that S3 shows of the object behind a URL. A URL that is refused shows none.
    async fn look_behind(&self, url: &PresignedUrl) -> Result<Option<String>, Error> {
        let mut tries = 1;
        loop {
            match self.core.ports.transfers.look(url).await {
                Ok(tagged) => return Ok(tagged.md5().map(str::to_owned)),
                Err(error) if tries < TRIES && error.is_passing() => tries += 1,
                Err(error) if error.is_passing() && error.status.is_none_or(|status| status >= 500) => {
                    return Err(error);
                }
                Err(_) => return Ok(None),
            }
        }
    }
}
