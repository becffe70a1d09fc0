//! The corpus of the fuzz targets (`fuzz/`), through the same checks, without a fuzzer: as it is, cut
//! short at every byte, and with single bits turned.
#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::{fs, path::PathBuf};

#[path = "../../fuzz/src/lib.rs"]
#[expect(clippy::panic, unreachable_pub, reason = "a crate of its own for the fuzzer")]
mod checks;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 11] = [
    ("intake", checks::intake),
    ("jobs", checks::jobs),
    ("location", checks::location),
    ("payload", checks::payload),
    ("manifest", checks::manifest),
    ("jwt", checks::jwt),
    ("renaming", checks::renaming),
    ("templates", checks::templates),
    ("rows", checks::rows),
    ("package", checks::package),
    ("lines", checks::lines),
];

fn fuzz(folder: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fuzz", folder].iter().collect()
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_target_has_a_corpus_and_is_known_here() {
    let mut known: Vec<_> = TARGETS.map(|(target, _)| target.to_owned()).to_vec();
    known.sort();
    assert_eq!(names(fuzz("corpus")), known);
    let files: Vec<_> = known.iter().map(|target| format!("{target}.rs")).collect();
    assert_eq!(names(fuzz("fuzz_targets")), files);
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for target in known {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
    }
}

#[test]
fn the_corpus_holds_and_so_does_what_is_near_it() {
    for (target, check) in TARGETS {
        let folder = fuzz("corpus").join(target);
        for name in names(folder.clone()) {
            let seed = fs::read(folder.join(name)).unwrap();
            check(&seed);
            for end in 0..seed.len().min(700) {
                check(&seed[..end]);
                let mut turned = seed.clone();
                turned[end] ^= 1 << (end % 8);
                check(&turned);
            }
        }
    }
}
