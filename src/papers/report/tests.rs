//! The report as a whole.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::domain::share::files::StorageClass;

pub(super) fn head() -> Head {
    Head {
        name: "my-package".into(),
        id: "pkg.01JDXK3V7Q2M8N4P5R6S7T8V9W".into(),
        date: "2026-11-30T23:30:00Z".parse().unwrap(),
    }
}

pub(super) fn library(id: &str, projects: &[&str]) -> Library {
    Library {
        library_id: id.into(),
        sample_id: format!("S-{id}"),
        external_sample_id: format!("ext-{id}"),
        subject_id: "SBJ1".into(),
        individual_id: "IND1".into(),
        project_ids: projects.iter().map(|id| (*id).to_owned()).collect(),
        phenotype: "tumor".into(),
        assay: "TsqNano".into(),
        library_type: "WGS".into(),
    }
}

pub(super) fn fastq(library: &str, lane: u32) -> PackagedFile {
    let name = format!("{library}_S1_L00{lane}_R1_001.fastq.gz");
    PackagedFile {
        path: format!("fastq/run-1/Lane_{lane}/{library}/{name}"),
        uri: format!("s3://primary/{name}"),
        size: 1_610_612_736,
        etag: Some("abc".into()),
        storage_class: StorageClass::StandardIa,
        icav2: None,
        archived: false,
        modified: None,
        data_type: DataType::Fastq,
        library_id: library.into(),
        instrument_run_id: "run-1".into(),
        lane: Some(lane),
        portal_run_id: String::new(),
        workflow_name: String::new(),
        workflow_version: String::new(),
        md5: None,
        sha256: None,
        ingest_id: None,
    }
}

pub(super) fn secondary(run: &str, key: &str) -> PackagedFile {
    PackagedFile {
        path: format!("s/umccrise/{run}/{key}"),
        size: 2048,
        data_type: DataType::SecondaryAnalysis,
        instrument_run_id: String::new(),
        lane: None,
        portal_run_id: run.into(),
        workflow_name: "umccrise".into(),
        workflow_version: "2.3.1".into(),
        ..fastq("L1", 1)
    }
}

fn page(libraries: &[Library], files: &[PackagedFile], summary: &Summary) -> String {
    let mut report = Report::new(head());
    for library in libraries {
        report.library(library);
    }
    for file in files {
        report.take(file, Mark::Same);
    }
    String::from_utf8(report.finish(summary)).unwrap()
}

/// The rows of a kind, of all blocks.
fn rows(page: &str, kind: &str) -> Vec<Value> {
    let begin = format!("<script type=\"application/json\" data-rows=\"{kind}\">");
    page.split(&begin)
        .skip(1)
        .flat_map(|rest| {
            let block: Value = serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap();
            block.get("r").unwrap_or(&block).as_array().unwrap().clone()
        })
        .collect()
}

fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    page.split_once(from).unwrap().1.split_once(to).unwrap().0
}

#[test]
fn the_head_says_what_it_is() {
    let page = page(&[], &[], &Summary::default());
    assert!(
        page.starts_with("<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"),
        "{page:.200}"
    );
    assert!(page.contains("<title>my-package</title>") && page.contains("<h1>my-package</h1>"));
    assert!(page.contains("Package ID: <code>pkg.01JDXK3V7Q2M8N4P5R6S7T8V9W</code>"));
    assert!(page.contains("<time datetime=\"2026-11-30T23:30:00Z\">2026-11-30 23:30 UTC</time>"));
    assert!(page.ends_with("</body></html>\n"));
    assert!(page.contains("No earlier package of this name is kept."));
    assert!(page.contains("Nothing needs to be restored"));
}

#[test]
fn the_policy_has_the_hashes_of_what_is_in_the_page() {
    let page = page(&[], &[], &Summary::default());
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash(between(&page, "<style>", "</style>")),
            hash(between(&page, "<script>", "</script>"))
        )
    );
    assert_eq!(policy, super::policy());
    assert!(!page.contains(" style=") && !page.contains(" onclick="));
    assert!(!page.contains("src=") && !page.contains("http:") && !page.contains("https:"));
}

