//! What a release stands on: an image that builds from what Docker is shown, things from elsewhere that cannot change
//! under their names, one version, and documents whose proofs are there.
#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::{
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// All files below a folder that have that ending, by their path in the project.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|of_it| of_it == ending) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Whether a line of `.dockerignore` is of that path: a name, a folder above it, or `**/` and a name with stars.
fn is_of(pattern: &str, path: &str) -> bool {
    let Some(name) = pattern.strip_prefix("**/") else {
        return path.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    };
    let mut rest = path.rsplit('/').next().unwrap();
    let mut parts = name.split('*');
    let Some(after) = rest.strip_prefix(parts.next().unwrap()) else { return false };
    rest = after;
    let ends_anyhow = name.ends_with('*');
    for part in parts.filter(|part| !part.is_empty()) {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    ends_anyhow || rest.is_empty()
}

/// Whether Docker is shown that path. The last line that is of it decides.
fn is_shown(path: &str) -> bool {
    let text = read(".dockerignore");
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let decisive = lines.rfind(|line| is_of(line.trim_start_matches('!'), path));
    decisive.is_none_or(|line| line.starts_with('!'))
}

/// A path without `..`.
fn plain(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir { assert!(plain.pop()) } else { plain.push(part) }
    }
    plain.to_str().unwrap().to_owned()
}

#[test]
fn lines_of_dockerignore_are_understood() {
    for (pattern, path, is) in [
        ("docs", "docs/errors.md", true),
        ("docs", "docs2", false),
        (".ci", ".ci/run", true),
        ("**/*.md", "README.md", true),
        ("**/*.md", "src/a/b.md", true),
        ("**/*.md", "src/md.rs", false),
        ("**/*.sqlite*", "a/b.sqlite-wal", true),
        ("**/*.sqlite*", "a/sqlite", false),
    ] {
        assert_eq!(is_of(pattern, path), is, "{pattern} {path}");
    }
}

#[test]
fn docker_is_shown_what_the_image_is_made_of() {
    let mut wanted: Vec<String> =
        ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "config/default.toml"].map(str::to_owned).into();
    for source in files("src", "rs") {
        let text = read(&source);
        let included = text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next());
        wanted.extend(included.map(|path| plain(&source.parent().unwrap().join(path))));
        wanted.push(plain(&source));
    }
    let dockerfile = read("Dockerfile");
    let copies = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    for copied in copies.filter(|line| !line.starts_with("--from") && *line != ". .") {
        let mut words: Vec<_> = copied.split(' ').map(str::to_owned).collect();
        words.pop();
        wanted.extend(words);
    }
    assert!(wanted.iter().any(|path| path == "docs/errors.md"));
    for path in wanted {
        assert!(root().join(&path).exists(), "{path} is not there");
        assert!(is_shown(&path), "{path} is kept from Docker");
    }
    for path in
        ["docs/operators.md", "tests/house/main.rs", ".ci/run", ".git", "target/release/x", "README.md"]
    {
        assert!(!is_shown(path), "{path}");
    }
}

/// The first stage has the manifest and stand-ins for the sources, and no later one has tests and benches.
#[test]
fn the_manifest_is_understood_where_only_sources_are() {
    let folder = tempfile::tempdir().unwrap();
    let dockerfile = read("Dockerfile");
    let stand_ins = dockerfile.lines().find_map(|line| line.strip_prefix("RUN mkdir src")).unwrap();
    for path in ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"] {
        let to = folder.path().join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root().join(path), to).unwrap();
    }
    let made =
        Command::new("sh").args(["-c", &format!("mkdir src{stand_ins}")]).current_dir(&folder).status();
    assert!(made.unwrap().success());
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--locked", "--offline", "--format-version", "1"]);
    let output = cargo.current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_comes_from_elsewhere_is_named_by_its_content() {
    let is_hex =
        |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut count = 0;
    for workflow in files(".github/workflows", "yml") {
        for line in read(&workflow).lines() {
            let Some((_, used)) = line.split_once("uses: ") else { continue };
            if used.starts_with("./") {
                continue;
            }
            let (commit, tag) = used.split_once('@').unwrap().1.split_once(" # ").unwrap_or_default();
            assert!(is_hex(commit, 40) && tag.starts_with('v'), "{}: {used}", workflow.display());
            count += 1;
        }
    }
    assert!(count > 5, "{count}");

    let dockerfile = read("Dockerfile");
    let mut known: Vec<String> = vec!["scratch".to_owned()];
    for line in dockerfile.lines() {
        if let Some((name, image)) = line.strip_prefix("ARG ").and_then(|arg| arg.split_once('=')) {
            let digest = image.split_once("@sha256:").map_or("", |(_, digest)| digest);
            if is_hex(digest, 64) {
                known.push(format!("${{{name}}}"));
            }
        }
        if let Some(from) = line.strip_prefix("FROM ") {
            let mut words = from.split(' ');
            let image = words.next().unwrap();
            assert!(known.iter().any(|known| known == image), "{image} is not named by its digest");
            known.extend(words.next_back().map(str::to_owned));
        }
    }
}

#[test]
fn the_image_has_what_it_is_said_to_have() {
    let after = |text: &str, before: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(before)).unwrap_or_default();
        line.trim().to_owned()
    };
    let features = after(&read("Dockerfile"), "ARG FEATURES=");
    assert_eq!(after(&read("Makefile"), "FEATURES := "), features);
    let named: Vec<_> = features.split(',').collect();
    for absent in ["docs", "simulator", "sso"] {
        assert!(!named.contains(&absent), "{absent}");
    }
    let shown = named.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let (last, others) = shown.split_last().unwrap();
    let sentence = format!("The image is built with {} and {last}", others.join(", "));
    assert!(read("README.md").contains(&sentence), "README.md: {sentence}");
}

#[test]
fn the_version_is_that_of_the_manifest() {
    let version = env!("CARGO_PKG_VERSION");
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let expected = format!("name = \"copy-manager\"\nversion = \"{version}\"\n");
        assert!(read(lock).contains(&expected), "{lock}");
    }
    for document in files("docs", "md") {
        let text = read(&document);
        for said in ["\"version\":\"", "version=\""] {
            let mut versions = text.split(said).skip(1).filter_map(|rest| rest.split('"').next());
            assert!(versions.all(|said| said == version), "{}", document.display());
        }
    }
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn proofs_that_documents_name_are_there() {
    let sources: String =
        ["src", "tests"].into_iter().flat_map(|folder| files(folder, "rs")).map(read).collect();
    for document in ["docs/security.md", "docs/compatibility.md"] {
        let text = read(document);
        let is_name = |word: &&str| {
            word.matches('_').count() > 2 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        let mut count = 0;
        for name in quoted(&text).filter(is_name) {
            assert!(sources.contains(&format!("fn {name}(")), "{document}: there is no test {name}");
            count += 1;
        }
        assert!(count > 10, "{document}: {count}");
        let is_path = |word: &&str| {
            let folders = ["src/", "tests/", "docs/", "deploy/", "fuzz/", ".github/", ".ci/", "config/"];
            folders.iter().any(|folder| word.starts_with(folder))
        };
        for path in quoted(&text).filter(is_path) {
            assert!(root().join(path).exists(), "{document}: there is no {path}");
        }
    }
}
