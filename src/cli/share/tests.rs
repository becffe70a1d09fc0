//! Commands against an API that answers as it was told to, over a socket.

mod looked_up;
mod ours;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::{cli::exit::Ended, events::share::asked};

/// Answers, in order; and what was asked: method, path, token, body.
#[derive(Debug, Clone, Default)]
struct Answers {
    left: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Answers {
    fn take(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> (u16, Value) {
        let token = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
        let body = String::from_utf8_lossy(body);
        let line = format!("{method} {uri} {token} {body}");
        self.asked.lock().unwrap().push(line.trim_end().to_owned());
        self.left.lock().unwrap().pop_front().unwrap_or((500, json!({ "detail": "asked too often" })))
    }
}

/// What came of a command line: stdout and the code, and what was asked.
struct Done {
    code: anyhow::Result<ExitCode>,
    out: String,
    asked: Vec<String>,
}

/// No account.
async fn nowhere() -> anyhow::Result<Directory> {
    anyhow::bail!("nobody is to be asked")
}

async fn run(line: &[&str], answers: impl IntoIterator<Item = (u16, Value)>) -> Done {
    let given = Answers { left: Arc::new(Mutex::new(answers.into_iter().collect())), ..Answers::default() };
    let desk = given.clone();
    let router =
        Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            let (status, body) = desk.take(&method, &uri, &headers, &body);
            (StatusCode::from_u16(status).unwrap(), axum::Json(body))
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let line = [TOOL].iter().chain(line).copied().chain(["--endpoint", &endpoint, "--token", "one"]);
    let tool = Tool::try_parse_from(line).unwrap();
    let mut out = Vec::new();
    let code = tokio::select! {
        code = Box::pin(tool.share().run_on(&mut out, nowhere)) => code,
        served = async { axum::serve(listener, router).await } => panic!("{served:?}"),
    };
    let asked = given.asked.lock().unwrap().clone();
    Done { code, out: String::from_utf8(out).unwrap(), asked }
}

fn page(results: &Value, count: usize) -> (u16, Value) {
    let pagination = json!({ "page": 1, "rowsPerPage": 1000, "count": count });
    (
        200,
        json!({ "links": { "previous": null, "next": null }, "pagination": pagination, "results": results }),
    )
}

#[tokio::test]
async fn a_package_is_asked_for_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let lims = folder.path().join("lims.csv");
    std::fs::write(&lims, "library_id\nL1\n").unwrap();
    let mut line = vec![
        "generate-package",
        "--package-name",
        "latest-fastqs",
        "--lims-manifest-csv",
        lims.to_str().unwrap(),
    ];
    let status = |status: &str| (200, json!({ "id": "pkg.1", "status": status, "stepsExecutionArn": "arn" }));

    let done = run(&line, [status("PENDING")]).await;
    assert_eq!(
        (done.code.unwrap(), done.out.as_str()),
        (ExitCode::SUCCESS, "Generating package: \"pkg.1\"\n")
    );
    let body = done.asked[0].strip_prefix("POST /api/v1/package Bearer one ").unwrap();
    let (name, request) = asked::package(&serde_json::from_str(body).unwrap(), false).unwrap();
    assert_eq!((name.as_str(), request.library_id_list), ("latest-fastqs", Some(vec!["L1".to_owned()])));

    line.push("--wait");
    let away = (503, json!({ "detail": "later" }));
    let done = run(&line, [status("PENDING"), status("RUNNING"), away, status("SUCCEEDED")]).await;
    assert_eq!(done.code.unwrap(), ExitCode::SUCCESS);
    assert_eq!(done.out, "Starting packaging with id 'pkg.1'\nGenerated package: \"pkg.1\"\n");
    assert_eq!(done.asked.len(), 4);
    assert_eq!(done.asked[1], "GET /api/v1/package/pkg.1 Bearer one");
    for (end, what) in [("FAILED", "generation failed"), ("ABORTED", "generation was aborted")] {
        let done = run(&line, [status("PENDING"), status(end)]).await;
        assert_eq!(done.code.unwrap(), ExitCode::FAILURE);
        let told = format!("Package {what}, see sfn logs 'arn' for more information");
        assert_eq!(done.out.lines().last(), Some(told.as_str()));
    }
}

#[tokio::test]
async fn what_is_wrong_on_this_side_is_told_without_asking() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let lims = write("lims.csv", "library_id\nL1\n");
    let workflows = write("workflows.csv", "portal_run_id,library_id\nr1,L2\nr2,L3\n");
    let broken = write("broken.csv", "library_id\n\"L1\n");
    for (name, lims, workflows, why) in [
        (
            "my package",
            &lims,
            None,
            "refused: Package name my package contains invalid characters. Only alphanumeric characters are allowed.",
        ),
        ("p", &broken, None, "has a quote that is never closed"),
        ("p", &"/no/such".to_owned(), None, "LIMS manifest file /no/such does not exist"),
        (
            "p",
            &lims,
            Some(&workflows),
            "The following library ids are missing from the LIMS manifest: L2, L3\nSome library ids in the workflow manifest are not present in the LIMS manifest",
        ),
    ] {
        let mut line = vec!["generate-package", "--package-name", name, "--lims-manifest-csv", lims];
        line.extend(workflows.into_iter().flat_map(|workflows| ["--workflow-manifest-csv", workflows]));
        let done = run(&line, []).await;
        let error = done.code.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.is::<Ended>(), workflows.is_none(), "{error}");
        assert!(done.asked.is_empty() && done.out.is_empty());
    }
    let line = [TOOL, "generate-package", "--package-name", "p"];
    assert!(Tool::try_parse_from(line).is_err(), "nothing says which files");
}

