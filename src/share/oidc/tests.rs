//! Tokens of an issuer in this process.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{Json, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{EncodingKey, Header, encode};
use pretty_assertions::assert_eq;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use super::*;

/// A key that was made for these tests, and opens nothing.
const RSA: &[&str] = &[
    "MIIEpAIBAAKCAQEA6bAuegGeX92ocXoorySIDIw5NJ68h/g5pSndlpM9A8h+xPVx4TwZFm1JqwUegQxazWkxWIEj1GPYrT3JoS/n",
    "Flo1sBY9cbPZL/jOBPIOnOim5SHimlso7MBUwjbIr6x/r0mduNjAw+hkOUI/sxKfC15fVS38U8uygwIdjbPcGbeILaIL4M0ZIwcm",
    "ed8WGXp4mwd2i13xVOylPDP42P19Cad7Eh0vqCVJLoXj7Q71n1Z6FcXKKEPm/AEp4oo9ur7Eg/4z8y4L8mMcPfpgrSCOM9h2XfDZ",
    "EbUjNqCCCC+OByVOviv/iZ8gIrAeSQSJTb9nhdc0bNdnc/bfEEM7e+bT/QIDAQABAoIBADYO+AloQ3NIyvUJPc0aRdClRXx7NgC8",
    "NtWSxDxXbjdoU48Lel8QsHsEKBUEV6Shr4WyDmS7Zwb0XATjdLexZaNBlgbYdjlN0fGrfDkfp6q7lRQPTSTI7sQpz9Gnq7Ab1uO9",
    "Q1ul5J3NLhYi0aqCpcETATmqrCLUTcTJof2MPF/EKHPqz0ABROg5wv76EEc7SWuk1oQXeVgr2Ne2VyWbnWHJqrIc+6YQHaKn0BtU",
    "Y3x/2pQvWKat0gaHYXQLoDMbAaslBQhCvqltaIFr0vDwWPLpyDFKPHJEGC1gtT9CG64bpZP49BvCIhFL3urxlhdjRGfWumUB5ueX",
    "RMGmuVsK2/ECgYEA98f3RWQ0EmNL75POYiH824XlZHMlZZr/taq/lQROqx5X617PL+C+GvLm1dDQdoQCwh5mv06Lm01ZP/Sz+arb",
    "jB7S82uTJg1hJPAermWPKaDWTwWff6Aib/NCkPviU3WRgQxPVCWFG+xU089/0CkNiM/ss4VsJgfjy/+cR1RK5TkCgYEA8XCLsaCQ",
    "iMEWeJTGbPkcUopgZxDq+QBhCyrV3eAIx788z0nOdHGENnOoiDxeqtw35ctRJeJu/XgKLp0yVSNpqXG+7xV3z2zC6jZBJCvNcPsm",
    "Gifj1NIxqE37U0ho5+zMYqK2+Fy6EJUfLn9rh1r+fDRUqWr9VErZMR+a43muCOUCgYBbfMP6JSNs3qj9DrAXX8FDNM8cJb/bIj3k",
    "T+VpGiwJ1qxTxa/uV6cZwDInJHC0Mc3q6tq5LEEz2H1ptep19vYVaJQvOLseQ7ZosxhBAFK55h77EnJv5yqP91vOuJI6iqBs66Sm",
    "xyu8wagYhPcGXwIWT99v8YWbDTK48eo8FA2LUQKBgQCNU43RyeUQx8W5i4yi2SbFAg7wBa0lWB12BfruR2ecVMrpo5BgBNqZbRYn",
    "uP7JEOL/dgXoISVK5WtAYe/GelYtQ1G6bVyWZFmr81oqLCGzkq94/ASW3PsIQ61r0KTnrWruCcUEmHKppkB8XUW6E3+HgLJWATSM",
    "lMuRv6hQozdGKQKBgQDvhp4Nz1C8DSCHtc/4gfYU4USZ8DtzVRmMkBBbUgA1YraQhW9n7M47OB+Va5t87Ek44KcM7Olw4A7qxiou",
    "eH+IZx/2Re89hINcmJHym+k65NxF5L8TLoHWB1heTKzNj4SxN1ZI/s66rOaa6Rn1vcBmZm9FnnoDVMqXtXsqS+wKkw==",
];

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_der(&STANDARD.decode(RSA.concat()).unwrap())
}

fn curve() -> EncodingKey {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    EncodingKey::from_ec_der(key.as_ref())
}

fn public(key: &EncodingKey, algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
    jwk["kid"] = json!(kid);
    jwk["use"] = json!("sig");
    jwk
}

