//! The rules.

use std::io::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::{Row, batches};

/// Rows of one daemon, with its settings.
pub(super) struct Group {
    pub(super) name: &'static str,
    /// The token that the daemon has for the platform.
    pub(super) token: &'static str,
    /// Without `COPY_MANAGER__`.
    pub(super) settings: &'static [(&'static str, &'static str)],
    pub(super) rows: fn() -> Vec<Row>,
}

pub(super) const GROUPS: [Group; 5] = [
    Group { name: "usual", token: "both-tenants", settings: &[], rows: usual },
    Group {
        name: "limits",
        token: "any",
        settings: &[
            ("COPY__ON_CONFLICT", "skip"),
            ("COPY__MAX_DEPTH", "2"),
            ("COPY__MAX_FILES", "5"),
            ("ICAV2__SAME_PROJECT_COPIES", "refuse"),
        ],
        rows: limits,
    },
    Group {
        name: "policy",
        token: "any",
        settings: &[
            ("POLICY__SOURCE_PROJECTS", "la?"),
            ("POLICY__SOURCE_BUCKETS", "outside-*"),
            ("POLICY__DESTINATION_PROJECTS", "archive,cl*"),
            ("POLICY__DESTINATION_BUCKETS", "results-*"),
            ("POLICY__EVENT_SOURCES", "rules.*"),
        ],
        rows: policy,
    },
    Group {
        name: "whole",
        token: "any",
        settings: &[("COPY__FOLDERS", "whole"), ("COPY__SINGLE_PART", "job")],
        rows: whole,
    },
    Group { name: "one-tenant", token: "northern", settings: &[], rows: one_tenant },
];

pub(super) const INVALID: &str = "InvalidRequest";
pub(super) const NOT_THERE: &str = "SourceNotFound";
const NOT_READY: &str = "SourceNotReady";
pub(super) const DENIED: &str = "PolicyDenied";
const CONFLICT: &str = "DestinationConflict";
pub(super) const RECURSION: &str = "RecursionLimit";

const RUN: &str = "icav2://lab/run/";
pub(super) const S: &str = "icav2://lab/run/s.txt";
pub(super) const A: &str = "icav2://lab/run/a.bam";
pub(super) const VCF: &str = "icav2://lab/vcf/";
/// A folder with no room for a file in it.
const LONG: &str = concat!(
    "icav2://archive/long/",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/",
);
const A_VCF: &str = "icav2://lab/vcf/a.vcf";

/// The run with all that is in it.
const WHOLE_RUN: &[(&str, &str)] = &[
    ("run/", ""),
    ("run/a.bam", "lab:/run/a.bam"),
    ("run/b.bam", "lab:/run/b.bam"),
    ("run/s.txt", "lab:/run/s.txt"),
    ("run/deep/", ""),
    ("run/deep/c.txt", "lab:/run/deep/c.txt"),
    ("run/empty/", ""),
];

/// The folder with the file that no job can carry, and all the same with it.
const POISONED: &[(&str, &str)] = &[
    ("poison/", ""),
    ("poison/bad.bam", "lab:/poison/bad.bam"),
    ("poison/good.bam", "lab:/poison/good.bam"),
    ("poison/more/", ""),
    ("poison/more/fine.bam", "lab:/poison/more/fine.bam"),
    ("poison/void/", ""),
];

const COLD: &[(&str, &str)] =
    &[("cold/", ""), ("cold/fine.bam", "lab:/cold/fine.bam"), ("cold/fine.txt", "lab:/cold/fine.txt")];

pub(super) fn row(key: &'static str, rule: &'static str, sources: &[&str]) -> Row {
    let destination = format!("icav2://archive/{key}/");
    Row {
        key,
        rule,
        source: "rules.test",
        detail_type: "ICAv2DataCopySync",
        detail: json!({ "payload": { "sourceUriList": sources, "destinationUri": destination } }),
        error: None,
        words: Vec::new(),
        counts: Vec::new(),
        to: ("archive", format!("/{key}/")),
        there: None,
    }
}

pub(super) fn packed(payload: &Value) -> Value {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(payload.to_string().as_bytes()).unwrap();
    BASE64_STANDARD.encode(gzip.finish().unwrap()).into()
}

fn usual() -> Vec<Row> {
    [going(), names(), places(), outside(), conflicts(), guards(), states(), requests(), batches::usual()]
        .concat()
}

/// What is being deleted while it is asked for.
fn going() -> Vec<Row> {
    let (new, new_bam) = (&[("s.txt", "lab:/run/s.txt")], &[("a.bam", "lab:/run/a.bam")]);
    vec![
        row("deleting-stream", "what is being deleted is waited for", &[S])
            .brings(new)
            .counts(&[("copied", 1)]),
        row("deleting-job", "what is being deleted is waited for, with a job", &[A])
            .brings(new_bam)
            .counts(&[("copied", 1)]),
    ]
}

