//! What would lie where at the destination: refused, before anything is copied, where that cannot be.
//!
//! S3 holds `a` and `a/b` side by side, and any number of bytes after a key's last slash. A project holds a
//! file or a folder of one name, and its paths are keys of a bucket, behind the prefix that the project has
//! there. Of most files the plan knows names and places. Of a source folder in a project it knows the
//! folders; the files in one are looked at only where they could be too long or in the way of something else.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{external::NAMELESS, renames::files_in};
use crate::{
    domain::{
        file::Data,
        ids::{DataId, ProjectId},
        location::{DataPath, MAX_PATH_BYTES},
        outcome::{Culprit, ErrorName, Failure},
        request::{FolderRequest, Want},
    },
    engine::kind::PlanError,
    ports::{
        Class,
        objects::ObjectLocation,
        platform::{DataPlatform, Folder},
    },
};

/// Names are seldom longer, in bytes: folders of a project are only looked into where these could be too
/// long.
const LONG_NAME: usize = 255;

/// Refuses children that want files or folders that no project can hold.
pub(crate) async fn check(platform: &dyn DataPlatform, children: &[FolderRequest]) -> Result<(), PlanError> {
    let plan = Plan::of(children);
    let mut wrong = Wrong::default();
    for (project, folders) in &plan.folders {
        let prefix = prefix_of(platform, project).await?;
        for (path, wants) in folders {
            let below = plan.below.get(&(*project, path.as_str()));
            let mut room = Room { path, prefix, below, seen: several_origins(wants).then(HashMap::new) };
            if room.bytes(0) > MAX_PATH_BYTES {
                let what = wants.first().map_or_else(|| uri(project, path), |(_, want)| source_of(want));
                wrong.too_long(what, &room);
            }
            for (child, want) in wants {
                plan.judge(platform, &mut room, (project, child, want), &mut wrong).await?;
            }
        }
    }
    Ok(wrong.judge()?)
}

/// How many bytes a key in a project's bucket has besides its path. Where that is hidden, none are known.
pub(crate) async fn prefix_of(platform: &dyn DataPlatform, project: &ProjectId) -> Result<usize, PlanError> {
    match platform.storage(project).await {
        Ok(root) => Ok(root.map_or(0, |(_, prefix)| prefix.len())),
        Err(error) if matches!(error.class, Class::Forbidden | Class::NotFound | Class::Invalid) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// The entries of one folder, with the children that want them.
type Wants<'a> = Vec<(&'a FolderRequest, &'a Want)>;

/// All that a request wants, by where it would lie.
struct Plan<'a> {
    folders: BTreeMap<&'a ProjectId, BTreeMap<&'a DataPath, Wants<'a>>>,
    /// The names of the folders that there would be in a folder.
    below: HashMap<(&'a ProjectId, &'a str), HashSet<&'a str>>,
}

impl<'a> Plan<'a> {
    fn of(children: &'a [FolderRequest]) -> Self {
        let mut plan = Self { folders: BTreeMap::new(), below: HashMap::new() };
        for child in children {
            let wants = plan.folders.entry(&child.project).or_default().entry(&child.path).or_default();
            wants.extend(child.wants.iter().map(|want| (child, want)));
            let mut path = child.path.as_str();
            while let Some((above, name)) = parent(path) {
                if !plan.below.entry((&child.project, above)).or_default().insert(name) {
                    break;
                }
                path = above;
            }
        }
        plan
    }

    async fn judge(
        &self,
        platform: &dyn DataPlatform,
        room: &mut Room<'_>,
        (project, child, want): (&ProjectId, &FolderRequest, &Want),
        wrong: &mut Wrong,
    ) -> Result<(), PlanError> {
        match want {
            Want::Level { project: from, id, path: source } => {
                let may_be_long = room.bytes(LONG_NAME) > MAX_PATH_BYTES
                    // What the source holds already is not too long.
                    && room.bytes(0) >= source.as_str().len();
                if may_be_long || room.seen.is_some() || !self.is_like(project, room.path, (from, source)) {
                    let folder = id.clone().map_or_else(|| Folder::Path(source.clone()), Folder::Id);
                    for Data { id, path, .. } in files_in(platform, from, &folder).await? {
                        room.take(child, &id, path.name(), uri(from, &path), wrong);
                    }
                }
            }
            Want::Files { project: from, files } => {
                for file in files {
                    room.take(child, &file.id, file.path.name(), uri(from, &file.path), wrong);
                }
            }
            Want::Objects { bucket, objects } => {
                for object in objects {
                    let uri = ObjectLocation::new(bucket.as_str(), object.key.as_str()).to_string();
                    if let Err(error) = DataPath::parse(&format!("/{}", object.name())) {
                        wrong.odd.push(Culprit { what: uri, why: error.to_string() });
                        continue;
                    }
                    room.take(child, &DataId::new(uri.as_str()), object.name(), uri, wrong);
                }
            }
            Want::Tree { .. } => {}
        }
        Ok(())
    }

    /// Whether the folders in a folder are those that lie beside the files in their source.
    fn is_like(&self, project: &ProjectId, path: &DataPath, (from, source): (&ProjectId, &DataPath)) -> bool {
        let names = self.below.get(&(project, path.as_str())).into_iter().flatten();
        let folders = self.folders.get(project);
        names.into_iter().all(|name| {
            let wants = folders.and_then(|folders| folders.get(&path.folder(name)));
            let from_there = source.folder(name);
            wants.into_iter().flatten().any(|(_, want)| {
                matches!(want, Want::Level { project, path, .. } if project == from && *path == from_there)
            })
        })
    }
}

/// A folder at the destination.
struct Room<'a> {
    path: &'a DataPath,
    prefix: usize,
    below: Option<&'a HashSet<&'a str>>,
    /// Files by name, where they come from several places.
    seen: Option<HashMap<String, (DataId, String)>>,
}

