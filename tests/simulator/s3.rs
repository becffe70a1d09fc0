//! The buckets as S3, by a client that is not ours, over a socket.

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart, MetadataDirective, Tag, Tagging},
};
use copy_manager::http::transport::Transport as _;
use copy_manager::simulator::{
    Settings, Simulator,
    faults::{Delay, FaultChanges, Instead, Script},
    in_process::InProcess,
    serve_s3,
    world::WorldFile,
};
use http::StatusCode;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::support::{ARCHIVE, Answer, LAB, Lab, request};

/// The platform in process, its S3 on a socket.
struct Buckets {
    lab: Lab,
    url: String,
    _server: JoinSet<()>,
}

impl Buckets {
    async fn new(settings: Settings) -> Self {
        let lab = Lab::new(settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(serve_s3(listener, Arc::clone(&lab.simulator), CancellationToken::new()));
        Self { lab, url, _server: server }
    }

    fn client(&self, key: &str, token: Option<&str>) -> Client {
        let credentials = Credentials::new(key, "test", token.map(str::to_owned), None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(credentials)
            .region(Region::new("ap-southeast-2"))
            .endpoint_url(&self.url)
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
            .force_path_style(true);
        Client::from_conf(config.build())
    }

    fn plain(&self) -> Client {
        self.client("test", None)
    }

    /// Temporary credentials for data of a project: the client, the bucket and the prefix.
    async fn open(&self, project: &str, path: &str, read_only: bool) -> (Client, String, String) {
        let id = self.lab.id(project, path).await;
        let call = format!("/api/projects/{project}/data/{id}:createTemporaryCredentials");
        let answer = self.lab.post(&call, json!({"readOnlyCredentials": read_only})).await;
        self.opened(&answer.body["awsTempCredentials"])
    }

    fn opened(&self, aws: &Value) -> (Client, String, String) {
        let text = |name: &str| aws[name].as_str().unwrap().to_owned();
        let client = self.client(&text("accessKey"), Some(&text("sessionToken")));
        (client, text("bucket"), text("objectPrefix"))
    }

    fn faults(&self, changes: FaultChanges) {
        self.lab.simulator.set_faults(changes);
    }

    /// Status, size and tag of a file as the project shows it.
    async fn shown(&self, project: &str, path: &str) -> Option<(String, Option<u64>, Option<String>)> {
        let entries = self.lab.simulator.tree(project, "/").await.unwrap();
        let entry = entries.into_iter().find(|entry| entry.path == path)?;
        let status = json!(entry.status).as_str().unwrap().to_owned();
        Some((status, entry.size, entry.etag))
    }
}

fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

#[tokio::test(start_paused = true)]
async fn an_sdk_needs_no_socket() {
    let lab = Lab::new(Settings { index_delay: Duration::from_secs(30), ..Settings::default() });
    let folder = format!("/api/projects/{ARCHIVE}/data:createFolderWithTemporaryCredentials");
    let folder = lab.post(&folder, json!({"name": "up"})).await;
    let aws = &folder.body["tempCredentials"]["awsTempCredentials"];
    let text = |name: &str| aws[name].as_str().unwrap().to_owned();
    let credentials = Credentials::new(text("accessKey"), "x", Some(text("sessionToken")), None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(credentials)
        .region(Region::new(text("region")))
        .endpoint_url("http://s3.simulated")
        .http_client(lab.simulator.s3_service())
        .force_path_style(true);
    let client = Client::from_conf(config.build());
    let (bucket, key) = (text("bucket"), format!("{}x", text("objectPrefix")));
    let sent = upload(&client, &bucket, &key, &[&vec![7; 100_000], b"end"]).await;
    complete(&client, (&bucket, &key), sent).await;
    assert_eq!(read(&client, &bucket, &key).await.len(), 100_003);
    assert!(!lab.tree("archive", "/").await.iter().any(|(path, _)| path == "/up/x"));
    sleep(Duration::from_secs(31)).await;
    assert!(lab.tree("archive", "/").await.contains(&("/up/x".to_owned(), "AVAILABLE".to_owned())));
}

#[tokio::test]
async fn a_stream_with_a_checksum_behind_it_is_unpacked() {
    let buckets = Buckets::new(Settings::default()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    std::fs::write(file.path(), &bytes).unwrap();
    let body = ByteStream::from_path(file.path()).await.unwrap();
    let put = buckets.plain().put_object().bucket("plain").key("streamed").body(body).send().await.unwrap();
    assert_eq!(put.e_tag, Some(format!("\"{}\"", md5(&bytes))));
    assert_eq!(read(&buckets.plain(), "plain", "streamed").await, bytes);
    assert_eq!(buckets.lab.simulator.stats().bytes_in, 3_000_000);
}

fn code<E: ProvideErrorMetadata, R>(result: Result<impl Sized, SdkError<E, R>>) -> String {
    let error = result.err().unwrap();
    error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("none").to_owned()
}

/// The status of a refusal that has no body.
fn status<E>(result: Result<impl Sized, SdkError<E>>) -> u16 {
    result.err().unwrap().raw_response().unwrap().status().as_u16()
}

async fn read(client: &Client, bucket: &str, key: &str) -> Vec<u8> {
    let object = client.get_object().bucket(bucket).key(key).send().await.unwrap();
    object.body.collect().await.unwrap().to_vec()
}

async fn upload(
    client: &Client,
    bucket: &str,
    key: &str,
    parts: &[&[u8]],
) -> (String, CompletedMultipartUpload) {
    let made = client.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    let id = made.upload_id.unwrap();
    let mut all = CompletedMultipartUpload::builder();
    // Backwards, because parts come in any order.
    let mut sent = Vec::new();
    for (index, part) in parts.iter().enumerate().rev() {
        let number = i32::try_from(index).unwrap() + 1;
        let put = client.upload_part().bucket(bucket).key(key).upload_id(&id).part_number(number);
        let tag = put.body(ByteStream::from(part.to_vec())).send().await.unwrap().e_tag.unwrap();
        sent.push(CompletedPart::builder().part_number(number).e_tag(tag).build());
    }
    for part in sent.into_iter().rev() {
        all = all.parts(part);
    }
    (id, all.build())
}

async fn complete(
    client: &Client,
    (bucket, key): (&str, &str),
    (id, parts): (String, CompletedMultipartUpload),
) -> String {
    let call = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(id);
    call.multipart_upload(parts).send().await.unwrap().e_tag.unwrap()
}

#[tokio::test]
async fn the_files_of_a_project_are_objects() {
    let buckets = Buckets::new(Settings::default()).await;
    let (client, bucket, prefix) = buckets.open(LAB, "/run/", true).await;
    assert_eq!(prefix, format!("{LAB}/run/"));
    for name in ["a.fastq.gz", "one.txt", "nothing.txt", "deep/er/c d+#%ü.bin"] {
        let (_, size, tag) = buckets.shown("lab", &format!("/run/{name}")).await.unwrap();
        let head = client.head_object().bucket(&bucket).key(format!("{prefix}{name}")).send().await.unwrap();
        assert_eq!(head.e_tag, tag.map(|tag| format!("\"{tag}\"")), "{name}");
        assert_eq!(head.content_length, size.map(u64::cast_signed));
        let bytes = read(&client, &bucket, &format!("{prefix}{name}")).await;
        assert_eq!(bytes.len() as u64, size.unwrap());
    }
    let listed =
        client.list_objects_v2().bucket(&bucket).prefix(&prefix).delimiter("/").send().await.unwrap();
    let keys: Vec<_> =
        listed.contents().iter().map(|object| object.key().unwrap().strip_prefix(&prefix).unwrap()).collect();
    assert_eq!(
        keys,
        ["B.fastq.gz", "a.fastq.gz", "b.fastq.gz", "nothing.txt", "one.txt"],
        "in the order of bytes"
    );
    assert_eq!(listed.common_prefixes()[0].prefix(), Some(format!("{prefix}deep/").as_str()));
    let key = format!("{prefix}a.fastq.gz");
    let ranged = client.get_object().bucket(&bucket).key(&key).range("bytes=10-19").send().await.unwrap();
    assert_eq!(ranged.content_range(), Some("bytes 10-19/300000"));
    let whole = read(&client, &bucket, &key).await;
    assert_eq!(ranged.body.collect().await.unwrap().to_vec(), whole[10..20]);
    let second = client.head_object().bucket(&bucket).key(&key).part_number(2).send().await.unwrap();
    assert_eq!((second.content_length, second.parts_count), (Some(100_000), Some(3)));
    let none = client.head_object().bucket(&bucket).key(&key).part_number(4).send().await;
    assert_eq!(status(none), 416);
    let one = client.head_object().bucket(&bucket).key(format!("{prefix}one.txt")).part_number(1);
    assert_eq!(one.send().await.unwrap().parts_count, None);
    let stats = buckets.lab.simulator.stats();
    assert_eq!(stats.calls["S3 HeadObject"], 7);
    let api: u64 =
        stats.calls.iter().filter(|(call, _)| !call.starts_with("S3 ")).map(|(_, count)| count).sum();
    assert_eq!(stats.total, api, "S3 is not the API");
}

#[tokio::test]
async fn what_is_written_is_a_file_after_the_index_delay() {
    let buckets = Buckets::new(Settings::default()).await;
    let (client, bucket, prefix) = buckets.open(ARCHIVE, "/in/", false).await;
    assert_eq!((bucket.as_str(), prefix.as_str()), ("own-bucket", "archive/in/"));
    let delay = Some(Delay(Duration::from_millis(300)));
    buckets.faults(FaultChanges { index_delay: delay, ..FaultChanges::default() });
    let key = format!("{prefix}new/file.txt");
    let put = client.put_object().bucket(&bucket).key(&key).body(ByteStream::from_static(b"hello"));
    let put = put.content_type("text/plain").metadata("who", "me").tagging("a=b%20c").send().await.unwrap();
    let tag = "5d41402abc4b2a76b9719d911017c592";
    assert_eq!(put.e_tag, Some(format!("\"{tag}\"")));
    assert_eq!(read(&client, &bucket, &key).await, b"hello", "S3 shows it at once");
    let listed = client.list_objects_v2().bucket(&bucket).prefix(&prefix).send().await.unwrap();
    assert_eq!(listed.contents()[0].key(), Some(key.as_str()));
    assert_eq!(buckets.shown("archive", "/in/new/file.txt").await, None);
    sleep(Duration::from_millis(400)).await;
    let available = ("AVAILABLE".to_owned(), Some(5), Some(tag.to_owned()));
    assert_eq!(buckets.shown("archive", "/in/new/file.txt").await, Some(available));
    let head = client.head_object().bucket(&bucket).key(&key).send().await.unwrap();
    assert_eq!((head.content_type(), head.metadata().unwrap()["who"].as_str()), (Some("text/plain"), "me"));
    let tags = client.get_object_tagging().bucket(&bucket).key(&key).send().await.unwrap();
    assert_eq!((tags.tag_set()[0].key(), tags.tag_set()[0].value()), ("a", "b c"));
    client.delete_object().bucket(&bucket).key(&key).send().await.unwrap();
    assert_eq!(status(client.head_object().bucket(&bucket).key(&key).send().await), 404);
    assert!(buckets.shown("archive", "/in/new/file.txt").await.is_some());
    sleep(Duration::from_millis(400)).await;
    assert_eq!(buckets.shown("archive", "/in/new/file.txt").await, None);
}

#[tokio::test]
async fn a_file_renamed_by_a_copy_keeps_no_bytes_twice() {
    let buckets = Buckets::new(Settings::default()).await;
    let (plain, key) = (buckets.plain(), "data/copy of ü+%.bin");
    let source = format!("plain/{}", "data/two");
    let copied = plain.copy_object().bucket("plain").key(key).copy_source(&source).send().await.unwrap();
    let bytes = read(&plain, "plain", "data/two").await;
    assert_eq!(bytes.len(), 20_000_000);
    assert_eq!(copied.copy_object_result.unwrap().e_tag, Some(format!("\"{}\"", md5(&bytes))), "one part");
    let onto_itself = plain.copy_object().bucket("plain").key("data/one").copy_source("plain/data/one");
    assert_eq!(code(onto_itself.clone().send().await), "InvalidRequest");
    let replaced = onto_itself.metadata_directive(MetadataDirective::Replace).metadata("x", "y");
    replaced.send().await.unwrap();
    let head = plain.head_object().bucket("plain").key("data/one").send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["x"], "y");
    let stale =
        plain.copy_object().bucket("plain").key("z").copy_source(&source).copy_source_if_match("\"no\"");
    assert_eq!(code(stale.send().await), "PreconditionFailed");

    let (client, bucket, prefix) = buckets.open(ARCHIVE, "/in/", false).await;
    let (from, to) = (format!("{prefix}staged/a"), format!("{prefix}b"));
    client
        .put_object()
        .bucket(&bucket)
        .key(&from)
        .body(ByteStream::from_static(b"hello"))
        .send()
        .await
        .unwrap();
    let rename = client.copy_object().bucket(&bucket).key(&to).copy_source(format!("{bucket}/{from}"));
    rename.send().await.unwrap();
    assert_eq!(buckets.shown("archive", "/in/b").await.unwrap().0, "AVAILABLE");
    let foreign = client.copy_object().bucket(&bucket).key(&to).copy_source("plain/data/one").send().await;
    assert_eq!(code(foreign), "AccessDenied");
    let missing = plain.copy_object().bucket("plain").key("z").copy_source("plain/none").send().await;
    assert_eq!(code(missing), "NoSuchKey");
}

#[tokio::test]
async fn known_bytes_in_parts_become_a_reference() {
    let buckets = Buckets::new(Settings::default()).await;
    let plain = buckets.plain();
    let bytes = read(&plain, "plain", "data/two").await;
    let (a, b) = bytes.split_at(8 * 1024 * 1024);
    let sent = upload(&plain, "plain", "again", &[a, b]).await;
    let tag = complete(&plain, ("plain", "again"), sent).await;
    let of_parts = [Md5::digest(a), Md5::digest(b)].concat();
    assert_eq!(tag, format!("\"{}-2\"", md5(&of_parts)));
    assert_eq!(read(&plain, "plain", "again").await, bytes);
    for (number, part) in [(1, a), (2, b)] {
        let head = plain.head_object().bucket("plain").key("again").part_number(number).send().await.unwrap();
        assert_eq!(
            (head.content_length, head.parts_count),
            (Some(i64::try_from(part.len()).unwrap()), Some(2))
        );
    }
    let sent = upload(&plain, "plain", "fresh", &[b"hello ", b"wonderful ", b"world"]).await;
    complete(&plain, ("plain", "fresh"), sent).await;
    assert_eq!(read(&plain, "plain", "fresh").await, b"hello wonderful world");
    let ranged = plain.get_object().bucket("plain").key("fresh").range("bytes=-7").send().await.unwrap();
    assert_eq!(ranged.body.collect().await.unwrap().to_vec(), b"l world");
}

#[tokio::test]
async fn a_copy_by_parts_keeps_the_tag() {
    let buckets = Buckets::new(Settings::default()).await;
    let plain = buckets.plain();
    let source = plain.head_object().bucket("plain").key("data/two").send().await.unwrap();
    let made = plain.create_multipart_upload().bucket("plain").key("same").send().await.unwrap();
    let id = made.upload_id.unwrap();
    let (mut start, mut all) = (0, CompletedMultipartUpload::builder());
    for number in 1..=3 {
        let part =
            plain.head_object().bucket("plain").key("data/two").part_number(number).send().await.unwrap();
        let end = start + part.content_length.unwrap();
        let copy = plain.upload_part_copy().bucket("plain").key("same").upload_id(&id).part_number(number);
        let copy = copy.copy_source("plain/data/two").copy_source_range(format!("bytes={start}-{}", end - 1));
        let result = copy.copy_source_if_match(source.e_tag().unwrap()).send().await.unwrap();
        let tag = result.copy_part_result.unwrap().e_tag.unwrap();
        all = all.parts(CompletedPart::builder().part_number(number).e_tag(tag).build());
        start = end;
    }
    let listed =
        plain.list_parts().bucket("plain").key("same").upload_id(&id).max_parts(2).send().await.unwrap();
    assert_eq!(
        (listed.parts().len(), listed.is_truncated, listed.next_part_number_marker()),
        (2, Some(true), Some("2"))
    );
    let beyond = plain.upload_part_copy().bucket("plain").key("same").upload_id(&id).part_number(4);
    let beyond = beyond.copy_source("plain/data/two").copy_source_range("bytes=0-20000000").send().await;
    assert_eq!(code(beyond), "InvalidRange");
    let tag = complete(&plain, ("plain", "same"), (id, all.build())).await;
    assert_eq!(Some(tag.as_str()), source.e_tag());
}

#[tokio::test]
async fn uploads_end_one_way_or_the_other() {
    let buckets = Buckets::new(Settings::default()).await;
    let plain = buckets.plain();
    let (id, parts) = upload(&plain, "plain", "data/one", &[b"a", b"b"]).await;
    let uploads = plain.list_multipart_uploads().bucket("plain").prefix("data/").send().await.unwrap();
    assert_eq!(uploads.uploads()[0].upload_id(), Some(id.as_str()));
    let end = || plain.complete_multipart_upload().bucket("plain").key("data/one").upload_id(&id);
    let conditional = end().if_none_match("*").multipart_upload(parts.clone());
    assert_eq!(code(conditional.send().await), "PreconditionFailed");
    let mut wrong = parts.parts().to_vec();
    wrong.reverse();
    let wrong = CompletedMultipartUpload::builder().set_parts(Some(wrong)).build();
    assert_eq!(code(end().multipart_upload(wrong).send().await), "InvalidPartOrder");
    let part = CompletedPart::builder().part_number(1).e_tag(md5(b"z")).build();
    let wrong = CompletedMultipartUpload::builder().parts(part).build();
    assert_eq!(code(end().multipart_upload(wrong).send().await), "InvalidPart");
    plain.abort_multipart_upload().bucket("plain").key("data/one").upload_id(&id).send().await.unwrap();
    assert_eq!(code(end().multipart_upload(parts).send().await), "NoSuchUpload");
    assert!(plain.list_multipart_uploads().bucket("plain").send().await.unwrap().uploads().is_empty());
    let once = || plain.put_object().bucket("plain").key("once").body(ByteStream::from_static(b"x"));
    once().if_none_match("*").send().await.unwrap();
    assert_eq!(code(once().if_none_match("*").send().await), "PreconditionFailed");
    assert_eq!(code(once().if_match(md5(b"y")).send().await), "PreconditionFailed");
    once().if_match(md5(b"x")).send().await.unwrap();
}

#[tokio::test]
async fn listings_come_in_pages() {
    let buckets = Buckets::new(Settings::default()).await;
    let plain = buckets.plain();
    for key in ["p/a/1", "p/a/2", "p/b", "p/c/1", "p//x", "p/d"] {
        plain.put_object().bucket("plain").key(key).send().await.unwrap();
    }
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let call = plain.list_objects_v2().bucket("plain").prefix("p/").delimiter("/").max_keys(2);
        let page = call.set_continuation_token(token).send().await.unwrap();
        assert!(page.key_count.unwrap() <= 2);
        let keys = page.contents().iter().filter_map(|object| object.key());
        let prefixes = page.common_prefixes().iter().filter_map(|prefix| prefix.prefix());
        let mut both: Vec<_> = keys.chain(prefixes).map(str::to_owned).collect();
        both.sort();
        seen.extend(both);
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["p//", "p/a/", "p/b", "p/c/", "p/d"]);
    let after = plain.list_objects_v2().bucket("plain").start_after("p/b").send().await.unwrap();
    assert_eq!(
        after.contents().iter().filter_map(|object| object.key()).collect::<Vec<_>>(),
        ["p/c/1", "p/d"]
    );
    let tag = Tag::builder().key("k").value("v").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag).build().unwrap();
    plain.put_object_tagging().bucket("plain").key("p/b").tagging(tagging).send().await.unwrap();
    let tags = plain.get_object_tagging().bucket("plain").key("p/b").send().await.unwrap();
    assert_eq!(tags.tag_set()[0].value(), "v");
}

#[tokio::test]
async fn credentials_open_what_they_were_made_for() {
    let buckets = Buckets::new(Settings::default()).await;
    let (client, bucket, prefix) = buckets.open(LAB, "/run/", true).await;
    let inside = format!("{prefix}one.txt");
    let put = client.put_object().bucket(&bucket).key(&inside).send().await;
    assert_eq!(code(put), "AccessDenied", "for reading");
    let outside = client.get_object().bucket(&bucket).key(format!("{ARCHIVE}/x")).send().await;
    assert_eq!(code(outside), "AccessDenied");
    assert_eq!(code(client.list_objects_v2().bucket(&bucket).send().await), "AccessDenied");
    assert_eq!(code(client.get_object().bucket("plain").key("data/one").send().await), "AccessDenied");
    let stranger = buckets.plain().get_object().bucket(&bucket).key(&inside).send().await;
    assert_eq!(code(stranger), "AccessDenied", "own keys open no project");
    let nowhere = buckets.plain().get_object().bucket("nowhere").key("x").send().await;
    assert_eq!(code(nowhere), "NoSuchBucket");
    let aws = {
        let id = buckets.lab.id(LAB, "/run/").await;
        let call = format!("/api/projects/{LAB}/data/{id}:createTemporaryCredentials");
        buckets.lab.post(&call, json!({})).await.body["awsTempCredentials"].clone()
    };
    let tokenless = buckets.client(aws["accessKey"].as_str().unwrap(), None);
    assert_eq!(code(tokenless.get_object().bucket(&bucket).key(&inside).send().await), "InvalidAccessKeyId");
    let (client, ..) = buckets.opened(&aws);
    client.get_object().bucket(&bucket).key(&inside).send().await.unwrap();
}

#[tokio::test]
async fn a_file_with_credentials_is_partial_until_its_object_is_complete() {
    let buckets = Buckets::new(Settings::default()).await;
    let call = format!("/api/projects/{ARCHIVE}/data:createFileWithTemporaryCredentials");
    let Answer { status: made, body, .. } = buckets
        .lab
        .post(&call, json!({"name": "big", "folderPath": "/in/", "temporaryCredentials": {}}))
        .await;
    assert_eq!((made, &body["data"]["details"]["status"]), (StatusCode::CREATED, &json!("PARTIAL")));
    let (client, bucket, key) = buckets.opened(&body["tempCredentials"]["awsTempCredentials"]);
    assert_eq!((bucket.as_str(), key.as_str()), ("own-bucket", "archive/in/big"));
    let (client, bucket, key) = (&client, bucket.as_str(), key.as_str());
    assert_eq!(status(client.head_object().bucket(bucket).key(key).send().await), 404);
    let sent = upload(client, bucket, key, &[b"he", b"llo"]).await;
    assert_eq!(buckets.shown("archive", "/in/big").await.unwrap().0, "PARTIAL");
    let tag = complete(client, (bucket, key), sent).await;
    let (status, size, etag) = buckets.shown("archive", "/in/big").await.unwrap();
    assert_eq!((status.as_str(), size, format!("\"{}\"", etag.unwrap())), ("AVAILABLE", Some(5), tag));
    let folder = format!("/api/projects/{LAB}/data:createFolderWithTemporaryCredentials");
    let folder = buckets.lab.post(&folder, json!({"name": "up"})).await;
    let (client, bucket, prefix) = buckets.opened(&folder.body["tempCredentials"]["awsTempCredentials"]);
    let put = client.put_object().bucket(bucket).key(format!("{prefix}x"));
    put.body(ByteStream::from_static(b"x")).send().await.unwrap();
    assert_eq!(buckets.shown("lab", "/up/x").await.unwrap().0, "AVAILABLE", "on the platform's bucket too");
}

#[tokio::test(start_paused = true)]
async fn credentials_expire() {
    let simulator = Lab::new(Settings::default());
    let id = simulator.id(LAB, "/run/").await;
    let call = format!("/api/projects/{LAB}/data/{id}:createTemporaryCredentials");
    let aws = simulator.post(&call, json!({})).await.body["awsTempCredentials"].clone();
    let get = || {
        let (bucket, prefix) = (aws["bucket"].as_str().unwrap(), aws["objectPrefix"].as_str().unwrap());
        let credential =
            format!("AWS4-HMAC-SHA256 Credential={}/x/s3/aws4_request", aws["accessKey"].as_str().unwrap());
        let request = http::Request::get(format!("http://s3/{bucket}/{prefix}one.txt"))
            .header("authorization", credential)
            .header("x-amz-security-token", aws["sessionToken"].as_str().unwrap());
        let door = Simulator::s3_service(&simulator.simulator);
        async move { door.call(request.body(axum::body::Body::empty()).unwrap()).await.status() }
    };
    sleep(Duration::from_hours(36) - Duration::from_secs(1)).await;
    assert_eq!(get().await, StatusCode::OK);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(get().await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn answers_can_be_made_to_fail() {
    let buckets = Buckets::new(Settings::default()).await;
    let plain = buckets.plain();
    let script = |status, after| Script { call: "S3 CopyObject".to_owned(), times: 1, status, after };
    let status = |status| Instead::Status(StatusCode::from_u16(status).unwrap());
    let responses = [script(status(503), false), script(status(200), true), script(Instead::Close, false)];
    buckets.faults(FaultChanges { responses: Some(responses.to_vec()), ..FaultChanges::default() });
    let copy = || plain.copy_object().bucket("plain").key("z").copy_source("plain/data/one").send();
    assert_eq!(code(copy().await), "SlowDown");
    assert_eq!(self::status(plain.head_object().bucket("plain").key("z").send().await), 404);
    assert_eq!(code(copy().await), "InternalError", "a 200 that is an error");
    plain.head_object().bucket("plain").key("z").send().await.unwrap();
    assert!(matches!(copy().await, Err(SdkError::DispatchFailure(_))));
    copy().await.unwrap();
}

#[tokio::test]
async fn the_api_says_where_the_buckets_are() {
    let buckets = Buckets::new(Settings::default()).await;
    let own = buckets.lab.get(&format!("/api/projects/{ARCHIVE}/selfManagedStorageConfiguration")).await.body;
    assert_eq!(own["storageConfigurationSubFolder"], "s3://own-bucket/archive/");
    let all = buckets.lab.get("/api/storageConfigurations").await.body;
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    let aws = &all["items"][0]["storageConfigurationDetails"]["awsS3"];
    assert_eq!((&aws["bucketName"], &aws["keyPrefix"]), (&json!("own-bucket"), &json!("archive/")));
    assert_eq!(all["items"][0]["id"], own["storageConfiguration"]["id"]);
}

#[tokio::test(start_paused = true)]
async fn projects_can_share_a_storage_configuration() {
    let project = |id: &str, name: &str, folder: &str| {
        json!({"id": id, "name": name, "byob": {"bucket": "shared", "prefix": "all/", "subFolder": folder},
            "files": [{"path": "/x", "size": 5}]})
    };
    // One lies at the top of the configuration, the other in a folder of it.
    let world = json!({"projects": [project(LAB, "top", ""), project(ARCHIVE, "below", "sub/")]});
    let simulator =
        Simulator::new(Settings::default(), WorldFile::parse(&world.to_string()).unwrap()).unwrap();
    let call = |path: String| {
        let transport = InProcess::new(&simulator);
        async move {
            let answer = transport.send(request(http::Method::GET, &path, None)).await.unwrap();
            serde_json::from_slice::<Value>(answer.body()).unwrap()
        }
    };
    let all = call("/api/storageConfigurations".to_owned()).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    for (id, folder) in [(LAB, "s3://shared/all/"), (ARCHIVE, "s3://shared/all/sub/")] {
        let own = call(format!("/api/projects/{id}/selfManagedStorageConfiguration")).await;
        assert_eq!(own["storageConfigurationSubFolder"], folder);
        assert_eq!(own["storageConfiguration"]["id"], all["items"][0]["id"]);
    }
}