/// Other names.
fn names() -> Vec<Row> {
    let swapped = &[
        ("swap/", ""),
        ("swap/a.bam", "lab:/swap/b.bam"),
        ("swap/b.bam", "lab:/swap/a.bam"),
        ("swap/a.txt", "lab:/swap/b.txt"),
        ("swap/b.txt", "lab:/swap/a.txt"),
    ];
    let swap = &[
        ("icav2://lab/swap/a.bam", "b.bam"),
        ("icav2://lab/swap/b.bam", "a.bam"),
        ("icav2://lab/swap/a.txt", "b.txt"),
        ("icav2://lab/swap/b.txt", "a.txt"),
    ];
    let no_file = "is the exact name of no file that this request copies";
    vec![
        row("rename-path", "a new name is a name, not a path", &[RUN])
            .named(&[(S, "x/y")])
            .refused(INVALID, &["renamingMapList[0].outputFileName", "must not hold `/`"]),
        row("rename-empty", "a new name is not empty", &[RUN])
            .named(&[(S, "")])
            .refused(INVALID, &["renamingMapList[0].outputFileName", "must not be empty"]),
        row("rename-folder", "only files get another name", &[RUN])
            .named(&[("icav2://lab/run/deep/", "x")])
            .refused(INVALID, &["renamingMapList[0].sourceUri", "must name a file"]),
        row("rename-prefix", "a prefix of a name is no name", &[VCF])
            .named(&[("icav2://lab/vcf/a", "x")])
            .refused(INVALID, &["/vcf/a", no_file]),
        row("rename-exact", "`a.vcf` is not `a.vcf.gz`", &[VCF])
            .named(&[(A_VCF, "b.vcf")])
            .brings(&[("vcf/", ""), ("vcf/b.vcf", "lab:/vcf/a.vcf"), ("vcf/a.vcf.gz", "lab:/vcf/a.vcf.gz")])
            .counts(&[("copied", 2), ("renamed", 1)]),
        row("rename-by-id", "a file may be named by its data id", &[A_VCF])
            .named(&[("@a.vcf", "b.vcf")])
            .brings(&[("b.vcf", "lab:/vcf/a.vcf")]),
        row("rename-id-in-folder", "also inside a source folder", &[VCF])
            .named(&[("@a.vcf", "b.vcf")])
            .brings(&[("vcf/", ""), ("vcf/b.vcf", "lab:/vcf/a.vcf"), ("vcf/a.vcf.gz", "lab:/vcf/a.vcf.gz")]),
        row("rename-deep", "a file deep inside a source folder gets another name", &["icav2://lab/run/"])
            .named(&[("icav2://lab/run/deep/c.txt", "ü d.txt"), (A, "c.bam")])
            .brings(&[
                ("run/", ""),
                ("run/c.bam", "lab:/run/a.bam"),
                ("run/b.bam", "lab:/run/b.bam"),
                ("run/s.txt", "lab:/run/s.txt"),
                ("run/deep/", ""),
                ("run/deep/ü d.txt", "lab:/run/deep/c.txt"),
                ("run/empty/", ""),
            ])
            .counts(&[("copied", 4), ("renamed", 2)]),
        row("rename-nothing", "an entry that matches nothing is refused", &[RUN])
            .named(&[(S, "t.txt"), (A_VCF, "x")])
            .refused(INVALID, &["/vcf/a.vcf", no_file]),
        row("rename-other-id", "also by data id", &[RUN])
            .named(&[("@a.vcf", "x")])
            .refused(INVALID, &["fil.", no_file]),
        row("rename-once", "two entries for one file are refused", &[RUN])
            .named(&[(S, "x"), (S, "y")])
            .refused(INVALID, &["another entry says `x`"]),
        row("rename-onto", "a name that another source has is refused", &[RUN])
            .named(&[(A, "b.bam")])
            .refused(INVALID, &["would be `b.bam`", "/run/a.bam", "/run/b.bam"]),
        row("rename-alike", "two files that get one name are refused", &[RUN])
            .named(&[(A, "x"), (S, "x")])
            .refused(INVALID, &["would be `x`", "/run/a.bam", "/run/s.txt"]),
        row("rename-on-folder", "the name of a folder that goes there is refused", &[RUN])
            .named(&[(S, "deep")])
            .refused(INVALID, &["where a folder of that name goes", "/run/s.txt"]),
        row(
            "rename-apart",
            "two sources of one name may be told apart",
            &["icav2://lab/twin/x.txt", "icav2://inner/x.txt"],
        )
        .named(&[("icav2://inner/x.txt", "y.txt")])
        .brings(&[("x.txt", "lab:/twin/x.txt"), ("y.txt", "inner:/x.txt")]),
        row("rename-swap", "two files swap their names, inside a bucket", &["icav2://lab/swap/"])
            .named(swap)
            .brings(swapped)
            .counts(&[("copied", 4), ("renamed", 4)]),
        row("rename-swap-cloud", "two files swap their names, by streams", &["icav2://lab/swap/"])
            .named(swap)
            .into("icav2://cloud/swapped/", "cloud", "/swapped/")
            .brings(swapped)
            .counts(&[("copied", 4), ("renamed", 4)]),
        row("rename-beside", "an `a` of equal size at the destination is not touched by a → b", &[A])
            .named(&[(A, "b.bam")])
            .brings(&[("a.bam", "="), ("b.bam", "lab:/run/a.bam")])
            .counts(&[("copied", 1), ("renamed", 1)]),
    ]
}

