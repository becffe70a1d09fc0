//! URIs of data and their grammar.
//!
//! `icav2://{project id or name}/path` and `s3://bucket/key`; a trailing `/` means folder. The text
//! after the authority is taken as it is: nothing is percent-decoded, `?` and `#` are ordinary
//! characters, and no segment is collapsed, because real file names hold all of these.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bucket::{self, NoBucket};

/// Where data is, as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// Data in an ICAv2 project.
    Icav2 {
        /// The project, by id or by exact name.
        project: String,
        /// The path inside the project.
        path: DataPath,
    },
    /// An object or a prefix in S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key, without the slash that follows the bucket; may be empty (the whole bucket).
        key: String,
    },
}

/// An absolute path in a project: starts with `/`; a folder ends with `/`, a file does not.
///
/// What callers write is checked by [`DataPath::parse`]. What ICAv2 tells is taken as it is
/// ([`DataPath::told`]): it has names that no caller would write, and one of them must not hide a
/// whole folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataPath(String);

impl TryFrom<String> for DataPath {
    type Error = LocationError;

    /// Of a record of ours, which may hold what ICAv2 has told.
    fn try_from(text: String) -> Result<Self, LocationError> {
        Self::told(text)
    }
}

impl From<DataPath> for String {
    fn from(path: DataPath) -> Self {
        path.0
    }
}

/// Why a text is not a location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Neither `icav2://` nor `s3://`.
    #[error("`{0}` is neither an icav2:// nor an s3:// URI")]
    Scheme(String),
    /// No project or bucket.
    #[error("`{0}` names no {1}")]
    Authority(String, &'static str),
    /// What stands for a bucket cannot be one.
    #[error("`{0}` names no bucket: {1}")]
    Bucket(String, NoBucket),
    /// No slash after the project.
    #[error("`{0}` has no path after its project")]
    NoPath(String),
    /// `//` inside an ICAv2 path; no file can have an empty name.
    #[error("`{0}` has an empty name in its path")]
    EmptyName(String),
    /// A control character.
    #[error("`{0}` holds a control character")]
    Control(String),
    /// Longer than an S3 key can be.
    #[error("the path of `{0}…` is longer than {MAX_PATH_BYTES} bytes")]
    TooLong(String),
}

/// An S3 key holds at most 1024 bytes (AWS), and ICAv2 paths become keys: without their first slash, and
/// behind the prefix that a project has in its bucket.
pub const MAX_PATH_BYTES: usize = 1024;

impl DataPath {
    /// Checks and wraps an absolute path.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(LocationError::NoPath(shown(text)));
        };
        check_text(text)?;
        check_length(rest, text)?;
        let inside = rest.strip_suffix('/').unwrap_or(rest);
        if text != "/" && inside.split('/').any(str::is_empty) {
            return Err(LocationError::EmptyName(shown(text)));
        }
        Ok(Self(text.to_owned()))
    }

    /// Wraps a path that ICAv2 told: whatever is in it is there.
    pub fn told(text: String) -> Result<Self, LocationError> {
        if text.starts_with('/') { Ok(Self(text)) } else { Err(LocationError::NoPath(shown(&text))) }
    }

    /// The root of a project.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Complains about a path that is longer than an S3 key can be, and so than any at a destination.
    pub fn check_length(&self) -> Result<(), LocationError> {
        check_length(self.0.strip_prefix('/').unwrap_or(&self.0), &self.0)
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.0.ends_with('/')
    }

    /// Whether it is the project's root, which has no id and cannot be made.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// The last name of the path, without slashes; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        let bare = self.0.strip_suffix('/').unwrap_or(&self.0);
        bare.rsplit_once('/').map_or(bare, |(_, name)| name)
    }

    /// The folder that holds it; the root's parent is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        let bare = self.0.strip_suffix('/').unwrap_or(&self.0);
        bare.rsplit_once('/').map_or_else(|| Self("/".to_owned()), |(parent, _)| Self(format!("{parent}/")))
    }

    /// A file of that name in this folder.
    #[must_use]
    pub fn file(&self, name: &str) -> Self {
        Self(format!("{}{name}", self.0))
    }

    /// A folder of that name in this folder.
    #[must_use]
    pub fn folder(&self, name: &str) -> Self {
        Self(format!("{}{name}/", self.0))
    }

    /// The same as a folder.
    #[must_use]
    pub fn as_folder(&self) -> Self {
        if self.is_folder() { self.clone() } else { Self(format!("{}/", self.0)) }
    }

    /// What follows `folder` when this path lies inside it, compared by whole names.
    #[must_use]
    pub fn inside<'a>(&'a self, folder: &Self) -> Option<&'a str> {
        self.0.strip_prefix(folder.as_str()).filter(|_| folder.is_folder())
    }
}

impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Location {
    /// Reads a URI.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        if let Some(rest) = text.strip_prefix("icav2://") {
            let (project, path) = rest.split_once('/').ok_or_else(|| LocationError::NoPath(shown(text)))?;
            if project.is_empty() {
                return Err(LocationError::Authority(shown(text), "project"));
            }
            check_text(project)?;
            let path = DataPath::parse(&format!("/{path}")).map_err(|error| error.about(text))?;
            return Ok(Self::Icav2 { project: project.to_owned(), path });
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(LocationError::Authority(shown(text), "bucket"));
            }
            // A key may hold any character, and some do; a project's files are not named so.
            bucket::check(bucket).map_err(|why| LocationError::Bucket(shown(text), why))?;
            check_length(key, text)?;
            return Ok(Self::S3 { bucket: bucket.to_owned(), key: key.to_owned() });
        }
        Err(LocationError::Scheme(shown(text)))
    }

    /// Reads the URI of a place that things are to be brought to. What exists may have any name; what is made
    /// has none that a shell or a spreadsheet has left a line break in.
    ///
    /// A project without a path is its root: what is to be brought there is put beside all that is in it. For
    /// a source that would be the whole project, which no caller should name by leaving something out.
    pub fn parse_destination(text: &str) -> Result<Self, LocationError> {
        check_text(text)?;
        match Self::parse(text) {
            Err(LocationError::NoPath(_)) => Self::parse(&format!("{text}/")),
            location => location,
        }
    }

    /// Whether it is the root of a project.
    #[must_use]
    pub fn is_root(&self) -> bool {
        matches!(self, Self::Icav2 { path, .. } if path.is_root())
    }

    /// Whether it names a folder (or a prefix).
    #[must_use]
    pub fn is_folder(&self) -> bool {
        match self {
            Self::Icav2 { path, .. } => path.is_folder(),
            Self::S3 { key, .. } => key.is_empty() || key.ends_with('/'),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icav2 { project, path } => write!(f, "icav2://{project}{path}"),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl LocationError {
    /// The same complaint about the whole URI.
    fn about(self, uri: &str) -> Self {
        match self {
            Self::NoPath(_) => Self::NoPath(shown(uri)),
            Self::EmptyName(_) => Self::EmptyName(shown(uri)),
            other @ (Self::Scheme(_)
            | Self::Authority(..)
            | Self::Bucket(..)
            | Self::Control(_)
            | Self::TooLong(_)) => other,
        }
    }
}

fn check_text(text: &str) -> Result<(), LocationError> {
    if text.chars().any(char::is_control) {
        return Err(LocationError::Control(shown(text)));
    }
    Ok(())
}

/// Whether S3 has keys as long as that; `text` is what it is a part of.
fn check_length(key: &str, text: &str) -> Result<(), LocationError> {
    if key.len() > MAX_PATH_BYTES {
        return Err(LocationError::TooLong(shown(text)));
    }
    Ok(())
}

/// The text as it may stand in a message: control characters escaped, not endless.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn icav2(text: &str) -> (String, String) {
        match Location::parse(text).unwrap() {
            Location::Icav2 { project, path } => (project, path.to_string()),
            Location::S3 { .. } => panic!("not icav2"),
        }
    }

    #[test]
    fn names_are_taken_as_they_are() {
        for path in ["/a b/c+d#e?f%20g.txt", "/ü/.hidden", "/..", "/a/", "/"] {
            assert_eq!(icav2(&format!("icav2://my project{path}")), ("my project".into(), path.into()));
        }
    }

    #[test]
    fn refusals_name_the_uri() {
        let cases = [
            ("http://x/y", "`http://x/y` is neither an icav2:// nor an s3:// URI"),
            ("icav2://p", "`icav2://p` has no path after its project"),
            ("icav2:///a", "`icav2:///a` names no project"),
            ("icav2://p/a//b", "`icav2://p/a//b` has an empty name in its path"),
            ("s3://", "`s3://` names no bucket"),
            (
                "s3://my bucket/a",
                "`s3://my bucket/a` names no bucket: a bucket's name holds only letters, digits, `.`, `-` and `_`",
            ),
            (
                "s3://arn:aws:s3:us-east-1:111122223333:accesspoint/shared/a",
                "`s3://arn:aws:s3:us-east-1:111122223333:accesspoint/shared/a` names no bucket: it is an ARN: name \
                 the bucket, or the alias of the access point",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(Location::parse(text).unwrap_err().to_string(), message);
        }
        assert!(matches!(Location::parse("icav2://p/a\nb"), Err(LocationError::Control(_))));
        assert!(matches!(Location::parse("s3://bu\ncket/a"), Err(LocationError::Bucket(..))));
    }

    #[test]
    fn a_project_without_a_path_is_its_root_as_a_destination() {
        for text in ["icav2://my project", "icav2://my project/"] {
            let location = Location::parse_destination(text).unwrap();
            assert!(location.is_root() && location.is_folder());
            assert_eq!(location.to_string(), "icav2://my project/");
        }
        for text in ["icav2://", "icav2:///", "icav2://p\n", "p"] {
            assert!(Location::parse_destination(text).is_err(), "{text:?}");
        }
        assert!(!Location::parse_destination("s3://bucket").unwrap().is_root());
    }

    #[test]
    fn a_key_may_hold_what_no_path_may_and_has_its_whole_length() {
        assert!(Location::parse("s3://bucket/a\u{1}\r\n").is_ok());
        for (start, rest) in [("s3://bucket/", 1024), ("icav2://project/", 1024)] {
            assert!(Location::parse(&format!("{start}{}", "k".repeat(rest))).is_ok(), "{start}");
            let longer = Location::parse(&format!("{start}{}", "k".repeat(rest + 1)));
            assert!(matches!(longer, Err(LocationError::TooLong(_))), "{start}");
        }
    }

    #[test]
    fn what_icav2_tells_is_taken_as_it_is_and_read_back() {
        for text in ["/run/Icon\r".to_owned(), "/a\tb/".to_owned(), format!("/{}", "n".repeat(1_025))] {
            assert!(DataPath::parse(&text).is_err());
            let path = DataPath::told(text.clone()).unwrap();
            let stored = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<DataPath>(&stored).unwrap().as_str(), text);
            assert_eq!(path.check_length().is_err(), text.len() > 1_025);
        }
        assert!(DataPath::told("run/a".to_owned()).is_err());
    }

    #[test]
    fn keys_may_hold_empty_names() {
        assert_eq!(
            Location::parse("s3://bkt//a//b").unwrap(),
            Location::S3 { bucket: "bkt".into(), key: "/a//b".into() }
        );
    }

    #[test]
    fn parents_and_names() {
        let file = DataPath::parse("/a/b.txt").unwrap();
        assert_eq!((file.name(), file.parent().as_str()), ("b.txt", "/a/"));
        let folder = DataPath::parse("/a/b/").unwrap();
        assert_eq!((folder.name(), folder.parent().as_str()), ("b", "/a/"));
        let root = DataPath::parse("/").unwrap();
        assert_eq!((root.name(), root.parent().as_str()), ("", "/"));
        assert_eq!(DataPath::parse("/ab/c").unwrap().inside(&DataPath::parse("/a/").unwrap()), None);
    }

    proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "(icav2|s3)://[a-z]{3,5}/\\PC{0,40}") {
            if let Ok(location) = Location::parse(&text) {
                prop_assert_eq!(location.to_string(), text);
            }
        }

        #[test]
        fn any_text_gives_a_location_or_a_refusal(text in ".*") {
            drop(Location::parse(&text).map_err(|error| error.to_string()));
        }
    }
}
