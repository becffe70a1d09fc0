//! Reports of packages that could be, and of some that hostile callers would like to have.

use std::{fs::File, io::Write as _, path::Path};

use copy_manager::{
    domain::share::files::{DataType, Library, PackagedFile, StorageClass},
    papers::report::{
        Head, JsonReport, Mark, Previous, Report, Summary, file_row, files_head, libraries_head, library_row,
    },
};

/// Writes the reports that are used by hand, so to say.
pub(crate) fn usual(folder: &Path) {
    write(folder, "sample", "umccr-trio-2026q4", &libraries(6), &sample(), true);
    write(folder, "hostile", HOSTILE, &hostile_libraries(), &hostile(), true);
    write(folder, "empty", "empty", &[], &[], false);
}

/// Writes a report of so many files, named by their number.
pub(crate) fn long(folder: &Path, count: usize) {
    write(folder, &count.to_string(), "many-files", &libraries(96), &many(count), false);
}

fn write(
    folder: &Path,
    file: &str,
    name: &str,
    libraries: &[Library],
    files: &[(PackagedFile, Mark)],
    differs: bool,
) {
    let head = Head {
        name: name.into(),
        id: "pkg.01JDXK3V7Q2M8N4P5R6S7T8V9W".into(),
        date: "2026-11-30T09:30:00Z".parse().unwrap(),
    };
    let count = |mark| files.iter().filter(|(_, of)| *of == mark).count() as u64;
    let previous = differs.then(|| Previous {
        id: "pkg.01JBZ4W2C6D8E9F0G1H2J3K4M5".into(),
        new: count(Mark::New),
        changed: count(Mark::Changed),
        gone: 2,
        left_out: None,
        gone_paths: vec![
            "secondary-analysis/umccrise/202409091a2b3c4d/L2401540__L2401541/SBJ00001-multiqc_report.html"
                .into(),
            format!("fastq/{name}"),
        ],
    });
    let summary = Summary { previous };
    let mut html = File::create(folder.join(format!("{file}.html"))).unwrap();
    let mut json = File::create(folder.join(format!("{file}.json"))).unwrap();
    let (mut report, mut object) = (Report::new(head.clone()), JsonReport::new(&head).unwrap());
    let (mut csv, mut libraries_csv) = (files_head(), libraries_head());
    for library in libraries {
        report.library(library);
        object.library(library).unwrap();
        libraries_csv.push_str(&library_row(library));
    }
    for (of, mark) in files {
        report.take(of, *mark);
        object.take(of, *mark).unwrap();
        html.write_all(&report.drain()).unwrap();
        json.write_all(&object.drain()).unwrap();
        csv.push_str(&file_row(of, *mark));
    }
    html.write_all(&report.finish(&summary)).unwrap();
    json.write_all(&object.finish(&summary).unwrap()).unwrap();
    std::fs::write(folder.join(format!("{file}.files.csv")), csv).unwrap();
    std::fs::write(folder.join(format!("{file}.libraries.csv")), libraries_csv).unwrap();
}

fn library_id(at: usize) -> String {
    format!("L24{:05}", 1540 + at)
}

fn libraries(count: usize) -> Vec<Library> {
    (0..count)
        .map(|at| {
            let wts = at % 3 == 2;
            Library {
                library_id: library_id(at),
                sample_id: format!("PRJ24{:04}", 310 + at),
                external_sample_id: format!("{}-{}", ["OV", "BR", "PA"][at % 3], 8812 + at / 2),
                subject_id: format!("SN_{:03}", 17 + at / 3),
                individual_id: format!("SBJ{:05}", 5120 + at / 3),
                project_ids: match at % 6 {
                    0 | 1 => vec!["CAVATAK".into()],
                    2 => vec!["CAVATAK".into(), "PDAC-Organoids".into()],
                    _ => vec!["PDAC-Organoids".into()],
                },
                phenotype: ["tumor", "normal", "tumor"][at % 3].into(),
                assay: if wts { "NebRNA" } else { "TsqNano" }.into(),
                library_type: if wts { "WTS" } else { "WGS" }.into(),
            }
        })
        .collect()
}

