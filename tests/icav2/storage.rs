//! Where projects keep their data, credentials for it, and data that other projects own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use copy_manager::{
    domain::{
        ids::{DataId, ProjectId},
        location::DataPath,
    },
    ports::{
        Class,
        platform::{DataPlatform as _, Destination, Folder},
    },
};
use http::Request;
use pretty_assertions::assert_eq;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::script::{Answer, BEGIN, Script, answer, client, entry, header, page, target};

const P: &str = "11111111-2222-4333-8444-555555555555";

fn configuration(id: &str, bucket: &str, prefix: &Value) -> Value {
    let aws = json!({"bucketName": bucket, "keyPrefix": prefix, "serverSideEncryptionAlgorithm": null});
    json!({"id": id, "name": id, "type": "AWS_S3", "storageConfigurationDetails": {"awsS3": aws}})
}

fn project(name: &str, configuration: Option<&str>) -> Value {
    let own = configuration.map(|id| json!({"id": id}));
    json!({"id": format!("id-{name}"), "name": name, "selfManagedStorageConfiguration": own})
}

/// A tenant: two configurations, one with no prefix, and a project of another tenant.
fn tenant(request: &Request<bytes::Bytes>, grown: bool) -> Answer {
    let configurations =
        [configuration("c1", "data", &json!("top/")), configuration("c2", "bare", &Value::Null)];
    let mut projects = vec![
        project("lab", Some("c1")),
        project("archive", Some("c1")),
        project("whole", Some("c2")),
        project("foreign", Some("c9")),
        project("managed", None),
    ];
    if grown {
        projects.push(project("new", Some("c1")));
    }
    let target = target(request);
    let of = |root: Value| {
        answer(
            200,
            &json!({"storageConfigurationSubFolder": root, "storageConfiguration": {"id": "c1"}}).to_string(),
        )
    };
    match target
        .strip_prefix("/api/projects/")
        .and_then(|rest| rest.strip_suffix("/selfManagedStorageConfiguration"))
    {
        None if target == "/api/storageConfigurations" => {
            answer(200, &json!({"items": configurations}).to_string())
        }
        None if target.starts_with("/api/projects?includeHiddenProjects=true&") => {
            answer(200, &json!({"items": projects, "nextPageToken": ""}).to_string())
        }
        Some("id-lab") => of(json!("s3://data/top/lab/")),
        Some("id-archive") => of(Value::Null),
        Some("id-whole") => of(json!("s3://bare")),
        Some("id-new") => of(json!("s3://data/top/lab/new/")),
        Some("id-foreign") => answer(403, "{}"),
        Some("id-broken") => answer(503, "{}"),
        _ => answer(404, "{}"),
    }
}

async fn located(client: &copy_manager::icav2::client::Client, uri: &str) -> String {
    let (bucket, key) = uri.split_once('/').unwrap_or((uri, ""));
    let found = client.locate(bucket, key).await.unwrap();
    found.map_or_else(|| "nowhere".to_owned(), |(project, path)| format!("{}{path}", project.name))
}

#[tokio::test(start_paused = true)]
async fn locations_lie_in_the_project_with_the_longest_root() {
    let script = Script::new(|request, _| tenant(request, false));
    let client = client(&script);
    for (uri, expected) in [
        ("data/top/lab/run 1/a.txt", "lab/run 1/a.txt"),
        ("data/top/lab/", "lab/"),
        ("data/top/labs/a", "archive/labs/a"),
        ("data/topmost/a", "nowhere"),
        ("bare/a", "whole/a"),
        ("bare", "whole/"),
        ("elsewhere/a", "nowhere"),
    ] {
        assert_eq!(located(&client, uri).await, expected, "{uri}");
    }
    let asked = script.lines();
    let times = |end: &str| asked.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!((times("/storageConfigurations"), times("/id-lab/selfManagedStorageConfiguration")), (1, 1));
    assert_eq!(times("/id-managed/selfManagedStorageConfiguration"), 0, "it has no configuration");
}

