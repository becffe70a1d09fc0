//! What is sent, and what is read from the answers.

use copy_manager::{
    domain::{
        file::{DataKind, DataStatus},
        ids::{BatchId, DataId, JobId, ProjectId},
        job::JobStatus,
        location::DataPath,
    },
    ports::{
        Class,
        platform::{DataPlatform as _, Destination, Folder},
    },
};
use pretty_assertions::assert_eq;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::script::{Script, answer, client, entry, header, page, target};

const P: &str = "11111111-2222-4333-8444-555555555555";

fn project() -> ProjectId {
    ProjectId::new(P)
}

fn path(text: &str) -> DataPath {
    DataPath::parse(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_call_carries_the_media_type_and_the_token() {
    let script = Script::always(200, entry("fil.1", "/a/b", None));
    let data = client(&script).get(&project(), &DataId::new("fil.1")).await.unwrap();
    assert_eq!((data.size, data.status, data.kind), (0, DataStatus::Available, DataKind::File));
    assert_eq!(data.owner.as_str(), "99999999-2222-4333-8444-555555555555");
    let request = script.only();
    assert_eq!(header(&request, "accept").unwrap(), "application/vnd.illumina.v3+json");
    assert!(header(&request, "authorization").unwrap().starts_with("Bearer eyJ"));
    assert_eq!(header(&request, "content-type"), None);
    assert_eq!(target(&request), format!("/api/projects/{P}/data/fil.1"));
}

#[tokio::test(start_paused = true)]
async fn names_are_encoded_and_compared_exactly() {
    let wanted = "/run 1/é+x/a b#c%.txt";
    let entries = [entry("fil.1", "/RUN 1/é+x/a b#c%.txt", Some(1)), entry("fil.2", wanted, Some(2))];
    let script = Script::always(200, page(&entries, None));
    let found = client(&script).find(&project(), &path(wanted)).await.unwrap().unwrap();
    assert_eq!(found.id.as_str(), "fil.2");
    assert_eq!(
        target(&script.only()),
        format!(
            "/api/projects/{P}/data?parentFolderPath=/run%201/%C3%A9%2Bx/&filename=a%20b%23c%25.txt\
             &filenameMatchMode=EXACT&filePathMatchMode=FULL_CASE_INSENSITIVE&type=FILE&pageSize=1000"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found() {
    let script = Script::always(200, page(&[entry("fol.1", "/A/", None)], Some("")));
    assert_eq!(client(&script).find(&project(), &path("/a/")).await.unwrap(), None);
    let gone = Script::always(404, "{}");
    assert_eq!(client(&gone).find(&project(), &path("/a/")).await.unwrap(), None);
    let root = client(&gone).find(&project(), &path("/")).await.unwrap_err();
    assert_eq!(root.class, Class::Invalid);
}

#[tokio::test(start_paused = true)]
async fn listings_follow_the_cursor() {
    let script = Script::new(|request, _| {
        let (items, next) = if request.uri().query().unwrap().contains("pageToken=more%3D%3D") {
            ([entry("fil.2", "/a/2", Some(2))], "")
        } else {
            ([entry("fil.1", "/a/1", Some(1))], "more==")
        };
        answer(200, &page(&items, Some(next)))
    });
    let client = client(&script);
    let folder = Folder::Path(path("/a/"));
    let one = client.children(&project(), &folder, None).await.unwrap();
    let two = client.children(&project(), &folder, one.next.as_deref()).await.unwrap();
    assert_eq!((one.items.len(), one.next.as_deref()), (1, Some("more==")));
    assert_eq!((two.items.len(), two.next), (1, None));
    assert_eq!(
        script.lines(),
        [
            format!("GET /api/projects/{P}/data?parentFolderPath=/a/&pageSize=1000"),
            format!("GET /api/projects/{P}/data?parentFolderPath=/a/&pageSize=1000&pageToken=more%3D%3D"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_is_not_there_has_no_children() {
    let script = Script::always(404, "{}");
    let client = client(&script);
    let listed = client.children(&project(), &Folder::Path(path("/x/")), None).await.unwrap();
    assert_eq!((listed.items, listed.next), (Vec::new(), None));
    let by_id = client.children(&project(), &Folder::Id(DataId::new("fol.1")), None).await.unwrap_err();
    assert_eq!((by_id.class, by_id.status), (Class::NotFound, Some(404)));
}

#[tokio::test(start_paused = true)]
async fn filters_that_ignore_case_are_applied_again() {
    let entries = [
        entry("fol.0", "/a/", None),
        entry("fol.1", "/a/b/", None),
        entry("fol.2", "/A/b/", None),
        entry("fol.3", "/a/b/c", None),
    ];
    let script = Script::always(200, page(&entries, None));
    let client = client(&script);
    let below = client.folders_below(&project(), &path("/a/"), None).await.unwrap();
    let paths: Vec<_> = below.items.iter().map(|data| data.path.as_str()).collect();
    assert_eq!(paths[..1], ["/a/b/"]);
    assert!(!paths.contains(&"/a/") && !paths.contains(&"/A/b/"));
    let children = client.children(&project(), &Folder::Path(path("/a/")), None).await.unwrap();
    assert_eq!(children.items.len(), 1);
    assert!(script.lines()[0].ends_with(
        "/data?filePath=/a/&filePathMatchMode=STARTS_WITH_CASE_INSENSITIVE&type=FOLDER&pageSize=1000"
    ));
}

#[tokio::test(start_paused = true)]
async fn files_are_counted_without_being_listed() {
    let counted = json!({"items": [], "nextPageToken": "", "totalItemCount": 123_456});
    for (answer, count) in [(counted.to_string(), Some(123_456)), (page(&[], None), None)] {
        let script = Script::always(200, answer);
        assert_eq!(client(&script).count_files_below(&project(), &path("/a/")).await.unwrap(), count);
        assert!(target(&script.only()).ends_with(
            "/data?filePath=/a/&filePathMatchMode=STARTS_WITH_CASE_INSENSITIVE&type=FILE&pageOffset=0&pageSize=1"
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn creations_carry_their_key() {
    let script = Script::always(201, entry("fol.1", "/a/b c/", None));
    client(&script).create_folder(&project(), &path("/a/b c/"), "key-1").await.unwrap();
    let request = script.only();
    assert_eq!(header(&request, "idempotency-key").unwrap(), "key-1");
    assert_eq!(header(&request, "content-type").unwrap(), "application/vnd.illumina.v3+json");
    assert_eq!(request.body(), &json!({"name": "b c", "folderPath": "/a/"}).to_string().into_bytes());
    assert!(target(&request).ends_with("/data:createFolder"));

    let mut made = entry("fil.1", "/a/x", None);
    made["uploadUrl"] = json!("https://bucket/x?X-Amz-Signature=1");
    let script = Script::always(201, made);
    let file = client(&script)
        .create_file(&project(), &Destination::Folder(DataId::new("fol.1")), "x", "key-2")
        .await
        .unwrap();
    assert_eq!(file.upload.expose_secret(), "https://bucket/x?X-Amz-Signature=1");
    assert!(!format!("{file:?}").contains("Amz"));
    assert_eq!(header(&script.only(), "idempotency-key").unwrap(), "key-2");
    assert!(target(&script.only()).ends_with("/data:createFileWithUploadUrl"));
}

#[tokio::test(start_paused = true)]
async fn the_root_of_a_project_is_named_by_its_path_or_not_at_all() {
    let job =
        json!({"id": "j", "status": "RUNNING", "subjectId": "b", "timeCreated": "2025-07-11T03:12:04Z"});
    for none in [json!(null), json!("")] {
        let batch = json!({"id": "b", "job": job, "destinationFolderId": none});
        let script = Script::always(201, batch);
        let client = client(&script);
        client.submit(&project(), &Destination::Root, &[DataId::new("fil.1")]).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(script.only().body()).unwrap();
        assert_eq!(body.get("destinationFolderId"), None);
        let folder = client.batch_folder(&project(), &BatchId::new("b")).await.unwrap();
        assert_eq!(folder, Destination::Root);
    }
    let mut made = entry("fil.1", "/x", None);
    made["uploadUrl"] = json!("https://bucket/x");
    let script = Script::always(201, made);
    client(&script).create_file(&project(), &Destination::Root, "x", "key").await.unwrap();
    assert_eq!(script.only().body(), &json!({"name": "x", "folderPath": "/"}).to_string().into_bytes());
}

#[tokio::test(start_paused = true)]
async fn urls_come_in_the_order_asked() {
    let url =
        |id: &str| json!({"dataId": id, "dataUrn": "u", "dataPath": "/p", "url": format!("https://h/{id}")});
    let script = Script::always(200, json!({"items": [url("fil.2"), url("fil.1")]}));
    let client = client(&script);
    let ids = [DataId::new("fil.1"), DataId::new("fil.2")];
    let urls = client.download_urls(&project(), &ids).await.unwrap();
    let urls: Vec<_> = urls.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(urls, ["https://h/fil.1", "https://h/fil.2"]);
    assert_eq!(script.only().body(), &br#"{"dataIds":["fil.1","fil.2"]}"#[..]);
    let missing = client.download_urls(&project(), &[DataId::new("fil.3")]).await.unwrap_err();
    assert!(missing.message.contains("fil.3"), "{missing}");
    assert!(client.download_urls(&project(), &[]).await.unwrap().is_empty());
    assert_eq!(script.count(), 2, "nothing is asked for nothing");
}

#[tokio::test(start_paused = true)]
async fn jobs_are_submitted_with_all_flags_and_skip() {
    let job = json!({
        "id": "j", "status": "INITIALIZED", "subjectType": "x", "subjectId": "b",
        "timeCreated": "2025-07-11T03:12:04Z", "owner": {}, "additionalStatusInformation": null,
    });
    let script = Script::always(201, json!({"id": "b", "job": job, "actionOnExist": "SKIP"}));
    let files = [DataId::new("fil.1"), DataId::new("fil.2")];
    let submitted =
        client(&script).submit(&project(), &Destination::Folder(DataId::new("fol.1")), &files).await.unwrap();
    assert_eq!((submitted.batch.as_str(), submitted.job.id.as_str()), ("b", "j"));
    assert_eq!(submitted.job.status, JobStatus::Initialized);
    let body: serde_json::Value = serde_json::from_slice(script.only().body()).unwrap();
    let expected = json!({
        "items": [{"dataId": "fil.1"}, {"dataId": "fil.2"}], "destinationFolderId": "fol.1",
        "copyUserTags": true, "copyTechnicalTags": true, "copyInstrumentInfo": true, "actionOnExist": "SKIP",
    });
    assert_eq!(body, expected);
    assert_eq!(header(&script.only(), "idempotency-key"), None);
}

#[tokio::test(start_paused = true)]
async fn jobs_and_items_are_read() {
    let job = json!({
        "id": "j/1", "status": "FAILED", "subjectId": "b", "timeCreated": "2025-07-11T03:12:04Z",
        "additionalStatusInformation": "boom",
    });
    let script = Script::always(200, &job);
    let read = client(&script).job(&JobId::new("j/1")).await.unwrap();
    assert_eq!((read.status, read.reason.as_deref()), (JobStatus::Failed, Some("boom")));
    assert_eq!(script.lines(), ["GET /api/jobs/j%2F1"]);

    let script = Script::always(200, json!({"items": [job], "nextPageToken": "", "totalItemCount": 2}));
    let client = client(&script);
    let first = client.jobs(None).await.unwrap();
    let second = client.jobs(first.next.as_deref()).await.unwrap();
    assert_eq!((first.next.as_deref(), second.next), (Some("1"), None));
    assert_eq!(script.lines()[1], "GET /api/jobs?sort=timeCreated%20desc&pageOffset=1&pageSize=100");
    assert_eq!(client.jobs(Some("x")).await.unwrap_err().class, Class::Invalid);

    let items = json!({"items": [
        {"id": "i", "request": {"dataId": "fil.1"}, "processing": {"status": "FAILED", "additionalStatusInformation": "no"}},
        {"id": "i", "request": {"dataId": "fil.2"}, "processing": {"status": "COPIED"}, "createdProjectData": entry("fil.9", "/x", None)},
    ]});
    let script = Script::always(200, items);
    let items =
        crate::script::client(&script).batch_items(&project(), &BatchId::new("b"), None).await.unwrap();
    assert_eq!(items.items[0].reason.as_deref(), Some("no"));
    assert_eq!(items.items[1].created, Some(DataId::new("fil.9")));
    assert_eq!(script.lines(), [format!("GET /api/projects/{P}/dataCopyBatch/b/items?pageSize=1000")]);
}

#[tokio::test(start_paused = true)]
async fn deletions_have_no_answer_to_read() {
    let script = Script::always(204, "");
    client(&script).delete(&project(), &DataId::new("fil.1")).await.unwrap();
    assert_eq!(script.lines(), [format!("POST /api/projects/{P}/data/fil.1:delete")]);
}

fn projects(names: &[(&str, &str)]) -> String {
    let items: Vec<_> =
        names.iter().map(|(id, name)| json!({"id": id, "name": name, "active": true})).collect();
    json!({"items": items}).to_string()
}

#[tokio::test(start_paused = true)]
async fn projects_are_found_by_id_or_exact_name_and_remembered() {
    let script = Script::new(|request, _| match target(request).as_str() {
        "/api/projects?pageSize=1000&search=my%20run" => {
            answer(200, &projects(&[("1", "My Run"), ("2", "my run")]))
        }
        "/api/projects?pageSize=1000&search=hidden" => answer(200, &projects(&[])),
        "/api/projects?pageSize=1000&search=twins" => {
            answer(200, &projects(&[("4", "twins"), ("5", "twins")]))
        }
        "/api/projects?pageSize=1000" => answer(200, &projects(&[("3", "hidden")])),
        "/api/projects/11111111-2222-4333-8444-555555555555" => answer(200, r#"{"id":"9","name":"n"}"#),
        _ => answer(404, "{}"),
    });
    let client = client(&script);
    for _ in 0..3 {
        assert_eq!(client.project("my run").await.unwrap().id.as_str(), "2");
    }
    assert_eq!(script.count(), 1);
    assert_eq!(client.project("hidden").await.unwrap().id.as_str(), "3");
    assert_eq!(client.project(P).await.unwrap().name, "n");
    let twins = client.project("twins").await.unwrap_err();
    assert_eq!(twins.class, Class::Invalid);
    for missing in ["nobody", "00000000-2222-4333-8444-555555555555"] {
        let script = Script::new(|request, _| match target(request).as_str() {
            list if list.starts_with("/api/projects?") => answer(200, &projects(&[])),
            _ => answer(404, "{}"),
        });
        let error = crate::script::client(&script).project(missing).await.unwrap_err();
        assert_eq!(error.class, Class::NotFound);
        assert!(error.message.contains(missing), "{error}");
    }
    tokio::time::advance(std::time::Duration::from_mins(6)).await;
    client.project("my run").await.unwrap();
    assert!(script.lines().last().unwrap().contains("search"));
}
