//! A server that answers as the services do, two entries a page.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    domain::share::{files::Library, rows::Row},
    embedded::objects::NoObjects,
    http::network::ReqwestTransport,
    inventory::{lims::Lims, tables::Catalogue},
    orcabus::{Client, Files, Libraries, Settings},
    ports::{
        Error, Result,
        chance::Dice,
        inventory::{Inventory as _, Metadata as _, RowQuery, Whose},
        secrets::Secrets,
    },
};

pub(super) const RUN: &str = "241024_A00130_0336_BHW7MVDSXC";
const PAGE: usize = 2;

/// What the services know, and what they were asked.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) tables: BTreeMap<&'static str, Vec<Value>>,
    pub(super) asked: Mutex<Vec<String>>,
    /// Statuses that come before any answer.
    pub(super) trouble: Mutex<VecDeque<u16>>,
    /// The token that is taken.
    pub(super) token: Mutex<String>,
    /// Records of objects of the bucket `dest`.
    pub(super) records: Mutex<Vec<Value>>,
    /// Those that are found when it is looked at anew.
    pub(super) unseen: Mutex<Vec<Value>>,
    /// Where next pages are said to be, if not here.
    pub(super) elsewhere: Option<&'static str>,
}

type Query = Vec<(String, String)>;

fn all<'q>(query: &'q Query, name: &str) -> Vec<&'q str> {
    query.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

/// Whether an entry has one of the values of a parameter, if that is there.
fn fits(query: &Query, name: &str, values: &[&Value]) -> bool {
    let asked = all(query, name);
    asked.is_empty() || asked.iter().any(|asked| values.iter().any(|value| value.as_str() == Some(*asked)))
}

fn each<'v>(list: &'v Value, name: &str) -> Vec<&'v Value> {
    list.as_array().into_iter().flatten().map(|entry| &entry[name]).collect()
}

fn is_meant(table: &str, entry: &Value, query: &Query) -> bool {
    let is_there = all(query, "currentState") != ["true"] || entry["isCurrentState"] == true;
    match table {
        "metadata/library" => {
            fits(query, "library_id", &[&entry["libraryId"]])
                && fits(query, "project_id", &each(&entry["projectSet"], "projectId"))
                && fits(query, "individual_id", &each(&entry["subject"]["individualSet"], "individualId"))
        }
        "metadata/subject" => fits(query, "subject_id", &[&entry["subjectId"]]),
        "fastq/fastq" => {
            fits(query, "library[]", &[&entry["library"]["libraryId"]])
                && fits(query, "instrumentRunId[]", &[&entry["instrumentRunId"]])
        }
        "file/s3" => {
            let keys = all(query, "key[]");
            let is_named = |pattern: &&str| is_like(pattern, entry["key"].as_str().unwrap());
            is_there
                && fits(query, "ingestId[]", &[&entry["ingestId"]])
                && fits(query, "bucket", &[&entry["bucket"]])
                && (keys.is_empty() || keys.iter().any(is_named))
        }
        "file/s3/attributes" => {
            is_there && fits(query, "portalRunId", &[&entry["attributes"]["portalRunId"]])
        }
        "workflow/workflowrun" => {
            fits(query, "portalRunId", &[&entry["portalRunId"]])
                && fits(query, "libraries__libraryId", &each(&entry["libraries"], "libraryId"))
        }
        _ => false,
    }
}

/// Whether a text is what a pattern means: `*` and `?` are any, unless a `\\` stands before them.
fn is_like(pattern: &str, text: &str) -> bool {
    let (mut wanted, mut found) = (pattern.chars(), text.chars());
    match wanted.next() {
        None => text.is_empty(),
        Some('*') => text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| is_like(wanted.as_str(), text.get(at..).unwrap())),
        Some('?') => found.next().is_some() && is_like(wanted.as_str(), found.as_str()),
        Some('\\') => wanted.next() == found.next() && is_like(wanted.as_str(), found.as_str()),
        letter => found.next() == letter && is_like(wanted.as_str(), found.as_str()),
    }
}