#[tokio::test]
async fn packages_are_listed_newest_first() {
    let package =
        |id: &str, name: &str, at: &str| json!({ "id": id, "packageName": name, "requestTime": at });
    let pages = || {
        let first = json!([
            package("pkg.4", "a", "2026-11-28T09:00:00.000000Z"),
            package("pkg.5", "a", "2026-11-30T09:00:00.000000Z"),
        ]);
        let second = json!([
            package("pkg.3", "ab", "2026-11-27T09:00:00.000000Z"),
            package("pkg.2", "a", "2026-11-20T09:00:00.000000Z"),
        ]);
        [page(&first, 4), page(&second, 4)]
    };
    let ids = |done: &Done| -> Vec<String> {
        let packages: Vec<Value> = serde_json::from_str(&done.out).unwrap();
        packages.iter().map(|package| package["id"].as_str().unwrap().to_owned()).collect()
    };
    let done = run(&["list-packages"], pages()).await;
    assert_eq!(ids(&done), ["pkg.5", "pkg.4", "pkg.3", "pkg.2"]);
    let expected = [
        "GET /api/v1/package?rowsPerPage=1000&page=1 Bearer one",
        "GET /api/v1/package?rowsPerPage=1000&page=2 Bearer one",
    ];
    assert_eq!(done.asked, expected);
    let done = run(&["list-packages", "--package-name", "a", "--max-packages", "2"], pages()).await;
    assert_eq!(ids(&done), ["pkg.5", "pkg.4"]);
    assert_eq!(done.asked, ["GET /api/v1/package?packageName=a&rowsPerPage=1000&page=1 Bearer one"]);
    // Two days are more than zones differ by.
    let done = run(&["list-packages", "--start-date", "2026-11-25", "--end-date=2026-11-29"], pages()).await;
    assert_eq!(ids(&done), ["pkg.4", "pkg.3"]);
    let done = run(&["list-packages"], [page(&json!([]), 0)]).await;
    assert_eq!(done.out, "[]\n");
}

