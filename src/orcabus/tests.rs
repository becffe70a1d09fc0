//! Against a server that answers as the services do.

mod copies;
mod world;

use std::sync::atomic::Ordering;

use pretty_assertions::assert_eq;

use self::world::{RUN, World, serve, set};
use super::*;
use crate::{domain::share::files::DataType, ports::Class};

fn keys(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(Row::key).collect()
}

#[tokio::test]
async fn reads_lie_where_the_best_copy_of_each_does() {
    let served = serve(world::world(), &["good"]).await;
    let query = RowQuery {
        libraries: Some(set(&["L1", "L2", "L3"])),
        instrument_runs: Some(set(&[RUN])),
        data_types: Some([DataType::Fastq].into()),
        ..RowQuery::default()
    };
    let rows = served.rows(query).await.unwrap();
    let expected: Vec<_> = ["L1", "L2"]
        .into_iter()
        .flat_map(|id| ["1-1", "1-2", "2-1", "2-2"].map(|end| format!("primary/{id}-{end}.fastq.ora")))
        .collect();
    assert_eq!(keys(&rows), expected);
    let row = &rows[2];
    assert_eq!((row.uri.as_str(), row.lane, row.size), ("s3://b/primary/L1-2-1.fastq.ora", Some(2), Some(7)));
    assert_eq!((row.library_id.as_str(), row.instrument_run_id.as_str()), ("L1", RUN));
    assert_eq!(row.etag, "c1deaf85050662d00010514a4a6719d0");
    assert_eq!(row.sha256, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
    let asked = served.asked("fastq/fastq");
    let parameters =
        format!("library[]=L1&library[]=L2&library[]=L3&instrumentRunId[]={RUN}&rowsPerPage=1000");
    assert_eq!(
        asked,
        [1, 2].map(|page| format!("fastq/fastq?{parameters}&page={page}")),
        "with its own words"
    );
}

#[tokio::test]
async fn reads_whose_files_are_gone_are_missed_by_name_and_unknown_ones_are_told() {
    let mut world = world::world();
    let files = world.tables.get_mut("file/s3").unwrap();
    files.retain(|file| file["isCurrentState"] == false || file["ingestId"] != "L1-1-1");
    let query = RowQuery {
        libraries: Some(set(&["L1"])),
        data_types: Some([DataType::Fastq].into()),
        ..RowQuery::default()
    };
    let served = serve(world, &["good"]).await;
    let rows = served.rows(query.clone()).await.unwrap();
    assert_eq!(keys(&rows)[0], "gone/L1-1-1.fastq.ora", "who looks at it finds that it is not there");
    let mut world = world::world();
    world.tables.get_mut("file/s3").unwrap().retain(|file| file["ingestId"] != "L1-1-1");
    let error = serve(world, &["good"]).await.rows(query).await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert_eq!(error.message, format!("the file L1-1-1 of the reads of L1 in {RUN} is not known"));
}

#[tokio::test]
async fn analyses_are_those_of_the_newest_runs_that_have_succeeded() {
    let served = serve(world::world(), &["good"]).await;
    let analyses = RowQuery {
        libraries: Some(set(&["L1", "L2"])),
        data_types: Some([DataType::SecondaryAnalysis].into()),
        ..RowQuery::default()
    };
    let rows = served.rows(analyses.clone()).await.unwrap();
    let of = |run: &str| ["a.bam", "logs/b.txt", "c.vcf"].map(|key| format!("cache/x/{run}/{key}"));
    assert_eq!(keys(&rows), [of("20240301aaaa"), of("20240401aaaa")].concat());
    let row = &rows[0];
    assert_eq!((row.workflow_name.as_str(), row.workflow_version.as_str()), ("wgs_tumor_normal", "4.2.4"));
    assert_eq!(
        (row.library_id.as_str(), row.portal_run_id.as_str()),
        ("L1__L9", "20240301aaaa"),
        "all of its"
    );
    assert_eq!(
        (row.data_type, row.storage_class.as_str()),
        (Some(DataType::SecondaryAnalysis), "StandardIa")
    );
    let narrow = RowQuery {
        workflows: Some(set(&["tumor-normal"])),
        excluded_runs: set(&["20240301aaaa"]),
        ..analyses.clone()
    };
    assert_eq!(keys(&served.rows(narrow).await.unwrap()), of("20240101aaaa"));
    // Of runs, those of the libraries that were sequenced in them.
    let sequenced =
        RowQuery { instrument_runs: Some(set(&["other"])), data_types: None, libraries: None, ..analyses };
    let rows = served.rows(sequenced).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.library_id.as_str()).collect::<BTreeSet<_>>(), ["L3"].into());
}

#[tokio::test]
async fn portal_runs_are_taken_as_they_are_named() {
    let served = serve(world::world(), &["good"]).await;
    let named = |runs: &[&str]| RowQuery {
        portal_runs: Some(set(runs)),
        data_types: Some([DataType::SecondaryAnalysis].into()),
        excluded_runs: set(&["20240101aaaa"]),
        ..RowQuery::default()
    };
    let rows = served.rows(named(&["20240501aaaa", "20240101aaaa"])).await.unwrap();
    assert_eq!((rows.len(), rows[0].portal_run_id.as_str()), (3, "20240501aaaa"));
    let error = served.rows(named(&["20240501aaaa", "*", "20990101zzzz"])).await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert_eq!(error.message, "2 portal runs are not known to OrcaBus: *, 20990101zzzz");
    assert!(!served.asked("workflow/workflowrun").iter().any(|asked| asked.contains('*')), "`*` is any");
}