/// Data of projects by their several names.
fn places() -> Vec<Row> {
    vec![
        row("s3-names", "s3:// of projects, as source and as destination", &["s3://lab-data/top/run/"])
            .into("s3://archive-data/s3-names/", "archive", "/s3-names/")
            .brings(WHOLE_RUN),
        row("s3-longest", "the longest root wins", &["s3://lab-data/top/inner/x.txt"])
            .brings(&[("x.txt", "inner:/x.txt")]),
        row("s3-segment", "a root ends at a whole segment", &["s3://lab-data/topmost/x.txt"])
            .refused(NOT_THERE, &["s3://lab-data/topmost/x.txt"]),
        row(
            "by-project-id",
            "a project by its id",
            &["icav2://5b1d1b36-9d2c-4a53-8f0e-6f3f6f2d1c01/vcf/a.vcf"],
        )
        .brings(&[("a.vcf", "lab:/vcf/a.vcf")]),
        row(
            "missing",
            "an icav2:// source that does not resolve is not there",
            &[S, "icav2://lab/run/S.txt"],
        )
        .refused(NOT_THERE, &["icav2://lab/run/S.txt", "there is no /run/S.txt"]),
        row("no-project", "a project that nobody knows", &[S, "icav2://nowhere/run/s.txt"])
            .refused(NOT_THERE, &["icav2://nowhere/run/s.txt", "no ICAv2 project `nowhere` is visible"]),
        row("no-destination", "a destination project that nobody knows", &[S])
            .into("icav2://nowhere/in/", "archive", "/no-destination/")
            .refused(INVALID, &["no ICAv2 project `nowhere` is visible"]),
        row("linked-file", "a linked file is copied by its id", &["icav2://guest/shared/a.vcf"])
            .brings(&[("a.vcf", "lab:/vcf/a.vcf")]),
        row("linked-folder", "a linked folder comes with all that is in it", &["icav2://guest/shared/run/"])
            .brings(WHOLE_RUN),
        row("linked-inside", "data inside a linked folder", &["icav2://guest/shared/run/deep/c.txt"])
            .brings(&[("c.txt", "lab:/run/deep/c.txt")]),
        row("linked-around", "a folder with linked data in it", &["icav2://guest/shared/"]).brings(&[
            ("shared/", ""),
            ("shared/a.vcf", "lab:/vcf/a.vcf"),
            ("shared/run/", ""),
            ("shared/run/a.bam", "lab:/run/a.bam"),
            ("shared/run/b.bam", "lab:/run/b.bam"),
            ("shared/run/s.txt", "lab:/run/s.txt"),
            ("shared/run/deep/", ""),
            ("shared/run/deep/c.txt", "lab:/run/deep/c.txt"),
            ("shared/run/empty/", ""),
        ]),
        row(
            "two-tenants",
            "from one tenant to another with a token that sees both",
            &["icav2://north/n.bam", "icav2://north/n.txt"],
        )
        .into("icav2://south/in/", "south", "/in/")
        .brings(&[("n.bam", "north:/n.bam"), ("n.txt", "north:/n.txt")]),
    ]
}

