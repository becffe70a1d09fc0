//! What the gate refuses.

use copy_manager::simulator::Settings;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{ARCHIVE, LAB, Lab, V4, request};

type Change = fn(&mut http::Request<bytes::Bytes>);

#[tokio::test(start_paused = true)]
async fn headers_are_checked() {
    let lab = Lab::new(Settings::default());
    let folder = lab.id(LAB, "/run/").await;
    let (projects, children) =
        ("/api/projects".to_owned(), format!("/api/projects/{LAB}/data/{folder}/children"));
    let cases: [(&str, &str, StatusCode, Change); 10] = [
        ("any accept", &projects, StatusCode::OK, |r| set_header(r, "accept", "*/*")),
        ("one of several", &projects, StatusCode::OK, |r| {
            set_header(r, "accept", "text/html, application/vnd.illumina.v3+json;q=0.5");
        }),
        ("no accept", &projects, StatusCode::BAD_REQUEST, |r| drop(r.headers_mut().remove("accept"))),
        ("plain json", &projects, StatusCode::BAD_REQUEST, |r| set_header(r, "accept", "application/json")),
        ("version 4 where there is none", &projects, StatusCode::BAD_REQUEST, |r| {
            set_header(r, "accept", V4);
        }),
        ("version 4 where there is one", &children, StatusCode::OK, |r| set_header(r, "accept", V4)),
        ("nobody", &projects, StatusCode::UNAUTHORIZED, |r| drop(r.headers_mut().remove("authorization"))),
        ("an empty token", &projects, StatusCode::UNAUTHORIZED, |r| {
            set_header(r, "authorization", "Bearer ");
        }),
        ("basic", &projects, StatusCode::UNAUTHORIZED, |r| set_header(r, "authorization", "Basic abc")),
        ("an API key", &projects, StatusCode::OK, |r| {
            r.headers_mut().remove("authorization");
            set_header(r, "x-api-key", "key");
        }),
    ];
    for (what, path, status, change) in cases {
        let mut request = request(Method::GET, path, None);
        change(&mut request);
        let answer = lab.send(request).await.unwrap();
        assert_eq!(answer.status, status, "{what}");
        if status != StatusCode::OK {
            assert_problem(&answer.body, status, what);
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
    let mut wrong = request(Method::GET, &projects, None);
    set_header(&mut wrong, "accept", "application/json");
    assert_eq!(lab.send(wrong).await.unwrap().body["title"], "ICA_API_004");
}

fn set_header(request: &mut http::Request<bytes::Bytes>, name: &'static str, value: &'static str) {
    request.headers_mut().insert(name, http::HeaderValue::from_static(value));
}

fn assert_problem(body: &Value, status: StatusCode, what: &str) {
    assert_eq!(body["status"], status.as_u16(), "{what}");
    for name in ["type", "title", "timestamp", "parameters", "method"] {
        assert!(!body[name].is_null(), "{what}: no {name} in {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_are_checked() {
    let lab = Lab::new(Settings::default());
    let file = lab.id(LAB, "/run/one.txt").await;
    let copy = format!("/api/projects/{ARCHIVE}/dataCopyBatch");
    let create = format!("/api/projects/{LAB}/data:createFile");
    let whole = json!({"items": [{"dataId": file}], "copyUserTags": true, "copyTechnicalTags": true,
        "copyInstrumentInfo": true, "actionOnExist": "SKIP"});
    for (path, body, named) in [
        (&create, json!({"folderPath": "/new/"}), "name"),
        (&create, json!({"name": "a/b"}), "name"),
        (&create, json!({"name": "a", "folderPath": "/new"}), "folderPath"),
        (&create, json!({"name": "a", "folderpath": "/new/"}), "folderpath"),
        (&copy, without(&whole, "items"), "items"),
        (&copy, without(&whole, "actionOnExist"), "actionOnExist"),
        (&copy, without(&whole, "copyUserTags"), "copyUserTags"),
        (&copy, with(&whole, "actionOnExist", json!("FAIL")), "actionOnExist"),
        (&copy, with(&whole, "items", json!([])), "items"),
        (&copy, with(&whole, "items", json!([{"dataId": "nonsense"}])), "dataId"),
        (&copy, with(&whole, "destinationFolderId", json!("fol.1")), "destinationFolderId"),
    ] {
        let answer = lab.post(path, body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_problem(&answer.body, StatusCode::BAD_REQUEST, path);
        assert!(answer.body.to_string().contains(named), "{named} is not named in {}", answer.body);
    }
    for (path, kind, status) in [
        (create.clone(), "application/json; charset=utf-8", StatusCode::CREATED),
        (create.clone(), "text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (
            format!("/api/projects/{LAB}/data:createDownloadUrls"),
            "application/json",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
    ] {
        let mut request = request(Method::POST, &path, Some(json!({"name": "new"})));
        set_header(&mut request, "content-type", kind);
        assert_eq!(lab.send(request).await.unwrap().status, status, "{kind}");
    }
}

fn without(body: &Value, name: &str) -> Value {
    let mut body = body.clone();
    body.as_object_mut().map(|body| body.remove(name));
    body
}

fn with(body: &Value, name: &str, value: Value) -> Value {
    let mut body = without(body, name);
    body.as_object_mut().map(|body| body.insert(name.to_owned(), value));
    body
}

#[tokio::test(start_paused = true)]
async fn addresses_and_queries_are_checked() {
    let lab = Lab::new(Settings::default());
    let unknown = "fil.00000000000000000000000000000000";
    for (path, status) in [
        ("/api/nothing".to_owned(), 404),
        ("/api/projects/lab".to_owned(), 400),
        ("/api/projects/11111111-2222-4333-8444-000000000009".to_owned(), 404),
        (format!("/api/projects/{LAB}/data/nonsense"), 400),
        (format!("/api/projects/{LAB}/data/{unknown}"), 404),
        (format!("/api/projects/{LAB}/data?parentfolderpath=/run/"), 400),
        (format!("/api/projects/{LAB}/data?parentFolderPath=/run"), 400),
        (format!("/api/projects/{LAB}/data?pageSize=1001"), 400),
        (format!("/api/projects/{LAB}/data?pageSize=0"), 400),
        (format!("/api/projects/{LAB}/data?pageToken=nonsense"), 400),
        (format!("/api/projects/{LAB}/data?pageOffset=0&pageToken=abc"), 400),
        (format!("/api/projects/{LAB}/data?pageOffset=200000&pageSize=1"), 400),
        (format!("/api/projects/{LAB}/data?status=GONE"), 400),
        (format!("/api/projects/{LAB}/data?userTag=x"), 400),
        (format!("/api/projects/{LAB}/data?sort=colour"), 400),
        (format!("/api/projects/{LAB}/selfManagedStorageConfiguration"), 404),
        ("/api/jobs/11111111-2222-4333-8444-000000000009".to_owned(), 404),
    ] {
        let answer = lab.get(&path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_problem(&answer.body, answer.status, &path);
    }
}
