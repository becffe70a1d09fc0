//! The tables of documents that are made from the code: log codes and failures.
//!
//! `UPDATE_DOCS=1` writes them anew.
#![expect(clippy::unwrap_used, clippy::panic, clippy::string_slice, reason = "test helpers")]

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use copy_manager::{domain::outcome::ErrorName, signals, telemetry::cloudwatch};

use crate::logs::arguments;

/// A line that is told somewhere: its level, its message, and what it is told of.
struct Line {
    level: String,
    message: String,
    what: String,
}

const LEVELS: [(&str, &str); 5] = [
    ("debug!(", "DEBUG"),
    ("info!(", "INFO"),
    ("warn!(", "WARN"),
    ("error!(", "ERROR"),
    ("at_level_of!(", "INFO, WARN or ERROR"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The texts in quotation marks that look like codes.
fn codes_in(text: &str) -> Vec<String> {
    let quoted = text.split('"').skip(1).step_by(2);
    let is_code = |text: &&str| {
        let plain =
            text.chars().all(|letter| letter.is_ascii_lowercase() || "._".contains(letter) || letter == '3');
        plain && text.matches('.').count() == 1 && !text.starts_with('.')
    };
    quoted.filter(is_code).map(str::to_owned).collect()
}

/// The functions of a file: documentation and body.
fn functions(text: &str) -> Vec<(String, String)> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let mut functions = Vec::new();
    let mut doc = String::new();
    for line in code.lines() {
        if let Some(said) = line.trim_start().strip_prefix("/// ") {
            if !doc.is_empty() {
                doc.push(' ');
            }
            doc.push_str(said);
        } else if line.starts_with("pub fn ") || line.starts_with("fn ") {
            functions.push((std::mem::take(&mut doc), format!("{line}\n")));
        } else if line.starts_with("    ") || line.starts_with(['}', ')']) {
            if let Some((_, body)) = functions.last_mut() {
                body.push_str(line);
                body.push('\n');
            }
        } else if !line.starts_with("#[") {
            doc.clear();
        }
    }
    functions
}

/// Every line that is told, by its code.
fn lines() -> BTreeMap<String, Line> {
    let mut lines = BTreeMap::new();
    let files = fs::read_dir(root().join("src/signals")).unwrap().map(|entry| entry.unwrap().path());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let functions = functions(&text);
        for (doc, body) in &functions {
            for (name, level) in LEVELS {
                for (at, _) in body.match_indices(name) {
                    if body[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                        continue;
                    }
                    let parts = arguments(&body[at + name.len()..]);
                    let code = parts.iter().find_map(|part| part.strip_prefix("code = "));
                    let code =
                        code.unwrap_or_else(|| panic!("a line without a code: {}: {doc}", path.display()));
                    let codes = match codes_in(code) {
                        // It is chosen by a function.
                        none if none.is_empty() => {
                            let chooser = format!("fn {}(", code.split('(').next().unwrap());
                            functions
                                .iter()
                                .find(|(_, body)| body.contains(&chooser))
                                .map(|(_, body)| codes_in(body))
                                .unwrap()
                        }
                        codes => codes,
                    };
                    let message = parts.last().unwrap().trim_matches('"').to_owned();
                    for code in codes {
                        let line =
                            Line { level: level.to_owned(), message: message.clone(), what: doc.clone() };
                        match lines.entry(code.clone()) {
                            Entry::Vacant(entry) => drop(entry.insert(line)),
                            // One function tells it at a level that depends on what has happened.
                            Entry::Occupied(mut entry) => {
                                assert_eq!(&entry.get().what, doc, "{code} is told in two places");
                                entry.get_mut().level = format!("{} or {level}", entry.get().level);
                            }
                        }
                    }
                }
            }
        }
    }
    lines
}

/// Whether what stands between two marks of a document is that; with `UPDATE_DOCS` it is written there.
fn stands_in(document: &str, mark: &str, text: &str) {
    let path: PathBuf = root().join(document);
    let whole = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {mark}: made from the code -->\n"), format!("<!-- {mark}: end -->"));
    let (before, rest) = whole.split_once(&begin).unwrap_or_else(|| panic!("{document} has no {begin}"));
    let (there, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{begin}{text}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(there, text, "{document}: run the tests with UPDATE_DOCS=1");
}

#[test]
fn every_code_of_a_log_line_is_in_the_document() {
    let mut table = "\n| code | level | message | when |\n| --- | --- | --- | --- |\n".to_owned();
    for (code, Line { level, message, what }) in lines() {
        writeln!(table, "| `{code}` | {level} | {message} | {what} |").unwrap();
    }
    table.push('\n');
    assert!(table.lines().count() > 80, "{table}");
    stands_in("docs/logs.md", "codes", &table);
}

#[test]
fn every_failure_is_in_the_table() {
    let mut table = "\n| `error` | whose it is to mend | what to do |\n| --- | --- | --- |\n".to_owned();
    for name in ErrorName::ALL {
        let whose = if name.is_callers() { "the caller" } else { "ICAv2, S3 or copy-manager" };
        writeln!(table, "| [`{name}`](#{}) | {whose} | {} |", name.as_str().to_lowercase(), name.advice())
            .unwrap();
    }
    table.push('\n');
    stands_in("docs/errors.md", "failures", &table);
}

#[test]
fn every_metric_is_in_the_document() {
    let mut table =
        "\n| metric | type | CloudWatch | what it counts |\n| --- | --- | --- | --- |\n".to_owned();
    let metrics: BTreeMap<_, _> = signals::all().collect();
    for (name, meaning) in metrics {
        let of_type = match name {
            _ if name.ends_with("_total") => "counter",
            _ if signals::is_histogram(name) => "histogram",
            _ => "gauge",
        };
        let shown = if cloudwatch::SHOWN.contains(&name) { "yes" } else { "" };
        writeln!(table, "| `{name}` | {of_type} | {shown} | {meaning} |").unwrap();
    }
    table.push('\n');
    stands_in("docs/metrics.md", "metrics", &table);
}

/// A counter that begins with 0 under one label and is counted under another is never seen to move.
#[test]
fn counters_begin_with_the_labels_that_they_are_counted_by() {
    let files = fs::read_dir(root().join("src/signals")).unwrap().map(|entry| entry.unwrap().path());
    let counted = files.flat_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        let told = text.split("counter!(\"").skip(1).filter_map(|rest| {
            let mut words = rest.split(')').next()?.split('"');
            // The name, then the label, then its value, each followed by what stands between two texts.
            Some([words.next()?, words.nth(1)?, words.nth(1)?].map(str::to_owned))
        });
        told.collect::<Vec<_>>()
    });
    let mut seen = 0;
    for [name, label, value] in counted {
        let Some((_, known, values)) = signals::SERIES.iter().find(|(known, ..)| *known == name) else {
            continue;
        };
        seen += 1;
        assert!(label == *known && values.contains(&value.as_str()), "{name}: {label} = {value}");
    }
    assert!(seen >= 5, "{seen} counters are told with such labels");
}

#[test]
fn codes_are_read_out_of_the_source() {
    let text = "/// A thing\n/// that was told.\npub fn told(a: &str) {\n    info!(code = \"a.b\", a, \"told\");\n}\n";
    let functions = functions(text);
    assert_eq!(functions[0].0, "A thing that was told.");
    assert_eq!(codes_in(&functions[0].1), ["a.b"]);
}
