//! One line of a list: which object goes out, and under which key.

use super::{
    bucket,
    outcome::{Culprit, ErrorName, Failure},
};

/// One line of a list, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instruction {
    /// The bucket.
    pub bucket: String,
    /// The key; `folder/*` stands for all objects below `folder/`.
    pub key: String,
    /// Whether it is asked for without a signature: the bucket is public.
    pub unsigned: bool,
    /// What the key is relative to at the destination; ends with `/`.
    pub root: Option<String>,
    /// A folder below the destination's prefix that it goes to; ends with `/`.
    pub relative: Option<String>,
    /// What its content must sum up to.
    pub sums: Option<String>,
}

impl Instruction {
    /// The same, if it can be followed. An empty folder means none, and a leading `./` is dropped.
    pub fn checked(mut self) -> Result<Self, Failure> {
        let uri = format!("s3://{}/{}", self.bucket, self.key);
        if self.bucket.is_empty() {
            let why = "sourceBucket must be specified as a string";
            return Err(refused(ErrorName::SourceBucketFieldInvalid, "sourceBucket", why, &uri));
        }
        if let Err(why) = bucket::check(&self.bucket) {
            let why = format!("is no name of a bucket: {why}");
            return Err(refused(ErrorName::SourceBucketFieldInvalid, "sourceBucket", &why, &uri));
        }
        if self.key.is_empty() {
            let why = "sourceKey must be specified as a string";
            return Err(refused(ErrorName::SourceKeyFieldInvalid, "sourceKey", why, &uri));
        }
        if goes_up(&self.key) {
            return Err(refused(ErrorName::SourceKeyFieldInvalid, "sourceKey", UP, &uri));
        }
        self.relative = self.relative.filter(|folder| !folder.is_empty());
        self.root = self.root.filter(|folder| !folder.is_empty());
        if self.root.is_some() && self.relative.is_some() {
            let why = "sourceRootFolderKey and destinationRelativeFolderKey cannot both be specified for a single \
                       source item";
            return Err(refused(ErrorName::InvokeArgumentsInvariantError, "sourceRootFolderKey", why, &uri));
        }
        if let Some(relative) = &self.relative {
            let name = "destinationRelativeFolderKey";
            self.relative =
                Some(folder(ErrorName::DestinationRelativeFolderKeyFieldInvalid, name, relative)?);
        }
        let no = |why: &str| {
            Err(refused(ErrorName::InvokeArgumentsInvariantError, "sourceRootFolderKey", why, &uri))
        };
        if let Some(root) = &self.root {
            if !root.ends_with('/') {
                return no("if present, sourceRootFolderKey must have a trailing slash");
            }
            if self.wildcard().is_some() {
                return no("cannot specify both a wildcard folder for a source and specify the \
                           sourceRootFolderKey");
            }
            if !self.key.starts_with(root.as_str()) {
                return no(
                    "sourceRootFolderKey must be a leading portion of the corresponding items sourceKey",
                );
            }
        }
        if self.sums.is_some() && self.wildcard().is_some() {
            return no(
                "cannot specify both a wildcard folder and also includes a sums field as checksums will \
                       not apply to all the expanded files",
            );
        }
        Ok(self)
    }

    /// What the keys start with that a wildcard stands for; `None`: it is one object.
    #[must_use]
    pub fn wildcard(&self) -> Option<&str> {
        self.key.strip_suffix('*').filter(|prefix| prefix.is_empty() || prefix.ends_with('/'))
    }

    /// The key at the destination of the object `key`; `None`: there would be nothing of it. An object whose
    /// key ends with `/` has a name that does.
    #[must_use]
    pub fn destination(&self, prefix: &str, key: &str) -> Option<String> {
        let root = self.root.as_deref().or_else(|| self.wildcard());
        let name = match root {
            Some(root) => key.strip_prefix(root)?,
            None => last_name(key),
        };
        let relative = self.relative.as_deref().unwrap_or_default();
        Some(format!("{prefix}{relative}{name}")).filter(|to| !to.is_empty())
    }
}

/// The last name of a key, with the slashes that it ends with.
#[must_use]
pub fn last_name(key: &str) -> &str {
    let start = key.trim_end_matches('/').rfind('/').map_or(0, |slash| slash + 1);
    key.get(start..).unwrap_or(key)
}

/// Whether a bucket is a directory bucket (S3 Express One Zone). It lists in no order, and its `ETag`s are no
/// MD5s.
#[must_use]
pub fn is_directory_bucket(bucket: &str) -> bool {
    bucket.ends_with("--x-s3")
}

/// What may be the matter with a key of no object: S3 Inventory and S3 Batch Operations write keys
/// URL-encoded, and here they are taken as they stand.
#[must_use]
pub fn doubt_of(key: &str) -> &'static str {
    let is_code = |code: &[u8]| code.iter().take(2).filter(|digit| digit.is_ascii_hexdigit()).count() == 2;
    let mut escapes = key.as_bytes().iter().enumerate().filter(|(_, byte)| **byte == b'%');
    let looks_encoded =
        key.contains('+') || escapes.any(|(at, _)| key.as_bytes().get(at + 1..).is_some_and(is_code));
    if looks_encoded { "; its key looks URL-encoded, and keys are taken as they stand" } else { "" }
}

/// Why `..` is refused.
const UP: &str = "cannot contain '..' (which may be interpreted by some systems as a relative path access)";

