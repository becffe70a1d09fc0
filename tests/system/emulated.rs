//! Lists between buckets of the AWS emulator, which is another S3 than the simulator's: it knows neither
//! conditions on copies nor the sizes of parts, and nothing may depend on its doing so.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{BucketLocationConstraint, CompletedMultipartUpload, CompletedPart, CreateBucketConfiguration},
};
use serde_json::json;

use crate::{
    facade::machine,
    lab::Lab,
    shore::{MARKER, get, put, quoted, rows, totals},
};

const PATIENCE: Duration = Duration::from_mins(1);
const MIB: usize = 1 << 20;

/// What the S3 of the emulator takes, with what a row of the summary calls each.
const KEYS: [(&str, &str); 6] = [
    ("two words/a b+c.bam", "a b+c.bam"),
    ("50%41 #2.bam", "50%41 #2.bam"),
    (r#"say "so", it's.txt"#, r#"say "so", it's.txt"#),
    ("Zoë – 試料/überlänge & mehr.vcf.gz", "überlänge & mehr.vcf.gz"),
    ("was?=ja;nein.txt", "was?=ja;nein.txt"),
    ("zero.bin", "zero.bin"),
];

impl Lab {
    /// The S3 of the emulator.
    pub(crate) async fn s3(&self) -> Client {
        let config = aws_sdk_s3::config::Builder::from(&self.emulator().config().await);
        Client::from_conf(config.force_path_style(true).build())
    }
}

pub(crate) async fn create_bucket(s3: &Client, bucket: &str) {
    let here = BucketLocationConstraint::ApSoutheast2;
    let here = CreateBucketConfiguration::builder().location_constraint(here).build();
    s3.create_bucket().bucket(bucket).create_bucket_configuration(here).send().await.unwrap();
}

/// Uploads an object in parts of these sizes.
pub(crate) async fn put_parts(s3: &Client, bucket: &str, key: &str, sizes: &[usize]) {
    let begun = s3.create_multipart_upload().bucket(bucket).key(key).content_type("text/x");
    let begun = begun.metadata("run", "7").send().await.unwrap();
    let mut parts = Vec::new();
    for (number, size) in (1..).zip(sizes) {
        let bytes = ByteStream::from(vec![u8::try_from(number).unwrap(); *size]);
        let part = s3.upload_part().bucket(bucket).key(key).upload_id(begun.upload_id().unwrap());
        let part = part.part_number(number).body(bytes).send().await.unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let end = s3.complete_multipart_upload().bucket(bucket).key(key).multipart_upload(all);
    end.upload_id(begun.upload_id().unwrap()).send().await.unwrap();
}

#[tokio::test]
async fn a_list_is_copied_between_buckets_of_the_emulator() {
    let world = json!({ "projects": [] });
    let Some(lab) = Lab::start("emulated", &world, &[]).await else { return };
    let s3 = lab.s3().await;
    for bucket in ["src-data", "dest-data", "lists"] {
        create_bucket(&s3, bucket).await;
    }
    let settings = [("COPY_OUT__MULTIPART_THRESHOLD", "6291456"), ("COPY_OUT__PART_SIZE", "5242880")];
    let _daemon = lab.serve("serve", &settings).await;
    for (n, (key, _)) in KEYS.iter().enumerate() {
        put(&s3, "src-data", key, "x".repeat(if *key == "zero.bin" { 0 } else { n + 1 })).await;
    }
    put_parts(&s3, "src-data", "parts.bam", &[5 * MIB, 5 * MIB, 3]).await;
    put(&s3, "src-data", "large.bam", "y".repeat(7 * MIB)).await;
    let mut names = KEYS.to_vec();
    names.extend([("parts.bam", "parts.bam"), ("large.bam", "large.bam")]);
    let list: Vec<_> = names.iter().map(|(key, _)| format!("src-data,{}\n", quoted(key))).collect();
    put(&s3, "lists", "a b+%/x.csv", list.concat() + "src-data,gone\n").await;

    let machine = machine(&lab, "/s3_copy_out/state_machine_arn").await;
    let input = json!({
        "sourceFilesCsvBucket": "lists", "sourceFilesCsvKey": "a b+%/x.csv", "destinationBucket": "dest-data",
        "destinationPrefixKey": "Ü 1+1=50%/", "maxItemsPerBatch": 3, "continueOnError": true,
    });
    let mut counts = totals(names.len(), 0);
    (counts["total"], counts["errors"]) = (json!(names.len() + 1), json!(1));
    let output = machine.start(&input).await.succeeded(PATIENCE).await;
    assert_eq!(output["objects"], counts, "{output:#}");
    assert_eq!(get(&s3, "dest-data", "Ü 1+1=50%/STARTED_COPY.txt").await, MARKER);
    let summary = get(&s3, "dest-data", "Ü 1+1=50%/ENDED_COPY.csv").await;
    let mut shown = rows(&summary);
    assert_eq!(shown.pop(), Some(("gone", "ERROR")));
    assert!(shown.iter().all(|(_, status)| *status == "COPIED"), "{summary}");
    for (key, name) in &names {
        let head = async |bucket: &str, key: &str| {
            let head = s3.head_object().bucket(bucket).key(key).send().await.unwrap();
            let headers = (head.content_type().map(str::to_owned), head.metadata().cloned());
            (head.content_length(), headers, head.e_tag().map(str::to_owned))
        };
        let (source, copy) =
            (head("src-data", key).await, head("dest-data", &format!("Ü 1+1=50%/{name}")).await);
        assert_eq!((copy.0, &copy.1), (source.0, &source.1), "{key}");
        assert!(copy.2 == source.2 || *key == "large.bam", "{key}: {copy:?}, {source:?}");
    }
    let left = s3.list_multipart_uploads().bucket("dest-data").send().await.unwrap();
    assert!(left.uploads().is_empty(), "{left:?}");
    let output = machine.start(&input).await.succeeded(PATIENCE).await;
    // What was cut anew has another tag, and nothing else that could be compared.
    let again =
        json!({ "total": names.len() + 1, "copied": 1, "alreadyCopied": names.len() - 1, "errors": 1 });
    assert_eq!(output["objects"], again);
}
