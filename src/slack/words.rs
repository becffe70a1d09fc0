//! What is said in Slack, and what comes back from there: the button below a question, and who has pressed it.

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::ports::notices::{Became, Question};

/// The button's name, which the service that this one replaces has given it.
const BUTTON: &str = "auto_push_package";
/// What whoever may not press it is told.
pub(super) const NOT_ALLOWED: &str = ":warning: You’re not authorised to trigger push.";

/// Somebody has pressed the button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pressed {
    /// The id of whoever has.
    pub user: String,
    /// The package. Where it goes is not taken from the button.
    pub package_id: String,
    /// Where an answer for that person alone goes. Whoever knows it may answer.
    pub response_url: String,
}

/// Reads the body of a call of Slack; `None` where another button was pressed, or none.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn pressed(body: &[u8]) -> Result<Option<Pressed>, String> {
    let payload = form_urlencoded::parse(body).find(|(name, _)| name == "payload");
    let (_, payload) = payload.ok_or("there is no `payload`")?;
    let payload: Value =
        serde_json::from_str(&payload).map_err(|error| format!("`payload` is not JSON: {error}"))?;
    let text = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let actions = payload.get("actions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let Some(action) = actions.iter().find(|action| action.get("action_id") == Some(&BUTTON.into())) else {
        return Ok(None);
    };
    let value = text(action, "/value").ok_or("the button has no `value`")?;
    let value: Value =
        serde_json::from_str(&value).map_err(|error| format!("`value` is not JSON: {error}"))?;
    Ok(Some(Pressed {
        user: text(&payload, "/user/id").ok_or("there is no `user.id`")?,
        package_id: text(&value, "/packageId").ok_or("`value` has no `packageId`")?,
        response_url: text(&payload, "/response_url").unwrap_or_default(),
    }))
}

/// A text in which nothing is markup.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(['\n', '\r', '`'], " ")
}

fn about(question: &Question) -> String {
    let Question { package_id, package_name, destination, files, bytes, report } = question;
    let report =
        report.as_deref().map(|url| format!("\n<{}|Summary report>", url.replace(['<', '>', '|'], "")));
    format!(
        "*{}* (`{}`)\n{files} files, {bytes} bytes, to `{}`{}",
        plain(package_name),
        plain(package_id),
        plain(destination),
        report.unwrap_or_default()
    )
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// The message that asks, for `chat.postMessage`.
#[must_use]
pub(super) fn question(channel: &str, question: &Question) -> Value {
    let Question { package_id, package_name, destination, .. } = question;
    let value =
        json!({ "packageId": package_id, "packageName": package_name, "shareDestination": destination });
    let button = json!({
        "type": "button",
        "action_id": BUTTON,
        "style": "primary",
        "text": { "type": "plain_text", "text": "Push package" },
        "value": value.to_string(),
    });
    json!({
        "channel": channel,
        "text": format!("Package {} is ready to be pushed", plain(package_name)),
        "blocks": [section(&about(question)), { "type": "actions", "elements": [button] }],
        "unfurl_links": false,
    })
}

/// The same message once something has become of it, without the button, for `chat.update`.
#[must_use]
pub(super) fn became(channel: &str, ts: &str, question: &Question, became: &Became) -> Value {
    let told = match became {
        Became::Pushing(who) => {
            let who = who.strip_prefix(USER).map_or_else(|| plain(who), |user| format!("<@{}>", plain(user)));
            format!(":outbox_tray: Push in progress… triggered by {who}.")
        }
        Became::Completed => ":white_check_mark: *Push Completed*".to_owned(),
        Became::Failed(push) => format!(":x: Push *{}* FAILED.", plain(push)),
    };
    json!({ "channel": channel, "ts": ts, "text": told, "blocks": [section(&about(question)), section(&told)] })
}

/// What the name of somebody begins with who has answered in Slack; the id there follows.
pub(super) const USER: &str = "slack:";

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Question {
        Question {
            package_id: "pkg.01M8P176469MSSA0NDVMCQHTP0".into(),
            package_name: "a<@U1>b".into(),
            destination: "s3://b/`x`/".into(),
            files: 3,
            bytes: 5,
            report: Some("https://x/r?a=1".into()),
        }
    }

    #[test]
    fn the_button_comes_back_with_the_package() {
        let message = question("C1", &asked());
        let value = message.pointer("/blocks/1/elements/0/value").unwrap();
        let payload = json!({ "user": { "id": "U7" }, "response_url": "https://hooks.slack.com/x",
            "actions": [{ "action_id": "other" }, { "action_id": BUTTON, "value": value }] });
        let body: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &payload.to_string())
            .finish();
        let there = pressed(body.as_bytes()).unwrap().unwrap();
        assert_eq!((there.user.as_str(), there.package_id), ("U7", asked().package_id));
        assert_eq!(pressed(b"payload=%7B%7D"), Ok(None));
        for wrong in [
            "",
            "payload=x",
            "payload=%7B%22actions%22%3A%5B%7B%22action_id%22%3A%22auto_push_package%22%7D%5D%7D",
        ] {
            assert!(pressed(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_places_are_no_markup() {
        let text = question("C1", &asked()).to_string();
        assert!(text.contains("a&lt;@U1&gt;b") && !text.contains("*a<@U1>b"), "{text}");
        assert!(text.contains("to `s3://b/ x /`"), "{text}");
        let told = became("C1", "1.2", &asked(), &Became::Pushing("slack:U7".into()));
        assert_eq!(told["text"], ":outbox_tray: Push in progress… triggered by <@U7>.");
        let told = became("C1", "1.2", &asked(), &Became::Pushing("<!channel>".into()));
        assert_eq!(told["text"], ":outbox_tray: Push in progress… triggered by &lt;!channel&gt;.");
    }
}