#[test]
fn sections_are_those_with_data_and_are_numbered() {
    let all = page(
        &[library("L1", &["P1"])],
        &[fastq("L1", 1), secondary("run1", "a.vcf"), secondary("run1", "b.vcf")],
        &Summary::default(),
    );
    for caption in [
        "Table 1: All metadata in the data package",
        "Table 2: All FASTQ files in the data package",
        "Table 3: All secondary analyses in the data package",
        "Table 4: All secondary files in the data package",
    ] {
        assert!(all.contains(&format!("<caption>{caption}</caption>")), "{caption}");
    }
    assert_eq!((rows(&all, "libraries").len(), rows(&all, "fastq").len()), (1, 1));
    assert_eq!((rows(&all, "runs").len(), rows(&all, "files").len()), (1, 2));
    assert_eq!(rows(&all, "runs")[0][4], "s/umccrise/run1/");

    let some = page(&[library("L1", &["P1"])], &[secondary("run1", "a.vcf")], &Summary::default());
    assert!(
        some.contains("Table 2: All secondary analyses") && some.contains("Table 3: All secondary files")
    );
    assert!(!some.contains("id=\"fastq\"") && !some.contains("href=\"#fastq\""));
    let none = page(&[], &[], &Summary::default());
    assert!(!none.contains("<caption>") && !none.contains("data-table="));
    for key in ["metadata", "analyses", "files"] {
        assert!(some.contains(&format!("href=\"#{key}\"")) && some.contains(&format!("id=\"{key}\"")));
    }
}

#[test]
fn columns_are_the_given_ones_in_their_order() {
    let page = page(&[library("L1", &["P1"])], &[fastq("L1", 1), secondary("r", "a")], &Summary::default());
    let heads: Vec<_> = page
        .split("<thead>")
        .skip(2)
        .map(|part| part.split_once("</thead>").unwrap().0)
        .map(|part| {
            part.replace("</th>", "|")
                .replace("<th scope=\"col\">", "")
                .replace("<tr>", "")
                .replace("</tr>", "")
        })
        .collect();
    assert_eq!(
        heads,
        [
            "Library ID|Sample ID|External Sample ID|Subject ID|Individual ID|Project ID|Phenotype|Assay|Type|",
            "Library ID|File Name|Instrument Run ID|Lane|Compression Format|File Size|Relative Output Path|",
            "Workflow Name|Workflow Version|Portal Run ID|Library IDs|Relative Output Path|",
            "File Name|File Size|Relative Output Path|Workflow Name|Portal Run ID|",
        ]
    );
}

#[test]
fn marks_are_colours_and_words() {
    let classes = [
        StorageClass::DeepArchive,
        StorageClass::Glacier,
        StorageClass::GlacierIr,
        StorageClass::IntelligentTiering,
    ];
    let mut files: Vec<_> =
        classes.map(|storage_class| PackagedFile { storage_class, ..fastq("L1", 1) }).into();
    for n in [0, 1, 3] {
        files[n].archived = true;
    }
    files.push(fastq("L9", 1));
    files.push(PackagedFile { library_id: "L1__L9".into(), ..secondary("run1", "a") });
    let page = page(&[library("L1", &["P1"])], &files, &Summary::default());
    for words in [
        "archived (DeepArchive)",
        "archived (Glacier)",
        "archived (IntelligentTiering)",
        "GlacierIr",
        "library not found",
    ] {
        assert!(page.contains(&format!("<span class=\"badge\">{words}</span>")), "{words}");
    }
    assert_eq!(page.matches("<tr class=\"archived\">").count(), 3);
    assert_eq!(page.matches("<tr class=\"instant\">").count(), 1);
    // A file, an analysis, and what has no project.
    assert_eq!(page.matches("<tr class=\"lost\">").count(), 3);
    assert!(page.contains("3 files are archived</strong> (4.5 GiB) and must be restored"), "{page}");
    assert!(page.contains("1 DeepArchive, 1 Glacier, 1 IntelligentTiering."));
    assert!(page.contains("2 files are of libraries that were not found"));
    let flags: Vec<_> = rows(&page, "fastq").iter().map(|row| row[6].as_u64().unwrap()).collect();
    assert_eq!(flags, [13, 12, 3, 10, 1]);
}

#[test]
fn what_differs_is_said_and_the_gone_are_bounded() {
    let previous = Previous {
        id: "pkg.0".into(),
        new: 1,
        changed: 2,
        gone: 1200,
        left_out: None,
        gone_paths: (0..700).map(|at| format!("gone/<{at}>")).collect(),
    };
    let mut report = Report::new(head());
    report.take(&fastq("L1", 1), Mark::New);
    report.take(&fastq("L1", 2), Mark::Changed);
    let differing = String::from_utf8(report.finish(&Summary { previous: Some(previous) })).unwrap();
    assert!(differing.contains("<strong>1 new, 2 changed, 1\u{202f}200 gone</strong>"));
    assert!(
        differing.contains("<li>gone/&lt;0&gt;</li>")
            && differing.contains("499&gt;")
            && !differing.contains("500&gt;")
    );
    assert!(differing.contains("and 700 more"));
    assert!(
        differing.contains("<span class=\"badge change\">new</span>")
            && differing.contains(">changed</span>")
    );
    assert!(differing.contains("<main data-previous>"));
    let same = Summary { previous: Some(Previous { id: "pkg.0".into(), ..Previous::default() }) };
    assert!(page(&[], &[], &same).contains("<strong>nothing has changed</strong>"));
}