/// A folder below another one, without a leading `./`.
pub fn folder(error: ErrorName, name: &str, text: &str) -> Result<String, Failure> {
    let text = text.strip_prefix("./").unwrap_or(text);
    if text.starts_with('/') {
        let why =
            "cannot be an absolute path that starts with a slash - it is by definition meant to be relative";
        return Err(refused(error, name, why, text));
    }
    if !text.is_empty() && !text.ends_with('/') {
        return Err(refused(error, name, "if present, must have a trailing slash", text));
    }
    if goes_up(text) {
        return Err(refused(error, name, UP, text));
    }
    Ok(text.to_owned())
}

/// A refusal of a field, naming what stands there.
#[must_use]
pub fn refused(error: ErrorName, name: &str, why: &str, what: &str) -> Failure {
    let message = if why.contains(name) { why.to_owned() } else { format!("{name} {why}") };
    Failure::new(error, message).naming([Culprit { what: what.to_owned(), why: why.to_owned() }])
}

fn goes_up(key: &str) -> bool {
    key.split('/').any(|segment| segment == "..")
}

#[cfg(test)]
mod tests {
    use super::{ErrorName as E, *};

    fn go(key: &str, prefix: &str, relative: Option<&str>, root: Option<&str>) -> Option<String> {
        let instruction = Instruction {
            bucket: "bkt".into(),
            key: key.into(),
            relative: relative.map(str::to_owned),
            root: root.map(str::to_owned),
            ..Instruction::default()
        };
        instruction.destination(prefix, key)
    }

    #[test]
    fn an_object_goes_where_its_list_says() {
        let cases = [
            ("abcd/file.bam", "", None, None, "file.bam"),
            ("abcd/bc/de/file.bam", "", Some(""), None, "file.bam"),
            ("abcd/bc/de/file.bam", "a-folder/", None, None, "a-folder/file.bam"),
            ("abcd/file.bam", "a-folder/", Some("sub/"), None, "a-folder/sub/file.bam"),
            (
                "abcd/bc/de/file.bam",
                "a-folder/",
                Some("sub/more-sub/"),
                None,
                "a-folder/sub/more-sub/file.bam",
            ),
            (
                "abcd/bc/de/file.bam",
                "a-folder/",
                Some("sub/more-sub/"),
                Some("abcd/"),
                "a-folder/sub/more-sub/bc/de/file.bam",
            ),
            (
                "abcd/bc/de/file.bam",
                "a-folder/",
                Some("sub/more-sub/"),
                Some("abcd/bc/"),
                "a-folder/sub/more-sub/de/file.bam",
            ),
            ("a//b", "p/", None, Some("a/"), "p//b"),
        ];
        for (key, prefix, relative, root, expected) in cases {
            assert_eq!(go(key, prefix, relative, root).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(go("a/marker/", "p/", None, None).as_deref(), Some("p/marker/"));
        assert_eq!(go("a/", "", None, Some("a/")), None, "nothing is left of it");
        assert_eq!(["/", "a//", "x/a/", "x/a"].map(last_name), ["/", "a//", "a/", "a"]);
        let all = Instruction { bucket: "bkt".into(), key: "a/*".into(), ..Instruction::default() };
        assert_eq!(all.destination("p/", "a/x/y").as_deref(), Some("p/x/y"));
        assert_eq!(all.wildcard(), Some("a/"));
        assert_eq!(Instruction { key: "a*".into(), ..all }.wildcard(), None);
    }

    #[test]
    fn keys_that_look_encoded_are_doubted() {
        for (key, doubted) in [
            ("a%20b", true),
            ("two+words", true),
            ("%zz%", false),
            ("100%", false),
            ("%a", false),
            ("%2F", true),
        ] {
            assert_eq!(!doubt_of(key).is_empty(), doubted, "{key}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        let good = || Instruction { bucket: "bkt".into(), key: "a/k".into(), ..Instruction::default() };
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            (Instruction { bucket: String::new(), ..good() }, E::SourceBucketFieldInvalid),
            (Instruction { bucket: "my bucket".into(), ..good() }, E::SourceBucketFieldInvalid),
            (Instruction { key: String::new(), ..good() }, E::SourceKeyFieldInvalid),
            (Instruction { key: "a/../k".into(), ..good() }, E::SourceKeyFieldInvalid),
            (Instruction { relative: some("sub"), ..good() }, E::DestinationRelativeFolderKeyFieldInvalid),
            (Instruction { relative: some("/sub/"), ..good() }, E::DestinationRelativeFolderKeyFieldInvalid),
            (Instruction { relative: some("../"), ..good() }, E::DestinationRelativeFolderKeyFieldInvalid),
            (
                Instruction { relative: some("s/"), root: some("a/"), ..good() },
                E::InvokeArgumentsInvariantError,
            ),
            (Instruction { root: some("a"), ..good() }, E::InvokeArgumentsInvariantError),
            (Instruction { root: some("b/"), ..good() }, E::InvokeArgumentsInvariantError),
            (Instruction { key: "a/*".into(), root: some("a/"), ..good() }, E::InvokeArgumentsInvariantError),
            (
                Instruction { key: "a/*".into(), sums: some("md5:1"), ..good() },
                E::InvokeArgumentsInvariantError,
            ),
        ];
        for (instruction, error) in cases {
            assert_eq!(instruction.clone().checked().unwrap_err().error, error, "{instruction:?}");
        }
        for key in ["a..b.txt", "..a", "/a", "a//b", "a b+%\"é", "a*"] {
            Instruction { key: key.into(), ..good() }.checked().unwrap();
        }
        let dotted = Instruction { relative: some("./sub/"), ..good() }.checked().unwrap();
        assert_eq!(dotted.relative.as_deref(), Some("sub/"));
    }
}