/// Data of no project.
fn outside() -> Vec<Row> {
    let reference = &[
        ("ref/", ""),
        ("ref/genome.fa", "s3://outside-data/ref/genome.fa"),
        ("ref/none.txt", "s3://outside-data/ref/none.txt"),
        ("ref/sub/", ""),
        ("ref/sub/x.txt", "s3://outside-data/ref/sub/x.txt"),
    ];
    vec![
        row("external-list", "external data, and nothing else; in parts as its source", &[])
            .external(&["s3://outside-data/ref/"])
            .brings(reference)
            .counts(&[("copied", 3)]),
        row(
            "external-sources",
            "an s3:// source in no project is external",
            &["s3://outside-data/lone", A_VCF],
        )
        .brings(&[("lone", "s3://outside-data/lone"), ("a.vcf", "lab:/vcf/a.vcf")]),
        row("external-renamed", "external data get another name", &["s3://outside-data/ref/"])
            .named(&[("s3://outside-data/ref/sub/x.txt", "y.txt")])
            .brings(&[
                reference[0],
                reference[1],
                reference[2],
                reference[3],
                ("ref/sub/y.txt", reference[4].1),
            ])
            .counts(&[("renamed", 1)]),
        row("external-missing", "an external object that is not there", &[A_VCF])
            .external(&["s3://outside-data/gone"])
            .refused(NOT_THERE, &["s3://outside-data/gone", "there is no such object"]),
        row("external-prefix", "a prefix is whole names", &[A_VCF])
            .external(&["s3://outside-data/re/"])
            .refused(NOT_THERE, &["s3://outside-data/re/", "there is nothing below this prefix"]),
        row("external-bucket", "a whole bucket is not copied", &[])
            .external(&["s3://outside-data/"])
            .refused(INVALID, &["s3://outside-data/", "name the prefixes in it instead"]),
        row("external-icav2", "data of a project may be in the external list", &[A_VCF])
            .external(&[S])
            .brings(&[("a.vcf", "lab:/vcf/a.vcf"), ("s.txt", "lab:/run/s.txt")])
            .counts(&[("copied", 2)]),
        row("slash", "an object whose key ends with `/` and that holds bytes", &["s3://outside-data/odd/"])
            .refused(INVALID, &["s3://outside-data/odd/b/", "holds 25 bytes"]),
        row("side-by-side", "a file and a folder of one name, from a bucket", &["s3://outside-data/same/"])
            .refused(INVALID, &["s3://outside-data/same/x", "where a folder of that name goes"]),
        row("arn", "an access point's ARN", &["s3://arn:aws:s3:us-east-1:111122223333:accesspoint/x/lone"])
            .refused(INVALID, &["sourceUriList[0]", "it is an ARN"]),
        row("to-arn", "the same as destination", &[S])
            .into("s3://arn:aws:s3:us-east-1:111122223333:accesspoint/x/", "archive", "/to-arn/")
            .refused(INVALID, &["destinationUri", "it is an ARN"]),
        row("no-bucket", "what no bucket is called", &["s3://out side/lone"])
            .refused(INVALID, &["sourceUriList[0]", "s3://out side/lone", "names no bucket"]),
        row("external-cold", "an archived object that is named", &[A_VCF, "s3://outside-data/cold/old"])
            .refused(NOT_READY, &["s3://outside-data/cold/old", "it is archived"]),
        row(
            "external-cold-inside",
            "an archived object below a prefix: the others arrive",
            &["s3://outside-data/cold/"],
        )
        .fails(
            NOT_READY,
            &["s3://outside-data/cold/old", "it is archived"],
            &[("cold/", ""), ("cold/fine", "s3://outside-data/cold/fine")],
        ),
        row("nothing", "both lists empty", &[])
            .external(&[])
            .refused(INVALID, &["sourceUriList", "must name at least one source"]),
        row("to-bucket", "a destination in a bucket that is not there", &[S])
            .into("s3://no-such-bucket/in/", "archive", "/to-bucket/")
            .refused(INVALID, &["s3://no-such-bucket/in/", "the destination bucket does not exist"]),
    ]
}