#[tokio::test]
async fn one_is_shown_as_python_would_print_it() {
    let done = run(
        &["get-package-status", "--package-id", "pkg.1"],
        [(200, json!({ "id": "pkg.1", "requestedBy": "Zoë" }))],
    )
    .await;
    assert_eq!(done.out, "{\n    \"id\": \"pkg.1\",\n    \"requestedBy\": \"Zo\\u00eb\"\n}\n");
    assert_eq!(done.asked, ["GET /api/v1/package/pkg.1 Bearer one"]);
    let push = (200, json!({ "id": "psh.1" }));
    let done = run(&["get-push-job-status", "--push-job-id", "psh.1"], [push.clone()]).await;
    assert_eq!(
        (done.out.as_str(), done.asked[0].as_str()),
        ("{\n    \"id\": \"psh.1\"\n}\n", "GET /api/v1/push/psh.1 Bearer one")
    );
    let done =
        run(&["list-push-jobs", "--package-id", "pkg.1"], [page(&json!([{ "id": "psh.1" }]), 1)]).await;
    assert_eq!(done.out, "[\n    {\n        \"id\": \"psh.1\"\n    }\n]\n");
    assert_eq!(done.asked, ["GET /api/v1/push?packageId=pkg.1&rowsPerPage=1000&page=1 Bearer one"]);
    let done = run(&["abort", "psh.1"], [push]).await;
    assert_eq!(done.asked, ["PATCH /api/v1/push/psh.1:abort Bearer one"]);
    assert!(run(&["abort", "1"], []).await.code.unwrap_err().to_string().contains("neither a package"));
    assert!(run(&["get-package-status", "--package-id", ".."], []).await.code.is_err());
}

#[tokio::test]
async fn files_are_written_as_they_come() {
    let file = |path: &str| json!({ "path": path });
    let pages = [page(&json!([file("a"), file("b")]), 3), page(&json!([file("c")]), 3)];
    let done = run(&["files", "--package-id", "pkg.1"], pages).await;
    let all = json!([file("a"), file("b"), file("c")]);
    assert_eq!(done.out, format!("{}\n", python::dumps(&all, 0)));
    assert_eq!(done.asked[1], "GET /api/v1/package/pkg.1/files?rowsPerPage=1000&page=2 Bearer one");
    let done = run(&["files", "--package-id", "pkg.1"], [page(&json!([]), 0)]).await;
    assert_eq!(done.out, "[]\n");
}

