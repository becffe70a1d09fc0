//! The data of all projects: folders and files, by id and by path.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use rand::{Rng as _, rngs::StdRng};

use super::{
    content::Content,
    faults::Told,
    notes::Notes,
    parts::Parts,
    world::{Byob, Encryption, WorldProject},
};
use crate::domain::file::{DataKind, DataStatus};

/// Finds a node again in constant time; never used twice.
pub(super) type NodeKey = u64;

/// Finds a project again.
pub(super) type ProjectKey = usize;

/// A project.
#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) tenant: String,
    pub(super) byob: Option<Byob>,
    /// How its data are encrypted.
    pub(super) encryption: Encryption,
    /// Where its data are as S3 objects.
    pub(super) home: Home,
    root: NodeKey,
    /// Every file and folder but what is inside linked folders, by lower-cased path and then by exact path, because the filters of
    /// the API know no case.
    pub(super) by_path: BTreeMap<(String, String), NodeKey>,
    /// The project's own in the order of S3.
    pub(super) exact: BTreeMap<String, NodeKey>,
}

/// A bucket, and the start of the keys in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) bucket: String,
    pub(super) prefix: String,
}

impl Home {
    fn of(id: &str, byob: Option<&Byob>) -> Self {
        match byob {
            Some(byob) => {
                let prefix = format!("{}{}", byob.prefix, byob.sub_folder);
                Self { bucket: byob.bucket.clone(), prefix }
            }
            None => Self { bucket: "ica-simulated".to_owned(), prefix: format!("{id}/") },
        }
    }
}

/// A file or a folder.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// `fil.…` or `fol.…`; empty for the root of a project, which has none.
    pub(super) id: String,
    /// The project that it is seen in.
    pub(super) project: ProjectKey,
    /// The project that it belongs to: another one where it is linked.
    pub(super) owner: ProjectKey,
    pub(super) parent: NodeKey,
    pub(super) name: String,
    /// Full path; folders end with `/`.
    pub(super) path: String,
    pub(super) kind: DataKind,
    pub(super) status: DataStatus,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) status_since: Timestamp,
    /// The bytes of a file, once they were in.
    pub(super) content: Option<Arc<Content>>,
    /// In how many parts they came.
    pub(super) parts: Parts,
    /// What was said of it.
    pub(super) notes: Option<Arc<Notes>>,
}

impl Node {
    /// Has another status from now on.
    pub(super) fn turn(&mut self, status: DataStatus, now: Timestamp) {
        self.status = status;
        self.status_since = now;
    }

    pub(super) fn is_folder(&self) -> bool {
        self.kind == DataKind::Folder
    }

    pub(super) fn is_linked(&self) -> bool {
        self.owner != self.project
    }

    /// The content that is told of, if not always given.
    pub(super) fn stored(&self) -> Option<&Arc<Content>> {
        let is_kept = matches!(self.status, DataStatus::Available | DataStatus::Archived);
        self.content.as_ref().filter(|_| is_kept)
    }

    /// The content, where it may be read.
    pub(super) fn readable(&self) -> Option<&Arc<Content>> {
        self.content.as_ref().filter(|_| self.status == DataStatus::Available)
    }
}

/// Why nothing was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TreeError {
    /// There is something of that name.
    Exists(String),
    /// A folder on the way is a file, or is being deleted.
    NoFolder(String),
}

/// All projects and their data.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) projects: Vec<Project>,
    pub(super) nodes: HashMap<NodeKey, Node>,
    by_id: HashMap<String, NodeKey>,
    /// What is told of data instead of what is, by path.
    pub(super) told: HashMap<String, Told>,
    /// What is seen in projects that it does not belong to.
    pub(super) linked: HashMap<(ProjectKey, String), NodeKey>,
    /// Folders that are not indexed, by id.
    pub(super) non_indexed: HashSet<String>,
    /// What another user has made, by id.
    pub(super) of_others: HashSet<String>,
    pub(super) children: HashMap<NodeKey, BTreeMap<String, NodeKey>>,
    pub(super) last: NodeKey,
}