/// What is done by an order; `None`: it is none that is known.
fn obey(world: &World, method: &Method, table: &str, query: &Query, body: &Bytes) -> Option<Response> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let conflict = json!({ "message": "another crawl on dest is already in progress" }).to_string();
    if *method == Method::POST && table == "file/s3/crawl/sync" {
        let prefix = body["prefix"].as_str()?;
        let (found, left) = world.unseen.lock().unwrap().drain(..).partition(|file| {
            file["bucket"] == body["bucket"] && file["key"].as_str().unwrap().starts_with(prefix)
        });
        let found: Vec<Value> = found;
        *world.unseen.lock().unwrap() = left;
        if found.is_empty() {
            return Some((StatusCode::CONFLICT, conflict).into_response());
        }
        world.records.lock().unwrap().extend(found);
        return Some("{}".into_response());
    }
    let id = table.strip_prefix("file/s3/").filter(|_| *method == Method::PATCH)?;
    assert_eq!(all(query, "updateTag"), ["true"]);
    let [change] = body["ingestId"].as_array()?.as_slice() else { return None };
    assert_eq!((&change["op"], &change["path"]), (&json!("add"), &json!("/")));
    let mut records = world.records.lock().unwrap();
    let Some(record) = records.iter_mut().find(|record| record["s3ObjectId"] == id) else {
        return Some(StatusCode::NOT_FOUND.into_response());
    };
    record["ingestId"] = change["value"].clone();
    Some(record.to_string().into_response())
}

async fn answer(State(world): State<Arc<World>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let request = parts;
    let (uri, host) = (request.uri.clone(), request.headers[header::HOST].to_str().unwrap().to_owned());
    let query = url::Url::parse(&format!("http://{host}{uri}")).unwrap();
    let query: Query =
        query.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let shown: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let table = uri.path().replacen("/api/v1", "", 1);
    let table = table.trim_start_matches('/');
    world.asked.lock().unwrap().push(format!("{table}?{}", shown.join("&")));
    let expected = format!("Bearer {}", world.token.lock().unwrap());
    if request.headers[header::AUTHORIZATION] != expected.as_str() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if let Some(status) = world.trouble.lock().unwrap().pop_front() {
        let body = json!({ "detail": "no such parameter" }).to_string();
        let to = [(header::LOCATION, "http://127.0.0.1:9/elsewhere")];
        return (StatusCode::from_u16(status).unwrap(), to, body).into_response();
    }
    if request.method != Method::GET {
        let done = obey(&world, &request.method, table, &query, &body);
        return done.unwrap_or_else(|| StatusCode::BAD_REQUEST.into_response());
    }
    if let Some(run) = table.strip_prefix("sequence/sequence/") {
        let run = run.strip_suffix("/sequence_run").unwrap();
        let of_run: Vec<&Value> =
            world.tables["sequence"].iter().filter(|entry| entry["instrumentRunId"] == run).collect();
        return json!(of_run).to_string().into_response();
    }
    if let Some(id) = table.strip_prefix("workflow/workflowrun/") {
        let found = world.tables["workflow/workflowrun"].iter().find(|run| run["orcabusId"] == id);
        return found.map_or(StatusCode::NOT_FOUND.into_response(), |run| run.to_string().into_response());
    }
    let entries = world.tables.get(table.replace("/attributes", "").as_str());
    let records = world.records.lock().unwrap().clone();
    let records = records.iter().filter(|_| table == "file/s3");
    let mut meant: Vec<Value> = entries
        .into_iter()
        .flatten()
        .chain(records)
        .filter(|entry| is_meant(table, entry, &query))
        .cloned()
        .collect();
    for run in meant.iter_mut().filter(|_| table == "workflow/workflowrun") {
        run.as_object_mut().unwrap().remove("libraries");
    }
    let page: usize = all(&query, "page")[0].parse().unwrap();
    let is_last = meant.len() <= page * PAGE;
    let results: Vec<&Value> = meant.iter().skip((page - 1) * PAGE).take(PAGE).collect();
    let host = world.elsewhere.unwrap_or(&host);
    // As the service for reads does it: lists are joined, which nobody understands.
    let joined = all(&query, "library[]").join(",");
    let next = format!("http://{host}{}?library%5B%5D={joined}&page={}", uri.path(), page + 1);
    let links = json!({ "previous": null, "next": (!is_last).then_some(next) });
    json!({ "links": links, "pagination": { "count": meant.len() }, "results": results })
        .to_string()
        .into_response()
}

