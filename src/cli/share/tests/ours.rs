//! Commands that the tool did not have.

use super::*;

#[tokio::test]
async fn links_are_made_listed_and_taken_back() {
    let of = ["links", "--package-id", "pkg.1"];
    let link = json!({ "id": "one", "label": "Ann" });
    let done = run(
        &[&of[..], &["--label", "Ann", "--until", "2026-12-24T12:00:00Z"]].concat(),
        [(200, link.clone())],
    )
    .await;
    assert_eq!(
        (done.code.unwrap(), done.out.as_str()),
        (ExitCode::SUCCESS, "{\n    \"id\": \"one\",\n    \"label\": \"Ann\"\n}\n")
    );
    let body = r#"{"label":"Ann","until":"2026-12-24T12:00:00Z"}"#;
    assert_eq!(done.asked, [format!("POST /api/v1/package/pkg.1/links Bearer one {body}")]);
    let done = run(&of, [page(&json!([link]), 1)]).await;
    assert_eq!(done.code.unwrap(), ExitCode::SUCCESS);
    assert!(done.out.starts_with("[\n    {\n"), "{}", done.out);
    for (which, path) in [("one", "/one"), ("all", "")] {
        let done = run(&[&of[..], &["--revoke", which]].concat(), [(200, json!([]))]).await;
        assert_eq!(done.code.unwrap(), ExitCode::SUCCESS);
        assert_eq!(done.asked, [format!("DELETE /api/v1/package/pkg.1/links{path} Bearer one")]);
    }
}

#[tokio::test]
async fn links_to_papers_of_a_push_are_listed_and_taken_back() {
    let of = ["links", "--push-job-id", "psh.1"];
    let done = run(&of, [page(&json!([{ "id": "one", "paper": "psh.1.receipt.jsonl" }]), 1)]).await;
    assert!(done.out.contains("psh.1.receipt.jsonl"), "{}", done.out);
    let done = run(&[&of[..], &["--revoke", "one"]].concat(), [(200, json!({}))]).await;
    assert_eq!(done.asked, ["DELETE /api/v1/push/psh.1/links/one Bearer one"]);
    for wrong in [&["--label", "Ann"][..], &["--package-id", "pkg.1"]] {
        assert!(Tool::try_parse_from([TOOL].iter().chain(&of).chain(wrong)).is_err(), "{wrong:?}");
    }
    assert!(Tool::try_parse_from([TOOL, "links"]).is_err());
}

#[tokio::test]
async fn a_run_is_shared_by_hand_and_a_package_is_let_go() {
    let run_it = ["auto", "run", "--instrument-run-id", "R1"];
    let done = run(&run_it, [(200, json!({ "requestId": "auto.1" }))]).await;
    assert_eq!(done.out, "{\n    \"requestId\": \"auto.1\"\n}\n");
    assert_eq!(done.asked, [r#"POST /api/v1/auto Bearer one {"instrumentRunId":"R1"}"#]);
    let done = run(&[&run_it[..], &["--job", "weekly"]].concat(), [(200, json!({}))]).await;
    assert_eq!(done.asked, [r#"POST /api/v1/auto Bearer one {"instrumentRunId":"R1","jobName":"weekly"}"#]);
    let done = run(&["auto", "approve", "pkg.1"], [(409, json!({ "detail": "pkg.1 does not wait" }))]).await;
    assert_eq!(done.code.unwrap_err().to_string(), "refused: pkg.1 does not wait");
    assert_eq!(done.asked, ["POST /api/v1/auto/pkg.1:approve Bearer one {}"]);
}