const RUNS: [&str; 2] = ["241024_A00130_0336_BHW7MVDSXC", "241101_A01052_0236_AHVWKYDRX5"];

fn fastq(library: &str, run: &str, lane: u32, read: u32, size: u64) -> PackagedFile {
    let name = format!(
        "{library}_S{}_L00{lane}_R{read}_001.fastq.{}",
        lane * 3,
        if lane > 2 { "ora" } else { "gz" }
    );
    PackagedFile {
        path: format!("fastq/{run}/Lane_{lane}/{library}/{name}"),
        uri: format!("s3://primary/{run}/{name}"),
        size,
        etag: Some("9b2cf535f27731c974343645a3985328-12".into()),
        storage_class: StorageClass::Standard,
        icav2: None,
        archived: false,
        modified: None,
        data_type: DataType::Fastq,
        library_id: library.into(),
        instrument_run_id: run.into(),
        lane: Some(lane),
        portal_run_id: String::new(),
        workflow_name: String::new(),
        workflow_version: String::new(),
        md5: None,
        sha256: None,
        ingest_id: None,
    }
}

fn secondary(workflow: (&str, &str), run: &str, libraries: &str, key: &str, size: u64) -> PackagedFile {
    PackagedFile {
        path: format!("secondary-analysis/{}/{run}/{key}", workflow.0),
        uri: format!("s3://analysis/{}/{run}/{key}", workflow.0),
        data_type: DataType::SecondaryAnalysis,
        library_id: libraries.into(),
        portal_run_id: run.into(),
        workflow_name: workflow.0.into(),
        workflow_version: workflow.1.into(),
        instrument_run_id: String::new(),
        lane: None,
        ..fastq("x", "x", 1, 1, size)
    }
}

fn sample() -> Vec<(PackagedFile, Mark)> {
    let mut files = Vec::new();
    for (at, run) in RUNS.iter().enumerate() {
        for lib in 0..6 {
            for lane in [1 + at as u32 * 2, 2 + at as u32] {
                if lib % 3 == 2 && lane % 2 == 0 {
                    continue;
                }
                for read in [1, 2] {
                    let size = 31_000_000_000 + 711_000_003 * (lib as u64 * 7 + u64::from(lane * 2 + read));
                    let mut file =
                        fastq(&library_id(lib), run, lane, read, if lib % 3 == 2 { size / 6 } else { size });
                    if at == 0 && lib == 4 {
                        file.storage_class = StorageClass::DeepArchive;
                    }
                    if at == 0 && lib == 5 {
                        file.storage_class = StorageClass::Glacier;
                    }
                    let mark = if at == 1 && lib > 2 { Mark::New } else { Mark::Same };
                    files.push((file, mark));
                }
            }
        }
    }
    for (pair, run) in [(0, "20241107a1b2c3d4"), (3, "20241109e5f60718")] {
        let (tumor, normal) = (library_id(pair), library_id(pair + 1));
        let both = if pair == 3 { format!("{tumor}__L2400009") } else { format!("{tumor}__{normal}") };
        let subject = format!("SBJ{:05}", 5120 + pair / 3);
        let mut add = |workflow, key: String, size, class| {
            let id = run
                .replace('e', if workflow == ("umccrise", "2.3.1--0") { "e" } else { "c" })
                .replace('a', if workflow == ("umccrise", "2.3.1--0") { "9" } else { "7" });
            let mut file = secondary(workflow, &id, &both, &key, size);
            file.storage_class = class;
            files.push((file, if pair == 0 && size % 2 == 1 { Mark::Changed } else { Mark::Same }));
        };
        let tn = ("tumor-normal", "4.2.4");
        for (of, size) in [(&normal, 61_203_112_200), (&tumor, 148_700_345_678)] {
            let part = if *of == tumor { "tumor" } else { "normal" };
            add(
                tn,
                format!("{of}_dragen/{subject}_{part}.bam"),
                size,
                if pair == 0 { StorageClass::GlacierIr } else { StorageClass::Standard },
            );
            add(tn, format!("{of}_dragen/{subject}_{part}.bam.bai"), 9_112_002, StorageClass::Standard);
        }
        let um = ("umccrise", "2.3.1--0");
        for (key, size) in [
            ("-multiqc_report.html", 3_501_331_u64),
            ("_cancer_report.html", 8_912_334),
            ("-somatic.pcgr.html", 5_120_008),
            ("-normal.cpsr.html", 4_802_100),
            ("-germline.predispose_genes.vcf.gz", 88_120),
            ("-somatic-PASS.vcf.gz", 1_203_332),
        ] {
            add(um, format!("{subject}__{tumor}/{subject}{key}"), size, StorageClass::Standard);
        }
    }
    files.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    for (file, _) in &mut files {
        file.archived = file.storage_class.is_archived();
    }
    files
}