/// What stands at the destination, and what then.
fn conflicts() -> Vec<Row> {
    let (new, new_bam) = (&[("s.txt", "lab:/run/s.txt")], &[("a.bam", "lab:/run/a.bam")]);
    let cold = "archive";
    vec![
        row("there", "the same is there: nothing to do", &[S])
            .into("icav2://archive/run/", "archive", "/run/")
            .brings(&[("s.txt", "=")])
            .counts(&[("copied", 0), ("skipped", 1), ("skippedBySize", 0)]),
        row("by-size", "of multi-part files only sizes can be compared", &[A])
            .brings(&[("a.bam", "=")])
            .counts(&[("copied", 0), ("skipped", 1), ("skippedBySize", 1)]),
        row("size-fail", "another size: fail, which is the default", &[S])
            .refused(CONFLICT, &["s.txt", "another file of 101 bytes is there"]),
        row("size-overwrite", "another size: overwrite", &[S])
            .on_conflict("overwrite")
            .brings(new)
            .counts(&[("copied", 1)]),
        row("size-skip", "another size: skip", &[S])
            .on_conflict("skip")
            .brings(&[("s.txt", "=")])
            .counts(&[("copied", 0), ("skippedConflict", 1)]),
        row("md5-fail", "another MD5: fail", &[S]).on_conflict("fail").refused(CONFLICT, &["s.txt"]),
        row("md5-overwrite", "another MD5: overwrite", &[S])
            .on_conflict("overwrite")
            .brings(new)
            .counts(&[("copied", 1)]),
        row("md5-skip", "another MD5: skip", &[S])
            .on_conflict("skip")
            .brings(&[("s.txt", "=")])
            .counts(&[("copied", 0), ("skippedConflict", 1)]),
        row(
            "job-fail",
            "another size, for a job: fail; the other file arrives",
            &[A, "icav2://lab/run/b.bam"],
        )
        .fails(
            CONFLICT,
            &["a.bam", "another file of 2999 bytes is there"],
            &[("a.bam", "="), ("b.bam", "lab:/run/b.bam")],
        ),
        row("job-overwrite", "another size, for a job: overwrite", &[A])
            .on_conflict("overwrite")
            .brings(new_bam),
        row("job-skip", "another size, for a job: skip", &[A])
            .on_conflict("skip")
            .brings(&[("a.bam", "=")])
            .counts(&[("skippedConflict", 1)]),
        row("folder-fail", "a folder where a file must be: fail", &[S])
            .refused(CONFLICT, &["s.txt", "folder"]),
        row("folder-overwrite", "a folder is never overwritten", &[S])
            .on_conflict("overwrite")
            .refused(CONFLICT, &["s.txt", "folder"]),
        row("folder-skip", "a folder is never skipped", &[S])
            .on_conflict("skip")
            .refused(CONFLICT, &["s.txt", "folder"]),
        row("archived-fail", "an archived file at the destination: fail", &[S])
            .refused(CONFLICT, &["s.txt", cold]),
        row("archived-overwrite", "what is archived is never overwritten", &[S])
            .on_conflict("overwrite")
            .refused(CONFLICT, &["s.txt", cold]),
        row("archived-skip", "what is archived is never skipped", &[S])
            .on_conflict("skip")
            .refused(CONFLICT, &["s.txt", cold]),
        row("partial-stream", "an old PARTIAL file, to be streamed", &[S])
            .brings(new)
            .counts(&[("copied", 1)]),
        row("partial-job", "an old PARTIAL file, to be copied by a job", &[A])
            .brings(new_bam)
            .counts(&[("copied", 1)]),
        row("shared-one", "two requests for one destination both succeed", &[RUN])
            .into("icav2://archive/shared/", "archive", "/shared/")
            .brings(WHOLE_RUN),
        row("shared-two", "two requests for one destination both succeed", &[RUN])
            .into("icav2://archive/shared/", "archive", "/shared/")
            .brings(WHOLE_RUN),
        row("conflict-word", "a word that is none", &[S])
            .on_conflict("replace")
            .refused(INVALID, &["onConflict", "must be one of `fail`, `overwrite`, `skip`"]),
    ]
}

