//! What one wanted file needs, given what stands at its destination. The heart of the copy: pure,
//! total, and the same for every kind of request.

use super::{
    file::{DataKind, DataStatus, ETag, FileInfo},
    request::OnConflict,
    route::Route,
};

/// A file that must come to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The name it gets at the destination.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// The source's `objectETag`.
    pub etag: Option<ETag>,
    /// How it will be brought.
    pub route: Route,
}

/// What is known of the content of two files of one size, beyond their tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    /// Nothing: a tag that looks like an MD5 need not be one.
    #[default]
    Unknown,
    /// It is the same.
    Same,
    /// It is not.
    Other,
}

/// What else is known about the name at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each a column of the table")]
pub struct Surroundings {
    /// Something of ours brings it: a running job, a submit intent, a live stream claim.
    pub in_flight: bool,
    /// What is there cannot be proved to be ours: another writer may be writing it.
    pub stranger: bool,
    /// The waiter has waited long enough for what is not ours to move.
    pub overdue: bool,
    /// What is there is younger than `settle`.
    pub young: bool,
    /// What is there has been condemned and its deletion is not yet confirmed.
    pub condemned: bool,
    /// How the content of what is there compares.
    pub content: Content,
}

/// Why a file cannot be brought as things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clash {
    /// AVAILABLE with another size.
    Size {
        /// Its size.
        there: u64,
    },
    /// AVAILABLE, equal in size, with another MD5.
    Content,
    /// A folder of that name.
    Folder,
    /// In cold storage, or on its way there or back.
    Archived,
    /// PARTIAL, and not ours.
    Uploading,
    /// Of a status or a type that is not known here.
    Unknown,
}

/// What to do about one wanted file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There and equal. `by_size` when nothing else could be compared.
    Done {
        /// Only the sizes could be compared.
        by_size: bool,
    },
    /// Nothing to do now; something is on its way or on its way out.
    Wait,
    /// To be brought.
    Missing,
    /// A PARTIAL leftover of ours that a stream may overwrite through its own upload URL.
    Overwrite,
    /// A PARTIAL leftover of ours that blocks a job: condemn, look again, delete.
    Condemn,
    /// Another file is there and has to go: condemn, look again, delete; gone, it is missing.
    Replace,
    /// Another file is there and stays; this one is not brought.
    Skipped,
    /// Something else is there.
    Clash(Clash),
}

/// Compares one wanted file with what stands under its exact name.
#[must_use]
pub fn verdict(
    wanted: &Wanted,
    there: Option<&FileInfo>,
    around: Surroundings,
    on_conflict: OnConflict,
) -> Verdict {
    let Some(there) = there else {
        return if around.in_flight { Verdict::Wait } else { Verdict::Missing };
    };
    if there.kind == DataKind::Folder {
        return Verdict::Clash(Clash::Folder);
    }
    match there.status {
        DataStatus::Unknown if around.overdue && !around.in_flight && !around.condemned => {
            Verdict::Clash(Clash::Unknown)
        }
        DataStatus::Deleting | DataStatus::Unknown => Verdict::Wait,
        DataStatus::Available if around.condemned => Verdict::Wait,
        // How large it is has not been told yet.
        DataStatus::Available if there.lacks_size() && wanted.size > 0 => Verdict::Wait,
        DataStatus::Available if there.size != wanted.size => {
            differs(Clash::Size { there: there.size }, around, on_conflict)
        }
        DataStatus::Available => match around.content {
            Content::Other => differs(Clash::Content, around, on_conflict),
            Content::Same => Verdict::Done { by_size: false },
            Content::Unknown => Verdict::Done { by_size: wanted.size > 0 && !have_one_tag(wanted, there) },
        },
        DataStatus::Partial if around.in_flight || around.condemned => Verdict::Wait,
        DataStatus::Partial if around.stranger && around.overdue => Verdict::Clash(Clash::Uploading),
        DataStatus::Partial if around.stranger || around.young => Verdict::Wait,
        DataStatus::Partial => match wanted.route {
            Route::Stream | Route::S3Copy => Verdict::Overwrite,
            Route::Job => Verdict::Condemn,
        },
        DataStatus::Archiving | DataStatus::Archived | DataStatus::Unarchiving => {
            Verdict::Clash(Clash::Archived)
        }
    }
}