fn many(count: usize) -> Vec<(PackagedFile, Mark)> {
    let mut files: Vec<_> = (0..count)
        .map(|at| {
            let at64 = at as u64;
            if at % 2 == 0 {
                let id = library_id(at / 2 % 96);
                let mut file = fastq(
                    &id,
                    &format!("2410{:02}_A00130_{:04}_BHW7MVDSXC", at / 768 % 28 + 1, at / 768),
                    (at / 192 % 4) as u32 + 1,
                    (at / 2 % 2) as u32 + 1,
                    1_000_000_007 + at64 * 7919,
                );
                if at % 50 == 0 {
                    file.storage_class = StorageClass::DeepArchive;
                    file.archived = true;
                }
                file
            } else {
                let run = format!("20241107{:08x}", at / 120);
                let (a, b) = (library_id(at / 120 % 96), library_id((at / 120 + 1) % 96));
                secondary(
                    ("umccrise", "2.3.1--0"),
                    &run,
                    &format!("{a}__{b}"),
                    &format!("{a}/purple/{a}-{}.purple.cnv.somatic-{at}.tsv", at % 7),
                    5000 + at64 * 13,
                )
            }
        })
        .map(|file| (file, Mark::Same))
        .collect();
    files.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    files
}

const HOSTILE: &str = "a</title><script>window.hit=1</script>\"'&\u{202e}gpj";

fn hostile_libraries() -> Vec<Library> {
    [
        "L</script><img src=x onerror=window.hit=1>",
        "=HYPERLINK(\"http://x\")",
        "L\u{202e}3\u{1}\u{0}",
        "-- <!--<script>",
    ]
    .map(|text| Library {
        library_id: text.into(),
        sample_id: "@SUM(A1)".into(),
        subject_id: "\u{2028}\u{2029}]]>".into(),
        project_ids: vec![text.into(), "+P".into(), "P\" onfocus=\"window.hit=1".into()],
        phenotype: "'\";alert(1)".into(),
        assay: "<b>bold</b>".into(),
        ..Library::default()
    })
    .into()
}

fn hostile() -> Vec<(PackagedFile, Mark)> {
    let names = [
        "</script><script>window.hit=1</script>",
        "<img src=https://example.org/x onerror=window.hit=1>",
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@x",
        "\tx",
        "\rx",
        "a,b\"c\nd",
        "\u{202e}gpj.fastq.gz",
        "</noscript><svg onload=window.hit=1>",
        "𝄞日本.ora",
        "𝄢日本.ora",
        "<!--",
        "\u{0}\u{7f}\u{85}",
    ];
    let libraries = hostile_libraries();
    let mut files = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let mut file = fastq("x", RUNS[0], 1, 1, 1);
        file.path = (*name).into();
        file.library_id.clone_from(&libraries[at % 4].library_id);
        file.instrument_run_id = (*name).into();
        files.push((file, Mark::New));
        let mut file = secondary((name, name), name, name, "x", u64::MAX / 64);
        file.path = format!("{name}/{name}");
        file.library_id = format!("{}__{name}", libraries[at % 4].library_id);
        files.push((file, Mark::Changed));
    }
    files
}