impl Room<'_> {
    /// How long a key would be here, with a name of so many bytes.
    fn bytes(&self, name: usize) -> usize {
        self.prefix + self.path.as_str().len() - 1 + name
    }

    fn take(&mut self, child: &FolderRequest, id: &DataId, own: &str, uri: String, wrong: &mut Wrong) {
        let name = child.renames.name_of(id).unwrap_or(own);
        if self.below.is_some_and(|below| below.contains(name)) {
            let why = format!("would be `{name}` in {}, where a folder of that name goes", self.path);
            wrong.beside.push(Culprit { what: uri, why });
        } else if self.bytes(name.len()) > MAX_PATH_BYTES {
            wrong.too_long(uri, self);
        } else if let Some(seen) = &mut self.seen {
            match seen.get(name) {
                Some((other, other_uri)) if other != id => {
                    let why = format!("would be `{name}` in {}, and so would another source", self.path);
                    let what = other_uri.clone();
                    wrong.alike.extend([Culprit { what, why: why.clone() }, Culprit { what: uri, why }]);
                }
                Some(_) => {}
                None => drop(seen.insert(name.to_owned(), (id.clone(), uri))),
            }
        }
    }
}

/// The files and folders that cannot be.
#[derive(Default)]
struct Wrong {
    alike: Vec<Culprit>,
    beside: Vec<Culprit>,
    long: Vec<Culprit>,
    odd: Vec<Culprit>,
}

impl Wrong {
    fn too_long(&mut self, what: String, room: &Room<'_>) {
        let why = if room.prefix == 0 {
            format!("would get a path of more than {MAX_PATH_BYTES} bytes in {}", room.path)
        } else {
            let prefix = room.prefix;
            format!(
                "would get a path of more than {MAX_PATH_BYTES} bytes in {}, {prefix} of them in front of every path \
                 of its project",
                room.path
            )
        };
        self.long.push(Culprit { what, why });
    }

    fn judge(self) -> Result<(), Failure> {
        for (message, culprits) in [
            (NAMELESS, self.odd),
            ("two files would have one name at the destination", self.alike),
            ("a file and a folder would have one name at the destination", self.beside),
            ("a path would be longer than the destination takes", self.long),
        ] {
            if !culprits.is_empty() {
                return Err(Failure::new(ErrorName::InvalidRequest, message).naming(culprits));
            }
        }
        Ok(())
    }
}

/// The folder above, and the last name; none above the root.
fn parent(path: &str) -> Option<(&str, &str)> {
    let bare = path.strip_suffix('/')?;
    let at = bare.rfind('/')? + 1;
    bare.split_at_checked(at)
}

/// Whether what is wanted in a folder comes from more than one: then two of the files may have one name.
fn several_origins(wants: &Wants<'_>) -> bool {
    let mut origins = wants.iter().map(|(_, want)| match want {
        Want::Level { project, path, .. } | Want::Tree { project, path, .. } => {
            (project.as_str(), path.as_str().to_owned())
        }
        Want::Files { project, files } => {
            (project.as_str(), files.first().map(|file| file.path.parent().to_string()).unwrap_or_default())
        }
        Want::Objects { bucket, objects } => {
            let key = objects.first().map_or("", |object| object.key.as_str());
            (bucket.as_str(), key.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned())
        }
    });
    let first = origins.next();
    origins.any(|origin| Some(&origin) != first.as_ref())
}

/// Where something comes from, as it is shown.
pub(crate) fn source_of(want: &Want) -> String {
    match want {
        Want::Level { project, path, .. } | Want::Tree { project, path, .. } => uri(project, path),
        Want::Files { project, files } => {
            files.first().map(|file| uri(project, &file.path)).unwrap_or_default()
        }
        Want::Objects { bucket, objects } => {
            let key = objects.first().map(|object| object.key.as_str()).unwrap_or_default();
            ObjectLocation::new(bucket.as_str(), key).to_string()
        }
    }
}

fn uri(project: &ProjectId, path: &DataPath) -> String {
    format!("icav2://{project}{path}")
}
