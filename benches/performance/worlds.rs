//! The worlds that are copied.

use serde_json::{Value, json};

/// What an empty project for what is copied is called.
pub(crate) const DESTINATION: &str = "archive";
/// What the project with the sources is called.
pub(crate) const SOURCE: &str = "lab";

/// A file of the source project. Sizes do not matter to the simulated platform's jobs.
pub(crate) fn file(path: impl AsRef<str>, parts: u32) -> Value {
    json!({"path": path.as_ref(), "size": 10, "parts": parts})
}

fn project(number: usize, name: &str, folders: &[&str], files: &[Value]) -> Value {
    let id = format!("11111111-1111-4111-8111-{number:012}");
    // What was made just now would be looked at again after two minutes.
    json!({"id": id, "name": name, "age": "1h", "byob": null, "folders": folders, "files": files})
}

/// A project with these files, empty folders too, and one to copy them to.
pub(crate) fn world(files: &[Value], empty: &[&str]) -> Value {
    json!({"projects": [project(1, SOURCE, empty, files), project(2, DESTINATION, &["/in/"], &[])]})
}

/// A project with these files, and so many to copy them to, named by their number.
pub(crate) fn many_destinations(files: &[Value], destinations: usize) -> Value {
    let others = (0..destinations).map(|n| project(n + 2, &destination(n), &["/in/"], &[]));
    json!({"projects": std::iter::once(project(1, SOURCE, &[], files)).chain(others).collect::<Vec<_>>()})
}

pub(crate) fn destination(number: usize) -> String {
    format!("{DESTINATION}{number:03}")
}

/// So many folders below `/run/`, each with so many multi-part files.
pub(crate) fn folders(folders: usize, files: usize) -> Value {
    let file = |folder: usize, n: usize| {
        file(format!("/run/L{folder:04}/LPRJ240012_S{:05}_R{}_001.fastq.gz", n / 2, n % 2 + 1), 2)
    };
    let files: Vec<_> = (0..folders).flat_map(|folder| (0..files).map(move |n| file(folder, n))).collect();
    world(&files, &[])
}

/// World (a): 200 files in 12 folders, 176 of several parts and 24 of one; `Samples/` holds only folders, and
/// `Logs/archive/` nothing.
pub(crate) fn run() -> Value {
    const LANES: [&str; 4] = ["Samples/L1/", "Samples/L2/", "Samples/L3/", "Samples/L4/"];
    const OTHERS: [&str; 8] =
        ["", "InterOp/", "Logs/", "Reports/", "Undetermined/", "Germline/", "Germline/variants/", "MultiQC/"];
    let lanes = LANES.map(|folder| (folder, 36));
    let all = OTHERS.map(|folder| (folder, 4)).into_iter().chain(lanes);
    let mut files = Vec::new();
    for (folder, count) in all {
        files.extend((0..count).map(|n| file(format!("/run/{folder}S{n:03}.fastq.gz"), 2)));
        files.extend(["manifest.json", "md5sums.txt"].map(|name| file(format!("/run/{folder}{name}"), 1)));
    }
    world(&files, &["/run/Logs/archive/"])
}

/// World (b): so many files in one folder, one in ten of one part.
pub(crate) fn folder(files: usize) -> Value {
    let one = |n: usize| match n % 10 {
        0 => file(format!("/run/{n:06}.sums.txt"), 1),
        _ => file(format!("/run/{n:06}.fastq.gz"), 2),
    };
    world(&(0..files).map(one).collect::<Vec<_>>(), &[])
}