#[tokio::test]
async fn a_push_is_asked_for_and_waited_for() {
    let status =
        |status: &str| (200, json!({ "id": "psh.1", "status": status, "stepFunctionsExecutionArn": "arn" }));
    let mut line = vec!["push-package", "--package-id", "pkg.1", "--share-location", "s3://b/p/"];
    let done = run(&line, [status("PENDING")]).await;
    assert_eq!(done.out, "Pushing package 'pkg.1' to 's3://b/p/' with push job id 'psh.1'\n");
    assert_eq!(
        done.asked,
        [r#"POST /api/v1/package/pkg.1:push Bearer one {"shareDestination":"s3://b/p/"}"#]
    );
    line.push("--wait");
    let done = run(&line, [status("PENDING"), status("SUCCEEDED")]).await;
    assert_eq!(done.out, "Starting push job 'psh.1'\nGenerated push job: \"psh.1\"\n");
    let done = run(&line, [status("PENDING"), status("FAILED")]).await;
    assert_eq!(done.code.unwrap(), ExitCode::FAILURE);
    assert!(done.out.ends_with("\nPush to destination failed, see sfn logs 'arn' for more information\n"));
}

#[tokio::test]
async fn what_goes_with_a_push_is_asked_for_and_a_dry_run_is_answered() {
    let line = ["push-package", "--package-id", "pkg.1", "--share-location", "s3://b/p/"];
    let deliver = [&line[..], &["--deliver", "md5,ro-crate"]].concat();
    let done = run(&deliver, [(200, json!({ "id": "psh.1" }))]).await;
    let body = r#"{"shareDestination":"s3://b/p/","deliver":["md5","ro-crate"]}"#;
    assert_eq!(done.asked, [format!("POST /api/v1/package/pkg.1:push Bearer one {body}")]);
    let wrong = [TOOL].iter().chain(&line).chain(&["--deliver", "bagit"]).copied();
    assert!(Tool::try_parse_from(wrong).unwrap_err().to_string().contains("ro-crate"));

    let dry = [&line[..], &["--dry-run"]].concat();
    for (succeeds, code) in [(true, ExitCode::SUCCESS), (false, ExitCode::FAILURE)] {
        let preview = json!({ "wouldSucceed": succeeds, "files": 3 });
        let push = json!({ "id": "psh.1", "status": "SUCCEEDED", "preview": preview });
        let done = run(&dry, [(200, json!({ "id": "psh.1" })), (200, push.clone()), (200, push)]).await;
        assert_eq!((done.code.unwrap(), done.out), (code, format!("{}\n", python::dumps(&preview, 0))));
        assert!(done.asked[0].contains(r#""dryRun":true"#), "{:?}", done.asked);
    }
}

#[tokio::test]
async fn a_push_is_tried_again() {
    let push = |status: &str| (200, json!({ "id": "psh.1", "status": status }));
    let line = ["retry-push", "--push-job-id", "psh.1", "--wait"];
    let done = run(&line, [push("RUNNING"), push("SUCCEEDED")]).await;
    assert_eq!(done.out, "Retrying push job 'psh.1'\nGenerated push job: \"psh.1\"\n");
    assert_eq!(done.asked[0], "POST /api/v1/push/psh.1:retry Bearer one null");
    let refused = (409, json!({ "detail": "Job is not in a state that can be retried" }));
    assert!(run(&line, [refused]).await.code.unwrap_err().to_string().contains("can be retried"));
}

#[tokio::test]
async fn a_delivery_is_checked_without_a_service() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = folder.path().join("receipt.jsonl");
    let line = |path: &str| {
        format!(
            "{{\"path\":\"{path}\",\"size\":3,\"sum\":\"md5:900150983cd24fb0d6963f7d28e17f72\",\
            \"compared\":\"tag\",\"at\":\"2026-11-30T09:00:00Z\"}}\n"
        )
    };
    std::fs::write(&receipt, format!("{}{}", line("it's [1].bam"), line("b"))).unwrap();
    for (name, content) in [("it's [1].bam", "abc"), ("b", "abc")] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let (receipt, place) = (receipt.to_str().unwrap(), folder.path().to_str().unwrap());
    let done = run(&["verify", receipt, place], []).await;
    assert_eq!((done.code.unwrap(), done.out.as_str(), done.asked.len()), (ExitCode::SUCCESS, "", 0));
    std::fs::write(folder.path().join("it's [1].bam"), "abd").unwrap();
    std::fs::remove_file(folder.path().join("b")).unwrap();
    let done = run(&["verify", receipt, place], []).await;
    assert_eq!(done.code.unwrap(), ExitCode::FAILURE);
    let lines: Vec<_> = done.out.lines().collect();
    assert!(lines[0].starts_with("it's [1].bam  has the md5 "), "{lines:?}");
    assert_eq!(lines[1..], ["b  is not there", r"--only 'it'\''s \[1\].bam' --only 'b'"]);
}

#[cfg(unix)]
#[tokio::test]
async fn addresses_are_printed_and_opened() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let (browser, seen) = (folder.path().join("browser"), folder.path().join("seen"));
    std::fs::write(&browser, format!("#!/bin/sh\nprintf %s \"$*\" >'{}'\nexit 1\n", seen.display())).unwrap();
    std::fs::set_permissions(&browser, PermissionsExt::from_mode(0o755)).unwrap();
    let url = "https://b.s3.example.org/k?a=1&b='2'";
    for (command, verb) in [("view-package-report", "getSummaryReport"), ("presign-package", "presign")] {
        let line = [command, "--package-id", "pkg.1", "--browser"];
        let done = run(&[&line[..], &[browser.to_str().unwrap()]].concat(), [(200, json!(url))]).await;
        assert_eq!((done.code.unwrap(), done.out), (ExitCode::SUCCESS, format!("\"{url}\"\n")));
        assert_eq!(done.asked, [format!("GET /api/v1/package/pkg.1:{verb} Bearer one")]);
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), url);
        std::fs::remove_file(&seen).unwrap();
        let done = run(&[&line[..], &[browser.to_str().unwrap()]].concat(), [(200, json!("--help"))]).await;
        assert!(done.code.is_err() && done.out.is_empty() && !seen.exists());
        let done = run(&[&line[..], &["/no/such"]].concat(), [(200, json!(url))]).await;
        assert!(done.code.is_err() && done.out == format!("\"{url}\"\n"));
        let done = run(&[&line[..], &[""]].concat(), [(200, json!(url))]).await;
        assert_eq!(done.code.unwrap(), ExitCode::SUCCESS);
    }
}