#[tokio::test]
async fn libraries_are_found_by_whatever_they_are_of() {
    let served = serve(world::world(), &["good"]).await;
    for (whose, ids, expected) in [
        (Whose::Libraries, vec!["L1", "L2", "L3", "L4"], "L1 L2 L3"),
        (Whose::Subjects, vec!["SUB2", "SUB7"], "L2 L3"),
        (Whose::Individuals, vec!["SBJ1"], "L1"),
        (Whose::Projects, vec!["Trauma"], "L1 L2"),
        (Whose::Projects, vec!["Nothing"], ""),
    ] {
        let found = served.libraries(whose, &ids).await.unwrap();
        let names: Vec<_> = found.iter().map(|library| library.library_id.as_str()).collect();
        assert_eq!(names.join(" "), expected, "{whose:?}");
        let is_one = |library: &Library| ids.iter().any(|id| whose.is(library, id));
        assert!(found.iter().all(is_one), "{found:?}");
    }
    let library = served.libraries(Whose::Libraries, &["L1"]).await.unwrap().remove(0);
    let shown = [
        library.project_ids.join(" "),
        library.sample_id,
        library.external_sample_id,
        library.subject_id,
        library.individual_id,
        library.phenotype,
        library.assay,
        library.library_type,
    ];
    assert_eq!(shown, ["Trauma Grief", "PRJ1", "ext", "SUB1", "SBJ0", "tumor", "TsqNano", "WGS"]);
}

#[tokio::test]
async fn a_token_that_is_refused_is_read_again_once() {
    let served = serve(world::world(), &["stale", "good"]).await;
    for _ in 0..2 {
        assert_eq!(served.libraries(Whose::Libraries, &["L1"]).await.unwrap().len(), 1);
    }
    assert_eq!(served.vault.1.load(Ordering::Relaxed), 2);
    assert_eq!(served.asked("metadata/library").len(), 3, "one call was made twice");
    *served.world.token.lock().unwrap() = "newer".to_owned();
    let error = served.fails().await;
    assert_eq!((error.class, error.status), (Class::Unauthorized, Some(401)));
    assert_eq!(served.vault.1.load(Ordering::Relaxed), 3, "and no more");
    assert!(!format!("{error} {error:?} {:?}", served.client).contains("good"), "{error:?}");
}

#[tokio::test]
async fn a_service_that_fails_is_tried_again_and_one_that_refuses_is_not() {
    let served = serve(world::world(), &["good"]).await;
    *served.world.trouble.lock().unwrap() = [500, 503].into();
    assert_eq!(served.libraries(Whose::Libraries, &["L1"]).await.unwrap().len(), 1);
    assert_eq!(served.asked("metadata/library").len(), 3);
    *served.world.trouble.lock().unwrap() = [502, 502, 429].into();
    assert_eq!(served.fails().await.class, Class::Throttled);
    for (status, class) in [(400, Class::Invalid), (403, Class::Forbidden), (302, Class::Invalid)] {
        served.world.asked.lock().unwrap().clear();
        *served.world.trouble.lock().unwrap() = [status].into();
        let error = served.fails().await;
        assert_eq!((error.class, error.status), (class, Some(status)));
        assert!(error.message.contains("GET metadata /library: 127.0.0.1 answered"), "{error}");
        assert!(error.message.contains("no such parameter"), "{error}");
        assert_eq!(served.asked("metadata/library").len(), 1);
    }
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_asked_for() {
    let world = World { elsewhere: Some("evil.example"), ..world::world() };
    let served = serve(world, &["good"]).await;
    let error = served.libraries(Whose::Libraries, &["L1", "L2", "L3"]).await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert!(error.message.contains("`evil.example`"), "{error}");
    assert_eq!(served.asked("metadata/library").len(), 1);
}

#[tokio::test]
async fn a_survey_of_reads_asks_for_no_files() {
    let mut world = world::world();
    let reads = world.tables.get_mut("fastq/fastq").unwrap();
    for entry in reads.iter_mut() {
        entry["readSet"] = serde_json::Value::Null;
    }
    let served = serve(world, &["good"]).await;
    let all = RowQuery {
        libraries: Some(set(&["L1", "L2"])),
        instrument_runs: Some(set(&[RUN])),
        data_types: Some([DataType::Fastq, DataType::SecondaryAnalysis].into()),
        ..RowQuery::default()
    };
    let error = served.rows(all.clone()).await.unwrap_err();
    assert_eq!(error.message, "the reads fqr.L11 have no files", "who wants them is told");
    let rows = served.rows(RowQuery { surveyed: [DataType::Fastq].into(), ..all }).await.unwrap();
    let is_read = |row: &&Row| row.data_type == Some(DataType::Fastq);
    let of: Vec<_> = rows.iter().filter(is_read).map(|row| (row.library_id.as_str(), row.lane)).collect();
    assert_eq!(of, [("L1", Some(1)), ("L1", Some(2)), ("L2", Some(1)), ("L2", Some(2))]);
    assert_eq!(rows.len(), 4 + 6, "and analyses are those of the libraries that were sequenced");
    assert!(served.asked("file/s3").is_empty(), "{:?}", served.asked("file/s3"));
}

#[tokio::test]
async fn what_was_sequenced_is_told_by_the_last_named_entry_of_a_run() {
    let served = serve(world::world(), &["good"]).await;
    let files = Files::new(
        served.client.clone(),
        Arc::new(crate::inventory::tables::Catalogue::new(Arc::new(crate::embedded::objects::NoObjects), [])),
    );
    assert_eq!(files.sequenced(RUN).await.unwrap(), Some(set(&["L1", "L2_topup"])));
    assert_eq!(files.sequenced("unknown").await.unwrap(), Some(BTreeSet::new()));
}
