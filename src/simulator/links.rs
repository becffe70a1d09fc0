//! Data of one project that are seen in another: same ids, other paths, read-only.
//!
//! They are linked as they are at the start; what happens to them later where they belong is not seen.

use super::tree::{Node, NodeKey, ProjectKey, Tree, TreeError};

impl Tree {
    /// Lets the file or folder of another project be seen in a folder of this one.
    pub(super) fn link(
        &mut self,
        project: ProjectKey,
        folder: NodeKey,
        from: NodeKey,
    ) -> Result<(), TreeError> {
        let Some(top) = self.node(from).cloned() else { return Ok(()) };
        if let Some((_, there)) = self.child(folder, &top.name) {
            return Err(TreeError::Exists(there.path.clone()));
        }
        if self.linked.contains_key(&(project, top.id.clone())) {
            return Err(TreeError::Exists(top.path));
        }
        let path = self.show(project, folder, from, &top);
        if let (Some((path, key)), Some(project)) = (path, self.projects.get_mut(project)) {
            project.by_path.insert((path.to_lowercase(), path), key);
        }
        Ok(())
    }

    /// The same with all that is below; the path and key of what is seen.
    fn show(
        &mut self,
        project: ProjectKey,
        folder: NodeKey,
        from: NodeKey,
        node: &Node,
    ) -> Option<(String, NodeKey)> {
        let end = if node.is_folder() { "/" } else { "" };
        let path = format!("{}{}{end}", self.node(folder)?.path, node.name);
        self.last += 1;
        let key = self.last;
        self.children.entry(folder).or_default().insert(node.name.clone(), key);
        self.linked.insert((project, node.id.clone()), key);
        self.nodes.insert(key, Node { project, parent: folder, path: path.clone(), ..node.clone() });
        let below: Vec<_> = self.children(from, None).map(|(key, node)| (key, node.clone())).collect();
        for (from, node) in below {
            self.show(project, key, from, &node);
        }
        Some((path, key))
    }

    /// The file or folder of that id as a project sees it.
    pub(super) fn seen_in(&self, project: ProjectKey, id: &str) -> Option<(NodeKey, &Node)> {
        match self.by_id(id) {
            Some((key, node)) if node.project == project => Some((key, node)),
            _ => {
                let key = *self.linked.get(&(project, id.to_owned()))?;
                Some((key, self.node(key)?))
            }
        }
    }
}