/// It is asked itself where its data are, so that they are not taken for those of no project.
#[tokio::test(start_paused = true)]
async fn an_odd_entry_hides_neither_its_own_place_nor_that_of_others() {
    let script = Script::new(|request, _| {
        let target = target(request);
        if target == "/api/storageConfigurations" {
            let odd = json!({"id": "c7", "storageConfigurationDetails": {"awsS3": {"bucketName": 7}}});
            let items = [odd, configuration("c1", "data", &json!("top/"))];
            return answer(200, &json!({"items": items}).to_string());
        }
        if target.starts_with("/api/projects?includeHiddenProjects=true&") {
            let odd = json!({"id": "id-odd", "name": null, "selfManagedStorageConfiguration": {"id": 7}});
            let items = [odd, project("lab", Some("c1"))];
            return answer(200, &json!({"items": items, "nextPageToken": ""}).to_string());
        }
        if target == "/api/projects/id-odd/selfManagedStorageConfiguration" {
            return answer(200, r#"{"storageConfigurationSubFolder": "s3://oddly/x/"}"#);
        }
        tenant(request, false)
    });
    let client = client(&script);
    for (uri, expected) in
        [("data/top/lab/a", "lab/a"), ("oddly/x/a", "id-odd/a"), ("elsewhere/a", "nowhere")]
    {
        assert_eq!(located(&client, uri).await, expected, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_miss_looks_again_once() {
    let grown = Arc::new(AtomicBool::new(false));
    let now = grown.clone();
    let script = Script::new(move |request, _| tenant(request, now.load(Ordering::SeqCst)));
    let client = client(&script);
    assert_eq!(located(&client, "nothing/a").await, "nowhere");
    let first = script.count();
    assert_eq!(located(&client, "nothing/b").await, "nowhere");
    assert_eq!(script.count(), first + 1, "only the project that hides its storage is asked again");
    grown.store(true, Ordering::SeqCst);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(located(&client, "nothing/c").await, "nowhere");
    assert_eq!(located(&client, "data/top/lab/new/a").await, "new/a");
    tokio::time::advance(Duration::from_mins(6)).await;
    assert_eq!(located(&client, "data/top/lab/a").await, "lab/a");
}

#[tokio::test(start_paused = true)]
async fn those_who_miss_together_ask_together() {
    let script = Script::new(|request, _| tenant(request, false));
    let client = client(&script);
    let keys = ["top/lab/a", "top/lab/b", "top/lab/c"];
    let found = futures_util::future::join_all(keys.map(|key| client.locate("data", key))).await;
    assert!(found.iter().all(|found| found.as_ref().unwrap().is_some()));
    let asked = script.lines().iter().filter(|line| line.ends_with("/storageConfigurations")).count();
    assert_eq!(asked, 1);
}

#[tokio::test(start_paused = true)]
async fn without_configurations_every_project_is_asked() {
    let script = Script::new(|request, _| match target(request).as_str() {
        "/api/storageConfigurations" => answer(403, "{}"),
        _ => tenant(request, false),
    });
    assert_eq!(located(&client(&script), "bare/x/y").await, "whole/x/y");
}

#[tokio::test(start_paused = true)]
async fn keys_that_no_file_can_have_are_refused() {
    let script = Script::new(|request, _| tenant(request, false));
    let error = client(&script).locate("bare", "a//b").await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert!(error.message.starts_with("s3://bare/a//b lies in project `whole`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn projects_say_where_their_data_is() {
    let script = Script::new(|request, _| tenant(request, false));
    let client = client(&script);
    let storage = async |name: &str| client.storage(&ProjectId::new(format!("id-{name}"))).await;
    let root = |bucket: &str, prefix: &str| Some((bucket.to_owned(), prefix.to_owned()));
    for _ in 0..2 {
        assert_eq!(storage("lab").await.unwrap(), root("data", "top/lab/"));
        assert_eq!(storage("whole").await.unwrap(), root("bare", ""));
        assert_eq!(storage("archive").await.unwrap(), root("data", "top/"), "relative to its configuration");
        assert_eq!(storage("managed").await.unwrap(), None);
    }
    assert_eq!(script.count(), 6, "four projects, and the picture for the relative one");
    assert_eq!(storage("foreign").await.unwrap_err().class, Class::Forbidden);
    assert_eq!(storage("broken").await.unwrap_err().class, Class::Throttled);
}

fn credentials(prefix: &str, expires: Option<&str>) -> Value {
    json!({"awsTempCredentials": {
        "accessKey": "ASIA-ID", "secretKey": "very-secret", "sessionToken": "more-secret",
        "region": "ap-southeast-2", "bucket": "data", "objectPrefix": prefix,
        "serverSideEncryptionAlgorithm": "AWS_KMS", "serverSideEncryptionKey": "arn:key",
        "expirationTime": expires,
    }, "rcloneTempCredentials": null})
}

#[tokio::test(start_paused = true)]
async fn credentials_are_given_and_not_shown() {
    let script = Script::always(200, credentials("top/lab/run", None));
    let client = client(&script);
    let (project, folder) = (ProjectId::new(P), DataId::new("fol.1"));
    let access = client.write_access(&project, &folder).await.unwrap();
    assert_eq!(access.below("a b.txt").to_string(), "s3://data/top/lab/run/a b.txt");
    assert_eq!(access.secret_access_key.expose_secret(), "very-secret");
    assert_eq!(access.expires.as_second(), BEGIN + 36 * 3600);
    assert_eq!(access.encryption.as_ref().unwrap().key.as_deref(), Some("arn:key"));
    let shown = format!("{access:?}");
    assert!(!shown.contains("secret") && !shown.contains("ASIA"), "{shown}");
    let request = script.only();
    assert_eq!(target(&request), format!("/api/projects/{P}/data/fol.1:createTemporaryCredentials"));
    assert_eq!(request.body(), r#"{"readOnlyCredentials":false}"#.as_bytes());

    let script = Script::always(200, credentials("top/lab/run/f", Some("2030-01-01T00:00:00Z")));
    let access = self::client(&script).read_access(&project, &DataId::new("fil.1")).await.unwrap();
    assert_eq!(
        (access.prefix.as_str(), access.expires.to_string().as_str()),
        ("top/lab/run/f", "2030-01-01T00:00:00Z")
    );
    assert_eq!(script.only().body(), r#"{"readOnlyCredentials":true}"#.as_bytes());

    let script = Script::always(200, json!({"rcloneTempCredentials": {"config": {}}}));
    let error = self::client(&script).read_access(&project, &folder).await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_file_for_parts_comes_with_credentials_that_last() {
    let made = |expires: Option<&str>| {
        let mut made = entry("fil.new", "/a/b", None);
        made.as_object_mut().unwrap().insert("tempCredentials".into(), credentials("top/lab/a/b", expires));
        made.to_string()
    };
    let (project, folder) = (ProjectId::new(P), DataId::new("fol.1"));
    let script = Script::always(201, made(None));
    let (id, access) = client(&script)
        .create_file_for_parts(&project, &Destination::Folder(folder.clone()), "b", "key")
        .await
        .unwrap();
    assert_eq!((id.as_str(), access.prefix.as_str()), ("fil.new", "top/lab/a/b"));
    let request = script.only();
    assert_eq!(header(&request, "idempotency-key").unwrap(), "key");
    assert_eq!(target(&request), format!("/api/projects/{P}/data:createFileWithTemporaryCredentials"));
    assert_eq!(request.body(), r#"{"name":"b","folderId":"fol.1"}"#.as_bytes());

    let script = Script::new(move |request, _| {
        if target(request).ends_with("createTemporaryCredentials") {
            answer(200, &credentials("top/lab/a/b", None).to_string())
        } else {
            answer(201, &made(Some("2023-11-15T00:00:00Z")))
        }
    });
    let (_, access) = client(&script)
        .create_file_for_parts(&project, &Destination::Folder(folder.clone()), "b", "key")
        .await
        .unwrap();
    assert_eq!(access.expires.as_second(), BEGIN + 36 * 3600, "a replayed answer holds old credentials");

    let script = Script::always(409, "{}");
    let error = client(&script)
        .create_file_for_parts(&project, &Destination::Folder(folder.clone()), "b", "key")
        .await
        .unwrap_err();
    assert_eq!(error.class, Class::Conflict);
}

/// A project whose folder `/a/shared/` is another's; its own folder is `/a/`.
fn with_linked(request: &Request<bytes::Bytes>) -> Answer {
    let asked = target(request);
    let own = |mut entry: Value| {
        *entry.pointer_mut("/data/details/owningProjectId").unwrap() = P.into();
        entry
    };
    let found = if asked.contains("filePath=") {
        vec![own(entry("fol.a", "/a/", None)), entry("fol.shared", "/a/shared/", None)]
    } else if asked.contains("parentFolderPath=/a/&") && asked.contains("filename=shared") {
        vec![entry("fol.shared", "/a/shared/", None)]
    } else if asked.contains("parentFolderId=fol.shared") {
        vec![entry("fol.SUB", "/a/shared/SUB/", None), entry("fol.sub", "/a/shared/sub/", None)]
    } else if asked.contains("parentFolderId=fol.sub") && asked.contains("pageToken") {
        vec![entry("fil.y", "/a/shared/sub/y", Some(2))]
    } else if asked.contains("parentFolderId=fol.sub") {
        let next = (!asked.contains("filename")).then_some("more==");
        return answer(200, &page(&[entry("fil.x", "/a/shared/sub/x", Some(1))], next));
    } else {
        vec![]
    };
    answer(200, &page(&found, None))
}

#[tokio::test(start_paused = true)]
async fn files_in_linked_folders_are_found_by_path() {
    let project = ProjectId::new(P);
    let path = |text: &str| DataPath::parse(text).unwrap();
    let script = Script::new(|request, _| with_linked(request));
    let client = client(&script);
    let find = async |text: &str| {
        let found = client.find(&project, &path(text)).await.unwrap();
        found.map(|data| (data.id.to_string(), data.owner.as_str() == P))
    };
    assert_eq!(find("/a/shared/").await, Some(("fol.shared".into(), false)));
    assert_eq!(find("/a/shared/sub/").await, Some(("fol.sub".into(), false)));
    assert_eq!(find("/a/shared/sub/x").await, Some(("fil.x".into(), false)));
    assert_eq!(find("/a/shared/sub/z").await, None);
    assert_eq!(find("/a/missing/z").await, None);
    let before = script.count();
    assert_eq!(find("/a/missing/zz").await, None);
    assert_eq!(script.count(), before + 1, "what is not below a linked folder is remembered");
    let lines = script.lines();
    assert!(
        lines.iter().any(|line| line.contains("filePath=/a/shared/sub/&filePath=/a/shared/&filePath=/a/&")),
        "{lines:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn linked_folders_are_listed_by_path() {
    let project = ProjectId::new(P);
    let script = Script::new(|request, _| with_linked(request));
    let client = client(&script);
    let folder = Folder::Path(DataPath::parse("/a/shared/sub/").unwrap());
    let first = client.children(&project, &folder, None).await.unwrap();
    let second = client.children(&project, &folder, first.next.as_deref()).await.unwrap();
    let ids: Vec<_> = first.items.iter().chain(&second.items).map(|data| data.id.as_str()).collect();
    assert_eq!((ids, second.next), (vec!["fil.x", "fil.y"], None));
    let own = Folder::Path(DataPath::parse("/a/empty/").unwrap());
    assert!(client.children(&project, &own, None).await.unwrap().items.is_empty());
}
