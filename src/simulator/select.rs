//! Which data a listing shows: the filters of the API, which know no case, over the tree.

use std::{cmp::Ordering, collections::HashSet};

use jiff::Timestamp;

use super::{
    api::Query,
    paging::{Cursor, From, Page, Paging, sort_keys},
    problem::Problem,
    seen::Seen,
    tree::{Node, NodeKey, ProjectKey, Tree},
};

/// What is asked for.
#[derive(Debug)]
pub(super) struct Selection<'a> {
    source: Source,
    ids: HashSet<&'a str>,
    names: Vec<String>,
    name_mode: NameMode,
    paths: Vec<String>,
    whole_path: bool,
    statuses: Vec<&'a str>,
    kind: Option<&'a str>,
    owners: Vec<&'a str>,
    created: Between,
    status_since: Between,
    /// By the starts of paths: what was made later is not listed yet.
    unseen: Vec<(String, Timestamp)>,
    sort: Vec<(&'a str, bool)>,
}

/// Where to look.
#[derive(Debug)]
enum Source {
    /// Directly in these folders, sorted by path.
    Folders(Vec<NodeKey>),
    /// In a project, where the lower-cased path starts with one of these, or is one of them; sorted,
    /// and none within another.
    Paths(ProjectKey, Vec<String>),
}

/// A span of time, without its ends.
#[derive(Debug, Clone, Copy)]
struct Between {
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Between {
    fn parse(query: &Query, after: &'static str, before: &'static str) -> Result<Self, Problem> {
        let read = |name| {
            let wrong = |text| Problem::parameter(name, text, "must be a time like 2021-01-30T08:30:00Z");
            query.one(name).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
        };
        Ok(Self { after: read(after)?, before: read(before)? })
    }

    fn holds(self, at: Timestamp) -> bool {
        self.after.is_none_or(|after| at > after) && self.before.is_none_or(|before| at < before)
    }
}

#[derive(Debug, Clone, Copy)]
enum NameMode {
    Exact,
    Exclude,
    Fuzzy,
}

/// Filters of the API that no client of the simulator has needed yet: better refused than ignored.
const UNSUPPORTED: [&str; 17] = [
    "fullText",
    "formatId",
    "formatCode",
    "userTag",
    "userTagMatchMode",
    "runInputTag",
    "runInputTagMatchMode",
    "runOutputTag",
    "runOutputTagMatchMode",
    "connectorTag",
    "connectorTagMatchMode",
    "technicalTag",
    "technicalTagMatchMode",
    "notInRun",
    "notLinkedToSample",
    "instrumentRunId",
    "nonIndexedFolders",
];

const SORTABLE: [&str; 6] = ["timeCreated", "timeModified", "name", "path", "fileSizeInBytes", "status"];
const STATUSES: [&str; 6] = ["PARTIAL", "AVAILABLE", "ARCHIVING", "ARCHIVED", "UNARCHIVING", "DELETING"];

impl<'a> Selection<'a> {
    /// Reads the filters of a listing of a project; `folder` is given when its children are asked
    /// for.
    pub(super) fn parse(
        query: &'a Query,
        tree: &Tree,
        project: ProjectKey,
        folder: Option<NodeKey>,
        unseen: Vec<(String, Timestamp)>,
    ) -> Result<Self, Problem> {
        if let Some((name, value)) = UNSUPPORTED.iter().find_map(|name| Some((*name, query.one(name)?))) {
            return Err(Problem::parameter(name, value, "the simulator cannot filter by it"));
        }
        let one_of = |name, text: &'a str, known: &[&str]| {
            let known = known.contains(&text);
            if known { Ok(text) } else { Err(Problem::parameter(name, text, "is not one of its values")) }
        };
        let name_mode = match query.one("filenameMatchMode") {
            Some("EXACT") => NameMode::Exact,
            Some("EXCLUDE") => NameMode::Exclude,
            Some("FUZZY") | None => NameMode::Fuzzy,
            Some(other) => {
                return Err(Problem::parameter("filenameMatchMode", other, "is not one of its values"));
            }
        };
        let modes = ["STARTS_WITH_CASE_INSENSITIVE", "FULL_CASE_INSENSITIVE"];
        let whole_path = match query.one("filePathMatchMode") {
            Some(mode) => one_of("filePathMatchMode", mode, &modes)?.starts_with("FULL"),
            None => false,
        };
        let paths: Vec<String> = query.all("filePath").map(str::to_lowercase).collect();
        let source = match folder {
            Some(folder) => Source::Folders(vec![folder]),
            None => source(query, tree, project, &paths, whole_path)?,
        };
        Ok(Self {
            source,
            ids: query.all("id").collect(),
            names: query.all("filename").map(str::to_lowercase).collect(),
            name_mode,
            paths,
            whole_path,
            statuses: query
                .all("status")
                .map(|status| one_of("status", status, &STATUSES))
                .collect::<Result<_, _>>()?,
            kind: query.one("type").map(|kind| one_of("type", kind, &["FILE", "FOLDER"])).transpose()?,
            owners: query.all("owningProjectId").collect(),
            created: Between::parse(query, "creationDateAfter", "creationDateBefore")?,
            status_since: Between::parse(query, "statusDateAfter", "statusDateBefore")?,
            unseen,
            sort: sort_keys(query, &SORTABLE)?,
        })
    }

