//! A small world, and calls to it.

use std::{io::Write as _, sync::Arc};

use axum::body::Body;
use copy_manager::{
    http::transport::{Transport as _, TransportError},
    simulator::{
        Settings, Simulator,
        events::ChannelSink,
        in_process::{self, InProcess},
        world::WorldFile,
    },
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub(crate) const LAB: &str = "11111111-2222-4333-8444-000000000001";
pub(crate) const ARCHIVE: &str = "11111111-2222-4333-8444-000000000002";
pub(crate) const V3: &str = "application/vnd.illumina.v3+json";
pub(crate) const V4: &str = "application/vnd.illumina.v4+json";

/// Two projects: `lab` with a run, `archive` with next to nothing in its own bucket.
pub(crate) fn world() -> WorldFile {
    let world = json!({"projects": [
        {"id": LAB, "name": "lab", "byob": null, "folders": ["/empty/"], "files": [
            {"path": "/run/a.fastq.gz", "size": 300_000, "parts": 3},
            {"path": "/run/b.fastq.gz", "size": 200_000, "parts": 2},
            {"path": "/run/B.fastq.gz", "size": 200_001, "parts": 2},
            {"path": "/run/one.txt", "size": 100, "parts": 1},
            {"path": "/run/nothing.txt", "size": 0},
            {"path": "/run/deep/er/c d+#%ü.bin", "size": 5000, "parts": 5},
        ]},
        {"id": ARCHIVE, "name": "archive", "byob": {"bucket": "own-bucket", "prefix": "archive/"},
         "folders": ["/in/"]},
    ], "buckets": [{"name": "plain", "objects": [
        {"key": "data/one", "size": 1000},
        {"key": "data/two", "size": 20_000_000, "parts": 3},
    ]}]});
    WorldFile::parse(&world.to_string()).unwrap()
}

/// A simulator that runs in the background of a test.
pub(crate) struct Lab {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) events: UnboundedReceiver<Value>,
    transport: InProcess,
    _driver: JoinSet<()>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

impl Lab {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::of(settings, world())
    }

    pub(crate) fn of(settings: Settings, world: WorldFile) -> Self {
        let simulator = Simulator::new(settings, world).unwrap();
        let (tell, events) = unbounded_channel();
        simulator.set_events(Arc::new(ChannelSink(tell)));
        let mut driver = JoinSet::new();
        driver.spawn(Arc::clone(&simulator).run(CancellationToken::new()));
        Self { transport: InProcess::new(&simulator), simulator, events, _driver: driver }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<bytes::Bytes>) -> Result<Answer, TransportError> {
        let (parts, body) = self.transport.send(request).await?.into_parts();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, None)).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(request(Method::POST, path, Some(body))).await.unwrap()
    }

    /// Lists data of `lab`, from a query.
    pub(crate) async fn list(&self, query: &str) -> Answer {
        self.get(&format!("/api/projects/{LAB}/data?{query}")).await
    }

    /// The id of what is at an exact path.
    pub(crate) async fn id(&self, project: &str, path: &str) -> String {
        let (folder, name) = path.trim_end_matches('/').rsplit_once('/').unwrap();
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("parentFolderPath", &format!("{folder}/"))
            .append_pair("filename", name)
            .append_pair("filenameMatchMode", "EXACT")
            .finish();
        let found = self.get(&format!("/api/projects/{project}/data?{query}")).await;
        let items = found.body["items"].as_array().unwrap();
        let exact = items.iter().find(|item| item["data"]["details"]["path"] == path).unwrap();
        exact["data"]["id"].as_str().unwrap().to_owned()
    }

    /// Starts a copy of files of `lab` into a folder of `archive`.
    pub(crate) async fn copy(&self, paths: &[&str], into: &str, on_exist: &str) -> Answer {
        let mut items = Vec::new();
        for path in paths {
            items.push(json!({"dataId": self.id(LAB, path).await}));
        }
        let folder = self.id(ARCHIVE, into).await;
        let body = json!({
            "items": items, "destinationFolderId": folder, "copyUserTags": true,
            "copyTechnicalTags": true, "copyInstrumentInfo": true, "actionOnExist": on_exist,
        });
        self.post(&format!("/api/projects/{ARCHIVE}/dataCopyBatch"), body).await
    }

    /// The status of a job.
    pub(crate) async fn job(&self, batch: &Value) -> String {
        let id = batch["job"]["id"].as_str().unwrap();
        self.get(&format!("/api/jobs/{id}")).await.body["status"].as_str().unwrap().to_owned()
    }

    /// Path and status of all there is below a folder.
    pub(crate) async fn tree(&self, project: &str, path: &str) -> Vec<(String, String)> {
        let entries = self.simulator.tree(project, path).await.unwrap();
        let status = |entry: &Value| entry["status"].as_str().unwrap().to_owned();
        entries.iter().map(|entry| (entry.path.clone(), status(&json!(entry)))).collect()
    }

    /// Calls a presigned URL.
    pub(crate) async fn bytes(&self, method: Method, url: &Value, body: Option<Vec<u8>>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(url.as_str().unwrap());
        if let Some(body) = &body {
            request = request.header("content-length", body.len());
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
        in_process::call(self.simulator.router(), request).await
    }
}

/// All bytes of an answer.
pub(crate) async fn read(response: Response<Body>) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

/// A request as a proper client makes it.
pub(crate) fn request(method: Method, path: &str, body: Option<Value>) -> Request<bytes::Bytes> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://simulator/ica/rest{path}"))
        .header("accept", V3)
        .header("authorization", "Bearer token");
    match body {
        None => request.body(bytes::Bytes::new()).unwrap(),
        Some(body) => request.header("content-type", V3).body(body.to_string().into()).unwrap(),
    }
}

/// Says that a test did not test, past the capture of its output.
pub(crate) fn skipped(why: &str) {
    std::io::stderr().write_all(format!("\n*** SKIPPED: {why} ***\n").as_bytes()).unwrap();
}

/// The paths of the data of a listing.
pub(crate) fn paths(listing: &Value) -> Vec<&str> {
    let items = listing["items"].as_array().unwrap();
    items.iter().map(|item| item["data"]["details"]["path"].as_str().unwrap()).collect()
}
