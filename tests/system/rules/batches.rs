//! The rules of manifests.

use serde_json::{Value, json};

use super::{
    Row,
    table::{A, DENIED, INVALID, NOT_THERE, RECURSION, S, VCF, packed, row},
};

/// A small file, of the name that the one of another project has.
const X: &str = "icav2://lab/twin/x.txt";

fn batch(key: &'static str, rule: &'static str, manifest: &Value) -> Row {
    let mut row = row(key, rule, &[]);
    row.detail_type = "ICAv2CopyBatchSync";
    row.detail = json!({ "payload": { "manifest": manifest } });
    row
}

/// A folder of the row's own.
fn to(key: &str) -> String {
    format!("icav2://archive/{key}/")
}

fn inside(key: &str, folder: &str) -> String {
    format!("icav2://archive/{key}/{folder}/")
}

pub(super) fn usual() -> Vec<Row> {
    let (key, folders) = ("batch-fan", ["one", "two"].map(|folder| inside("batch-fan", folder)));
    let fan =
        batch(key, "a source goes wherever the manifest sends it", &json!({ A: folders, S: [folders[0]] }))
            .brings(&[
                ("one/", ""),
                ("one/a.bam", "lab:/run/a.bam"),
                ("one/s.txt", "lab:/run/s.txt"),
                ("two/", ""),
                ("two/a.bam", "lab:/run/a.bam"),
            ]);
    let key = "batch-folder";
    let manifest = json!({ VCF: [inside(key, "one")], "s3://outside-data/lone": [inside(key, "two")] });
    let folder = batch(key, "a source may be a folder, or outside the projects, as in a copy", &manifest)
        .brings(&[
            ("one/", ""),
            ("one/vcf/", ""),
            ("one/vcf/a.vcf", "lab:/vcf/a.vcf"),
            ("one/vcf/a.vcf.gz", "lab:/vcf/a.vcf.gz"),
            ("two/", ""),
            ("two/lone", "s3://outside-data/lone"),
        ]);
    let key = "batch-packed";
    let gzipped = json!({ "manifest_b64gz": packed(&json!({ S: [to(key)] })) });
    let gzipped = batch(key, "a manifest may come gzipped", &json!({}))
        .carried("payload", gzipped)
        .brings(&[("s.txt", "lab:/run/s.txt")]);
    let key = "batch-twins";
    let twins = json!({ X: [to(key), inside(key, "more")], "icav2://inner/x.txt": ["s3://archive-data/batch-twins/"] });
    let conflict = json!({ S: [to("batch-conflict"), "icav2://archive/size-fail/"] });
    vec![
        fan,
        folder,
        gzipped,
        batch("batch-both", "one manifest, not two", &json!({ S: [to("batch-both")] }))
            .payload("manifest_b64gz", packed(&json!({ S: [to("batch-both")] })))
            .refused(INVALID, &["only one of them may be given"]),
        batch("batch-neither", "a manifest there must be", &Value::Null)
            .refused(INVALID, &["`detail.payload.manifest` is missing"]),
        batch("batch-empty", "a manifest names something", &json!({})).refused(INVALID, &["is empty"]),
        batch("batch-plain", "what is packed is gzip", &json!({}))
            .carried("payload", json!({ "manifest_b64gz": "e30=" }))
            .refused(INVALID, &["`detail.payload.manifest_b64gz` is not gzip"]),
        batch("batch-file", "destinations are folders", &json!({ S: [to("batch-file"), "icav2://archive/file"] }))
            .refused(INVALID, &["`icav2://archive/file`, which must end with `/`"]),
        batch(key, "two sources of one name for one folder, however named: nothing is copied", &twins)
            .refused(INVALID, &["would be `x.txt` in /batch-twins/", X, "icav2://inner/x.txt"]),
        batch("batch-gone", "one source is not there: nothing is copied", &json!({
            S: [to("batch-gone")], "icav2://lab/run/gone": [to("batch-gone")],
        }))
        .refused(NOT_THERE, &["there is no /run/gone"]),
        batch("batch-inside", "a destination in a source that goes elsewhere", &json!({
            "icav2://archive/rename-beside/": [to("batch-inside")], S: ["icav2://archive/rename-beside/x/"],
        }))
        .refused(RECURSION, &["a destination lies inside a source"]),
        batch("batch-conflict", "what fails at one destination arrives at the others", &conflict).fails(
            "DestinationConflict",
            &["1 of 2 destinations were not delivered", "icav2://archive/size-fail/"],
            &[("s.txt", "lab:/run/s.txt")],
        ),
    ]
}

pub(super) fn limits() -> Vec<Row> {
    let key = "batch-many";
    let both = ["one", "two"].map(|folder| inside(key, folder));
    let manifest = json!({ A: both, S: both, X: both });
    let within = json!({ "icav2://archive/run/s.txt": [to("batch-within")], A: [to("batch-within")] });
    vec![
        batch("batch-within", "copies inside a project, where they are not wanted", &within)
            .refused(DENIED, &["icav2.same_project_copies", "icav2://archive/run/s.txt"]),
        batch(key, "files count as often as they are copied", &manifest)
            .refused(INVALID, &["more than copy.max_files = 5"]),
    ]
}

pub(super) fn policy() -> Vec<Row> {
    vec![
        batch(
            "batch-denied",
            "one destination that is not allowed",
            &json!({
                S: [to("batch-denied"), "icav2://guest/in/"],
            }),
        )
        .refused(DENIED, &["policy.destination_projects"]),
    ]
}