impl Tree {
    /// Adds an empty project.
    pub(super) fn add_project(&mut self, of: &WorldProject, now: Timestamp) -> ProjectKey {
        let (id, name, byob) = (of.id.to_string(), of.name.clone(), of.byob.clone());
        let project = self.projects.len();
        self.last += 1;
        let root = self.last;
        let node = Node {
            id: String::new(),
            project,
            owner: project,
            parent: root,
            name: String::new(),
            path: "/".to_owned(),
            kind: DataKind::Folder,
            status: DataStatus::Available,
            created: now,
            modified: now,
            status_since: now,
            content: None,
            parts: Parts::ONE,
            notes: None,
        };
        self.nodes.insert(root, node);
        let home = Home::of(&id, byob.as_ref());
        let (by_path, exact) = (BTreeMap::new(), BTreeMap::new());
        let tenant = of.tenant.clone();
        let encryption = of.encryption;
        self.projects.push(Project { id, name, tenant, byob, encryption, home, root, by_path, exact });
        project
    }

    pub(super) fn project(&self, key: ProjectKey) -> Option<&Project> {
        self.projects.get(key)
    }

    /// The project of that id.
    pub(super) fn project_by_id(&self, id: &str) -> Option<ProjectKey> {
        self.projects.iter().position(|project| project.id == id)
    }

    /// The project's top folder.
    pub(super) fn root(&self, project: ProjectKey) -> NodeKey {
        self.projects.get(project).map_or(0, |project| project.root)
    }

    pub(super) fn node(&self, key: NodeKey) -> Option<&Node> {
        self.nodes.get(&key)
    }

    pub(super) fn node_mut(&mut self, key: NodeKey) -> Option<&mut Node> {
        self.nodes.get_mut(&key)
    }

    /// The file or folder of that id, where it belongs.
    pub(super) fn by_id(&self, id: &str) -> Option<(NodeKey, &Node)> {
        let key = *self.by_id.get(id)?;
        Some((key, self.nodes.get(&key)?))
    }

