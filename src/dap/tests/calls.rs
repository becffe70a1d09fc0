//! Calls: what is asked, what is tried again, and what is made of answers.

use std::time::Duration;

use serde_json::json;

use super::world::{Fault, client, client_of, refused, service, settings, try_client};
use crate::{
    dap::Settings,
    domain::replica::names::TableName,
    ports::{
        Class, Error,
        source::{Format, JobStatus, Query, Source as _},
    },
};

const LIST: &str = "GET /dap/query/canvas/table";
const DATA: &str = "POST /dap/query/canvas/table/users/data";

fn users() -> TableName {
    TableName::new("canvas", "users")
}

fn status(status: u16, headers: &[(&'static str, &str)]) -> Fault {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Fault::Status(status, headers, String::new())
}

async fn list_after(faults: Vec<(usize, Fault)>) -> (Result<Vec<String>, Error>, usize) {
    let service = service();
    for (times, fault) in faults {
        service.fault(LIST, times, fault);
    }
    let tables = client(&service).tables("canvas").await;
    (tables, service.count(LIST))
}

#[tokio::test(start_paused = true)]
async fn questions_are_worded_as_the_service_wants_them() {
    let service = service();
    let dap = client(&service);
    service.answer(DATA, &json!({ "id": "j", "status": "waiting" }));
    let (since, until) =
        ("2026-01-02T03:04:05Z".parse().unwrap(), "2026-01-02T03:04:05.678901Z".parse().unwrap());
    let changes = |until| Query::Changes { since, until };
    for (query, format) in [
        (Query::Snapshot, Format::Tsv),
        (changes(None), Format::Tsv),
        (changes(Some(until)), Format::Tsv),
        (Query::Snapshot, Format::ExpandedTsv),
        (Query::Snapshot, Format::Csv),
        (Query::Snapshot, Format::JsonLines),
        (Query::Snapshot, Format::Parquet),
    ] {
        assert_eq!(dap.ask(&users(), &query, format).await.unwrap().status, JobStatus::Waiting);
    }
    let seen: Vec<_> = service.seen().into_iter().filter(|seen| seen.line == DATA).collect();
    let bodies: Vec<_> = seen.iter().map(|seen| seen.body.as_str()).collect();
    assert_eq!(
        bodies,
        [
            r#"{"format":"tsv","mode":"condensed"}"#,
            r#"{"format":"tsv","mode":"condensed","since":"2026-01-02T03:04:05Z"}"#,
            r#"{"format":"tsv","mode":"condensed","since":"2026-01-02T03:04:05Z","until":"2026-01-02T03:04:05.678901Z"}"#,
            r#"{"format":"tsv"}"#,
            r#"{"format":"csv"}"#,
            r#"{"format":"jsonl"}"#,
            r#"{"format":"parquet"}"#,
        ]
    );
    assert!(seen[0].header("user-agent").unwrap().starts_with("copy-manager/"));
    assert!(seen[0].header("authorization").unwrap().starts_with("Bearer eyJ"));
    assert_eq!(
        (seen[0].header("content-type"), seen[0].header("traceparent")),
        (Some("application/json"), None)
    );
}

#[tokio::test(start_paused = true)]
async fn names_stay_names_whatever_is_in_them() {
    let service = service();
    let dap =
        client_of(&service, &Settings { base_url: "https://proxy.example/dap-here/".into(), ..settings() });
    dap.schema(&TableName::new("canvas", "a/../b ?#%é")).await.unwrap_err();
    let path = "GET /dap-here/dap/query/canvas/table/a%2F..%2Fb%20%3F%23%25%C3%A9/schema";
    assert_eq!(service.seen().last().unwrap().line, path);
    let calls = service.seen().len();
    for name in ["..", ".", ""] {
        assert_eq!(dap.job(name).await.unwrap_err().class, Class::Invalid);
    }
    assert_eq!(service.seen().len(), calls);
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_three_times() {
    for fault in [status(500, &[]), status(502, &[]), status(503, &[("retry-after", "1")]), Fault::Close] {
        let (tables, calls) = list_after(vec![(2, fault.clone())]).await;
        assert_eq!((tables.unwrap().len(), calls), (2, 3), "{fault:?}");
        let (tables, calls) = list_after(vec![(4, fault.clone())]).await;
        assert!(tables.unwrap_err().is_passing());
        assert_eq!(calls, 3, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_too_much_waits_as_long_as_it_is_told() {
    let service = service();
    service.fault(LIST, 1, status(429, &[("retry-after", "2")]));
    service.fault(LIST, 1, status(429, &[("retry-after", "Mon, 30 Nov 2026 10:00:13 GMT")]));
    client(&service).tables("canvas").await.unwrap();
    let at: Vec<_> = service.seen().iter().map(|seen| seen.at.as_secs()).collect();
    assert_eq!(at, [0, 0, 2, 6]);
    // Longer than a call may take: handed back, with when.
    for (headers, wait) in [(&[("retry-after", "40")][..], 40), (&[], 30)] {
        let (tables, calls) = list_after(vec![(1, status(429, headers))]).await;
        let error = tables.unwrap_err();
        assert_eq!(
            (error.class, error.retry_after, calls),
            (Class::Throttled, Some(Duration::from_secs(wait)), 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_have_their_class_and_the_name_that_the_service_gives_them() {
    for (code, name, class, calls) in [
        (400, "ValidationError", Class::Invalid, 1),
        (400, "SnapshotRequiredError", Class::Invalid, 1),
        (400, "OutOfRangeError", Class::Invalid, 1),
        (403, "AccountDisabled", Class::Forbidden, 1),
        (403, "AccountNotOnboarded", Class::Forbidden, 1),
        (403, "RequestTypeForbidden", Class::Forbidden, 1),
        (403, "AccountUnderMaintenance", Class::Throttled, 1),
        (404, "NotFoundError", Class::NotFound, 1),
        (500, "ProcessingError", Class::Transient, 3),
    ] {
        let (tables, made) = list_after(vec![(9, refused(code, name))]).await;
        let error = tables.unwrap_err();
        assert_eq!((error.class, error.code.as_deref(), error.status), (class, Some(name), Some(code)));
        assert_eq!(made, calls, "{name}");
        let text = error.to_string();
        assert!(text.contains("so it is") && text.contains("(uuid 5eed)") && text.contains(name), "{text}");
    }
    let (tables, _) = list_after(vec![(1, refused(403, "AccountUnderMaintenance"))]).await;
    assert_eq!(tables.unwrap_err().retry_after, Some(Duration::from_mins(1)));
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_proxy_is_told_apart_from_an_answer() {
    let (tables, _) = list_after(vec![(1, Fault::Instead(b"<html>log in".to_vec()))]).await;
    let error = tables.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert!(
        error.to_string().contains("canvas.base_url") && !error.to_string().contains("log in"),
        "{error}"
    );
    let page = Fault::Status(502, Vec::new(), "<html>bad gateway".to_owned());
    let error = list_after(vec![(9, page)]).await.0.unwrap_err();
    assert!(error.to_string().contains("canvas.base_url"), "{error}");
    let moved = status(302, &[("location", "https://evil.example/?sig=1")]);
    let (tables, calls) = list_after(vec![(1, moved)]).await;
    let error = tables.unwrap_err();
    assert!(error.to_string().contains("redirects are not followed") && calls == 1, "{error}");
    let error = list_after(vec![(1, Fault::Instead(br#"{"tables":[7]}"#.to_vec()))]).await.0.unwrap_err();
    assert!(error.to_string().contains("`tables[0]`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends() {
    let (tables, calls) = list_after(vec![(9, Fault::Hang)]).await;
    let error = tables.unwrap_err();
    assert_eq!((error.class, calls), (Class::Transient, 1));
    assert!(error.to_string().contains("within 30 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn jobs_are_read_with_what_is_known_of_them() {
    let service = service();
    let dap = client(&service);
    let line = "GET /dap/job/j";
    service.answer(
        line,
        &json!({ "id": "j", "status": "complete", "expires_at": "2026-12-01T10:00:00Z", "objects": [{ "id": "j/1", "size": 7 }],
                 "schema_version": 3, "at": "2026-11-30T09:00:00.250+00:00", "new": {} }),
    );
    let job = dap.job("j").await.unwrap();
    assert_eq!(
        (job.status, job.objects, job.schema_version),
        (JobStatus::Complete, vec!["j/1".to_owned()], Some(3))
    );
    assert_eq!(job.data_of.unwrap().to_string(), "2026-11-30T09:00:00.25Z");
    service.answer(
        line,
        &json!({ "id": "j", "status": "complete", "objects": [], "schema_version": 3, "since": "2026-11-30T09:00:00",
                 "until": "2026-11-30T09:30:00" }),
    );
    assert_eq!(dap.job("j").await.unwrap().data_of.unwrap().to_string(), "2026-11-30T09:30:00Z");
    service.answer(
        line,
        &json!({ "id": "j", "status": "failed", "error": { "type": "ProcessingError", "message": "" } }),
    );
    let job = dap.job("j").await.unwrap();
    assert_eq!(
        (job.status, job.error),
        (JobStatus::Failed, Some(("ProcessingError".to_owned(), String::new())))
    );
    service.answer(line, &json!({ "id": "j", "status": "failed" }));
    assert_eq!(dap.job("j").await.unwrap().error, None);
    service.answer(
        line,
        &json!({ "id": "j", "status": "complete", "at": "2026-11-30T09:00:00Z", "objects": [] }),
    );
    assert!(dap.job("j").await.unwrap_err().to_string().contains("schema_version"));
    for wrong in [
        json!({ "id": "j", "status": "lost" }),
        json!({ "id": "j", "status": "running", "expires_at": "soon" }),
    ] {
        service.answer(line, &wrong);
        assert_eq!(dap.job("j").await.unwrap_err().class, Class::Invalid);
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_whose_answer_was_lost_is_asked_again() {
    let service = service();
    service.answer(DATA, &json!({ "id": "j", "status": "waiting" }));
    service.fault(DATA, 1, Fault::Close);
    let job = client(&service).ask(&users(), &Query::Snapshot, Format::Tsv).await.unwrap();
    let bodies: Vec<_> =
        service.seen().into_iter().filter(|seen| seen.line == DATA).map(|seen| seen.body).collect();
    assert_eq!((job.id.as_str(), bodies.len()), ("j", 2));
    assert_eq!(bodies[0], bodies[1]);
}

#[test]
fn credentials_go_over_tls_or_to_this_machine() {
    for (url, ok) in [
        ("https://api-gateway.instructure.com", true),
        ("http://127.0.0.1:8791", true),
        ("http://localhost:8791", true),
        ("http://gateway.example", false),
        ("ftp://gateway.example", false),
        ("gateway.example", false),
    ] {
        let settings = Settings { base_url: url.to_owned(), ..settings() };
        let dap = try_client(&service(), &settings);
        assert_eq!(dap.is_ok(), ok, "{url}");
        assert!(dap.err().is_none_or(|error| error.to_string().contains("canvas.base_url")));
    }
}