    fn matches(&self, tree: &Tree, node: &Node) -> bool {
        let lower_name = || node.name.to_lowercase();
        let lower_path = || node.path.to_lowercase();
        let named = self.names.is_empty()
            || match self.name_mode {
                NameMode::Exact => self.names.contains(&lower_name()),
                NameMode::Exclude => !self.names.contains(&lower_name()),
                NameMode::Fuzzy => self.names.iter().any(|name| lower_name().contains(name.as_str())),
            };
        let path = |wanted: &String| {
            let path = lower_path();
            if self.whole_path { path == *wanted } else { path.starts_with(wanted.as_str()) }
        };
        let owner =
            || tree.project(node.owner).is_some_and(|project| self.owners.contains(&project.id.as_str()));
        let lags = |(path, made): &(String, Timestamp)| node.path.starts_with(path) && node.created > *made;
        named
            && !self.unseen.iter().any(lags)
            && (self.paths.is_empty() || self.paths.iter().any(path))
            && (self.ids.is_empty() || self.ids.contains(node.id.as_str()))
            && (self.statuses.is_empty() || self.statuses.contains(&status(node)))
            && self.kind.is_none_or(|kind| (kind == "FOLDER") == node.is_folder())
            && (self.owners.is_empty() || owner())
            && self.created.holds(node.created)
            && self.status_since.holds(node.status_since)
    }

