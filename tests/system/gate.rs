//! The way from a daemon to AWS, on which every call is noted: who made it, what it was, and what came of it.
//!
//! It ends the TLS that queues ask for: in front of it nobody has any, and behind it the emulator is told that there was.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// A call to AWS.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Whose: the id of the access key.
    pub(crate) key: String,
    /// The service, as requests are signed for it: `sqs`.
    pub(crate) service: String,
    /// The operation, as the SDK names it: `ReceiveMessage`.
    pub(crate) operation: String,
    /// Bucket and key in S3.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// What was asked, where that is JSON or a form.
    pub(crate) asked: Value,
    pub(crate) status: StatusCode,
}

/// Such a way.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) endpoint: String,
    calls: Arc<Mutex<Vec<Call>>>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Behind {
    http: reqwest::Client,
    emulator: Arc<str>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Gate {
    /// To the emulator at that address.
    #[expect(clippy::disallowed_methods, reason = "it ends with its gate")]
    pub(crate) async fn open(emulator: &str) -> Self {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        // What comes back is handed on as it is.
        let http = reqwest::Client::builder().no_gzip().redirect(reqwest::redirect::Policy::none());
        let behind =
            Behind { http: http.build().unwrap(), emulator: emulator.into(), calls: Arc::clone(&calls) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(through).with_state(behind);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, calls, server }
    }

    /// What was called with that key so far.
    pub(crate) fn calls_of(&self, key: &str) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| call.key == key).cloned().collect()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn through(State(behind): State<Behind>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut call = call(&head.method, target, &head.headers, &body);
    let mut headers = head.headers;
    for hop in [header::CONNECTION, header::TRANSFER_ENCODING, header::EXPECT] {
        headers.remove(hop);
    }
    headers.insert("x-forwarded-proto", "https".parse().unwrap());
    let asked = behind.http.request(head.method, format!("{}{target}", behind.emulator)).headers(headers);
    let answer = match asked.body(body).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let mut answer = Response::new(Body::from(error.to_string()));
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            return answer;
        }
    };
    call.status = answer.status();
    behind.calls.lock().unwrap().push(call);
    let mut said = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != header::CONNECTION && name != header::TRANSFER_ENCODING {
            said = said.header(name, value);
        }
    }
    said.body(Body::from_stream(answer.bytes_stream())).unwrap()
}

fn call(method: &http::Method, target: &str, headers: &HeaderMap, body: &Bytes) -> Call {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let url = url::Url::parse(&format!("http://any{target}")).unwrap();
    let query =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let signed = query("X-Amz-Credential").unwrap_or_else(|| {
        let (_, rest) = header("authorization").split_once("Credential=").unwrap_or_default();
        rest.split(',').next().unwrap_or_default().to_owned()
    });
    let mut scope = signed.split('/');
    let (key, service) = (scope.next().unwrap_or_default(), scope.nth(2).unwrap_or_default());
    let form =
        || url::form_urlencoded::parse(body).into_owned().collect::<std::collections::BTreeMap<_, _>>();
    let asked = serde_json::from_slice(body).unwrap_or_else(|_| match service {
        "s3" => Value::Null,
        _ => serde_json::to_value(form()).unwrap(),
    });
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy();
    let path = path.trim_start_matches('/').to_owned();
    let named = header("x-amz-target").rsplit('.').next().filter(|name| !name.is_empty()).map(str::to_owned);
    let operation = match (named, service) {
        (Some(name), _) => name,
        (None, "s3") => in_s3(method, &path, headers, &query).to_owned(),
        (None, _) => asked["Action"].as_str().unwrap_or_default().to_owned(),
    };
    let (key, service, headers) = (key.to_owned(), service.to_owned(), headers.clone());
    Call { key, service, operation, path, headers, asked, status: StatusCode::OK }
}

/// Which operation of S3 that is.
fn in_s3(
    method: &http::Method,
    path: &str,
    headers: &HeaderMap,
    query: &dyn Fn(&str) -> Option<String>,
) -> &'static str {
    let has = |name: &str| query(name).is_some();
    let copies = headers.contains_key("x-amz-copy-source");
    let object = path.split_once('/').is_some_and(|(_, key)| !key.is_empty());
    match (method.as_str(), object) {
        ("GET", true) if has("tagging") => "GetObjectTagging",
        ("GET", true) if has("uploadId") => "ListParts",
        ("GET", true) => "GetObject",
        ("HEAD", true) => "HeadObject",
        ("PUT", true) if has("partNumber") && copies => "UploadPartCopy",
        ("PUT", true) if has("partNumber") => "UploadPart",
        ("PUT", true) if copies => "CopyObject",
        ("PUT", true) if !has("tagging") && !has("acl") => "PutObject",
        ("POST", true) if has("uploads") => "CreateMultipartUpload",
        ("POST", true) if has("uploadId") => "CompleteMultipartUpload",
        ("POST", true) if has("restore") => "RestoreObject",
        ("DELETE", true) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", true) => "DeleteObject",
        ("GET", false) if has("list-type") => "ListObjectsV2",
        ("HEAD", false) => "HeadBucket",
        _ => "",
    }
}
