//! Slack, against one that writes down what it is told.

use std::sync::Mutex as Lock;

use axum::{Json, Router, extract::State, routing::post};
use pretty_assertions::assert_eq;

use super::*;
use crate::ports::clock::SystemClock;

type Said = Arc<Lock<Vec<(String, Value)>>>;

/// A Slack that writes down what it is told.
#[expect(clippy::disallowed_methods, reason = "it ends with its test")]
async fn slack() -> (Slack, Said) {
    let said = Said::default();
    let note = |path: &'static str| {
        post(move |State(said): State<Said>, Json(body): Json<Value>| async move {
            said.lock().unwrap().push((path.to_owned(), body.clone()));
            let refused = body["text"].as_str().is_some_and(|text| text.contains("refuse-me"));
            Json(if refused {
                json!({ "ok": false, "error": "not_in_channel" })
            } else {
                json!({ "ok": true, "channel": "C1", "ts": "17.5" })
            })
        })
    };
    let router = Router::new()
        .route("/api/chat.postMessage", note("postMessage"))
        .route("/api/chat.update", note("update"))
        .route("/answers", note("answers"))
        .with_state(said.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings =
        ShareSettings { slack_url: url, slack_config_secret_id: "config".into(), ..ShareSettings::default() };
    let slack = Slack::new(&settings, Arc::new(Texts), Arc::new(SystemClock::new())).unwrap().unwrap();
    (slack, said)
}

#[derive(Debug)]
struct Texts;

#[async_trait]
impl Secrets for Texts {
    async fn read(&self, id: &str) -> Result<SecretString> {
        let text = match id {
            "config" => r#"{"channel_id": "C1", "allowed_users": [{"username": "ann", "id": "U1"}]}"#,
            "auto-data-sharing-slack-signing-secret" => "8f742231b10e8888abcd99yyyzzz85a5",
            _ => "xoxb-1",
        };
        Ok(SecretString::from(text))
    }
}

fn asked(name: &str) -> Question {
    Question {
        package_id: "pkg.01M8P176469MSSA0NDVMCQHTP0".into(),
        package_name: name.into(),
        destination: "s3://b/x/".into(),
        files: 1,
        bytes: 2,
        report: None,
    }
}

#[test]
fn what_slack_has_said_is_known_by_its_signature() {
    // The example of Slack's own documentation.
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let secret = SecretString::from("8f742231b10e8888abcd99yyyzzz85a5");
    let at = Timestamp::from_second(1_531_420_618).unwrap();
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let sent = Sent { timestamp: "1531420618", signature, body: body.as_bytes() };
    check(&secret, &sent, at).unwrap();
    check(&secret, &sent, at + OLDEST).unwrap();
    let late = at + OLDEST + SignedDuration::from_secs(1);
    let changed = body.replace("roadrunner", "coyote");
    for (sent, now) in [
        (sent, late),
        (Sent { timestamp: "1531420619", ..sent }, at),
        (Sent { timestamp: "soon", ..sent }, at),
        (Sent { signature: "v0=a2114d57", ..sent }, at),
        (Sent { signature: signature.trim_start_matches("v0="), ..sent }, at),
        (Sent { body: changed.as_bytes(), ..sent }, at),
    ] {
        assert_eq!(check(&secret, &sent, now).unwrap_err().class, Class::Unauthorized);
    }
}

#[tokio::test]
async fn a_question_is_asked_and_what_became_of_it_is_said_in_its_place() {
    let (slack, said) = slack().await;
    let name = slack.ask(&asked("weekly")).await.unwrap();
    slack.say(&name, &asked("weekly"), &Became::Completed).await.unwrap();
    let said = said.lock().unwrap().clone();
    let [(first, asked_for), (second, update)] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((first.as_str(), second.as_str()), ("postMessage", "update"));
    assert_eq!((&asked_for["channel"], &update["ts"]), (&json!("C1"), &json!("17.5")));
    assert_eq!(update["text"], ":white_check_mark: *Push Completed*");
    let refused = slack.ask(&asked("refuse-me")).await.unwrap_err();
    assert_eq!(
        (refused.class, refused.message.as_str()),
        (Class::Invalid, "Slack has refused it: not_in_channel")
    );
}

#[tokio::test]
async fn only_those_who_may_let_a_package_go() {
    let (slack, said) = slack().await;
    let value = json!({ "packageId": "pkg.01M8P176469MSSA0NDVMCQHTP0" }).to_string();
    let answers = slack.url.join("/answers").unwrap();
    let pressed = |user: &str| {
        let payload = json!({ "user": { "id": user }, "response_url": answers.as_str(),
            "actions": [{ "action_id": "auto_push_package", "value": value }] });
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", &payload.to_string()).finish()
    };
    let now = SystemClock::new().now().as_second().to_string();
    for (user, answer) in [("U1", Some("slack:U1")), ("U2", None)] {
        let body = pressed(user);
        let mut hash = Hmac::<Sha256>::new_from_slice(b"8f742231b10e8888abcd99yyyzzz85a5").unwrap();
        hash.update(format!("v0:{now}:{body}").as_bytes());
        let signature = format!("v0={}", hex::encode(hash.finalize().into_bytes()));
        let sent = Sent { timestamp: &now, signature: &signature, body: body.as_bytes() };
        let heard = slack.hear(&sent).await.unwrap();
        assert_eq!(heard.map(|answer| answer.who).as_deref(), answer);
    }
    let said = said.lock().unwrap().clone();
    assert_eq!(said.len(), 1, "who may not is told so, and nobody else");
    assert_eq!(said[0].1["text"], words::NOT_ALLOWED);
}