#[test]
fn what_is_left_out_is_counted_and_what_was_restored_is_marked() {
    let mut file = fastq("L1", 1);
    file.storage_class = StorageClass::DeepArchive;
    let mut report = Report::new(head());
    report.take(&file, Mark::New);
    let previous = Previous { id: "pkg.0".into(), new: 1, left_out: Some(7), ..Previous::default() };
    let page = String::from_utf8(report.finish(&Summary { previous: Some(previous) })).unwrap();
    assert!(page.contains("Only what is new since <code>pkg.0</code> is in this package: "), "{page}");
    assert!(page.contains("1 new, 0 changed, 0 gone</strong>. 7 files are as they were there and left out."));
    assert!(page.contains("<span class=\"badge\">restored (DeepArchive)</span>"));
    assert!(page.contains("1 file was restored</strong> (1.5 GiB) from an archive"), "{page}");
    assert!(!page.contains("class=\"archived\""), "it can be read");
}

#[test]
fn hostile_names_stay_texts() {
    let hostile = "</script></noscript><script>x()</script>\"'\u{202e}\u{0}\u{2028}";
    let mut of = library(hostile, &[hostile]);
    of.phenotype = hostile.into();
    let mut file = fastq(hostile, 1);
    file.instrument_run_id = hostile.into();
    let mut analysis = secondary(hostile, "a");
    analysis.library_id = hostile.into();
    let mut report = Report::new(Head { name: hostile.into(), id: hostile.into(), ..head() });
    report.library(&of);
    report.take(&file, Mark::Same);
    report.take(&analysis, Mark::Same);
    let previous =
        Previous { id: hostile.into(), gone: 1, gone_paths: vec![hostile.into()], ..Previous::default() };
    let page = String::from_utf8(report.finish(&Summary { previous: Some(previous) })).unwrap();
    assert!(!page.contains("<script>x()"));
    assert!(!page.contains('\u{202e}') && !page.contains('\0') && !page.contains('\u{2028}'));
    // Our script, the one of each block of data, and no other.
    assert_eq!(page.matches("<script").count(), 1 + 4);
    assert_eq!(page.matches("</script").count(), 1 + 4);
    assert_eq!(page.matches("</noscript").count(), 4);
    assert_eq!(rows(&page, "libraries")[0][0], hostile);
    assert_eq!(rows(&page, "fastq")[0][1], file.path.as_str());
}

#[test]
fn without_a_script_there_are_five_hundred_rows_and_a_sentence() {
    let files: Vec<_> =
        (0..1700).map(|at| PackagedFile { path: format!("fastq/{at}"), ..fastq("L1", 1) }).collect();
    let libraries: Vec<_> = (0..501).map(|at| library(&format!("L{at}"), &["P"])).collect();
    let page = page(&libraries, &files, &Summary::default());
    let plain = |key: &str| {
        let section = between(&page, &format!("<section id=\"{key}\""), "</section>");
        between(section, "<noscript>", "</noscript>").to_owned()
    };
    let fastq = plain("fastq");
    assert_eq!(fastq.matches("<tr").count(), 501);
    assert!(fastq.contains("These are the first 500 rows; there are 1\u{202f}200 more."), "{fastq}");
    assert!(fastq.contains("<td class=\"path\">fastq/499</td>") && !fastq.contains("fastq/500<"));
    assert!(plain("metadata").contains("there are 1 more."));
    assert_eq!(rows(&page, "fastq").len(), 1700);
}

#[test]
fn two_hundred_thousand_files_are_written_as_they_come() {
    let mut report = Report::new(head());
    report.library(&library("L1", &["P1"]));
    let (mut most, mut total) = (0, report.drain().len());
    for at in 0..200_000_u32 {
        let file = if at % 2 == 0 {
            PackagedFile { path: format!("fastq/{at}/{}", "x".repeat(40)), ..fastq("L1", 1) }
        } else {
            secondary("run1", &format!("{at}.vcf"))
        };
        report.take(&file, Mark::Same);
        let drained = report.drain().len();
        most = most.max(drained);
        total += drained;
    }
    assert!(most < 256 * 1024, "{most}");
    let kept = report.plain_fastq.bytes()
        + report.plain_secondary.bytes()
        + report.fastq.bytes()
        + report.secondary.bytes();
    assert!(kept < 1024 * 1024, "{kept}");
    let rest = report.finish(&Summary::default());
    assert!(rest.len() < 1024 * 1024, "{}", rest.len());
    assert!(total > 5_000_000 && total < 12_000_000, "{total}");
}

#[test]
fn long_texts_close_a_block_early() {
    let mut report = Report::new(head());
    assert!(!report.drain().is_empty());
    for at in 0..200 {
        let long = format!("{at}{}", "y".repeat(1000));
        report.take(&PackagedFile { path: long.clone(), library_id: long, ..fastq("L", 1) }, Mark::Same);
    }
    assert!(report.drain().len() > 128 * 1024);
}
