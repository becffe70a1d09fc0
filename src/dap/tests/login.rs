//! Logins: as few as can be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use secrecy::SecretString;
use tokio::time::sleep;

use super::world::{Fault, client, client_of, refused, service, settings};
use crate::{
    dap::settings::{Credentials, Keyring, Settings},
    ports::{Class, Result, source::Source as _},
};

const LOGIN: &str = "POST /ids/auth/login";
const LIST: &str = "GET /dap/query/canvas/table";

#[tokio::test(start_paused = true)]
async fn one_login_serves_many_callers() {
    let service = service();
    let dap = client(&service);
    for tables in join_all((0..30).map(|_| dap.tables("canvas"))).await {
        assert_eq!(tables.unwrap(), ["courses", "users"]);
    }
    dap.job("j").await.unwrap();
    assert_eq!((service.count(LOGIN), service.count(LIST)), (1, 30));
    let login = &service.seen()[0];
    assert_eq!(login.header("authorization"), Some("Basic dXMtZWFzdC0xI3VzOmh1bnRlcjItc2VjcmV0"));
    assert_eq!(login.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(login.body, "grant_type=client_credentials");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_replaced_five_minutes_before_it_ends() {
    let service = service();
    let dap = client(&service);
    dap.tables("canvas").await.unwrap();
    sleep(Duration::from_mins(54)).await;
    dap.tables("canvas").await.unwrap();
    assert_eq!(service.count(LOGIN), 1);
    sleep(Duration::from_secs(61)).await;
    dap.tables("canvas").await.unwrap();
    assert_eq!(service.count(LOGIN), 2);
    let tokens: Vec<_> =
        service.seen().iter().filter_map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_ne!(tokens[1], tokens[4], "the new token is used");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_few_minutes_serves_for_half_of_them() {
    let service = service();
    *service.token_seconds.lock().unwrap() = 120;
    let dap = client(&service);
    for _ in 0..6 {
        dap.tables("canvas").await.unwrap();
        sleep(Duration::from_secs(19)).await;
    }
    assert_eq!(service.count(LOGIN), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_makes_no_storm() {
    let service = service();
    service.fault(LOGIN, 1000, refused(401, "AuthenticationError"));
    let dap = client(&service);
    for _ in 0..3 {
        for tables in join_all((0..100).map(|_| dap.tables("canvas"))).await {
            let error = tables.unwrap_err();
            assert_eq!(error.class, Class::Unauthorized);
            assert!(
                error.to_string().contains("canvas.client_id and canvas.client_secret are refused"),
                "{error}"
            );
        }
        sleep(Duration::from_secs(15)).await;
    }
    assert_eq!(service.seen().len(), 1, "one login in a minute");
    sleep(Duration::from_secs(30)).await;
    dap.tables("canvas").await.unwrap_err();
    assert_eq!(service.seen().len(), 2, "and another after it");
}

/// Keeps a client, and counts how often it is asked for it.
#[derive(Debug)]
struct Kept(&'static str, AtomicUsize);

#[async_trait]
impl Keyring for Kept {
    async fn credentials(&self) -> Result<Credentials> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(Credentials { id: "us-east-1#us".to_owned(), secret: SecretString::from(self.0) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_changed_is_read_again_and_used_from_then_on() {
    let service = service();
    let kept = Arc::new(Kept("another-secret", AtomicUsize::new(0)));
    let settings = Settings { keyring: Some(kept.clone()), ..settings() };
    let dap = client_of(&service, &settings);
    service.fault(LOGIN, 1, refused(401, "AuthenticationError"));
    dap.tables("canvas").await.unwrap();
    service.revoke();
    dap.tables("canvas").await.unwrap();
    let logins: Vec<_> = service.seen().into_iter().filter(|seen| seen.body.contains("grant_type")).collect();
    let sent: Vec<_> = logins.iter().map(|login| login.header("authorization").unwrap()).collect();
    assert_eq!((sent.len(), kept.1.load(Ordering::Relaxed)), (3, 1));
    assert!(sent[0] != sent[1] && sent[1] == sent[2], "{sent:?}");
    // What is kept is refused, too: one more look, and no more than a login a minute.
    service.revoke();
    service.fault(LOGIN, 9, refused(401, "AuthenticationError"));
    for _ in 0..5 {
        let error = dap.tables("canvas").await.unwrap_err();
        assert!(!error.to_string().contains("another-secret"), "{error}");
    }
    assert_eq!((service.count(LOGIN), kept.1.load(Ordering::Relaxed)), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_may_not_log_in_is_told_apart() {
    for (fault, class, words) in [
        (refused(403, "Forbidden"), Class::Forbidden, "the client of canvas.client_id is not allowed"),
        (refused(400, "invalid_client"), Class::Unauthorized, "canvas.client_secret"),
        (Fault::Status(404, Vec::new(), "<html>".to_owned()), Class::NotFound, "is canvas.base_url right?"),
        (Fault::Instead(b"<html>".to_vec()), Class::Invalid, "is canvas.base_url right"),
        (Fault::Instead(b"{}".to_vec()), Class::Invalid, "access_token"),
    ] {
        let service = service();
        service.fault(LOGIN, 9, fault);
        let error = client(&service).tables("canvas").await.unwrap_err();
        assert_eq!((error.class, service.seen().len()), (class, 1), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_in_between_is_replaced_once() {
    let service = service();
    let dap = client(&service);
    dap.tables("canvas").await.unwrap();
    service.revoke();
    for tables in join_all((0..20).map(|_| dap.tables("canvas"))).await {
        tables.unwrap();
    }
    assert_eq!((service.count(LOGIN), service.count(LIST)), (2, 41));
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_never_good_make_no_storm() {
    let service = service();
    service.fault(LIST, 1000, refused(401, "AuthenticationError"));
    let dap = client(&service);
    for _ in 0..10 {
        assert_eq!(dap.tables("canvas").await.unwrap_err().class, Class::Unauthorized);
    }
    assert!(service.count(LOGIN) <= 2, "{} logins", service.count(LOGIN));
    assert!(service.count(LIST) <= 3, "{} calls", service.count(LIST));
}

#[tokio::test(start_paused = true)]
async fn callers_share_a_login_that_fails() {
    let service = service();
    service.fault(LOGIN, 1000, Fault::Close);
    let dap = client(&service);
    for tables in join_all((0..50).map(|_| dap.tables("canvas"))).await {
        assert_eq!(tables.unwrap_err().class, Class::Transient);
    }
    let logins = service.count(LOGIN);
    assert!(logins <= 40, "{logins} logins for 50 callers with three tries each");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_still_lives_is_used_while_no_login_works() {
    let service = service();
    let dap = client(&service);
    dap.tables("canvas").await.unwrap();
    sleep(Duration::from_mins(56)).await;
    service.fault(LOGIN, 1000, Fault::Close);
    for _ in 0..20 {
        dap.tables("canvas").await.unwrap();
        sleep(Duration::from_secs(2)).await;
    }
    assert!(service.count(LOGIN) <= 3, "{}", service.count(LOGIN));
    sleep(Duration::from_mins(5)).await;
    assert_eq!(dap.tables("canvas").await.unwrap_err().class, Class::Transient);
}
