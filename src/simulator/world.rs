//! The world file: which projects there are and what is in them at the start.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldFile {
    /// The projects.
    pub projects: Vec<WorldProject>,
}

/// One project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldProject {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its own bucket, if its data are not on the platform's.
    #[serde(default)]
    pub byob: Option<Byob>,
    /// Folders that would not exist for the sake of a file.
    #[serde(default)]
    pub folders: Vec<String>,
    /// Its files.
    #[serde(default)]
    pub files: Vec<WorldFileEntry>,
}

/// A project's own bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Byob {
    /// The bucket.
    pub bucket: String,
    /// Where in the bucket the project starts; empty or ending with `/`.
    #[serde(default)]
    pub prefix: String,
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
            if let Some(folder) = project.folders.iter().find(|path| !is_path(path) || !path.ends_with('/')) {
                return Err(wrong(folder, "must start and end with `/` and have no empty name"));
            }
            for file in &project.files {
                if !is_path(&file.path) || file.path.ends_with('/') {
                    return Err(wrong(
                        &file.path,
                        "must start with `/`, not end with it, and have no empty name",
                    ));
                }
                if file.parts == 0 || u64::from(file.parts) > file.size.max(1) {
                    return Err(wrong(&file.path, "must have at least one part and a byte for each"));
                }
            }
        }
        Ok(())
    }
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
}