    /// All there is in the source after a path, in the source's order.
    fn walk<'t>(&'t self, tree: &'t Tree, after: Option<&'t str>) -> Box<dyn Iterator<Item = &'t Node> + 't> {
        match &self.source {
            Source::Paths(project, paths) => {
                let after = after.map(|path| (path.to_lowercase(), path));
                let left = paths.iter().filter_map(move |path| match &after {
                    // Its own, and none of it or all of it is still to come.
                    Some((lower, exact)) if lower.starts_with(path.as_str()) => Some((path, Some(*exact))),
                    Some((lower, _)) if path < lower => None,
                    _ => Some((path, None)),
                });
                Box::new(left.flat_map(move |(path, after)| {
                    let whole = self.whole_path && !self.paths.is_empty();
                    let nodes = tree.below(*project, path, after).map(|(_, node)| node);
                    nodes.take_while(move |node| !whole || node.path.to_lowercase() == *path)
                }))
            }
            Source::Folders(folders) => Box::new(folders.iter().flat_map(move |folder| {
                let path = tree.node(*folder).map_or("", |node| node.path.as_str());
                let (skip, name) = match after.and_then(|after| after.trim_end_matches('/').rsplit_once('/'))
                {
                    Some((parent, name)) if path.strip_suffix('/') == Some(parent) => (false, Some(name)),
                    Some((parent, _)) => (path.trim_end_matches('/') < parent, None),
                    None => (false, None),
                };
                let children = (!skip).then(|| tree.children(*folder, name).map(|(_, node)| node));
                children.into_iter().flatten()
            })),
        }
    }

    fn count(&self, tree: &Tree) -> usize {
        match &self.source {
            Source::Paths(project, _) => tree.project_count(*project),
            Source::Folders(folders) => folders.iter().map(|folder| tree.child_count(*folder)).sum(),
        }
    }

    /// Everything, sorted, without pages.
    pub(super) fn all(&self, tree: &Tree) -> Vec<Seen> {
        let mut found: Vec<&Node> = self.walk(tree, None).filter(|node| self.matches(tree, node)).collect();
        found.sort_by(|a, b| self.compare(a, b));
        found.into_iter().map(|node| Seen::new(tree, node)).collect()
    }

    /// One page.
    pub(super) fn page(&self, tree: &Tree, paging: &Paging) -> Page<Seen> {
        match &paging.from {
            From::Offset(offset) => self.page_at(tree, *offset, paging.size),
            From::Cursor(cursor) => self.page_after(tree, cursor.as_ref(), paging.size),
        }
    }

    fn page_at(&self, tree: &Tree, offset: usize, size: usize) -> Page<Seen> {
        let mut found: Vec<&Node> = self.walk(tree, None).filter(|node| self.matches(tree, node)).collect();
        found.sort_by(|a, b| self.compare(a, b));
        let total = Some(found.len());
        let items = found.into_iter().skip(offset).take(size).map(|node| Seen::new(tree, node)).collect();
        Page { items, next: None, remaining: None, total }
    }

    /// Goes on after the last path, so that a page costs what is on it, however long the listing.
    fn page_after(&self, tree: &Tree, cursor: Option<&Cursor>, size: usize) -> Page<Seen> {
        let mut seen = cursor.map_or(0, |cursor| cursor.seen);
        let (mut items, mut next) = (Vec::new(), None);
        for node in self.walk(tree, cursor.map(|cursor| cursor.last.as_str())) {
            let matches = self.matches(tree, node);
            if matches && items.len() == size {
                let last = items.last().map(|seen: &Seen| seen.node.path.clone()).unwrap_or_default();
                next = Some(Cursor { seen, last });
                break;
            }
            seen += 1;
            if matches {
                items.push(Seen::new(tree, node));
            }
        }
        let remaining = next.as_ref().map_or(0, |_| self.count(tree).saturating_sub(seen).max(1));
        Page { items, next, remaining: Some(remaining), total: None }
    }

    fn compare(&self, a: &Node, b: &Node) -> Ordering {
        let size = |node: &Node| node.stored().map_or(0, |content| content.size());
        self.sort.iter().fold(Ordering::Equal, |so_far, (key, descending)| {
            let order = match *key {
                "timeCreated" => a.created.cmp(&b.created),
                "timeModified" => a.modified.cmp(&b.modified),
                "name" => a.name.cmp(&b.name),
                "path" => a.path.cmp(&b.path),
                "status" => status(a).cmp(status(b)),
                _ => size(a).cmp(&size(b)),
            };
            so_far.then(if *descending { order.reverse() } else { order })
        })
    }
}

fn source(
    query: &Query,
    tree: &Tree,
    project: ProjectKey,
    paths: &[String],
    whole: bool,
) -> Result<Source, Problem> {
    if let Some(id) = query.one("parentFolderId") {
        let folder = tree.seen_in(project, id).filter(|(_, node)| node.is_folder());
        return Ok(Source::Folders(folder.map(|(key, _)| key).into_iter().collect()));
    }
    if let Some(path) = query.one("parentFolderPath") {
        if !path.starts_with('/') || !path.ends_with('/') {
            return Err(Problem::parameter("parentFolderPath", path, "must start and end with /"));
        }
        return Ok(Source::Folders(tree.folders_at(project, path)));
    }
    let mut paths = paths.to_vec();
    paths.sort_unstable();
    paths.dedup_by(|later, first| later == first || (!whole && later.starts_with(first.as_str())));
    if paths.is_empty() {
        paths.push("/".to_owned());
    }
    Ok(Source::Paths(project, paths))
}

pub(super) fn status(node: &Node) -> &'static str {
    use crate::domain::file::DataStatus as S;
    match node.status {
        S::Partial => "PARTIAL",
        S::Available => "AVAILABLE",
        S::Archiving => "ARCHIVING",
        S::Archived => "ARCHIVED",
        S::Unarchiving => "UNARCHIVING",
        S::Deleting => "DELETING",
        S::Unknown => "UNKNOWN",
    }
}
