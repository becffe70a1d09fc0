//! The world file: which projects there are and what is in them at the start.

mod buckets;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::faults::Delay;

pub use self::buckets::{ArchiveTier, StorageClass, WorldBucket, WorldObject};
pub(super) use self::buckets::{NUMBER, account};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldFile {
    /// The projects.
    pub projects: Vec<WorldProject>,
    /// Buckets that belong to no project.
    #[serde(default)]
    pub buckets: Vec<WorldBucket>,
    /// Callers who see only projects of some tenants. Everybody else sees everything.
    #[serde(default)]
    pub accounts: Vec<WorldAccount>,
}

/// A caller who sees only projects of some tenants: by its API key, and by the tokens made with it,
/// or by a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldAccount {
    /// Its API key, if it has one; then it has no token of its own.
    #[serde(default)]
    pub api_key: Option<String>,
    /// Its bearer token, if it has no key.
    #[serde(default)]
    pub token: Option<String>,
    /// The tenants whose projects it sees.
    pub tenants: Vec<String>,
}

/// One project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldProject {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The tenant it belongs to.
    #[serde(default = "tenant")]
    pub tenant: String,
    /// Its own bucket, if its data are not on the platform's.
    #[serde(default)]
    pub byob: Option<Byob>,
    /// How its data are encrypted.
    #[serde(default)]
    pub encryption: Encryption,
    /// How long before the start its data were made.
    #[serde(default)]
    pub age: Delay,
    /// Folders that would not exist for the sake of a file.
    #[serde(default)]
    pub folders: Vec<String>,
    /// Folders that are not indexed: no listing shows what they hold.
    #[serde(default, rename = "nonIndexed")]
    pub non_indexed: Vec<String>,
    /// Its files.
    #[serde(default)]
    pub files: Vec<WorldFileEntry>,
    /// Data of other projects that are seen here too.
    #[serde(default)]
    pub links: Vec<WorldLink>,
}

/// Data of another project that are linked into this one, as they are at the start: they can be read
/// here, and are changed where they belong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldLink {
    /// The name of the project that they belong to.
    pub project: String,
    /// The file or folder there; folders end with `/`, and come with all that is in them.
    pub path: String,
    /// The folder of this project in which they are seen.
    pub to: String,
}

/// A project's own bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Byob {
    /// The bucket.
    pub bucket: String,
    /// Where in the bucket the storage configuration starts; empty or ending with `/`.
    #[serde(default)]
    pub prefix: String,
    /// The project's folder below the prefix, where several share it; empty or ending with `/`.
    #[serde(default)]
    pub sub_folder: String,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldFileEntry {
    /// Absolute path.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Parts it was uploaded in: 1 gives an `ETag` that is the MD5, more one that ends in `-parts`.
    #[serde(default = "one")]
    pub parts: u32,
    /// What it starts as.
    #[serde(default)]
    pub status: WorldStatus,
    /// How it is encrypted, if otherwise than what else is there.
    #[serde(default)]
    pub encryption: Option<Encryption>,
}

/// How objects are encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// With S3's own keys: tags are MD5s.
    #[default]
    #[serde(rename = "AES256")]
    S3,
    /// With keys of KMS: tags are not.
    #[serde(rename = "aws:kms")]
    Kms,
}

/// What a file starts as. Only what is AVAILABLE can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WorldStatus {
    /// Ready to be read.
    #[default]
    Available,
    /// Its upload never ended: it has no bytes.
    Partial,
    /// In the archive.
    Archived,
}

fn tenant() -> String {
    super::wire::TENANT.to_owned()
}

const fn one() -> u32 {
    1
}

