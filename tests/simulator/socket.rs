//! What only shows over a socket, in real time.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, routing::post};
use copy_manager::simulator::{
    Settings, Simulator,
    events::HttpSink,
    faults::{FaultChanges, Instead, Script},
    serve,
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::support::{ARCHIVE, LAB, V3, world};

struct Server {
    simulator: Arc<Simulator>,
    url: String,
    client: reqwest::Client,
    tasks: JoinSet<()>,
}

async fn server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let job_duration = Duration::from_millis(50);
    let settings = Settings { public_url: url.clone(), job_duration, ..Settings::default() };
    let simulator = Simulator::new(settings, world()).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&simulator).run(CancellationToken::new()));
    tasks.spawn(serve(listener, Arc::clone(&simulator), CancellationToken::new()));
    Server { simulator, url, client: reqwest::Client::new(), tasks }
}

impl Server {
    fn call(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let call = self.client.request(method, format!("{}/ica/rest{path}", self.url));
        call.header("accept", V3).bearer_auth("token")
    }

    async fn get(&self, path: &str) -> Value {
        self.call(reqwest::Method::GET, path).send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call(reqwest::Method::POST, path).json(&body).send().await.unwrap().json().await.unwrap()
    }
}

#[tokio::test]
async fn a_connection_closes_without_an_answer() {
    let server = server().await;
    let call = "GET /api/regions".to_owned();
    let responses = Some(vec![Script { call, times: 1, status: Instead::Close, after: false }]);
    server.simulator.set_faults(FaultChanges { responses, ..FaultChanges::default() });
    let closed = server.call(reqwest::Method::GET, "/api/regions").send().await;
    assert!(closed.unwrap_err().is_request());
    assert!(server.get("/api/regions").await["items"].is_array());
}

#[tokio::test]
async fn an_upload_cut_midway_leaves_the_file_partial() {
    let server = server().await;
    let create = format!("/api/projects/{ARCHIVE}/data:createFileWithUploadUrl");
    let file = server.post(&create, json!({"name": "torn"})).await;
    let url = url::Url::parse(file["uploadUrl"].as_str().unwrap()).unwrap();
    let mut stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).await.unwrap();
    let head = format!("PUT {} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n", url.path());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[7; 1000]).await.unwrap();
    stream.flush().await.unwrap();
    while server.simulator.stats().bytes_in < 1000 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    let file = format!("/api/projects/{ARCHIVE}/data/{}", file["data"]["id"].as_str().unwrap());
    assert_eq!(server.get(&file).await["data"]["details"]["status"], "PARTIAL");
    let again = server.client.put(url).body("whole").send().await.unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(server.get(&file).await["data"]["details"]["status"], "AVAILABLE");
}

#[tokio::test]
async fn events_are_posted() {
    async fn take(State(tell): State<UnboundedSender<Value>>, Json(event): Json<Value>) {
        tell.send(event).unwrap();
    }
    let mut server = server().await;
    let (tell, mut events) = unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink =
        HttpSink::new(server.client.clone(), format!("http://{}/events", listener.local_addr().unwrap()));
    server.simulator.set_events(Arc::new(sink));
    let receiver = Router::new().route("/events", post(take)).with_state(tell);
    server.tasks.spawn(async move { axum::serve(listener, receiver).await.unwrap() });
    let run = server.get(&format!("/api/projects/{LAB}/data?filename=a.fastq.gz")).await;
    let body = json!({"items": [{"dataId": run["items"][0]["data"]["id"]}], "copyUserTags": true,
        "copyTechnicalTags": true, "copyInstrumentInfo": true, "actionOnExist": "SKIP"});
    let batch = server.post(&format!("/api/projects/{ARCHIVE}/dataCopyBatch"), body).await;
    for status in ["INITIALIZED", "WAITING_FOR_RESOURCES", "RUNNING", "SUCCEEDED"] {
        let event = timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
        assert_eq!(event["payload"]["status"], status);
        assert_eq!(event["payload"]["id"], batch["job"]["id"]);
    }
}
