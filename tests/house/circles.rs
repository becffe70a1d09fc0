//! No two files of a room need each other, directly or by way of others: whoever reads one reads them all.
//! Those that do are listed, and the list may only become shorter.
//!
//! An arrow is a path in code that is not a test. A file may name what its parent module defines, for the
//! parent is what the files of a folder have in common; that is no arrow.
#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::visit::{self, Visit};

/// Circles, each as the modules in it.
const CIRCLES: &[&[&str]] = &[
    &["app::adapters", "app::on_aws"],
    &["aws::objects::looking", "aws::objects::trouble", "aws::objects::uploads", "aws::objects::writing"],
    &[
        "domain::batch",
        "domain::copy_out",
        "domain::outcome",
        "domain::preview",
        "domain::renaming",
        "domain::request",
    ],
    &["embedded::commits", "embedded::database"],
    &[
        "engine::beat",
        "engine::core",
        "engine::debts",
        "engine::dispatch",
        "engine::large",
        "engine::lease",
        "engine::liveness",
        "engine::outbox",
        "engine::payload",
        "engine::quarantine",
        "engine::records",
        "engine::round",
        "engine::timers",
    ],
    &["engine::intake", "engine::join"],
    &["events::intake::carriers", "events::intake::payload::batch"],
    &[
        "icav2::client",
        "icav2::credentials",
        "icav2::linked",
        "icav2::platform",
        "icav2::projects",
        "icav2::storage",
    ],
    &["kinds::sources::checks", "kinds::sources::find"],
    &["planes::objects::conflict", "planes::objects::object"],
    &[
        "simulator::accounts",
        "simulator::api",
        "simulator::copies",
        "simulator::events",
        "simulator::faults",
        "simulator::jobs",
        "simulator::moves",
        "simulator::others",
        "simulator::paging",
        "simulator::problem",
        "simulator::s3",
        "simulator::s3::access",
        "simulator::s3::cold",
        "simulator::s3::door",
        "simulator::s3::rules",
        "simulator::s3::say",
        "simulator::s3::shelves",
        "simulator::s3::show",
        "simulator::s3::store",
        "simulator::s3::uploads",
        "simulator::seen",
        "simulator::select",
        "simulator::state",
        "simulator::tree",
        "simulator::wire",
        "simulator::world",
    ],
    &["transfer::multipart", "transfer::stream"],
];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The module of a file below `src`: `engine::tree` for `engine/tree/mod.rs`.
fn module(path: &Path) -> String {
    let text = path.with_extension("").to_str().unwrap().replace('/', "::");
    text.strip_suffix("::mod").map(str::to_owned).unwrap_or(text)
}

/// The paths in one file, from the root of the crate.
struct Paths<'a> {
    module: &'a str,
    found: BTreeSet<String>,
}

impl Paths<'_> {
    fn note(&mut self, segments: &[String]) {
        let (mut base, mut rest) = match segments.split_first() {
            Some((first, rest)) if first == "crate" => (String::new(), rest),
            Some((first, rest)) if first == "self" => (self.module.to_owned(), rest),
            Some((first, _)) if first == "super" => (self.module.to_owned(), segments),
            _ => return,
        };
        while let Some((first, others)) = rest.split_first()
            && first == "super"
        {
            base = base.rsplit_once("::").map(|(above, _)| above.to_owned()).unwrap_or_default();
            rest = others;
        }
        let mut path = base;
        for segment in rest {
            if !path.is_empty() {
                path.push_str("::");
            }
            path.push_str(segment);
        }
        self.found.insert(path);
    }

    fn note_use(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let with = |ident: &syn::Ident| [prefix, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.note_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.note_use(item, prefix)),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.note(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.note(prefix),
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // Modules within a file are tests, or say `super` for the file.
        if item.content.is_none() {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&segments);
        visit::visit_path(self, path);
    }
}

fn files(folder: &Path, root: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.insert(module(path.strip_prefix(root).unwrap()), text);
        }
    }
}

/// Which modules name which others of their room.
fn arrows(root: &Path) -> Graph {
    let mut texts = BTreeMap::new();
    files(root, root, &mut texts);
    let mut graph = Graph::new();
    for (from, text) in &texts {
        // Bodies of `#[cfg(test)] mod tests;`.
        if from.ends_with("::tests") || from.ends_with("::samples") {
            continue;
        }
        let mut paths = Paths { module: from, found: BTreeSet::new() };
        paths.visit_file(&syn::parse_file(text).unwrap());
        let in_room = |module: &str| module.split("::").next().unwrap().to_owned();
        let is_above = |other: &str| from.strip_prefix(other).is_some_and(|rest| rest.starts_with("::"));
        for path in paths.found {
            let mut target = path.as_str();
            while !texts.contains_key(target)
                && let Some((above, _)) = target.rsplit_once("::")
            {
                target = above;
            }
            if texts.contains_key(target)
                && target != from
                && in_room(target) == in_room(from)
                && !is_above(target)
            {
                graph.entry(from.clone()).or_default().insert(target.to_owned());
            }
        }
    }
    graph
}

fn reachable<'g>(graph: &'g Graph, from: &str) -> BTreeSet<&'g str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in graph.get(module).into_iter().flatten() {
            if seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    seen
}

/// Sets of modules each of which leads to all others of its set.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let mut circles = BTreeSet::new();
    for module in graph.keys() {
        let ahead = reachable(graph, module);
        if ahead.contains(module.as_str()) {
            let members = ahead.iter().filter(|other| reachable(graph, other).contains(module.as_str()));
            circles.insert(members.map(|&other| other.to_owned()).collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

#[test]
fn files_that_need_each_other_are_listed_and_become_fewer() {
    let found = circles(&arrows(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
    assert_eq!(found, CIRCLES, "{found:#?}");
}

#[test]
fn a_circle_is_seen_however_long_it_is() {
    let graph: Graph = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "a")]
        .map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()])))
        .into_iter()
        .fold(Graph::new(), |mut graph, (from, to)| {
            graph.entry(from).or_default().extend(to);
            graph
        });
    assert_eq!(circles(&graph), [["a", "b", "c"]]);
}