/// What must not be copied where.
fn guards() -> Vec<Row> {
    let alike = "two sources have the same name";
    vec![
        row("alike", "two sources of one name", &["icav2://lab/twin/x.txt", "icav2://inner/x.txt", RUN])
            .refused(INVALID, &[alike, "would be `x.txt`", "icav2://lab/twin/x.txt", "icav2://inner/x.txt"]),
        row(
            "alike-outside",
            "two sources of one name, one of them external",
            &["icav2://inner/x.txt", "s3://outside-data/ref/sub/x.txt"],
        )
        .refused(
            INVALID,
            &[alike, "would be `x.txt`", "icav2://inner/x.txt", "s3://outside-data/ref/sub/x.txt"],
        ),
        row(
            "alike-mixed",
            "a file and a folder of one name, while something else is renamed",
            &["icav2://lab/twin/run", RUN],
        )
        .named(&[(S, "t.txt")])
        .refused(INVALID, &["/twin/run", "would be `run`", "where a folder of that name goes"]),
        row("alike-both", "a file and a folder of one name", &["icav2://lab/twin/run", RUN])
            .refused(INVALID, &[alike, "icav2://lab/twin/run", "would be `run`"]),
        row("alike-folders", "one folder by two names is one", &[RUN, "s3://lab-data/top/run/"])
            .brings(WHOLE_RUN)
            .counts(&[("copied", 4)]),
        row("twice", "one source twice, however it is named, is one", &[S, S, "s3://lab-data/top/run/s.txt"])
            .brings(&[("s.txt", "lab:/run/s.txt")])
            .counts(&[("copied", 1)]),
        row("in-link", "the destination is inside a folder that another project owns", &[S, A_VCF])
            .into("icav2://guest/shared/run/new/", "guest", "/shared/")
            .refused(INVALID, &["linked from another project", "icav2://"]),
        row("in-file", "the destination would be inside a file", &[S, A_VCF])
            .into("icav2://archive/run/s.txt/", "archive", "/run/s.txt/")
            .refused(CONFLICT, &["/run/s.txt", "is a file"]),
        row("long", "a path of more bytes than a key has", &["icav2://lab/run/"])
            .into(LONG, "archive", "/long/")
            .refused(INVALID, &["icav2://", "a folder would get a name that cannot be"]),
        row("inside", "the destination is inside a source", &[RUN])
            .into("icav2://lab/run/sub/", "lab", "/run/")
            .refused(RECURSION, &[RUN, "holds the destination /run/sub/"]),
        row("inside-s3", "the same, the source named s3://", &["s3://lab-data/top/run/"])
            .into("icav2://lab/run/sub/", "lab", "/run/")
            .refused(RECURSION, &["s3://lab-data/top/run/", "holds the destination /run/sub/"]),
        row("inside-to-s3", "the same, the destination named s3://", &[RUN])
            .into("s3://lab-data/top/run/sub/", "lab", "/run/")
            .refused(RECURSION, &[RUN, "holds the destination /run/sub/"]),
        row(
            "inside-link",
            "the same, the source seen through another project",
            &["icav2://guest/shared/run/"],
        )
        .into("icav2://lab/run/sub/", "lab", "/run/")
        .refused(RECURSION, &["icav2://guest/shared/run/", "shows /run/ of the project `lab`"]),
        row(
            "inside-link-around",
            "the same, of a folder in which the source is linked",
            &["icav2://guest/shared/"],
        )
        .into("icav2://lab/run/sub/", "lab", "/run/")
        .refused(RECURSION, &["icav2://guest/shared/", "shows /run/ of the project `lab`"]),
        row("inside-itself", "a folder into itself", &[RUN])
            .into("icav2://lab/run/", "lab", "/run/")
            .refused(RECURSION, &[RUN, "holds the destination /run/"]),
        row("onto-itself", "a file onto itself", &[S])
            .into("s3://lab-data/top/run/", "lab", "/run/")
            .refused(INVALID, &[S, "is in the destination folder already"]),
        row("onto-itself-folder", "a folder onto itself", &["icav2://lab/run/deep/"])
            .into("icav2://lab/run/", "lab", "/run/")
            .refused(INVALID, &["icav2://lab/run/deep/", "is in the destination folder already"]),
        row("one-project", "a copy inside one project, to a folder whose name begins alike", &[RUN])
            .into("icav2://lab/running/", "lab", "/running/")
            .brings(WHOLE_RUN),
        row("project-root", "the root of a project is no source", &["icav2://lab/"])
            .refused(INVALID, &["icav2://lab/", "the root of a project cannot be copied"]),
        row("to-file", "a destination is a folder", &[S])
            .into("icav2://archive/to-file", "archive", "/to-file/")
            .refused(INVALID, &["destinationUri", "must end with `/`"]),
    ]
}

/// Sources that cannot be read, jobs that fail.
fn states() -> Vec<Row> {
    vec![
        row("folder", "a folder with an empty one in it", &[RUN]).brings(WHOLE_RUN).counts(&[("copied", 4)]),
        row("poison", "a file that no job can carry", &["icav2://lab/poison/"])
            .brings(POISONED)
            .counts(&[("copied", 3)]),
        row("cold-named", "an archived source that is named", &[S, "icav2://lab/cold/old.bam"])
            .refused(NOT_READY, &["icav2://lab/cold/old.bam", "it is archived"]),
        row("torn-named", "a PARTIAL source that is named", &[S, "icav2://lab/cold/torn.txt"])
            .refused(NOT_READY, &["icav2://lab/cold/torn.txt", "it is PARTIAL"]),
        row(
            "cold-inside",
            "archived and PARTIAL files in a folder: the others arrive",
            &["icav2://lab/cold/"],
        )
        .fails(
            NOT_READY,
            &["/cold/old.bam", "it is archived", "/cold/torn.txt", "it is PARTIAL"],
            COLD,
        ),
    ]
}

