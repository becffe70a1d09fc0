//! The fields of log lines have one name each, and all of them are in the document.
#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const MACROS: [&str; 11] = [
    "trace!(",
    "debug!(",
    "info!(",
    "warn!(",
    "error!(",
    "info_span!(",
    "debug_span!(",
    "warn_span!(",
    "span!(",
    "error_span!(",
    "at_level_of!(",
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What stands in the parentheses that have just been opened, cut at the commas between arguments.
pub(crate) fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut parts = vec![String::new()];
    for letter in text.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ if in_text => {}
            ')' if depth == 0 => break,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The fields that one file's log lines have.
fn fields(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = MACROS.iter().flat_map(|name| {
        let is_part = |before: char| before.is_alphanumeric() || before == '_';
        let parts: Vec<_> = code.split(name).collect();
        let found = parts.into_iter().scan("", move |before, part| {
            let is_macro = !std::mem::replace(before, part).ends_with(is_part);
            Some((is_macro, part))
        });
        found
            .skip(1)
            .filter(|(is_macro, _)| *is_macro)
            .flat_map(|(_, rest)| arguments(rest))
            .collect::<Vec<_>>()
    });
    // What a macro passes on is a field where it is used, and its first argument decides the level.
    let is_field = |part: &String| !part.starts_with(['"', '$']) && part != "failure";
    let fields = lines.filter(is_field).map(|part| {
        let name = part.trim_start_matches(['%', '?']).split('=').next().unwrap().trim();
        name.to_owned()
    });
    fields.collect()
}

#[test]
fn every_field_of_a_log_line_is_in_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told: BTreeSet<_> = files(&root.join("src"))
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .filter(|path| !path.ends_with("tests.rs"))
        .flat_map(|path| fields(&fs::read_to_string(path).unwrap()))
        .collect();
    let document = fs::read_to_string(root.join("docs/logs.md")).unwrap();
    let fields = document.split("## Codes").next().unwrap();
    let rows = fields.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<_> = rows.map(str::to_owned).collect();
    assert_eq!(told, documented);
    let is_plain = |name: &str| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    let others: Vec<_> = told.iter().filter(|name| !is_plain(name)).collect();
    // Programs read these two, and did before the others had these names.
    assert_eq!(others, ["task.answer", "task.status"]);
}

#[test]
fn shorthands_and_expressions_are_read() {
    let text = r#"warn!(error = chain(a, b), %object, at = ?{ x }, "a, \"b\" = (c", ); my_info!(other = 1)"#;
    assert_eq!(fields(text).into_iter().collect::<Vec<_>>(), ["at", "error", "object"]);
}
