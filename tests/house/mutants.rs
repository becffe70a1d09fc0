//! The deliberate bugs of the simulation still apply to the sources: one that does not finds nothing any more.

use std::{fs, path::Path};

/// The lines that a hunk wants to find, by file.
fn hunks(patch: &str) -> Vec<(String, String)> {
    let mut hunks: Vec<(String, String)> = Vec::new();
    let mut file = "";
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("--- a/") {
            file = path;
        } else if line.starts_with("@@") {
            hunks.push((file.to_owned(), String::new()));
        } else if let (Some((_, wanted)), Some(text)) =
            (hunks.last_mut(), line.strip_prefix([' ', '-']).filter(|_| !line.starts_with("---")))
        {
            wanted.push_str(text);
            wanted.push('\n');
        }
    }
    hunks
}

#[test]
fn every_mutant_applies_and_says_which_rule_it_breaks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files =
        fs::read_dir(root.join("tests/simulation/mutants")).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for patch in files.filter(|path| path.extension().is_some_and(|ending| ending == "patch")) {
        let text = fs::read_to_string(&patch).unwrap();
        assert!(text.contains("\nexpects: "), "{}", patch.display());
        let hunks = hunks(&text);
        assert!(!hunks.is_empty(), "{}", patch.display());
        for (file, wanted) in hunks {
            let source = fs::read_to_string(root.join(&file)).unwrap();
            assert!(source.contains(&wanted), "{} does not apply to {file}", patch.display());
        }
        count += 1;
    }
    assert!(count >= 10, "{count}");
}