#[tokio::test]
async fn errors_are_told_with_their_codes() {
    let line = ["get-package-status", "--package-id", "pkg.1"];
    let code = |error: &anyhow::Error| crate::cli::exit::tell(error, &crate::cli::Global::default());
    for (status, detail, expected, told) in [
        (400, json!("pkg.1 is not the id of a package"), 3, "refused: pkg.1 is not the id of a package"),
        (403, json!("no scope"), 3, "refused: no scope"),
        (404, json!("no such package"), 3, "refused: no such package"),
        (409, json!("Package has expired"), 3, "refused: Package has expired"),
        (
            422,
            json!([{ "loc": ["body", "a"], "msg": "x" }, { "loc": [], "msg": "y" }]),
            3,
            "refused: body.a: x\ny",
        ),
        (
            401,
            json!("that token is not known"),
            78,
            "the configuration cannot be used: that token is not known",
        ),
        (503, json!("later"), 5, "later"),
        (500, json!("broken"), 1, "the service answered 500 Internal Server Error: broken"),
    ] {
        let error = run(&line, [(status, json!({ "detail": detail }))]).await.code.unwrap_err();
        assert_eq!((format!("{error:#}").as_str(), code(&error)), (told, ExitCode::from(expected)));
    }
    let tool = |more: &[&str]| Tool::try_parse_from([TOOL].iter().chain(&line).chain(more)).unwrap().share();
    let error =
        tool(&["--endpoint", "http://127.0.0.1:1"]).run_on(&mut Vec::new(), nowhere).await.unwrap_err();
    assert_eq!(code(&error), ExitCode::from(5));
    assert!(error.to_string().starts_with("cannot reach http://127.0.0.1:1 (connection refused)"), "{error}");
}

#[tokio::test]
async fn commands_come_first_by_the_name_of_the_tool() {
    assert!(Tool::is_called("/usr/local/bin/data-sharing-tool".as_ref()));
    assert!(!Tool::is_called("/data-sharing-tool/copy-manager".as_ref()));
    for line in
        [&["copy-manager", "share", "abort", "psh.1"][..], &["/bin/data-sharing-tool", "abort", "psh.1"]]
    {
        assert!(crate::cli::Cli::read(line.iter().map(OsString::from).collect()).is_ok(), "{line:?}");
    }
    let done = run(&["teleport", "now"], []).await;
    assert_eq!(done.code.unwrap(), ExitCode::FAILURE);
    assert!(
        done.out.contains("Usage: data-sharing-tool") && done.out.contains("generate-package"),
        "{}",
        done.out
    );
    assert!(done.out.ends_with("Could not find cmd \"teleport\". Please refer to usage above\n"));
    let mut out = Vec::new();
    let line = ["copy-manager", "share"].map(OsString::from).to_vec();
    let crate::cli::Command::Share(share) = crate::cli::Cli::read(line).unwrap().command else { panic!() };
    assert_eq!(share.run_on(&mut out, nowhere).await.unwrap(), ExitCode::SUCCESS);
    assert!(String::from_utf8(out).unwrap().contains("Usage: copy-manager share"));
}