/// Why a world is none.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// Not the JSON of a world file.
    #[error("the world file is not valid at `{at}`")]
    Json {
        /// Where.
        at: String,
        /// What is wrong there.
        #[source]
        source: serde_json::Error,
    },
    /// Two projects share an id or a name.
    #[error("there are two projects `{0}`")]
    TwoProjects(String),
    /// A bucket that cannot be one, or an object in it.
    #[error("bucket `{bucket}`: {why}")]
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// What is wrong with it.
        why: String,
    },
    /// An account without one way to be known, or known twice, or of a tenant that has no project.
    #[error("account {number}: {why}")]
    Account {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A path that cannot be one, or that is there twice.
    #[error("project `{project}`: `{path}` {why}")]
    Path {
        /// The project's name.
        project: String,
        /// The path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl WorldFile {
    /// Reads and checks a world file.
    pub fn parse(text: &str) -> Result<Self, WorldError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let world: Self = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| WorldError::Json { at: error.path().to_string(), source: error.into_inner() })?;
        world.check()?;
        Ok(world)
    }

    /// Checks what the types cannot say.
    pub fn check(&self) -> Result<(), WorldError> {
        let mut seen = HashSet::new();
        for project in &self.projects {
            for key in [project.id.to_string(), project.name.clone()] {
                if !seen.insert(key.clone()) {
                    return Err(WorldError::TwoProjects(key));
                }
            }
            let wrong = |path: &str, why: &str| WorldError::Path {
                project: project.name.clone(),
                path: path.to_owned(),
                why: why.to_owned(),
            };
            let mut folders = project.folders.iter().chain(&project.non_indexed);
            if let Some(folder) = folders.find(|path| !is_path(path) || !path.ends_with('/')) {
                return Err(wrong(folder, "must start and end with `/` and have no empty name"));
            }
            for file in &project.files {
                if !is_path(&file.path) || file.path.ends_with('/') {
                    return Err(wrong(
                        &file.path,
                        "must start with `/`, not end with it, and have no empty name",
                    ));
                }
                if !has_parts(file.size, file.parts) {
                    return Err(wrong(&file.path, "must have at least one part and a byte for each"));
                }
            }
            self.check_links(project)?;
        }
        self.check_accounts()?;
        self.check_buckets()
    }

    fn check_links(&self, project: &WorldProject) -> Result<(), WorldError> {
        for link in &project.links {
            let wrong = |path: &str, why: &str| {
                let (project, path, why) = (project.name.clone(), path.to_owned(), why.to_owned());
                Err(WorldError::Path { project, path, why })
            };
            let is_other = |other: &WorldProject| other.name == link.project && other.id != project.id;
            if !self.projects.iter().any(is_other) {
                return wrong(&link.path, &format!("is linked from no other project: `{}`", link.project));
            }
            if !is_path(&link.path) || link.path == "/" {
                return wrong(&link.path, "is linked, and must start with `/` and have no empty name");
            }
            if !is_path(&link.to) || !link.to.ends_with('/') {
                return wrong(&link.to, "is linked to, and must start and end with `/`");
            }
        }
        Ok(())
    }

    fn check_accounts(&self) -> Result<(), WorldError> {
        let mut seen = HashSet::new();
        for (index, account) in self.accounts.iter().enumerate() {
            let wrong = |why: String| Err(WorldError::Account { number: index + 1, why });
            let known_by = match (&account.api_key, &account.token) {
                (Some(text), None) | (None, Some(text)) if !text.is_empty() => text,
                _ => return wrong("must have an apiKey or a token, and not both".to_owned()),
            };
            if !seen.insert(known_by) {
                return wrong("is known by what another is known by".to_owned());
            }
            let is_unknown =
                |tenant: &&String| !self.projects.iter().any(|project| project.tenant == **tenant);
            if let Some(tenant) = account.tenants.iter().find(is_unknown) {
                return wrong(format!("sees tenant `{tenant}`, which has no project"));
            }
        }
        Ok(())
    }

    fn check_buckets(&self) -> Result<(), WorldError> {
        let own = self.projects.iter().filter_map(|project| Some(project.byob.as_ref()?.bucket.as_str()));
        let own: HashSet<&str> = own.collect();
        buckets::check(&self.buckets, &own)
    }
}

fn has_parts(size: u64, parts: u32) -> bool {
    parts > 0 && u64::from(parts) <= size.max(1)
}

/// Whether the text is an absolute path without empty names.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_and_bad_paths_are_refused() {
        let id = "11111111-2222-4333-8444-555555555555";
        let world =
            |rest: &str| WorldFile::parse(&format!(r#"{{"projects":[{{"id":"{id}","name":"a"{rest}}}]}}"#));
        assert!(world("").is_ok());
        assert!(
            world(r#","byob":null,"folders":["/empty/"],"files":[{"path":"/a b#%.txt","size":0}]"#).is_ok()
        );
        for rest in [
            r#","colour":1"#,
            r#","folders":["/a"]"#,
            r#","folders":["a/"]"#,
            r#","files":[{"path":"/a/","size":1}]"#,
            r#","files":[{"path":"/a//b","size":1}]"#,
            r#","files":[{"path":"/a","size":3,"parts":4}]"#,
            r#","files":[{"path":"/a","size":3,"parts":0}]"#,
        ] {
            assert!(world(rest).is_err(), "{rest}");
        }
    }

    #[test]
    fn buckets_are_checked() {
        let world = |project: &str, buckets: &str| {
            WorldFile::parse(&format!(
                r#"{{"projects":[{{"id":"11111111-2222-4333-8444-555555555555","name":"a"{project}}}],"buckets":[{buckets}]}}"#
            ))
        };
        assert!(
            world("", r#"{"name":"b","objects":[{"key":"x//y","size":2,"parts":2}]},{"name":"c"}"#).is_ok()
        );
        let own = r#","byob":{"bucket":"b","prefix":"p/","subFolder":"q/"}"#;
        assert!(world(own, r#"{"name":"c"}"#).is_ok());
        for (project, buckets) in [
            (own, r#"{"name":"b"}"#),
            ("", r#"{"name":"b"},{"name":"b"}"#),
            ("", r#"{"name":"b","objects":[{"key":"","size":1}]}"#),
            ("", r#"{"name":"b","objects":[{"key":"x","size":1},{"key":"x","size":1}]}"#),
            ("", r#"{"name":"b","objects":[{"key":"x","size":1,"parts":2}]}"#),
            ("", r#"{"name":"b","colour":1}"#),
            ("", r#"{"name":"b","objects":[{"key":"x","size":1,"count":2}]}"#),
            ("", r#"{"name":"b","objects":[{"key":"x{n}","size":1}]}"#),
            ("", r#"{"name":"b","objects":[{"key":"x","size":2,"partSizes":[1]}]}"#),
            ("", r#"{"name":"b","objects":[{"key":"x","size":1,"archiveTier":"ARCHIVE_ACCESS"}]}"#),
        ] {
            assert!(world(project, buckets).is_err(), "{project} {buckets}");
        }
    }
}
