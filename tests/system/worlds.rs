//! What there is to copy, and whether it has arrived.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::lab::Platform;

/// Where everything comes from.
pub(crate) const SOURCE: &str = "lab";
/// Where everything goes.
pub(crate) const DESTINATION: &str = "archive";

/// A project to copy from with those folders and files (path, size, parts), and an empty one.
pub(crate) fn world(folders: &[&str], files: &[(String, u64, u32)]) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|(path, size, parts)| json!({ "path": path, "size": size, "parts": parts }))
        .collect();
    json!({ "projects": [
        { "id": "5b1d1b36-9d2c-4a53-8f0e-6f3f6f2d1c01", "name": SOURCE, "folders": folders, "files": files },
        { "id": "c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f02", "name": DESTINATION },
    ] })
}

/// A run of three levels with everything that makes a name or a file awkward.
pub(crate) fn awkward() -> Value {
    let files = [
        ("/run/Sample.fastq.gz", 300_000, 3),
        ("/run/sample.fastq.gz", 300_001, 2),
        ("/run/README.txt", 512, 1),
        ("/run/readme.txt", 511, 1),
        ("/run/zero.bin", 0, 1),
        ("/run/two words/a b+c.bam", 200_000, 4),
        ("/run/two words/100%.txt", 1_000, 1),
        ("/run/two words/50%41 #2.bam", 150_000, 2),
        ("/run/two words/Zoë – 試料 #1/überlänge & mehr.vcf.gz", 250_000, 5),
        ("/run/two words/Zoë – 試料 #1/was?=ja;nein.txt", 2_000, 1),
        ("/run/Two Words/other case.bam", 100_000, 2),
        ("/single/odd #1+%2F.txt", 3_000, 1),
    ];
    let files = files.map(|(path, size, parts)| (path.to_owned(), size, parts));
    world(&["/run/two words/empty + hollow/"], &files)
}

/// `folders` folders of `files` multi-part files and one single-part file each, below `/run/`.
pub(crate) fn regular(folders: usize, files: usize) -> Value {
    let files: Vec<_> = (0..folders)
        .flat_map(|folder| {
            let many = (0..files).map(move |n| (format!("/run/{folder:02}/{n:03}.bam"), 50_000, 2));
            many.chain([(format!("/run/{folder:02}/sums.txt"), 900, 1)])
        })
        .collect();
    world(&[], &files)
}

/// Asserts that what is below one folder is below the other, byte for byte, and nothing else.
pub(crate) async fn assert_same(platform: &Platform, source: &str, destination: &str) {
    let wanted = content(&platform.tree(SOURCE, source).await, source);
    let there = content(&platform.tree(DESTINATION, destination).await, destination);
    assert!(!wanted.is_empty());
    pretty_assertions::assert_eq!(there, wanted);
}

/// Path below the folder → kind, size, MD5.
pub(crate) fn content(tree: &[Value], folder: &str) -> BTreeMap<String, (String, Value, Value)> {
    let entry = |entry: &Value| {
        let path = entry["path"].as_str().unwrap().strip_prefix(folder).unwrap().to_owned();
        assert_eq!(entry["status"], "AVAILABLE", "{entry}");
        (path, (entry["type"].as_str().unwrap().to_owned(), entry["size"].clone(), entry["md5"].clone()))
    };
    tree.iter().map(entry).collect()
}