/// How requests travel, and what is said twice.
fn requests() -> Vec<Row> {
    let to =
        |key: &str| json!({ "sourceUriList": [A_VCF], "destinationUri": format!("icav2://archive/{key}/") });
    let arrived = &[("a.vcf", "lab:/vcf/a.vcf")];
    vec![
        row("packed", "a payload that is packed", &[])
            .carried("payloadB64Gz", packed(&to("packed")))
            .brings(arrived),
        row("packed-text", "a packed payload that is no base64", &[])
            .carried("payloadB64Gz", json!("no base64!"))
            .refused(INVALID, &["payloadB64Gz", "is not base64"]),
        row("packed-plain", "a packed payload that is not packed", &[])
            .carried("payloadB64Gz", json!(BASE64_STANDARD.encode(to("packed-plain").to_string())))
            .refused(INVALID, &["payloadB64Gz", "is not gzip"]),
        row("packed-twice", "a payload and a packed payload", &[A_VCF])
            .carried("payloadB64Gz", packed(&to("packed-twice")))
            .payload("destinationUri", json!("icav2://archive/packed-twice/"))
            .refused(INVALID, &["payloadB64Gz", "only one of them may be given"]),
        row("s3-payload", "a payload that is an object", &[])
            .carried("payloadS3Uri", json!("s3://payloads/good.json"))
            .brings(arrived),
        row("s3-payload-gone", "an object that is not there", &[])
            .carried("payloadS3Uri", json!("s3://payloads/gone.json"))
            .refused(INVALID, &["s3://payloads/gone.json", "it is not there"]),
        row("s3-payload-bad", "an object that is no payload", &[])
            .carried("payloadS3Uri", json!("s3://payloads/bad.json"))
            .refused(INVALID, &["payloadS3Uri", "does not hold JSON"]),
        row("dry", "a dry run changes nothing", &[RUN]).payload("dryRun", json!(true)),
        row("dry-conflict", "a dry run that finds a conflict changes nothing", &[S])
            .on_conflict("overwrite")
            .payload("dryRun", json!(true)),
        row("dry-refused", "a dry run is refused as the copy would be", &[RUN])
            .payload("dryRun", json!(true))
            .into("icav2://lab/run/sub/", "lab", "/run/")
            .refused(RECURSION, &[RUN, "holds the destination /run/sub/"]),
        row("named", "a request with an id of its own, asked for again with a new token", &[A_VCF])
            .request_id("tuesday")
            .brings(arrived),
        row("named-too", "the same request at the same time, with another token", &[A_VCF])
            .request_id("tuesday")
            .into("icav2://archive/named/", "archive", "/named/")
            .brings(arrived),
        row("named-elsewhere", "ids of one event source are not those of another", &[A_VCF])
            .request_id("tuesday")
            .of_source("elsewhere.test")
            .brings(arrived),
    ]
}

/// What is asked for once everything else has been answered.
pub(super) fn contradictions() -> Vec<Row> {
    let said = "`tuesday` was used before with another payload";
    vec![
        row("named-other", "another payload under an id that was used", &[A_VCF])
            .request_id("tuesday")
            .refused(INVALID, &[said]),
        row("named-more", "a payload that says more under an id that was used", &[A_VCF])
            .request_id("tuesday")
            .into("icav2://archive/named/", "archive", "/named/")
            .on_conflict("overwrite")
            .fails(INVALID, &[said], &[("a.vcf", "lab:/vcf/a.vcf")]),
    ]
}

fn limits() -> Vec<Row> {
    let mut rows = vec![
        row("too-deep", "a folder deeper than allowed", &["icav2://lab/deepest/"])
            .refused(RECURSION, &["copy.max_depth = 2", "/deepest/1/2/3/", "icav2://lab/deepest/"]),
        row("deep-enough", "a folder as deep as allowed", &["icav2://lab/deepest/1/"]).brings(&[
            ("1/", ""),
            ("1/2/", ""),
            ("1/2/3/", ""),
            ("1/2/3/x.txt", "lab:/deepest/1/2/3/x.txt"),
        ]),
        row("too-deep-outside", "external data deeper than allowed", &[])
            .external(&["s3://outside-data/deep/"])
            .refused(RECURSION, &["copy.max_depth = 2", "s3://outside-data/deep/"]),
        row("too-many", "more files than allowed", &["icav2://lab/many/"])
            .refused(INVALID, &["6 files", "copy.max_files = 5", "icav2://lab/many/"]),
        row("too-many-outside", "more external files than allowed", &["s3://outside-data/many/"])
            .refused(INVALID, &["copy.max_files = 5", "s3://outside-data/many/"]),
        row("many-enough", "as many files as allowed", &["icav2://lab/many/4/", VCF])
            .counts(&[("copied", 5)])
            .brings(&[
                ("4/", ""),
                ("4/4.txt", "lab:/many/4/4.txt"),
                ("4/5.txt", "lab:/many/4/5.txt"),
                ("4/6.txt", "lab:/many/4/6.txt"),
                ("vcf/", ""),
                ("vcf/a.vcf", "lab:/vcf/a.vcf"),
                ("vcf/a.vcf.gz", "lab:/vcf/a.vcf.gz"),
            ]),
        row("default-skip", "conflicts as configured: skip", &[S])
            .brings(&[("s.txt", "=")])
            .counts(&[("copied", 0), ("skippedConflict", 1)]),
        row("default-overruled", "the payload has the last word", &[S])
            .on_conflict("fail")
            .refused(CONFLICT, &["s.txt", "another file of 101 bytes is there"]),
    ];
    rows.extend(batches::limits());
    rows
}

