//! The map of the house, read from the sources: who may import whom, and who owns which crate.
//!
//! Every `crate::x::…` path in code that is not a test is an arrow from the file's room to `x`. An
//! arrow that the table does not list fails with file, line and reason. So does a third-party crate
//! outside the rooms that own it, a `super::super` (it hides an arrow), a file without a `//!` head
//! or over 400 lines, and a room that the table does not know. So do methods of the engine that are written
//! elsewhere, and a file that names two kinds of work. `lib.rs` is the map itself.
//!
//! Not seen: paths inside macro input, and names re-exported from the crate root (so: none are).
#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use syn::{
    spanned::Spanned as _,
    visit::{self, Visit},
};

/// Whom a room may import. Every room may import itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("events", &["domain"]),
    ("ports", &["domain"]),
    ("signals", &["domain"]),
    ("policy", &["ports", "signals"]),
    ("http", &[]),
    ("engine", &["domain", "events", "ports", "policy", "signals"]),
    ("planes", &["domain", "events", "ports", "policy", "signals", "engine"]),
    ("papers", &["domain"]),
    ("kinds", &["domain", "events", "ports", "signals", "engine", "planes", "papers"]),
    ("transfer", &["domain", "ports", "policy", "signals"]),
    ("icav2", &["domain", "ports", "policy", "signals", "http"]),
    ("aws", &["domain", "events", "ports", "signals"]),
    ("embedded", &["domain", "events", "ports", "signals"]),
    ("inventory", &["domain", "events", "ports"]),
    ("announce", &["domain", "ports", "signals", "http"]),
    ("dap", &["domain", "ports", "policy", "http", "signals"]),
    ("postgres", &["domain", "ports"]),
    ("slack", &["domain", "ports"]),
    ("orcabus", &["domain", "ports", "policy", "http"]),
    ("simulator", &["domain", "events", "http"]),
    ("runtime", &["signals"]),
    ("telemetry", &["signals"]),
    ("admin", &["domain", "events", "ports", "engine", "signals", "runtime"]),
    ("share", &["domain", "events", "ports", "engine", "signals", "runtime", "papers"]),
    // Settings live beside the code they set, so any room may have some.
    ("config", EVERY_ROOM),
    ("app", ALL_BUT_CLI),
    ("cli", &["app", "config", "domain", "events", "ports", "simulator", "admin"]),
    ("main", &["cli"]),
];

const EVERY_ROOM: &[&str] = &[
    "domain",
    "events",
    "ports",
    "signals",
    "policy",
    "engine",
    "transfer",
    "icav2",
    "aws",
    "embedded",
    "dap",
    "postgres",
    "simulator",
    "runtime",
    "telemetry",
    "admin",
];
const ALL_BUT_CLI: &[&str] = &[
    "domain",
    "events",
    "ports",
    "signals",
    "policy",
    "engine",
    "planes",
    "kinds",
    "transfer",
    "http",
    "icav2",
    "aws",
    "embedded",
    "inventory",
    "announce",
    "dap",
    "postgres",
    "slack",
    "orcabus",
    "papers",
    "simulator",
    "runtime",
    "telemetry",
    "admin",
    "share",
    "config",
];

/// The rooms that may name a third-party crate; a trailing `*` stands for any ending.
const OWNERS: &[(&str, &[&str])] = &[
    ("aws_sdk_*", &["aws", "transfer", "simulator"]),
    ("aws_config", &["aws", "transfer", "simulator"]),
    ("reqwest", &["http", "transfer", "embedded", "simulator", "slack", "cli", "share"]),
    ("axum", &["admin", "share", "runtime", "embedded", "simulator", "slack"]),
    ("rusqlite", &["embedded"]),
    ("tokio_postgres*", &["postgres"]),
    ("rustls*", &["postgres", "embedded"]),
    ("s3s", &["simulator"]),
    ("jsonwebtoken", &["share"]),
    ("governor", &["policy"]),
    ("backon", &["policy"]),
    ("clap", &["cli"]),
];

/// The kinds of work. A file knows one of them at most; only `app` names all.
const KINDS: &[&str] = &["batch", "copy", "copy_out", "package", "push"];

/// Types whose methods are written in the room `engine` alone.
const CORE_TYPES: &[&str] = &["Core", "Engine"];

const LONGEST_FILE: usize = 400;

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |head| name.starts_with(head))
}

