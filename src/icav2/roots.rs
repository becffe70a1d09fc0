//! Which project an S3 location lies in: comparing roots, without any call.
//!
//! A root is a bucket and a key prefix of whole segments. Of the roots that hold a key the longest
//! counts, whatever their order: a project may sit at the root of a storage configuration and others
//! in sub-folders of it.

use crate::{
    domain::location::{DataPath, Location, LocationError},
    ports::platform::Project,
};

/// A place in S3 that everything below belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) bucket: String,
    /// Ends with `/`, or is empty.
    pub(super) prefix: String,
}

impl Root {
    /// A root, from a prefix written in any of the ways that occur: absent, with or without slashes
    /// at its ends.
    pub(super) fn new(bucket: &str, prefix: Option<&str>) -> Self {
        let bare = prefix.unwrap_or_default().trim_matches('/');
        let prefix = if bare.is_empty() { String::new() } else { format!("{bare}/") };
        Self { bucket: bucket.to_owned(), prefix }
    }

    /// The root of a project: an `s3://` URI of its own, or a sub-folder (or nothing) below the root
    /// of its storage configuration.
    pub(super) fn of_project(sub_folder: Option<&str>, configuration: Option<&Self>) -> Option<Self> {
        let sub_folder = sub_folder.unwrap_or_default();
        if sub_folder.starts_with("s3://") {
            let Ok(Location::S3 { bucket, key }) = Location::parse(sub_folder) else { return None };
            return Some(Self::new(&bucket, Some(&key)));
        }
        let Self { bucket, prefix } = configuration?;
        Some(Self::new(bucket, Some(&format!("{prefix}{}", sub_folder.trim_start_matches('/')))))
    }

    /// What follows the root in a key that lies below it. `a/` holds `a/b` and itself, not `ab`, and
    /// not the object `a`.
    pub(super) fn rest_of<'k>(&self, bucket: &str, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(self.prefix.as_str()).filter(|_| self.bucket == bucket)
    }
}

/// What a location was found to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In no project.
    Nowhere,
    /// In that project, there.
    Project(Project, DataPath),
    /// In a project, under a key that no file of ICAv2 can have.
    Unnamable(Project, LocationError),
    /// In two projects that share a root.
    Both(Project, Project),
}

/// The project whose root is the longest that holds the key, and the path inside it.
pub(super) fn place<'a>(
    roots: impl IntoIterator<Item = (&'a Project, &'a Root)>,
    bucket: &str,
    key: &str,
) -> Place {
    let mut best: Option<(&Project, &Root, &str)> = None;
    let mut rival: Option<&Project> = None;
    for (project, root) in roots {
        let Some(rest) = root.rest_of(bucket, key) else { continue };
        match best {
            Some((other, longest, _)) if longest.prefix.len() == root.prefix.len() => {
                if other.id != project.id {
                    rival = Some(project);
                }
            }
            Some((_, longest, _)) if longest.prefix.len() > root.prefix.len() => {}
            _ => (best, rival) = (Some((project, root, rest)), None),
        }
    }
    match (best, rival) {
        (None, _) => Place::Nowhere,
        (Some((one, ..)), Some(other)) => Place::Both(one.clone(), other.clone()),
        (Some((project, _, rest)), None) => match DataPath::parse(&format!("/{rest}")) {
            Ok(path) => Place::Project(project.clone(), path),
            Err(error) => Place::Unnamable(project.clone(), error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ProjectId;

    fn project(name: &str) -> Project {
        Project { id: ProjectId::new(name), name: name.to_owned() }
    }

    fn placed(roots: &[(&str, &str)], uri: &str) -> String {
        let roots: Vec<_> = roots
            .iter()
            .map(|(name, root)| (project(name), Root::of_project(Some(root), None).unwrap()))
            .collect();
        let Location::S3 { bucket, key } = Location::parse(uri).unwrap() else { panic!("not in S3") };
        match place(roots.iter().map(|(project, root)| (project, root)), &bucket, &key) {
            Place::Nowhere => "nowhere".into(),
            Place::Project(project, path) => format!("{}{path}", project.name),
            Place::Unnamable(project, _) => format!("{}?", project.name),
            Place::Both(one, other) => format!("{} or {}", one.name, other.name),
        }
    }

    #[test]
    fn the_longest_root_counts_in_any_order() {
        let mut roots = vec![("top", "s3://bkt/"), ("deep", "s3://bkt/x/y/"), ("middle", "s3://bkt/x/")];
        for _ in 0..3 {
            roots.rotate_left(1);
            for (uri, expected) in [
                ("s3://bkt/x/y/z.txt", "deep/z.txt"),
                ("s3://bkt/x/y/", "deep/"),
                ("s3://bkt/x/yy/z", "middle/yy/z"),
                ("s3://bkt/x/y", "middle/y"),
                ("s3://bkt/xy", "top/xy"),
                ("s3://bkt", "top/"),
                ("s3://other/x/y/z", "nowhere"),
            ] {
                assert_eq!(placed(&roots, uri), expected, "{uri}");
            }
        }
    }

    #[test]
    fn segments_are_whole() {
        let roots = [("p", "s3://bkt/a/")];
        for (uri, expected) in [
            ("s3://bkt/a/f", "p/f"),
            ("s3://bkt/ab/f", "nowhere"),
            ("s3://bkt/a", "nowhere"),
            ("s3://bkt/A/f", "nowhere"),
            ("s3://bkt/", "nowhere"),
            ("s3://bkt/a//f", "p?"),
        ] {
            assert_eq!(placed(&roots, uri), expected, "{uri}");
        }
    }

    #[test]
    fn a_shared_root_is_nobodys() {
        let both = [("one", "s3://bkt/a/"), ("two", "s3://bkt/a"), ("three", "s3://bkt/")];
        assert_eq!(placed(&both, "s3://bkt/a/f"), "one or two");
        let same = [("one", "s3://bkt/a/"), ("one", "s3://bkt/a")];
        assert_eq!(placed(&same, "s3://bkt/a/f"), "one/f");
        let deeper = [("one", "s3://bkt/a/"), ("two", "s3://bkt/a"), ("three", "s3://bkt/a/c/")];
        assert_eq!(placed(&deeper, "s3://bkt/a/c/f"), "three/f");
    }

    #[test]
    fn prefixes_are_written_in_many_ways() {
        let configuration = Root::new("bkt", Some("x/y/"));
        for (sub_folder, configuration, expected) in [
            (Some("s3://bkt/x/y/p/"), None, Some("x/y/p/")),
            (Some("s3://bkt/x/y/p"), Some(&configuration), Some("x/y/p/")),
            (Some("s3://bkt"), None, Some("")),
            (Some("p/"), Some(&configuration), Some("x/y/p/")),
            (Some("/p"), Some(&configuration), Some("x/y/p/")),
            (Some(""), Some(&configuration), Some("x/y/")),
            (None, Some(&configuration), Some("x/y/")),
            (None, Some(&Root::new("bkt", None)), Some("")),
            (Some("p/"), None, None),
            (Some("s3://"), Some(&configuration), None),
        ] {
            let root = Root::of_project(sub_folder, configuration).map(|root| root.prefix);
            assert_eq!(root.as_deref(), expected, "{sub_folder:?}");
        }
    }
}
