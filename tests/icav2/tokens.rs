//! Which token is used when.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use copy_manager::{
    domain::ids::JobId,
    icav2::{
        auth::{ApiKeyToken, StaticToken},
        client::Client,
    },
    ports::{
        Class, Error, Result,
        platform::DataPlatform as _,
        tokens::{Bearer, TokenSource},
    },
};
use futures_util::future::join_all;
use pretty_assertions::assert_eq;
use secrecy::SecretString;
use tokio::time::{Instant, advance, sleep};

use crate::script::{Script, TestClock, Tokens, answer, client_with, header, target, token_of};

const JOB: &str = r#"{"id":"j","status":"RUNNING","subjectId":"b","timeCreated":"2025-07-11T03:12:04Z"}"#;
const HOUR: Duration = Duration::from_hours(1);

/// Refuses tokens that are not `accepted`.
fn accepting(accepted: &'static [&'static str]) -> Arc<Script> {
    Script::new(move |request, _| {
        let known = accepted.contains(&token_of(request).as_str());
        if known { answer(200, JOB) } else { answer(401, r#"{"title":"ICA_API_401"}"#) }
    })
}

async fn look(client: &Client) -> Result<()> {
    client.job(&JobId::new("j")).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn calls_refused_together_cause_one_fetch() {
    let (script, tokens) = (accepting(&["n1"]), Tokens::lasting());
    let client = client_with(&script, tokens.clone(), 1000);
    let done = join_all((0..20).map(|_| look(&client))).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!((tokens.made(), script.count()), (2, 40));
}

#[tokio::test(start_paused = true)]
async fn a_second_refusal_is_final() {
    let (script, tokens) = (accepting(&[]), Tokens::lasting());
    let client = client_with(&script, tokens.clone(), 1000);
    let error = look(&client).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Unauthorized, Some("ICA_API_401")));
    assert_eq!((tokens.made(), script.count()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_no_other_is_not_sent_twice() {
    let script = accepting(&[]);
    let client = client_with(&script, Arc::new(StaticToken::new("opaque").unwrap()), 1000);
    assert_eq!(look(&client).await.unwrap_err().class, Class::Unauthorized);
    assert_eq!(script.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_replaced_before_they_end() {
    let (script, tokens) = (accepting(&["n0", "n1"]), Tokens::new(HOUR, false));
    let client = client_with(&script, tokens.clone(), 1000);
    look(&client).await.unwrap();
    // A quarter of its life before its end.
    advance(Duration::from_mins(44)).await;
    look(&client).await.unwrap();
    assert_eq!(tokens.made(), 1);
    advance(Duration::from_mins(2)).await;
    look(&client).await.unwrap();
    assert_eq!(tokens.made(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_ripens_while_the_old_one_serves() {
    let used = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = used.clone();
    let script = Script::new(move |request, _| {
        seen.lock().unwrap().push(token_of(request));
        answer(200, JOB)
    });
    let tokens = Tokens::new(HOUR, true);
    let client = client_with(&script, tokens.clone(), 1000);
    look(&client).await.unwrap();
    advance(Duration::from_mins(56)).await;
    look(&client).await.unwrap();
    advance(Duration::from_secs(31)).await;
    look(&client).await.unwrap();
    assert_eq!((tokens.made(), &*used.lock().unwrap()), (2, &["n0", "n0", "n1"].map(String::from).to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_for_its_youth_is_kept() {
    let begun = Instant::now();
    let script = Script::new(move |_, _| {
        if begun.elapsed() < Duration::from_secs(20) { answer(401, "{}") } else { answer(200, JOB) }
    });
    let tokens = Tokens::new(HOUR, true);
    let client = client_with(&script, tokens.clone(), 1000);
    for _ in 0..5 {
        assert_eq!(look(&client).await.unwrap_err().class, Class::Unauthorized);
    }
    advance(Duration::from_secs(20)).await;
    look(&client).await.unwrap();
    assert_eq!(tokens.made(), 1);
}

/// Gives one token, then fails, slowly.
#[derive(Debug)]
struct Drying {
    tokens: Arc<Tokens>,
    asked: AtomicUsize,
}

#[async_trait]
impl TokenSource for Drying {
    async fn fetch(&self) -> Result<Bearer> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return self.tokens.fetch().await;
        }
        sleep(Duration::from_secs(20)).await;
        Err(Error::new(Class::Transient, "GetSecretValue", "not now"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_early_is_asked_again_later() {
    let source = Arc::new(Drying { tokens: Tokens::new(HOUR, false), asked: AtomicUsize::new(0) });
    let client = client_with(&accepting(&["n0"]), source.clone(), 1000);
    look(&client).await.unwrap();
    advance(Duration::from_mins(57)).await;
    let started = Instant::now();
    let slow = async {
        look(&client).await.unwrap();
        assert_eq!(started.elapsed().as_secs(), 20);
    };
    let others = async {
        join_all((0..100).map(|_| look(&client))).await;
        assert_eq!(started.elapsed().as_secs(), 0, "nobody waits for a token that is not needed yet");
    };
    tokio::join!(slow, others);
    assert_eq!(source.asked.load(Ordering::SeqCst), 2);
    advance(Duration::from_secs(10)).await;
    look(&client).await.unwrap();
    assert_eq!(source.asked.load(Ordering::SeqCst), 3);
}

/// Fails slowly.
#[derive(Debug, Default)]
struct Dry(AtomicUsize);

#[async_trait]
impl TokenSource for Dry {
    async fn fetch(&self) -> Result<Bearer> {
        self.0.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_secs(20)).await;
        Err(Error::new(Class::Transient, "GetSecretValue", "not now"))
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_fetch_fail_with_it() {
    let source = Arc::new(Dry::default());
    let client = client_with(&accepting(&[]), source.clone(), 1000);
    let started = Instant::now();
    let done = join_all((0..50).map(|_| look(&client))).await;
    for result in done {
        assert_eq!(result.unwrap_err().to_string(), "GetSecretValue: not now");
    }
    assert!(started.elapsed() < Duration::from_mins(2), "{:?}", started.elapsed());
    assert!(source.0.load(Ordering::SeqCst) < 5);
}

#[tokio::test(start_paused = true)]
async fn an_api_key_makes_tokens_and_never_refreshes_them() {
    let script = Script::new(|request, _| match target(request).as_str() {
        "/api/tokens" if header(request, "x-api-key").as_deref() == Some("the-key") => {
            answer(200, r#"{"token":"eyJh.e30.n0"}"#)
        }
        "/api/tokens" => answer(401, r#"{"detail":"no such key: the-other-key"}"#),
        _ => answer(200, JOB),
    });
    let clock = Arc::new(TestClock(Instant::now()));
    let source = |key: &str| {
        ApiKeyToken::new(script.clone(), clock.clone(), "https://ica.test/rest", SecretString::from(key))
    };
    let client = client_with(&script, Arc::new(source("the-key")), 1000);
    look(&client).await.unwrap();
    look(&client).await.unwrap();
    assert_eq!(script.lines(), ["POST /api/tokens", "GET /api/jobs/j", "GET /api/jobs/j"]);

    let error = source("the-other-key").fetch().await.unwrap_err();
    let shown = format!("{error} {error:?} {client:?} {:?}", source("the-key"));
    assert_eq!(error.class, Class::Unauthorized);
    assert!(!shown.contains("the-other-key") && !shown.contains("the-key"), "{shown}");
    assert!(!shown.contains("eyJh"), "{shown}");
}
