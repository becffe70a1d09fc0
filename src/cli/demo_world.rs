//! The demo's world: a BCLConvert-like run in one project, and an empty project to copy it to.

use serde_json::{Value, json};

const RUN: &str = "/runs/20260102_A01052_0150_AH2YV7DSX5/";
const SOURCE: (&str, &str) = ("5b1d1b36-9d2c-4a53-8f0e-6f3f6f2d1c01", "demo-sequencing");
const DESTINATION: (&str, &str) = ("c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f02", "demo-archive");
const LANES: u32 = 4;
const SAMPLES: u32 = 18;
/// The folders beside the lanes, with the multi-part files of each.
const OTHERS: [(&str, [&str; 4]); 8] = [
    ("", ["RunInfo.tar", "Recipe.tar", "Config.tar", "Thumbnails.tar"]),
    ("InterOp/", ["TileMetrics.bin", "QMetrics.bin", "ErrorMetrics.bin", "ExtractionMetrics.bin"]),
    ("Logs/", ["bcl-convert.log.gz", "rta3.log.gz", "copy.log.gz", "instrument.log.gz"]),
    ("Reports/", ["Demultiplex.parquet", "Quality.parquet", "Adapters.parquet", "IndexHopping.parquet"]),
    ("Undetermined/", ["L001.fastq.ora", "L002.fastq.ora", "L003.fastq.ora", "L004.fastq.ora"]),
    ("DragenGermline/", ["T1.bam", "T2.bam", "T3.bam", "T4.bam"]),
    ("DragenGermline/variants/", ["T1.gvcf.gz", "T2.gvcf.gz", "T3.gvcf.gz", "T4.gvcf.gz"]),
    ("MultiQC/", ["data.zip", "plots.zip", "fastqc.zip", "report.zip"]),
];
/// The small files of every folder, uploaded in one part.
const SINGLE_PART: [&str; 2] = ["manifest.json", "md5sums.txt"];
const EMPTY: &str = "Logs/archive/";

/// What the demo copies, and how much of it there is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DemoWorld {
    /// The world file.
    pub(super) world: Value,
    /// The run.
    pub(super) source_uri: String,
    /// Where it goes.
    pub(super) destination_uri: String,
    /// Folders in the run, the run itself and the empty one included.
    pub(super) folders: u64,
    /// Files in the run.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// The same world for the same seed.
pub(super) fn demo_world(seed: u64) -> DemoWorld {
    let mut sizes = Sizes(seed);
    let mut files = Vec::new();
    let mut add = |path: String, size: u64, parts: u64| {
        files.push((size, json!({ "path": path, "size": size, "parts": parts })));
    };
    let lanes = (1..=LANES).map(|lane| {
        let reads = (1..=SAMPLES).flat_map(move |sample| {
            (1..=2).map(move |read| format!("LPRJ26{sample:04}_S{sample}_L{lane:03}_R{read}_001.fastq.gz"))
        });
        (format!("Samples/Lane_{lane}/"), reads.collect::<Vec<_>>())
    });
    let others = OTHERS.map(|(folder, names)| (folder.to_owned(), names.map(String::from).to_vec()));
    let folders: Vec<_> = others.into_iter().chain(lanes).collect();
    for (folder, names) in &folders {
        for name in names {
            add(format!("{RUN}{folder}{name}"), sizes.between(64 << 10, 640 << 10), sizes.between(2, 9));
        }
        for name in SINGLE_PART {
            add(format!("{RUN}{folder}{name}"), sizes.between(200, 64 << 10), 1);
        }
    }
    // `Samples/` holds only folders and `Logs/archive/` nothing at all.
    let folder_count = folders.len() as u64 + 2;
    let (file_sizes, entries): (Vec<u64>, Vec<Value>) = files.into_iter().unzip();
    let project = |(id, name): (&str, &str), folders: Value, files: Value| json!({ "id": id, "name": name, "age": "1h", "byob": null, "folders": folders, "files": files });
    DemoWorld {
        source_uri: format!("icav2://{}{RUN}", SOURCE.1),
        destination_uri: format!("icav2://{}/incoming/", DESTINATION.1),
        folders: folder_count,
        files: file_sizes.len() as u64,
        bytes: file_sizes.iter().sum(),
        world: json!({ "projects": [
            project(SOURCE, json!([format!("{RUN}{EMPTY}")]), Value::Array(entries)),
            project(DESTINATION, json!([]), json!([])),
        ] }),
    }
}

/// Numbers that look random and are the same everywhere (`SplitMix64`).
struct Sizes(u64);

impl Sizes {
    fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        least + (mixed ^ (mixed >> 31)) % (most - least)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn it_is_what_the_demo_promises() {
        let demo = demo_world(1);
        let files = demo.world["projects"][0]["files"].as_array().unwrap();
        let mut single_parts = BTreeMap::<_, u32>::new();
        let mut paths = BTreeSet::new();
        for file in files {
            let path = file["path"].as_str().unwrap();
            let folder = path.rsplit_once('/').unwrap().0;
            *single_parts.entry(folder).or_default() += u32::from(file["parts"] == 1);
            assert!(paths.insert(path), "{path} twice");
        }
        assert_eq!((demo.files, files.len(), single_parts.len()), (200, 200, 12));
        assert!(single_parts.values().all(|singles| *singles == 2));
        assert!(demo.bytes < 200 << 20 && demo.bytes > 32 << 20, "{}", demo.bytes);
        assert_eq!(demo.folders, 14);
    }

    #[test]
    fn a_seed_makes_one_world() {
        assert_eq!(demo_world(7), demo_world(7));
        assert_ne!(demo_world(7), demo_world(8));
    }
}