/// An issuer that serves these keys, and counts how often it is asked for them.
struct Served {
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

async fn serve(keys: Vec<Value>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/pool", listener.local_addr().unwrap());
    let (keys, asked) = (Arc::new(Mutex::new(keys)), Arc::new(AtomicUsize::new(0)));
    let about = json!({ "issuer": url, "jwks_uri": format!("{url}/keys"), "other": 1 });
    let (served, count) = (keys.clone(), asked.clone());
    let router = Router::new()
        .route("/pool/.well-known/openid-configuration", get(async move || Json(about.clone())))
        .route(
            "/pool/keys",
            get(async move || {
                count.fetch_add(1, Ordering::Relaxed);
                Json(json!({ "keys": *served.lock().unwrap() }))
            }),
        );
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Served { url, keys, asked, _tasks: tasks }
}

fn now() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn token(algorithm: Algorithm, kid: &str, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

/// Claims that are fine, with others over them.
fn claims(issuer: &str, others: &Value) -> Value {
    let at = now().as_second();
    let mut claims = json!({ "iss": issuer, "aud": "share", "sub": "ann", "exp": at + 300, "nbf": at - 10 });
    for (name, value) in others.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn why(refused: Result<Map<String, Value>, Refusal>) -> String {
    let Err(Refusal::Unknown(why)) = refused else { panic!("{refused:?}") };
    why.trim_start_matches("that token is not accepted: ").to_owned()
}

#[tokio::test]
async fn a_token_is_taken_if_it_is_of_the_issuer_for_us_and_good_now() {
    let (rsa, curve) = (rsa(), curve());
    let served =
        serve(vec![public(&rsa, Algorithm::RS256, "r"), public(&curve, Algorithm::ES256, "e")]).await;
    let issuer = Issuer::new(&served.url, "share").unwrap();
    let fine = claims(&served.url, &json!({ "aud": ["other", "share"] }));
    for token in [token(Algorithm::RS256, "r", &rsa, &fine), token(Algorithm::ES256, "e", &curve, &fine)] {
        assert_eq!(issuer.claims(&token, now()).await.unwrap()["sub"], "ann");
    }
    assert_eq!(served.asked.load(Ordering::Relaxed), 1, "keys are kept");
    let at = now().as_second();
    for (others, expected) in [
        (json!({ "exp": at - 61 }), "it has expired"),
        (json!({ "exp": "never" }), "it lacks exp, iss or aud"),
        (json!({ "nbf": at + 61 }), "it is not good yet"),
        (json!({ "iss": "https://elsewhere.example.org" }), "it is of another issuer"),
        (json!({ "aud": "other" }), "it is for somebody else"),
        (json!({ "aud": null }), "it lacks exp, iss or aud"),
    ] {
        let token = token(Algorithm::ES256, "e", &curve, &claims(&served.url, &others));
        assert_eq!(why(issuer.claims(&token, now()).await), expected, "{others}");
    }
    // Clocks that are a little off are let pass.
    let late = claims(&served.url, &json!({ "exp": at - 59, "nbf": at + 59 }));
    assert!(issuer.claims(&token(Algorithm::ES256, "e", &curve, &late), now()).await.is_ok());
}

#[tokio::test]
async fn a_token_chooses_neither_its_algorithm_nor_its_key() {
    let (rsa, curve) = (rsa(), curve());
    let rsa_public = public(&rsa, Algorithm::RS256, "r");
    let served = serve(vec![rsa_public.clone(), public(&curve, Algorithm::ES256, "e")]).await;
    let issuer = Issuer::new(&served.url, "share").unwrap();
    let fine = claims(&served.url, &json!({}));
    // Signed by somebody else, with the name of a key of the issuer.
    let foreign = token(Algorithm::ES256, "e", &self::curve(), &fine);
    assert_eq!(why(issuer.claims(&foreign, now()).await), "its signature is wrong");
    // The public key as the secret of a symmetric algorithm.
    let secret = EncodingKey::from_secret(rsa_public["n"].as_str().unwrap().as_bytes()).unwrap();
    let symmetric = token(Algorithm::HS256, "r", &secret, &fine);
    assert_eq!(why(issuer.claims(&symmetric, now()).await), "it must be signed with RS256 or ES256");
    let crossed = token(Algorithm::ES256, "r", &curve, &fine);
    assert_eq!(why(issuer.claims(&crossed, now()).await), "its key is for something else");
    let part = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.", part(&json!({ "alg": "none", "kid": "r" })), part(&fine));
    assert_eq!(why(issuer.claims(&none, now()).await), "it is no signed JSON Web Token");
    for odd in ["", "a.b.c", "..", "Bearer", &"x".repeat(20_000)] {
        assert!(matches!(issuer.claims(odd, now()).await, Err(Refusal::Unknown(_))), "{odd:.20}");
    }
}

#[tokio::test]
async fn a_new_key_is_fetched_though_not_for_every_name() {
    let (one, two) = (curve(), curve());
    let served = serve(vec![public(&one, Algorithm::ES256, "1")]).await;
    let issuer = Issuer::new(&served.url, "share").unwrap();
    let fine = claims(&served.url, &json!({}));
    let of = |kid: &str, key: &EncodingKey| token(Algorithm::ES256, kid, key, &fine);
    issuer.claims(&of("1", &one), now()).await.unwrap();
    for n in 0..5 {
        let made_up = of(&format!("made up {n}"), &one);
        assert_eq!(why(issuer.claims(&made_up, now()).await), "its key is not known");
    }
    assert_eq!(served.asked.load(Ordering::Relaxed), 1, "nobody has us ask the issuer at will");
    served.keys.lock().unwrap().push(public(&two, Algorithm::ES256, "2"));
    *issuer.asked_at.lock().await = None;
    issuer.claims(&of("2", &two), now()).await.unwrap();
    assert_eq!(served.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_or_another_one_is_no_issuer() {
    let key = curve();
    let served = serve(vec![public(&key, Algorithm::ES256, "1")]).await;
    let fine = token(Algorithm::ES256, "1", &key, &claims(&served.url, &json!({})));
    for odd in [format!("{}/", served.url), "http://127.0.0.1:1".into(), "http://192.0.2.1/pool".into()] {
        let issuer = Issuer::new(&odd, "share").unwrap();
        let refused = issuer.claims(&fine, now()).await;
        assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{odd}: {refused:?}");
    }
}