/// What becomes of a wanted file where another one is AVAILABLE.
fn differs(clash: Clash, around: Surroundings, on_conflict: OnConflict) -> Verdict {
    if around.in_flight {
        // It may be what is on its way, half told; nothing is concluded and nothing deleted.
        return Verdict::Wait;
    }
    match on_conflict {
        OnConflict::Fail => Verdict::Clash(clash),
        OnConflict::Skip => Verdict::Skipped,
        OnConflict::Overwrite => Verdict::Replace,
    }
}

/// Whether both have the same tag: that does not happen by chance, whatever tags are made of.
fn have_one_tag(wanted: &Wanted, there: &FileInfo) -> bool {
    let same = |(ours, theirs): (&ETag, &ETag)| ours.as_str().eq_ignore_ascii_case(theirs.as_str());
    wanted.etag.as_ref().zip(there.etag.as_ref()).is_some_and(same)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::ids::DataId;

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const OTHER_MD5: &str = "0cc175b9c0f1b6a831c399e269772661";

    fn wanted(route: Route, etag: &str) -> Wanted {
        Wanted { name: "a".into(), size: 5, etag: Some(ETag::new(etag)), route }
    }

    fn there(status: DataStatus, size: u64, etag: Option<&str>) -> FileInfo {
        FileInfo {
            id: DataId::new("fil.1"),
            kind: DataKind::File,
            status,
            size,
            etag: etag.map(ETag::new),
            created: Timestamp::UNIX_EPOCH,
            creator: None,
        }
    }

    /// Fails, overwrites and skips alike.
    const fn always(verdict: Verdict) -> [Verdict; 3] {
        [verdict; 3]
    }

    /// What the three ways of [`OnConflict::ALL`] make of another file.
    const fn conflict(clash: Clash) -> [Verdict; 3] {
        [Verdict::Clash(clash), Verdict::Replace, Verdict::Skipped]
    }

    #[test]
    fn every_row_of_the_table_under_every_policy() {
        use DataStatus::{Archived, Archiving, Available, Deleting, Partial, Unarchiving, Unknown};

        let calm = Surroundings::default();
        let busy = Surroundings { in_flight: true, ..calm };
        let young = Surroundings { young: true, ..calm };
        let foreign = Surroundings { stranger: true, ..calm };
        let overdue = Surroundings { overdue: true, ..foreign };
        let condemned = Surroundings { condemned: true, ..calm };
        let same = Surroundings { content: Content::Same, ..calm };
        let other = Surroundings { content: Content::Other, ..calm };
        let untagged = Wanted { etag: None, ..wanted(Route::Stream, MD5) };
        let job = wanted(Route::Job, "abc-2");
        let stream = wanted(Route::Stream, MD5);
        let (wait, missing) = (always(Verdict::Wait), always(Verdict::Missing));
        let (equal, alike) = (Verdict::Done { by_size: false }, Verdict::Done { by_size: true });
        let (uploading, unknown) =
            (always(Verdict::Clash(Clash::Uploading)), always(Verdict::Clash(Clash::Unknown)));
        let (longer, archived) = (Clash::Size { there: 6 }, always(Verdict::Clash(Clash::Archived)));
        let rows = [
            (&job, None, calm, missing),
            (&job, None, busy, wait),
            (&job, Some(there(Available, 5, Some("abc-2"))), calm, always(equal)),
            (&job, Some(there(Available, 5, Some("zzz-3"))), calm, always(alike)),
            (&stream, Some(there(Available, 5, Some(MD5))), calm, always(equal)),
            (&stream, Some(there(Available, 5, None)), calm, always(alike)),
            (&untagged, Some(there(Available, 5, None)), calm, always(alike)),
            (&stream, Some(there(Available, 5, Some(OTHER_MD5))), calm, always(alike)),
            (&stream, Some(there(Available, 5, Some(OTHER_MD5))), same, always(equal)),
            (&stream, Some(there(Available, 5, Some(OTHER_MD5))), other, conflict(Clash::Content)),
            (
                &stream,
                Some(there(Available, 5, Some(OTHER_MD5))),
                Surroundings { in_flight: true, ..other },
                wait,
            ),
            (&job, Some(there(Available, 0, Some("abc-2"))), calm, wait),
            (&stream, Some(there(Available, 5, Some(OTHER_MD5))), condemned, wait),
            (&stream, Some(there(Available, 6, Some(MD5))), calm, conflict(longer)),
            (&stream, Some(there(Available, 6, Some(MD5))), young, conflict(longer)),
            (&stream, Some(there(Available, 6, Some(MD5))), foreign, conflict(longer)),
            (&job, Some(there(Available, 6, Some("abc-2"))), calm, conflict(longer)),
            (&job, Some(there(Available, 6, Some("abc-2"))), busy, wait),
            (&job, Some(there(Available, 6, Some("abc-2"))), condemned, wait),
            (&job, Some(there(Available, 5, None)), condemned, wait),
            (&job, Some(there(Partial, 0, None)), busy, wait),
            (&job, Some(there(Partial, 0, None)), young, wait),
            (&job, Some(there(Partial, 0, None)), foreign, wait),
            (&stream, Some(there(Partial, 0, None)), foreign, wait),
            (&job, Some(there(Partial, 0, None)), overdue, uploading),
            (&stream, Some(there(Partial, 0, None)), overdue, uploading),
            (&job, Some(there(Partial, 0, None)), Surroundings { in_flight: true, ..overdue }, wait),
            (&job, Some(there(Partial, 0, None)), Surroundings { overdue: true, ..young }, wait),
            (&stream, Some(there(Unknown, 5, Some(MD5))), calm, wait),
            (&job, Some(there(Unknown, 5, None)), Surroundings { in_flight: true, ..overdue }, wait),
            (&job, Some(there(Unknown, 0, None)), Surroundings { overdue: true, ..calm }, unknown),
            (&job, Some(there(Partial, 0, None)), condemned, wait),
            (&job, Some(there(Partial, 0, None)), calm, always(Verdict::Condemn)),
            (&stream, Some(there(Partial, 0, None)), calm, always(Verdict::Overwrite)),
            (&stream, Some(there(Partial, 0, None)), young, wait),
            (&job, Some(there(Deleting, 5, None)), calm, wait),
            (&job, Some(there(Deleting, 6, None)), busy, wait),
            (&job, Some(there(Archived, 5, None)), calm, archived),
            (&job, Some(there(Archiving, 6, None)), calm, archived),
            (&stream, Some(there(Unarchiving, 5, None)), calm, archived),
        ];
        for (n, (wanted, there, around, expected)) in rows.into_iter().enumerate() {
            let verdicts = OnConflict::ALL.map(|way| verdict(wanted, there.as_ref(), around, way));
            assert_eq!(verdicts, expected, "row {n}");
        }
    }

    #[test]
    fn a_folder_in_the_way_is_a_clash_whatever_its_status() {
        let mut folder = there(DataStatus::Available, 0, None);
        folder.kind = DataKind::Folder;
        let job = wanted(Route::Job, "a-2");
        for status in [DataStatus::Available, DataStatus::Partial, DataStatus::Deleting] {
            folder.status = status;
            let verdicts =
                OnConflict::ALL.map(|way| verdict(&job, Some(&folder), Surroundings::default(), way));
            assert_eq!(verdicts, always(Verdict::Clash(Clash::Folder)));
        }
    }
}
