//! Worlds with archived files, several tenants, and data that one project sees of another.

use copy_manager::simulator::{Settings, Simulator, world::WorldFile};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Lab, paths, request};

const ONE: &str = "11111111-2222-4333-8444-000000000011";
const TWO: &str = "11111111-2222-4333-8444-000000000012";

fn world() -> Value {
    json!({"projects": [
        {"id": ONE, "name": "one", "tenant": "north", "byob": {"bucket": "one-data"}, "files": [
            {"path": "/run/a.bam", "size": 3_000, "parts": 3},
            {"path": "/run/deep/b.bam", "size": 2_000, "parts": 2},
            {"path": "/single.txt", "size": 10},
            {"path": "/cold.bam", "size": 7_000, "parts": 2, "status": "ARCHIVED"},
            {"path": "/torn.bam", "size": 7_000, "parts": 2, "status": "PARTIAL"},
        ]},
        {"id": TWO, "name": "two", "tenant": "south", "folders": ["/in/", "/shared/own/"], "links": [
            {"project": "one", "path": "/run/", "to": "/shared/"},
            {"project": "one", "path": "/single.txt", "to": "/shared/"},
        ]},
    ], "accounts": [
        {"apiKey": "northern", "tenants": ["north"]},
        {"token": "southern", "tenants": ["south"]},
        {"token": "both", "tenants": ["north", "south"]},
    ]})
}

fn lab() -> Lab {
    Lab::of(Settings::default(), WorldFile::parse(&world().to_string()).unwrap())
}

async fn status(lab: &Lab, token: &str, method: Method, path: &str, body: Option<Value>) -> StatusCode {
    ask(lab, token, method, path, body).await.0
}

async fn ask(lab: &Lab, token: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let mut request = request(method, path, body);
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let answer = lab.send(request).await.unwrap();
    (answer.status, answer.body)
}

fn batch(ids: &[&str], folder: &str) -> Value {
    let items: Vec<_> = ids.iter().map(|id| json!({"dataId": id})).collect();
    json!({"items": items, "destinationFolderId": folder, "copyUserTags": true,
        "copyTechnicalTags": true, "copyInstrumentInfo": true, "actionOnExist": "SKIP"})
}

