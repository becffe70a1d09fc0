//! The service and its token, where nobody names them.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::{
    cli::{
        exit,
        share::api::{Api, Token},
    },
    ports::{Class, Error, Result, parameters::Parameters, secrets::Secrets},
};

const SECRET: &str = r#"{"access_token":"other","id_token":"eyJ.of.zone"}"#;

/// An account that holds these, and how often each was asked for.
#[derive(Debug, Clone)]
struct Account {
    zone: Result<&'static str, Class>,
    secret: Result<&'static str, Class>,
    zones: Arc<AtomicUsize>,
    secrets: Arc<AtomicUsize>,
}

fn account(zone: Result<&'static str, Class>, secret: Result<&'static str, Class>) -> Account {
    Account { zone, secret, zones: Arc::default(), secrets: Arc::default() }
}

#[async_trait]
impl Parameters for Account {
    async fn read(&self, name: &str) -> Result<SecretString> {
        assert_eq!(name, "/hosted_zone/umccr/name");
        self.zones.fetch_add(1, Ordering::Relaxed);
        self.zone.map(SecretString::from).map_err(|class| Error::new(class, "GetParameter", "no parameter"))
    }
}

#[async_trait]
impl Secrets for Account {
    async fn read(&self, id: &str) -> Result<SecretString> {
        assert_eq!(id, "orcabus/token-service-jwt");
        self.secrets.fetch_add(1, Ordering::Relaxed);
        self.secret.map(SecretString::from).map_err(|class| Error::new(class, "GetSecretValue", "no secret"))
    }
}

impl Account {
    /// What a command is told to ask, and with what.
    async fn asks(&self, line: &[&str]) -> anyhow::Result<(String, String)> {
        let line = [TOOL, "list-packages"].iter().chain(line).copied();
        let Service { endpoint, token } = Tool::try_parse_from(line).unwrap().share().service;
        let account = Arc::new(self.clone());
        let directory = async move || Ok(Directory::new(account.clone(), account));
        let (base, token) = Service { endpoint, token }.found(directory).await?;
        let token = match token {
            Token::Known(token) => token.expose_secret().to_owned(),
            Token::None => "none".to_owned(),
            Token::Unknown(why) => format!("none: {why}"),
        };
        Ok((base.to_string(), token))
    }

    fn asked(&self) -> (usize, usize) {
        (self.zones.swap(0, Ordering::Relaxed), self.secrets.swap(0, Ordering::Relaxed))
    }
}

#[tokio::test]
async fn who_names_no_service_gets_that_of_the_zone_and_its_token() {
    let of = account(Ok("prod.example.org.\n"), Ok(SECRET));
    let both = |base: &str, token: &str| (base.to_owned(), token.to_owned());
    let base = "https://data-sharing.prod.example.org/";
    assert_eq!(of.asks(&[]).await.unwrap(), both(base, "eyJ.of.zone"));
    assert_eq!(of.asked(), (1, 1));
    // What is said goes before, and an empty token is none.
    assert_eq!(of.asks(&["--token", "mine"]).await.unwrap(), both(base, "mine"));
    assert_eq!(of.asks(&["--token", ""]).await.unwrap(), both(base, "none"));
    assert_eq!(of.asked(), (2, 0));
    let mine = ["--endpoint", "https://sharing.prod.example.org", "--token", "mine"];
    assert_eq!(of.asks(&mine).await.unwrap(), both("https://sharing.prod.example.org/", "mine"));
    assert_eq!(of.asked(), (0, 0));
}

#[tokio::test]
async fn the_token_of_a_zone_goes_to_its_services_alone() {
    let of = account(Ok("prod.example.org"), Ok(SECRET));
    let told = async |endpoint: &str| of.asks(&["--endpoint", endpoint]).await.unwrap().1;
    assert_eq!(told("https://sharing.prod.example.org").await, "eyJ.of.zone");
    assert_eq!(of.asked(), (1, 1));
    for other in
        ["https://evil.example", "https://evilprod.example.org", "https://prod.example.org.evil.example"]
    {
        assert_eq!(
            told(other).await,
            "none: the token in AWS is for services of prod.example.org",
            "{other}"
        );
    }
    assert_eq!(of.asked(), (3, 0), "and is not even read");
    // In the clear it goes nowhere, and nobody is asked.
    assert_eq!(told("http://sharing.prod.example.org").await, "none");
    assert_eq!(of.asked(), (0, 0));
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_told_and_how_else_to_say_it() {
    let code = |error: &anyhow::Error| exit::tell(error, &crate::cli::Global::default());
    for (class, expected) in [(Class::NotFound, 78), (Class::Forbidden, 78), (Class::Transient, 5)] {
        let error = account(Err(class), Ok(SECRET)).asks(&[]).await.unwrap_err();
        assert_eq!(code(&error), ExitCode::from(expected), "{class:?}");
        let told = format!("{error:#}");
        for part in
            ["set --endpoint or COPY_MANAGER_SHARE_ENDPOINT", "/hosted_zone/umccr/name", "no parameter"]
        {
            assert!(told.contains(part), "{told}");
        }
    }
    for zone in ["", "a b", "evil.example/x?", "a..b"] {
        let error = account(Ok(zone), Ok(SECRET)).asks(&[]).await.unwrap_err();
        assert_eq!(code(&error), ExitCode::from(78), "{zone}");
    }
    // Without a token the service is asked all the same: it may want none.
    for (secret, why) in [
        (Err(Class::Forbidden), "cannot look up orcabus/token-service-jwt"),
        (Ok(r#"{"password":"hunter2"}"#), "the secret orcabus/token-service-jwt holds no `id_token`"),
    ] {
        let (_, token) = account(Ok("example.org"), secret).asks(&[]).await.unwrap();
        assert!(token.starts_with(&format!("none: {why}")), "{token}");
        assert!(!token.contains("hunter2"), "{token}");
    }
}

#[tokio::test]
async fn a_service_that_wants_a_token_is_told_of_with_why_there_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new()
        .fallback(async || (StatusCode::UNAUTHORIZED, axum::Json(json!({ "detail": "a token is needed" }))));
    let error = async |token: Token| {
        let api = Api::new(http(&base).unwrap(), token).unwrap();
        format!("{:#}", api.get(&["package"]).await.unwrap_err())
    };
    let told = async {
        let unknown = error(Token::Unknown("cannot look up it".to_owned())).await;
        assert!(
            unknown
                .ends_with("a token is needed: set --token or COPY_MANAGER_SHARE_TOKEN (cannot look up it)"),
            "{unknown}"
        );
        let none = error(Token::None).await;
        assert!(none.ends_with("a token is needed: set --token or COPY_MANAGER_SHARE_TOKEN"), "{none}");
        let wrong = error(Token::Known("one".into())).await;
        assert!(wrong.ends_with("cannot be used: a token is needed"), "{wrong}");
    };
    tokio::select! {
        () = told => {}
        served = async { axum::serve(listener, router).await } => panic!("{served:?}"),
    }
}
