//! What is secret is in no error, and in nothing that is shown of the client.

use serde_json::json;

use super::world::{Fault, SECRET, SIGNATURE, client, refused, service, settings};
use crate::{
    domain::replica::names::TableName,
    ports::{
        Error,
        source::{Format, Query, Source as _},
    },
};

/// What must not be seen: the secret, the pair in base 64, tokens, signatures.
fn check(what: &str, shown: &str) {
    for secret in [SECRET, "aHVudGVyMi1zZWNyZXQ", "dXMtZWFzdC0xI3VzOmh1bn", "eyJ", SIGNATURE, "c2ln"] {
        assert!(!shown.contains(secret), "{what}: {shown}");
    }
}

fn check_error(what: &str, error: &Error) {
    check(what, &format!("{error} {error:?}"));
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        check(what, &format!("{error} {error:?}"));
        cause = error.source();
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_in_no_error() {
    let quotes = |status: u16| {
        let said = format!(
            "{SECRET} of dXMtZWFzdC0xI3VzOmh1bnRlcjItc2VjcmV0, eyJhbGciOiJIUzI1NiJ9.x.c2ln, https://b/k?X-Amz-Signature={SIGNATURE}"
        );
        let body = json!({ "error": { "type": said, "uuid": said, "message": said } });
        Fault::Status(status, Vec::new(), body.to_string())
    };
    let gibberish =
        || Fault::Instead(format!("{{\"access_token\": [\"eyJ\", \"{SECRET}\"], \"urls\": 1}}").into_bytes());
    for line in ["POST /ids/auth/login", "GET /dap", "POST /dap", "GET /j"] {
        for fault in [
            quotes(400),
            quotes(401),
            quotes(403),
            quotes(404),
            quotes(429),
            quotes(500),
            gibberish(),
            Fault::Close,
            Fault::Hang,
        ] {
            let service = service();
            service.file("j/part-0", &[b"x"]);
            service.fault(line, 1000, fault.clone());
            let dap = client(&service);
            let what = format!("{line} {fault:?}").len().to_string();
            let table = TableName::new("canvas", "users");
            for error in [
                dap.tables("canvas").await.err(),
                dap.schema(&table).await.err(),
                dap.ask(&table, &Query::Snapshot, Format::Tsv).await.err(),
                dap.job("j").await.err(),
                dap.packed("j/part-0").await.err(),
            ]
            .iter()
            .flatten()
            {
                check_error(&what, error);
            }
            check(line, &format!("{dap:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_in_nothing_that_is_shown() {
    check("settings", &format!("{:?}", settings()));
    let service = service();
    let dap = client(&service);
    dap.tables("canvas").await.unwrap();
    check("client", &format!("{dap:?} {dap:#?}"));
    service.fault("GET /dap/job", 1, Fault::Status(
        200,
        Vec::new(),
        json!({ "id": "j", "status": "failed", "error": { "type": "ProcessingError", "message": format!("no {SECRET}") } }).to_string(),
    ));
    let job = dap.job("j").await.unwrap();
    check("a job", &format!("{job:?}"));
    assert!(job.error.is_some_and(|(_, message)| message == "no …"));
    check_error("a refusal", &{
        service.fault("GET /dap/job", 1, refused(404, "NotFoundError"));
        dap.job("j").await.unwrap_err()
    });
}
