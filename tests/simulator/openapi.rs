//! Real answers against the official `OpenAPI` document, which is not part of this repository: the
//! test reads it from `$ICAV2_OPENAPI`.

use std::{collections::BTreeSet, time::Duration};

use copy_manager::simulator::{Settings, faults::FaultChanges};
use http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{ARCHIVE, Answer, LAB, Lab, V4, request, skipped};

/// The document, and what was checked against it.
struct Document {
    json: Value,
    checked: BTreeSet<String>,
}

impl Document {
    #[expect(clippy::disallowed_methods, reason = "the document is outside the repository")]
    fn from_env() -> Option<Self> {
        let path = std::env::var("ICAV2_OPENAPI").ok()?;
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut json: Value = serde_norway::from_str(&text).unwrap();
        allow_null(&mut json);
        Some(Self { json, checked: BTreeSet::new() })
    }

    /// Checks status, content type and body of an answer to a call of the document.
    fn check(&mut self, call: &str, answer: &Answer) {
        let (method, template) = call.split_once(' ').unwrap();
        let responses = &self.json["paths"][template][method.to_lowercase()]["responses"];
        assert!(responses.is_object(), "the document has no {call}");
        let status = answer.status.as_str();
        let response = responses.get(status).filter(|_| answer.status.is_success());
        let response = response.or_else(|| responses.get("default").filter(|_| !answer.status.is_success()));
        let response =
            response.unwrap_or_else(|| panic!("{call} is not answered with {status}: {}", answer.body));
        let Some(content) = response.get("content").filter(|_| answer.status != 204) else {
            assert!(answer.body.is_null(), "{call}: {status} has no body");
            return self.done(call, status);
        };
        let kind = answer.headers["content-type"].to_str().unwrap();
        let schema = content[kind]["schema"].clone();
        assert!(schema.is_object(), "{call}: {status} is not of type {kind}");
        let validator = self.validator(schema);
        let errors: Vec<String> = validator
            .iter_errors(&answer.body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{call} {status}:\n{}\n{:#}", errors.join("\n"), answer.body);
        self.done(call, status);
    }

    fn done(&mut self, call: &str, status: &str) {
        self.checked.insert(format!("{call} {status}"));
    }

    fn validator(&self, mut schema: Value) -> Validator {
        schema["components"] = self.json["components"].clone();
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    }
}

/// `nullable: true` of `OpenAPI` 3.0 is `null` as one more type.
fn allow_null(json: &mut Value) {
    match json {
        Value::Array(items) => items.iter_mut().for_each(allow_null),
        Value::Object(object) => {
            object.values_mut().for_each(allow_null);
            if object.get("nullable") == Some(&Value::Bool(true)) {
                if let Some(kind) = object.get("type").cloned() {
                    object.insert("type".to_owned(), json!([kind, "null"]));
                }
                if let Some(Value::Array(values)) = object.get_mut("enum") {
                    values.push(Value::Null);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_as_documented() {
    let Some(mut document) = Document::from_env() else {
        return skipped("the simulator was NOT checked against OpenAPI; set ICAV2_OPENAPI");
    };
    let lab = Lab::new(Settings::default());
    projects(&lab, &mut document).await;
    data(&lab, &mut document).await;
    copies(&lab, &mut document).await;
    moves(&lab, &mut document).await;
    refusals(&lab, &mut document).await;
    let calls = document.checked.iter().filter_map(|checked| checked.rsplit_once(' '));
    let calls: BTreeSet<&str> =
        calls.filter(|(_, status)| status.starts_with('2')).map(|(call, _)| call).collect();
    assert_eq!(calls.len(), 31, "every call that the document has: {calls:#?}");
}

async fn projects(lab: &Lab, document: &mut Document) {
    let mut token = request(Method::POST, "/api/tokens", None);
    token.headers_mut().insert("x-api-key", "key".parse().unwrap());
    document.check("POST /api/tokens", &lab.send(token).await.unwrap());
    for (call, path) in [
        ("GET /api/projects", "/api/projects".to_owned()),
        ("GET /api/projects", "/api/projects?pageOffset=0&sort=name".to_owned()),
        ("GET /api/projects/{projectId}", format!("/api/projects/{ARCHIVE}")),
        ("GET /api/projects/{projectId}", format!("/api/projects/{LAB}")),
        ("GET /api/storageConfigurations", "/api/storageConfigurations".to_owned()),
        ("GET /api/system/info", "/api/system/info".to_owned()),
        ("GET /api/regions", "/api/regions".to_owned()),
    ] {
        document.check(call, &lab.get(&path).await);
    }
}

async fn data(lab: &Lab, document: &mut Document) {
    const DATA: &str = "/api/projects/{projectId}/data";
    const ONE: &str = "/api/projects/{projectId}/data/{dataId}";
    let base = format!("/api/projects/{ARCHIVE}/data");
    let file = lab.post(&format!("{base}:createFile"), json!({"name": "x", "folderPath": "/new/"})).await;
    document.check(&format!("POST {DATA}:createFile"), &file);
    let folder =
        lab.post(&format!("{base}:createFolder"), json!({"name": "deep", "folderPath": "/new/"})).await;
    document.check(&format!("POST {DATA}:createFolder"), &folder);
    let upload = lab.post(&format!("{base}:createFileWithUploadUrl"), json!({"name": "y"})).await;
    document.check(&format!("POST {DATA}:createFileWithUploadUrl"), &upload);
    for call in ["createFileWithTemporaryCredentials", "createFolderWithTemporaryCredentials"] {
        let body = json!({"name": call, "temporaryCredentials": {"readOnlyCredentials": false}});
        document.check(&format!("POST {DATA}:{call}"), &lab.post(&format!("{base}:{call}"), body).await);
    }
    lab.bytes(Method::PUT, &upload.body["uploadUrl"], Some(b"hello".to_vec())).await;
    let id = |answer: &Answer| answer.body["data"]["id"].as_str().unwrap().to_owned();
    let (file, folder, upload) = (id(&file), id(&folder), id(&upload));
    let got = lab.get(&format!("{base}/{upload}")).await;
    let urn: String =
        url::form_urlencoded::byte_serialize(got.body["data"]["urn"].as_str().unwrap().as_bytes()).collect();
    document.check("GET /api/data/{dataUrn}", &lab.get(&format!("/api/data/{urn}")).await);
    document.check("GET /api/data/{dataUrn}", &lab.get("/api/data/nonsense").await);
    let mut wanted = got.body.clone();
    wanted["data"]["details"]["tags"]["userTags"] = json!(["tagged"]);
    wanted["data"]["details"]["willBeArchivedAt"] = json!("2027-01-01T00:00:00Z");
    let mut put = request(Method::PUT, &format!("{base}/{upload}"), Some(wanted));
    put.headers_mut().insert("if-match", got.headers["etag"].clone());
    document.check(&format!("PUT {ONE}"), &lab.send(put.clone()).await.unwrap());
    document.check(&format!("PUT {ONE}"), &lab.send(put).await.unwrap());
    for query in [
        "",
        "?pageOffset=0",
        "?creationDateAfter=2020-01-01T00:00:00Z",
        "?filePath=/new/&pageSize=1",
        "?parentFolderPath=/&sort=name",
    ] {
        document.check(&format!("GET {DATA}"), &lab.get(&format!("{base}{query}")).await);
    }
    for id in [&file, &folder, &upload] {
        document.check(&format!("GET {ONE}"), &lab.get(&format!("{base}/{id}")).await);
    }
    let run = lab.id(LAB, "/run/").await;
    let mut children = request(Method::GET, &format!("/api/projects/{LAB}/data/{run}/children"), None);
    document.check(&format!("GET {ONE}/children"), &lab.send(children.clone()).await.unwrap());
    children.headers_mut().insert("accept", V4.parse().unwrap());
    document.check(&format!("GET {ONE}/children"), &lab.send(children).await.unwrap());
    for (id, verb) in [
        (&file, "createUploadUrl"),
        (&upload, "createDownloadUrl"),
        (&folder, "createTemporaryCredentials"),
        (&folder, "delete"),
    ] {
        let answer = lab.send(request(Method::POST, &format!("{base}/{id}:{verb}"), None)).await.unwrap();
        document.check(&format!("POST {ONE}:{verb}"), &answer);
    }
    let rclone = json!({"credentialsFormat": "RCLONE", "readOnlyCredentials": true});
    let rclone = lab.post(&format!("{base}/{upload}:createTemporaryCredentials"), rclone).await;
    document.check(&format!("POST {ONE}:createTemporaryCredentials"), &rclone);
    let urls = lab
        .post(&format!("{base}:createDownloadUrls"), json!({"dataIds": [upload], "dataPaths": ["/y"]}))
        .await;
    document.check(&format!("POST {DATA}:createDownloadUrls"), &urls);
    document.check(&format!("GET {ONE}"), &lab.get(&format!("{base}/{folder}")).await);
}

async fn copies(lab: &Lab, document: &mut Document) {
    const BATCH: &str = "/api/projects/{projectId}/dataCopyBatch";
    for failures in [0.0, 1.0] {
        lab.simulator
            .set_faults(FaultChanges { job_failure_rate: Some(failures), ..FaultChanges::default() });
        let batch = lab.copy(&["/run/a.fastq.gz", "/run/one.txt", "/empty/"], "/in/", "OVERWRITE").await;
        document.check(&format!("POST {BATCH}"), &batch);
        let (id, job) = (batch.body["id"].as_str().unwrap(), batch.body["job"]["id"].as_str().unwrap());
        for seconds in [0, 1, 1] {
            sleep(Duration::from_secs(seconds)).await;
            let path = format!("/api/projects/{ARCHIVE}/dataCopyBatch/{id}");
            document.check(&format!("GET {BATCH}/{{batchId}}"), &lab.get(&path).await);
            let items = lab.get(&format!("{path}/items")).await;
            document.check(&format!("GET {BATCH}/{{batchId}}/items"), &items);
            document.check(
                &format!("GET {BATCH}/{{batchId}}/items"),
                &lab.get(&format!("{path}/items?pageOffset=1")).await,
            );
            let item = items.body["items"][0]["id"].as_str().unwrap();
            let item = lab.get(&format!("{path}/items/{item}")).await;
            document.check(&format!("GET {BATCH}/{{batchId}}/items/{{itemId}}"), &item);
            document.check("GET /api/jobs/{jobId}", &lab.get(&format!("/api/jobs/{job}")).await);
            document.check("GET /api/jobs", &lab.get("/api/jobs?sort=timeCreated%20desc").await);
            document.check("GET /api/jobs", &lab.get("/api/jobs?pageSize=1").await);
        }
    }
}

async fn moves(lab: &Lab, document: &mut Document) {
    const BATCH: &str = "/api/projects/{projectId}/dataMoveBatch";
    for (failures, name) in [(1.0, "a.fastq.gz"), (0.0, "b.fastq.gz")] {
        lab.simulator
            .set_faults(FaultChanges { job_failure_rate: Some(failures), ..FaultChanges::default() });
        let file = lab.id(LAB, &format!("/run/{name}")).await;
        let folder = lab.id(LAB, "/empty/").await;
        let wanted = json!({"items": [{"dataId": file}], "destinationFolderId": folder});
        let base = format!("/api/projects/{LAB}/dataMoveBatch");
        let batch = lab.post(&base, wanted).await;
        document.check(&format!("POST {BATCH}"), &batch);
        let path = format!("{base}/{}", batch.body["id"].as_str().unwrap());
        for seconds in [0, 1, 1] {
            sleep(Duration::from_secs(seconds)).await;
            document.check(&format!("GET {BATCH}/{{batchId}}"), &lab.get(&path).await);
            let items = lab.post(&format!("{path}/items:search?pageSize=1"), json!({})).await;
            document.check(&format!("POST {BATCH}/{{batchId}}/items:search"), &items);
            let item = items.body["items"][0]["id"].as_str().unwrap();
            let item = lab.get(&format!("{path}/items/{item}")).await;
            document.check(&format!("GET {BATCH}/{{batchId}}/items/{{itemId}}"), &item);
            document.check("GET /api/jobs", &lab.get("/api/jobs").await);
        }
    }
}

async fn refusals(lab: &Lab, document: &mut Document) {
    document.check("GET /api/projects/{projectId}", &lab.get("/api/projects/nonsense").await);
    let nobody = "/api/jobs/11111111-2222-4333-8444-000000000009";
    document.check("GET /api/jobs/{jobId}", &lab.get(nobody).await);
    let nameless = lab.post(&format!("/api/projects/{LAB}/data:createFile"), json!({})).await;
    document.check("POST /api/projects/{projectId}/data:createFile", &nameless);
    let limit = copy_manager::simulator::faults::RateLimit(Some(0));
    lab.simulator.set_faults(FaultChanges { rate_limit: Some(limit), ..FaultChanges::default() });
    document.check("GET /api/regions", &lab.get("/api/regions").await);
}