/// What one file refers to, with the lines.
#[derive(Default)]
struct References {
    /// Rooms, and what is taken out of them.
    rooms: Vec<(String, String, usize)>,
    crates: Vec<(String, usize)>,
    hidden: Vec<usize>,
    /// Types that it writes methods for.
    implemented: Vec<(String, usize)>,
    /// Kinds of work that it names.
    kinds: BTreeMap<String, usize>,
}

impl References {
    /// Notes the first two segments of a path.
    fn note(&mut self, path: &[&syn::Ident]) {
        let Some((first, rest)) = path.split_first() else { return };
        let line = first.span().start().line;
        match (first.to_string().as_str(), rest.first()) {
            // The binary sees the library by its name.
            ("crate" | "copy_manager", Some(room)) => {
                let what = rest.get(1).map(ToString::to_string).unwrap_or_default();
                if *room == "kinds" && KINDS.contains(&what.as_str()) {
                    self.kinds.entry(what.clone()).or_insert(line);
                }
                self.rooms.push((room.to_string(), what, room.span().start().line));
            }
            ("super", Some(second)) if *second == "super" => self.hidden.push(line),
            ("crate" | "super" | "self", _) => {}
            (name, _) => self.crates.push((name.to_owned(), line)),
        }
    }

    fn note_use<'t>(&mut self, tree: &'t syn::UseTree, prefix: &[&'t syn::Ident]) {
        match tree {
            syn::UseTree::Path(path) => self.note_use(&path.tree, &[prefix, &[&path.ident]].concat()),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.note_use(item, prefix);
                }
            }
            syn::UseTree::Name(name) => self.note(&[prefix, &[&name.ident]].concat()),
            syn::UseTree::Rename(name) => self.note(&[prefix, &[&name.ident]].concat()),
            syn::UseTree::Glob(_) => self.note(prefix),
        }
    }
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

impl<'ast> Visit<'ast> for References {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_use(&item.tree, &[]);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.trait_.is_none()
            && let syn::Type::Path(of) = item.self_ty.as_ref()
            && let Some(last) = of.path.segments.last()
        {
            self.implemented.push((last.ident.to_string(), item.span().start().line));
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.crates.push((item.ident.to_string(), item.span().start().line));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments: Vec<_> = path.segments.iter().map(|segment| &segment.ident).collect();
            self.note(&segments);
        }
        visit::visit_path(self, path);
    }
}

/// A source file, by its path below `src`.
struct Source {
    path: PathBuf,
    text: String,
    tree: syn::File,
}

impl Source {
    /// The room that the file belongs to.
    fn room(&self) -> String {
        let first = self.path.components().next().unwrap().as_os_str().to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }

    /// The kind of work that the file is part of.
    fn kind(&self) -> Option<String> {
        let mut parts = self.path.components().map(|part| part.as_os_str().to_string_lossy());
        let is_kind = parts.next().is_some_and(|room| room == "kinds");
        let second = parts.next().filter(|_| is_kind)?;
        let second = second.trim_end_matches(".rs");
        KINDS.contains(&second).then(|| second.to_owned())
    }

    /// Where the bodies of its `#[cfg(test)] mod name;` are, without ending.
    fn test_modules(&self) -> impl Iterator<Item = PathBuf> {
        let inside = match self.path.file_stem().unwrap().to_str() {
            Some("mod" | "lib" | "main") => self.path.parent().unwrap().to_owned(),
            _ => self.path.with_extension(""),
        };
        self.tree.items.iter().filter_map(move |item| match item {
            syn::Item::Mod(item) if item.content.is_none() && is_test_only(&item.attrs) => {
                Some(inside.join(item.ident.to_string()))
            }
            _ => None,
        })
    }

    /// What is wrong with it as a piece of text.
    fn breaches_of_form(&self) -> Vec<String> {
        let shown = self.path.display();
        let mut breaches = Vec::new();
        if !self.text.starts_with("//!") {
            breaches.push(format!("{shown}: no `//!` head"));
        }
        let lines = self.text.lines().count();
        if lines > LONGEST_FILE {
            breaches.push(format!("{shown}: {lines} lines, over {LONGEST_FILE}"));
        }
        breaches
    }

    /// What it refers to and must not.
    fn breaches_of_tables(&self) -> Vec<String> {
        let (shown, room) = (self.path.display(), self.room());
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == room) else {
            return vec![format!("{shown}: the room `{room}` is not in the table")];
        };
        let mut found = References::default();
        found.visit_file(&self.tree);