    /// What a folder holds, after a name, in the order of names.
    pub(super) fn children(
        &self,
        folder: NodeKey,
        after: Option<&str>,
    ) -> impl Iterator<Item = (NodeKey, &Node)> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let names = self.children.get(&folder);
        names
            .into_iter()
            .flat_map(move |names| names.range::<str, _>((from, std::ops::Bound::Unbounded)))
            .filter_map(|(_, key)| Some((*key, self.nodes.get(key)?)))
    }

    /// How much a folder holds.
    pub(super) fn child_count(&self, folder: NodeKey) -> usize {
        self.children.get(&folder).map_or(0, BTreeMap::len)
    }

    /// What a folder holds under that exact name.
    pub(super) fn child(&self, folder: NodeKey, name: &str) -> Option<(NodeKey, &Node)> {
        let key = *self.children.get(&folder)?.get(name)?;
        Some((key, self.nodes.get(&key)?))
    }

    /// Everything in a project whose lower-cased path starts with `prefix`, after the exact path
    /// `after`.
    pub(super) fn below<'a>(
        &'a self,
        project: ProjectKey,
        prefix: &'a str,
        after: Option<&str>,
    ) -> impl Iterator<Item = (NodeKey, &'a Node)> {
        let from = match after {
            Some(path) => std::ops::Bound::Excluded((path.to_lowercase(), path.to_owned())),
            None => std::ops::Bound::Included((prefix.to_owned(), String::new())),
        };
        self.projects
            .get(project)
            .into_iter()
            .flat_map(move |project| project.by_path.range((from.clone(), std::ops::Bound::Unbounded)))
            .take_while(move |((lower, _), _)| lower.starts_with(prefix))
            .filter_map(|(_, key)| Some((*key, self.nodes.get(key)?)))
    }

    /// What is at that exact path.
    pub(super) fn at(&self, project: ProjectKey, path: &str) -> Option<(NodeKey, &Node)> {
        let key = *self.projects.get(project)?.exact.get(path)?;
        Some((key, self.nodes.get(&key)?))
    }

    /// The first path of a project from there on, in the order of bytes.
    pub(super) fn next_path(&self, project: ProjectKey, from: std::ops::Bound<&str>) -> Option<&str> {
        let exact = &self.projects.get(project)?.exact;
        exact.range::<str, _>((from, std::ops::Bound::Unbounded)).next().map(|(path, _)| path.as_str())
    }

    /// How much there is in a project.
    pub(super) fn project_count(&self, project: ProjectKey) -> usize {
        self.projects.get(project).map_or(0, |project| project.by_path.len())
    }

    /// The folders whose path is that one, whatever the case; the root too. What is in linked folders is
    /// not found by their path.
    pub(super) fn folders_at(&self, project: ProjectKey, path: &str) -> Vec<NodeKey> {
        let lower = path.to_lowercase();
        if lower == "/" {
            return vec![self.root(project)];
        }
        let exact =
            self.below(project, &lower, None).take_while(|(_, node)| node.path.to_lowercase() == lower);
        exact.filter(|(_, node)| node.is_folder() && !node.is_linked()).map(|(key, _)| key).collect()
    }

    /// The folder at that exact path, made with all that is missing above it.
    pub(super) fn ensure_folder(
        &mut self,
        project: ProjectKey,
        path: &str,
        now: Timestamp,
        rng: &mut StdRng,
    ) -> Result<NodeKey, TreeError> {
        let mut folder = self.root(project);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            folder = match self.child(folder, name) {
                Some((key, node)) if node.is_folder() && node.status != DataStatus::Deleting => key,
                Some((_, node)) => return Err(TreeError::NoFolder(node.path.clone())),
                None => self.create(folder, name, DataKind::Folder, now, rng)?,
            };
        }
        Ok(folder)
    }

    /// Creates a file (PARTIAL) or a folder (AVAILABLE).
    pub(super) fn create(
        &mut self,
        folder: NodeKey,
        name: &str,
        kind: DataKind,
        now: Timestamp,
        rng: &mut StdRng,
    ) -> Result<NodeKey, TreeError> {
        let parent = self.nodes.get(&folder).filter(|parent| parent.is_folder());
        let parent = parent.ok_or_else(|| TreeError::NoFolder(name.to_owned()))?;
        if parent.status == DataStatus::Deleting || parent.is_linked() {
            return Err(TreeError::NoFolder(parent.path.clone()));
        }
        if let Some((_, there)) = self.child(folder, name) {
            return Err(TreeError::Exists(there.path.clone()));
        }
        let (project, above) = (parent.project, parent.path.clone());
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        let (prefix, end, status) = match kind {
            DataKind::File => ("fil", "", DataStatus::Partial),
            DataKind::Folder => ("fol", "/", DataStatus::Available),
        };
        let node = Node {
            id: format!("{prefix}.{}", hex::encode(bytes)),
            project,
            owner: project,
            parent: folder,
            name: name.to_owned(),
            path: format!("{above}{name}{end}"),
            kind,
            status,
            created: now,
            modified: now,
            status_since: now,
            content: None,
            parts: Parts::ONE,
            notes: None,
        };
        self.last += 1;
        let key = self.last;
        self.by_id.insert(node.id.clone(), key);
        self.children.entry(folder).or_default().insert(name.to_owned(), key);
        if let Some(project) = self.projects.get_mut(project) {
            project.by_path.insert((node.path.to_lowercase(), node.path.clone()), key);
            project.exact.insert(node.path.clone(), key);
        }
        self.nodes.insert(key, node);
        Ok(key)
    }

    /// The node and all below it, parents first.
    pub(super) fn with_descendants(&self, key: NodeKey) -> Vec<NodeKey> {
        let mut all = vec![key];
        let mut next = 0;
        while let Some(key) = all.get(next).copied() {
            all.extend(self.children.get(&key).into_iter().flat_map(BTreeMap::values));
            next += 1;
        }
        all
    }

    /// Takes the node and all below it away.
    pub(super) fn remove(&mut self, key: NodeKey) {
        for key in self.with_descendants(key).into_iter().rev() {
            let Some(node) = self.nodes.remove(&key) else { continue };
            let own = !node.is_linked();
            if own {
                self.by_id.remove(&node.id);
            } else {
                self.linked.remove(&(node.project, node.id));
            }
            self.children.remove(&key);
            if let Some(siblings) = self.children.get_mut(&node.parent) {
                siblings.remove(&node.name);
            }
            if let Some(project) = self.projects.get_mut(node.project) {
                if own {
                    project.exact.remove(&node.path);
                }
                project.by_path.remove(&(node.path.to_lowercase(), node.path));
            }
        }
    }
}