#[tokio::test(start_paused = true)]
async fn archived_and_partial_files_are_listed_and_not_read_or_copied() {
    let lab = lab();
    let listing = lab.get(&format!("/api/projects/{ONE}/data?parentFolderPath=/&type=FILE")).await.body;
    let items = listing["items"].as_array().unwrap();
    let shown: Vec<_> = items.iter().map(|item| &item["data"]["details"]).collect();
    let of = |path: &str| *shown.iter().find(|it| it["path"] == path).unwrap();
    assert_eq!(
        (&of("/cold.bam")["status"], &of("/cold.bam")["fileSizeInBytes"]),
        (&json!("ARCHIVED"), &json!(7_000))
    );
    assert!(of("/cold.bam")["objectETag"].as_str().unwrap().ends_with("-2"));
    assert_eq!(
        (&of("/torn.bam")["status"], &of("/torn.bam")["objectETag"]),
        (&json!("PARTIAL"), &Value::Null)
    );
    let into = lab.id(TWO, "/in/").await;
    for path in ["/cold.bam", "/torn.bam"] {
        let id = lab.id(ONE, path).await;
        let url = format!("/api/projects/{ONE}/data/{id}:createDownloadUrl");
        assert_eq!(lab.send(request(Method::POST, &url, None)).await.unwrap().status, 400, "{path}");
        let made = lab.post(&format!("/api/projects/{TWO}/dataCopyBatch"), batch(&[&id], &into)).await;
        assert_eq!(made.status, 201, "{}", made.body);
        tokio::time::sleep(std::time::Duration::from_mins(5)).await;
        assert_eq!(lab.job(&made.body).await, "FAILED", "{path}");
    }
    assert!(lab.tree(TWO, "/in/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_caller_sees_the_projects_of_its_tenants_alone() {
    let lab = lab();
    let key = request(Method::POST, "/api/tokens", None);
    let (mut parts, body) = key.into_parts();
    parts.headers.remove("authorization");
    parts.headers.insert("x-api-key", "northern".parse().unwrap());
    let minted = lab.send(http::Request::from_parts(parts, body)).await.unwrap().body;
    let northern = minted["token"].as_str().unwrap().to_owned();
    for (token, seen) in [
        (northern.as_str(), vec!["one"]),
        ("southern", vec!["two"]),
        ("both", vec!["one", "two"]),
        ("any", vec!["one", "two"]),
    ] {
        let (_, list) = ask(&lab, token, Method::GET, "/api/projects", None).await;
        let items = list["items"].as_array().unwrap();
        let names: Vec<_> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, seen, "{token}");
        for (id, name) in [(ONE, "one"), (TWO, "two")] {
            let expected = if seen.contains(&name) { 200 } else { 404 };
            for path in [format!("/api/projects/{id}"), format!("/api/projects/{id}/data")] {
                assert_eq!(status(&lab, token, Method::GET, &path, None).await, expected, "{token} {path}");
            }
        }
    }
    let (_, project) = ask(&lab, &northern, Method::GET, &format!("/api/projects/{ONE}"), None).await;
    let data = lab.get(&format!("/api/projects/{ONE}/data/{}", lab.id(ONE, "/cold.bam").await)).await.body;
    assert_eq!(
        (&project["tenantName"], &data["data"]["details"]["tenantName"]),
        (&json!("north"), &json!("north"))
    );
    assert_eq!(project["tenantId"], data["data"]["details"]["tenantId"]);

    // What belongs to the other tenant cannot be copied, but for what it has linked.
    let (cold, linked, into) =
        (lab.id(ONE, "/cold.bam").await, lab.id(ONE, "/single.txt").await, lab.id(TWO, "/in/").await);
    let copy = format!("/api/projects/{TWO}/dataCopyBatch");
    let post = async |token: &str, id: &str| {
        status(&lab, token, Method::POST, &copy, Some(batch(&[id], &into))).await
    };
    assert_eq!(post(&northern, &linked).await, 404);
    assert_eq!(post("southern", &cold).await, 404);
    assert_eq!(post("southern", &linked).await, 201);
    assert_eq!(post("both", &cold).await, 201);
    let (_, jobs) = ask(&lab, &northern, Method::GET, "/api/jobs", None).await;
    assert_eq!(jobs["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn linked_data_are_seen_by_id_and_stay_where_they_belong() {
    let lab = lab();
    let list = async |query: &str| lab.get(&format!("/api/projects/{TWO}/data?{query}")).await.body;
    assert_eq!(
        paths(&list("parentFolderPath=/shared/").await),
        ["/shared/own/", "/shared/run/", "/shared/single.txt"]
    );
    // By path nobody looks into a linked folder, by id everybody.
    assert!(paths(&list("parentFolderPath=/shared/run/").await).is_empty());
    assert_eq!(paths(&list("filePath=/shared/r").await), ["/shared/run/"]);
    let folder = lab.id(TWO, "/shared/run/").await;
    assert_eq!(folder, lab.id(ONE, "/run/").await);
    let inside = list(&format!("parentFolderId={folder}")).await;
    assert_eq!(paths(&inside), ["/shared/run/a.bam", "/shared/run/deep/"]);
    let item = &inside["items"][0];
    assert_eq!(item["projectId"], TWO);
    assert_eq!(
        (&item["data"]["details"]["owningProjectId"], &item["data"]["details"]["owningProjectName"]),
        (&json!(ONE), &json!("one"))
    );
    let file = item["data"]["id"].as_str().unwrap();
    assert_eq!(file, lab.id(ONE, "/run/a.bam").await);
    let at = |rest: &str| format!("/api/projects/{TWO}/data/{file}{rest}");
    let url = lab.send(request(Method::POST, &at(":createDownloadUrl"), None)).await.unwrap();
    assert_eq!(lab.bytes(Method::GET, &url.body["url"], None).await.status(), 200);
    let keys = lab.send(request(Method::POST, &at(":createTemporaryCredentials"), None)).await.unwrap().body;
    assert_eq!(keys["awsTempCredentials"]["bucket"], "one-data");
    assert_eq!(lab.send(request(Method::POST, &at(":createUploadUrl"), None)).await.unwrap().status, 400);
    assert_eq!(lab.send(request(Method::POST, &at(":delete"), None)).await.unwrap().status, 400);
    let new = json!({"name": "new", "folderPath": "/shared/run/"});
    assert_eq!(lab.post(&format!("/api/projects/{TWO}/data:createFolder"), new).await.status, 409);
}

#[test]
fn worlds_that_cannot_be_are_refused() {
    let spoilt = |spoil: &dyn Fn(&mut Value)| {
        let mut world = world();
        spoil(&mut world);
        match WorldFile::parse(&world.to_string()) {
            Ok(world) => Simulator::new(Settings::default(), world).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        }
    };
    assert_eq!(spoilt(&|_| {}), None);
    for (expected, spoil) in [
        (
            "accounts[0]",
            &(|world: &mut Value| world["accounts"][0]["colour"] = json!(1)) as &dyn Fn(&mut Value),
        ),
        ("account 1: must have", &|world| world["accounts"][0]["token"] = json!("x")),
        ("account 3: is known by", &|world| world["accounts"][2]["token"] = json!("southern")),
        ("tenant `west`", &|world| world["accounts"][0]["tenants"] = json!(["west"])),
        ("projects[0].files[3].status", &|world| world["projects"][0]["files"][3]["status"] = json!("COLD")),
        ("linked from no other", &|world| world["projects"][1]["links"][0]["project"] = json!("two")),
        ("is not there", &|world| world["projects"][1]["links"][0]["path"] = json!("/nothing/")),
        ("start and end", &|world| world["projects"][1]["links"][0]["to"] = json!("/shared")),
        ("something else is", &|world| world["projects"][1]["folders"] = json!(["/shared/run/"])),
    ] {
        let said = spoilt(spoil).unwrap_or_default();
        assert!(said.contains(expected), "`{expected}` is not in `{said}`");
    }
}