/// Tokens, one after the other; the last one stays.
#[derive(Debug)]
pub(super) struct Vault(Vec<&'static str>, pub(super) AtomicUsize);

#[async_trait]
impl Secrets for Vault {
    async fn read(&self, id: &str) -> Result<SecretString> {
        assert_eq!(id, "orcabus/token");
        let n = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
        Ok(SecretString::from(json!({ "id_token": self.0[n], "other": "x" }).to_string()))
    }
}

/// A server, and a client of it.
pub(super) struct Served {
    pub(super) world: Arc<World>,
    pub(super) vault: Arc<Vault>,
    pub(super) client: Arc<Client>,
    _server: tokio::task::JoinSet<()>,
}

pub(super) async fn serve(world: World, tokens: &[&'static str]) -> Served {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let world = Arc::new(world);
    let router = Router::new().fallback(answer).with_state(world.clone());
    // Which ends with the test.
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let vault = Arc::new(Vault(tokens.to_vec(), AtomicUsize::new(0)));
    let transport = Arc::new(ReqwestTransport::new(Duration::from_secs(20)).unwrap());
    let settings = Settings {
        url: format!("http://{address}/{{service}}/api/v1"),
        zone: String::new(),
        token_secret_id: "orcabus/token".to_owned(),
    };
    let client = Client::new(transport, vault.clone(), Arc::new(Dice::from_seed(1)), settings);
    Served { world, vault, client: Arc::new(client), _server: server }
}

impl Served {
    pub(super) async fn rows(&self, query: RowQuery) -> Result<Vec<Row>> {
        let files = Files::new(self.client.clone(), Arc::new(Catalogue::new(Arc::new(NoObjects), [])));
        let (mut pages, mut rows) = (files.rows(&query).await?, Vec::new());
        while let Some(page) = pages.next().await? {
            rows.extend(page);
        }
        Ok(rows)
    }

    pub(super) async fn libraries(&self, whose: Whose, ids: &[&str]) -> Result<Vec<Library>> {
        let libraries = Libraries::new(self.client.clone(), Arc::new(Lims::new(Arc::new(NoObjects), None)));
        assert!(libraries.is_there());
        libraries.libraries(whose, &set(ids)).await
    }

    pub(super) fn asked(&self, table: &str) -> Vec<String> {
        let asked = self.world.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.starts_with(&format!("{table}?"))).cloned().collect()
    }

    pub(super) async fn fails(&self) -> Error {
        self.libraries(Whose::Libraries, &["L1"]).await.unwrap_err()
    }
}

pub(super) fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

pub(super) fn file(key: &str, ingest: &str, class: &str, current: bool, run: &str) -> Value {
    json!({
        "s3ObjectId": "x", "eventType": "Created", "bucket": "b", "key": key, "versionId": "null", "size": 7,
        "sha256": "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=", "lastModifiedDate": "2024-11-15T05:06:11Z",
        "eTag": "\"c1deaf85050662d00010514a4a6719d0\"", "storageClass": class, "isDeleteMarker": false,
        "attributes": { "portalRunId": run }, "ingestId": ingest, "isCurrentState": current, "archiveStatus": null,
    })
}

fn reads(library: &str, run: &str, lane: u32) -> Value {
    let id = |read: u32| json!({ "ingestId": format!("{library}-{lane}-{read}"), "gzipCompressionSizeInBytes": 1 });
    json!({
        "id": format!("fqr.{library}{lane}"), "lane": lane, "instrumentRunId": run, "index": "A",
        "library": { "orcabusId": "lib.1", "libraryId": library },
        "readSet": { "r1": id(1), "r2": id(2), "compressionFormat": "ORA" }, "qc": null,
    })
}

fn workflow(id: &str, workflow: &str, libraries: &[&str], status: &str) -> Value {
    let libraries: Vec<_> =
        libraries.iter().map(|id| json!({ "orcabusId": "lib", "libraryId": id })).collect();
    json!({
        "orcabusId": format!("wfr.{id}"), "portalRunId": id, "libraries": libraries, "comment": null,
        "currentState": { "orcabusId": "stt", "status": status, "timestamp": "2024-11-15T05:21:10.289000Z" },
        "workflow": { "orcabusId": "wfl", "name": workflow, "version": "4.2.4", "executionEngine": "ICA" },
    })
}

fn library(id: &str, subject: &str, individuals: &[&str], projects: &[&str]) -> Value {
    let individuals: Vec<_> =
        individuals.iter().map(|id| json!({ "individualId": id, "source": null })).collect();
    let projects: Vec<_> = projects.iter().map(|id| json!({ "projectId": id, "name": null })).collect();
    json!({
        "orcabusId": "lib.1", "libraryId": id, "phenotype": "tumor", "workflow": "clinical", "quality": null,
        "type": "WGS", "assay": "TsqNano", "coverage": 40.0, "projectSet": projects,
        "sample": { "sampleId": "PRJ1", "externalSampleId": "ext", "source": null },
        "subject": { "subjectId": subject, "individualSet": individuals },
    })
}

pub(super) fn world() -> World {
    let files = ["L1", "L2", "L3"].into_iter().flat_map(|library| {
        [1, 2].map(|lane| (library, lane)).into_iter().flat_map(|(library, lane)| {
            [1, 2].map(|read| {
                let name = format!("{library}-{lane}-{read}");
                file(&format!("primary/{name}.fastq.ora"), &name, "Standard", true, "")
            })
        })
    });
    let mut files: Vec<Value> = files.collect();
    files.push(file("archive/L1-1-1.fastq.ora", "L1-1-1", "DeepArchive", true, ""));
    files.push(file("gone/L1-1-1.fastq.ora", "L1-1-1", "Standard", false, ""));
    for run in ["20240101aaaa", "20240301aaaa", "20240401aaaa", "20240501aaaa"] {
        for key in ["a.bam", "logs/b.txt", "c.vcf"] {
            files.push(file(
                &format!("cache/x/{run}/{key}"),
                &format!("{run}-{key}"),
                "StandardIa",
                true,
                run,
            ));
        }
        files.push(file(&format!("archive/x/{run}/a.bam"), &format!("{run}-a.bam"), "Glacier", true, run));
        files.push(file(&format!("cache/x/{run}/folder/"), "folder", "Standard", true, run));
        files.push(file(&format!("cache/x/{run}/old.bam"), "old", "Standard", false, run));
    }
    let runs = vec![
        workflow("20240101aaaa", "tumor-normal", &["L1"], "SUCCEEDED"),
        workflow("20240301aaaa", "wgs_tumor_normal", &["L1", "L9"], "SUCCEEDED"),
        workflow("20240501aaaa", "tumor-normal", &["L1"], "FAILED"),
        workflow("20240401aaaa", "umccrise", &["L1", "L2"], "SUCCEEDED"),
    ];
    let mut fastqs: Vec<Value> =
        ["L1", "L2"].into_iter().flat_map(|id| [1, 2].map(|lane| reads(id, RUN, lane))).collect();
    fastqs.extend([1, 2].map(|lane| reads("L3", "other", lane)));
    let libraries = vec![
        library("L1", "SUB1", &["SBJ0", "SBJ1"], &["Trauma", "Grief"]),
        library("L2", "SUB2", &["SBJ2"], &["Trauma"]),
        library("L3", "SUB2", &["SBJ2"], &[]),
    ];
    let subjects = vec![json!({ "subjectId": "SUB2", "individualSet": [], "librarySet": [
        { "libraryId": "L2", "assay": "x" }, { "libraryId": "L3", "assay": "x" } ] })];
    let sequence = |id: &str, name: Option<&str>, libraries: Value| {
        json!({ "orcabusId": id, "instrumentRunId": RUN, "sequenceRunName": name, "status": "SUCCEEDED",
            "libraries": libraries })
    };
    let sequences = vec![
        sequence("seq.02", Some("again"), json!(["L1", "L2_topup"])),
        sequence("seq.01", Some("first"), json!(["L1", "L7"])),
        sequence("seq.03", None, json!([])),
    ];
    World {
        tables: [
            ("sequence", sequences),
            ("file/s3", files),
            ("fastq/fastq", fastqs),
            ("workflow/workflowrun", runs),
            ("metadata/library", libraries),
            ("metadata/subject", subjects),
        ]
        .into(),
        token: Mutex::new("good".to_owned()),
        ..World::default()
    }
}
