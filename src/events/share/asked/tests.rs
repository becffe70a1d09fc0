//! What callers ask for, as it is read.

use serde_json::json;

use super::*;

fn says(request: &Value) -> Vec<String> {
    let body = json!({ "packageName": "my-package", "packageRequest": request });
    package(&body, false).unwrap_err().into_iter().map(|wrong| wrong.msg).collect()
}

#[test]
fn both_spellings_are_read() {
    for (name, request) in [
        ("packageName", json!({ "libraryIdList": ["L1", "L1", null, "", 17], "dataTypeList": ["fastq"] })),
        ("package_name", json!({ "library_id_list": ["L1", "17"], "data_type_list": ["fastq"] })),
    ] {
        let other = if name == "packageName" { "packageRequest" } else { "package_request" };
        let (read, request) = package(&json!({ name: "my-package", other: request }), false).unwrap();
        assert_eq!(read, "my-package");
        assert_eq!(request.library_id_list.unwrap(), ["L1", "17"]);
        assert!(request.use_workflow_filters && !request.defrost_archived_fastqs);
        assert_eq!(request.primary_data_path_prefix, "fastq");
    }
}

#[test]
fn what_the_original_refuses_is_refused_in_its_words() {
    let two = json!({ "libraryIdList": ["L1"], "projectIdList": ["P"], "dataTypeList": ["fastq"] });
    assert_eq!(says(&two), [format!("Value error, {ONE_LIST}")]);
    assert_eq!(says(&json!({ "libraryIdList": ["L1"] })), [format!("Value error, {NO_DATA_TYPE}")]);
    let equal = json!({ "libraryIdList": ["L1"], "dataTypeList": ["fastq", "secondaryAnalysis"],
        "primaryDataPathPrefix": "/", "secondaryAnalysisPathPrefix": "/" });
    assert_eq!(says(&equal), [format!("Value error, {EQUAL_PREFIXES}")]);
    let strange = json!({ "libraryIdList": ["L1"], "dataTypeList": ["bam"], "secondaryAnalysisTypeList": ["x"],
        "primaryDataPathPrefix": "x" });
    let strange = says(&strange);
    assert!(strange.iter().any(|msg| msg.contains("'fastq' or 'secondaryAnalysis'")), "{strange:?}");
    assert!(strange.iter().any(|msg| msg.contains("'umccrise'")), "{strange:?}");
    assert!(strange.iter().any(|msg| msg.contains("'fastq', 'primary' or '/'")), "{strange:?}");
}

#[test]
fn what_is_missing_is_named() {
    let wrong = package(&Value::Null, false).unwrap_err();
    assert_eq!(wrong[0].loc, ["body"]);
    let wrong = package(&json!({}), false).unwrap_err();
    let places: Vec<_> = wrong.iter().map(|wrong| wrong.loc.join(".")).collect();
    assert_eq!(places, ["body.packageName", "body.packageRequest"]);
    let wrong = package(
        &json!({ "packageName": "1x", "packageRequest": { "dataTypeList": ["fastq"],
        "libraryIdList": [] } }),
        false,
    );
    assert_eq!(wrong.unwrap_err()[0].kind, "string_pattern_mismatch");
    assert_eq!(push(&json!({})).unwrap_err()[0].loc, ["body", "shareDestination"]);
}

#[test]
fn what_goes_with_a_push_is_named() {
    let asked = |deliver: Value| push(&json!({ "shareDestination": "s3://b/", "deliver": deliver }));
    let said = asked(json!(["ro-crate", "md5"])).unwrap();
    assert_eq!(said.deliver, Some(vec![Deliver::RoCrate, Deliver::Md5]));
    assert_eq!(asked(json!([])).unwrap().deliver, Some(Vec::new()), "nothing, whatever is usual");
    assert_eq!(asked(Value::Null).unwrap().deliver, None, "as is usual");
    let wrong = asked(json!(["md5", "bagit"])).unwrap_err();
    assert!(wrong[0].msg.contains("'ro-crate'") && wrong[0].loc.contains(&"deliver".to_owned()));
}

#[test]
fn a_manifest_is_rows_or_where_they_are() {
    let asked = |manifest: Value| {
        let request = json!({ "dataTypeList": ["fastq"], "manifest": manifest });
        package(&json!({ "packageName": "ab", "packageRequest": request }), false)
    };
    let (_, request) = asked(json!([{ "uri": "s3://b/k", "libraryId": "L1", "lane": 1 }])).unwrap();
    let Some(Listed::Rows(rows)) = request.manifest else { panic!("{request:?}") };
    assert_eq!(rows[0].library_id, "L1");
    let (_, request) = asked(json!({ "uri": "s3://b/rows.csv" })).unwrap();
    assert_eq!(request.manifest, Some(Listed::Uri("s3://b/rows.csv".into())));
    assert!(asked(json!({ "uri": "/etc/passwd" })).is_err());
    let wrong = asked(json!([{ "uri": "x" }])).unwrap_err();
    assert!(wrong[0].msg.starts_with("Value error, row 1: `uri` must be"), "{}", wrong[0].msg);
}
