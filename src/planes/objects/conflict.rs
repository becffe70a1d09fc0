//! The ways to deal with an object that stands at the destination (`onConflict`).
//!
//! A list overwrites whatever is not surely equal. A copy asks first, and then compares as copies into
//! projects do: an object of the same size, with nothing that tells the two apart, is taken for the same.

use super::{
    compare::{are_equal, checksums_agree},
    object::{There, failed},
};
use crate::{
    domain::{
        copy_out::{Copied, CopyStatus, Detail},
        diff::Clash,
        request::OnConflict,
    },
    planes::folder::clash_words,
    ports::objects::{ObjectInfo, Precondition},
};

const BY_SIZE: &str = "an object of the same size is there";
const KEPT: &str = "another object is there, and stays";
const UNSEEN: &str = "an object is there that this service may not look at";

/// How two objects compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// They are surely the same.
    Equal,
    /// Nothing tells them apart.
    Alike,
    /// They differ.
    Other(Clash),
}

/// Compares an object that is copied with the one that stands in its place.
pub(crate) fn likeness(source: &ObjectInfo, there: &ObjectInfo) -> Likeness {
    if are_equal(source, there) {
        Likeness::Equal
    } else if source.size != there.size {
        Likeness::Other(Clash::Size { there: there.size })
    } else if checksums_agree(source, there) == Some(false) || md5s_differ(source, there) {
        Likeness::Other(Clash::Content)
    } else {
        Likeness::Alike
    }
}

fn md5s_differ(a: &ObjectInfo, b: &ObjectInfo) -> bool {
    let md5 = |object: &ObjectInfo| {
        let etag = object.etag.as_ref().filter(|_| !object.opaque)?;
        etag.md5().map(str::to_ascii_lowercase)
    };
    md5(a).zip(md5(b)).is_some_and(|(a, b)| a != b)
}

/// The result of one look at both ends.
#[derive(Debug)]
pub(super) enum Way {
    /// It is to be written, if that holds.
    Write(Precondition),
    /// It is there.
    Equal(Box<ObjectInfo>),
    /// It ends so.
    Left(Copied),
}

/// The way to deal with an object. `blind`: the condition under which a destination that cannot be seen is
/// written; none once that has shown that something is there.
pub(super) fn way(
    on_conflict: Option<OnConflict>,
    source: &ObjectInfo,
    there: There,
    blind: &Precondition,
) -> Way {
    let there = match (there, on_conflict) {
        (There::Nothing, _) => return Way::Write(Precondition::Absent),
        (There::Unknown, Some(OnConflict::Fail | OnConflict::Skip)) if *blind == Precondition::None => {
            return Way::Left(left(on_conflict, UNSEEN.to_owned()));
        }
        (There::Unknown, _) => return Way::Write(blind.clone()),
        (There::Object(there), _) => there,
    };
    match (likeness(source, &there), on_conflict) {
        (Likeness::Equal, _) => Way::Equal(there),
        (_, None | Some(OnConflict::Overwrite)) => {
            Way::Write(there.etag.map_or(Precondition::None, Precondition::Matches))
        }
        (Likeness::Alike, _) => {
            let (status, message) = (CopyStatus::AlreadyCopied, BY_SIZE.to_owned());
            Way::Left(Copied { status, detail: Detail::BySize, ..failed(message) })
        }
        (Likeness::Other(clash), _) => Way::Left(left(on_conflict, clash_words(clash))),
    }
}

fn left(on_conflict: Option<OnConflict>, why: String) -> Copied {
    if on_conflict == Some(OnConflict::Skip) {
        let status = CopyStatus::AlreadyCopied;
        return Copied { status, detail: Detail::Kept, ..failed(KEPT.to_owned()) };
    }
    Copied { detail: Detail::Conflict, ..failed(why) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::file::ETag;

    const ONE: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const OTHER: &str = "0cc175b9c0f1b6a831c399e269772661";

    fn object(size: u64, etag: &str) -> ObjectInfo {
        ObjectInfo { size, etag: Some(ETag::new(etag)), ..ObjectInfo::default() }
    }

    #[test]
    fn only_what_tells_two_objects_apart_makes_them_others() {
        let source = object(5, ONE);
        let opaque = ObjectInfo { opaque: true, ..object(5, OTHER) };
        for (there, expected) in [
            (object(5, ONE), Likeness::Equal),
            (object(5, OTHER), Likeness::Other(Clash::Content)),
            (object(6, ONE), Likeness::Other(Clash::Size { there: 6 })),
            (object(5, "abc-2"), Likeness::Alike),
            (opaque, Likeness::Alike),
        ] {
            assert_eq!(likeness(&source, &there), expected, "{there:?}");
        }
    }

    #[test]
    fn each_way_with_each_destination() {
        let source = object(5, ONE);
        let there = |etag: &str| There::Object(Box::new(object(5, etag)));
        let shown = |on_conflict, there, blind: Precondition| match way(on_conflict, &source, there, &blind) {
            Way::Write(only_if) => format!("{only_if:?}"),
            Way::Equal(_) => "equal".to_owned(),
            Way::Left(left) => format!("{:?}", left.detail),
        };
        let [list, fail, skip, overwrite] =
            [None, Some(OnConflict::Fail), Some(OnConflict::Skip), Some(OnConflict::Overwrite)];
        for way in [list, fail, skip, overwrite] {
            assert_eq!(shown(way, There::Nothing, Precondition::None), "Absent");
            assert_eq!(shown(way, there(ONE), Precondition::None), "equal");
            assert_eq!(shown(way, There::Unknown, Precondition::Absent), "Absent");
        }
        let replaced = format!("Matches(ETag({OTHER:?}))");
        for (way, other, alike, unseen) in [
            (list, replaced.as_str(), "Matches(ETag(\"a-2\"))", "None"),
            (overwrite, &replaced, "Matches(ETag(\"a-2\"))", "None"),
            (fail, "Conflict", "BySize", "Conflict"),
            (skip, "Kept", "BySize", "Kept"),
        ] {
            assert_eq!(shown(way, there(OTHER), Precondition::Absent), other);
            assert_eq!(shown(way, there("a-2"), Precondition::Absent), alike);
            assert_eq!(shown(way, There::Unknown, Precondition::None), unseen);
        }
    }
}