fn policy() -> Vec<Row> {
    let mut rows = vec![
        row("policy-allowed", "what the lists allow", &[A_VCF, "s3://outside-data/lone"])
            .brings(&[("a.vcf", "lab:/vcf/a.vcf"), ("lone", "s3://outside-data/lone")]),
        row("policy-source", "a project that is not allowed as a source", &[A_VCF, "icav2://inner/x.txt"])
            .refused(
                DENIED,
                &["policy.source_projects", "`inner`", "icav2://inner/x.txt", "allows only `la?`"],
            ),
        row("policy-source-s3", "also when it is named s3://", &["s3://lab-data/top/inner/x.txt"])
            .refused(DENIED, &["policy.source_projects", "`inner`", "s3://lab-data/top/inner/x.txt"]),
        row("policy-bucket", "a bucket that is not allowed as a source", &[A_VCF, "s3://private-data/x"])
            .refused(
                DENIED,
                &[
                    "policy.source_buckets",
                    "`private-data`",
                    "s3://private-data/x",
                    "allows only `outside-*`",
                ],
            ),
        row("policy-bucket-list", "also in the external list", &[])
            .external(&["s3://private-data/x"])
            .refused(DENIED, &["policy.source_buckets", "`private-data`"]),
        row("policy-to", "a project that is not allowed as a destination", &[A_VCF])
            .into("icav2://south/in/policy/", "south", "/in/policy/")
            .refused(
                DENIED,
                &[
                    "policy.destination_projects",
                    "`south`",
                    "icav2://south/in/policy/",
                    "allows only `archive`, `cl*`",
                ],
            ),
        row("policy-to-bucket", "a bucket that is not allowed as a destination", &[A_VCF])
            .into("s3://outside-data/in/", "archive", "/policy-to-bucket/")
            .refused(
                DENIED,
                &[
                    "policy.destination_buckets",
                    "`outside-data`",
                    "s3://outside-data/in/",
                    "allows only `results-*`",
                ],
            ),
        row("policy-event", "an event source that is not allowed", &[A_VCF])
            .of_source("elsewhere.test")
            .refused(DENIED, &["policy.event_sources", "`elsewhere.test`", "allows only `rules.*`"]),
    ];
    rows.extend(batches::policy());
    rows
}

fn whole() -> Vec<Row> {
    vec![
        row("whole", "a folder as one item of a job, with an empty one in it", &[RUN])
            .brings(WHOLE_RUN)
            .counts(&[("copied", 4)]),
        row("whole-poison", "a whole folder with a file that no job can carry", &["icav2://lab/poison/"])
            .brings(POISONED)
            .counts(&[("copied", 3)]),
        row(
            "whole-cold",
            "a whole folder with archived and PARTIAL files: the others arrive",
            &["icav2://lab/cold/"],
        )
        .fails(
            NOT_READY,
            &["/cold/old.bam", "it is archived", "/cold/torn.txt", "it is PARTIAL"],
            COLD,
        ),
        row("whole-linked", "a whole folder that is linked", &["icav2://guest/shared/run/"])
            .brings(WHOLE_RUN),
    ]
}

fn one_tenant() -> Vec<Row> {
    vec![
        row("tenant-own", "a copy inside the tenant that is seen", &["icav2://north/n.txt"])
            .into("icav2://north/in/", "north", "/in/")
            .brings(&[("n.txt", "north:/n.txt")]),
        row("tenant-from", "a source of a tenant that is not seen", &["icav2://south/secret.txt"])
            .into("icav2://north/from/", "north", "/from/")
            .refused(
                NOT_THERE,
                &["no ICAv2 project `south` is visible to this service", "icav2://south/secret.txt"],
            ),
        row("tenant-to", "a destination of a tenant that is not seen", &["icav2://north/n.txt"])
            .into("icav2://south/to/", "south", "/to/")
            .refused(INVALID, &["no ICAv2 project `south` is visible to this service", "icav2://south/to/"]),
        row("tenant-id", "the same by its id", &["icav2://north/n.txt"])
            .into("icav2://c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f07/id/", "south", "/id/")
            .refused(INVALID, &["c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f07", "is visible to this service"]),
    ]
}