        let mut breaches = Vec::new();
        for (other, what, line) in found.rooms.into_iter().filter(|(other, ..)| *other != room) {
            if !allowed.contains(&other.as_str()) {
                breaches.push((line, format!("`{room}` may not import `{other}`")));
            } else if room == "config" && other != "domain" && what != "settings" {
                breaches.push((line, format!("`config` may import nothing of `{other}` but its settings")));
            }
        }
        for (name, line) in found.crates {
            if let Some((_, owners)) = OWNERS.iter().find(|(pattern, _)| matches(pattern, &name))
                && !owners.contains(&room.as_str())
            {
                breaches.push((line, format!("the crate `{name}` belongs to {}", owners.join(", "))));
            }
        }
        for (name, line) in found.implemented {
            if room != "engine" && CORE_TYPES.contains(&name.as_str()) {
                breaches.push((line, format!("methods of `{name}` belong into `engine`")));
            }
        }
        if let Some(own) = self.kind() {
            found.kinds.entry(own).or_insert(1);
        }
        if room != "app" && found.kinds.len() > 1 {
            let line = found.kinds.values().max().copied().unwrap_or_default();
            let named: Vec<_> = found.kinds.into_keys().collect();
            breaches
                .push((line, format!("it names the kinds {}; only `app` knows several", named.join(", "))));
        }
        for line in found.hidden {
            breaches.push((line, "`super::super` hides an arrow".to_owned()));
        }
        breaches.sort();
        breaches.dedup();
        breaches.into_iter().map(|(line, reason)| format!("{shown}:{line}: {reason}")).collect()
    }
}

/// The source files in a folder below `root`.
fn sources(root: &Path, folder: &Path) -> Vec<Source> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            sources.extend(self::sources(root, &path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let tree = syn::parse_file(&text).unwrap();
            sources.push(Source { path: path.strip_prefix(root).unwrap().to_owned(), text, tree });
        }
    }
    sources
}

fn breaches(root: &Path) -> Vec<String> {
    let sources = sources(root, root);
    let tests: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    let is_test = |path: &Path| tests.iter().any(|test| path.with_extension("").starts_with(test));
    let mut breaches = Vec::new();
    for source in &sources {
        breaches.extend(source.breaches_of_form());
        if source.room() != "lib" && !is_test(&source.path) {
            breaches.extend(source.breaches_of_tables());
        }
    }
    breaches
}

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/architecture", name].iter().collect()
}

#[test]
fn the_house_keeps_to_its_map() {
    let found = breaches(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_room_of_the_map_is_there() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, allowed) in ARROWS {
        assert!(src.join(room).is_dir() || src.join(format!("{room}.rs")).is_file(), "no room `{room}`");
        for other in *allowed {
            assert!(ARROWS.iter().any(|(known, _)| known == other), "`{room}` may import no room `{other}`");
        }
    }
}

#[test]
fn rooms_below_never_reach_back_up() {
    for (index, (room, allowed)) in ARROWS.iter().enumerate() {
        for other in *allowed {
            let position = ARROWS.iter().position(|(known, _)| known == other).unwrap();
            assert!(position < index, "`{other}` stands above `{room}`, which imports it");
        }
    }
}

#[test]
fn a_good_tree_passes() {
    assert_eq!(breaches(&fixture("good")), Vec::<String>::new());
}

#[test]
fn a_bad_tree_has_every_breach_named() {
    let expected = [
        "aws.rs: no `//!` head",
        "cli.rs:2: the crate `axum` belongs to admin, share, runtime, embedded, simulator, slack",
        "cli.rs:4: `cli` may not import `engine`",
        "config.rs:2: `config` may import nothing of `aws` but its settings",
        "domain.rs:3: `domain` may not import `engine`",
        "engine/scheduler.rs:3: `engine` may not import `aws`",
        "engine/scheduler.rs:4: the crate `aws_sdk_sqs` belongs to aws, transfer, simulator",
        "engine/scheduler.rs:5: `super::super` hides an arrow",
        "engine/scheduler.rs:9: `engine` may not import `aws`",
        "engine/scheduler.rs:10: the crate `governor` belongs to policy",
        "kinds/copy.rs:3: it names the kinds batch, copy; only `app` knows several",
        "kinds/copy.rs:5: methods of `Core` belong into `engine`",
        "main.rs:2: `main` may not import `app`",
        "policy.rs: 401 lines, over 400",
        "stray.rs: the room `stray` is not in the table",
    ];
    assert_eq!(breaches(&fixture("bad")), expected);
}
