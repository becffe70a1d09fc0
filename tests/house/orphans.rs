//! Files that no build reads: what a move or a merge has left behind looks like the program and is not.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::path::{Path, PathBuf};

/// All Rust files below a folder, but those of fixtures.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("fixtures") {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The files that may declare a module of that file: those beside it, of which one may be taken in by its path, and that of
/// its folder.
fn parents(file: &Path) -> Vec<PathBuf> {
    let mut folder = file.parent().unwrap();
    if file.ends_with("mod.rs") {
        folder = folder.parent().unwrap();
    }
    let beside =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    beside.chain([folder.with_extension("rs")]).collect()
}

/// Those that nobody declares, by name or by path.
fn orphans(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    files(folder, &mut all);
    let texts: Vec<String> = all.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let is_declared = |file: &Path| {
        let stem = if file.ends_with("mod.rs") { file.parent().unwrap() } else { file };
        let module = format!("mod {};", stem.file_stem().unwrap().display());
        let name = file.file_name().unwrap().display();
        let paths = [format!("path = \"{name}\""), format!("/{name}\"]")];
        let mut by_name = parents(file).into_iter().filter_map(|parent| std::fs::read_to_string(parent).ok());
        by_name.any(|text| text.lines().any(|line| line.trim_start().ends_with(&module)))
            || texts.iter().any(|text| paths.iter().any(|path| text.contains(path)))
    };
    let is_root = |file: &Path| file.ends_with("main.rs") || file.ends_with("lib.rs");
    all.iter().filter(|file| !is_root(file) && !is_declared(file)).cloned().collect()
}

#[test]
fn every_file_is_part_of_the_program_or_of_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests"] {
        assert_eq!(orphans(&root.join(folder)), Vec::<PathBuf>::new());
    }
}
