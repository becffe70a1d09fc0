//! Notification channels, and which projects' events they bring.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Asked};
use crate::simulator::{Simulator, problem::Problem, state::State, wire};

/// The longest address.
const LONGEST_ADDRESS: usize = 100;
/// The longest code of an event.
const LONGEST_CODE: usize = 20;
const TYPES: [&str; 4] = ["MAIL", "SQS", "SNS", "HTTP"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewChannel {
    enabled: bool,
    #[serde(rename = "type")]
    of_type: String,
    address: String,
    aws_region: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSubscription {
    enabled: bool,
    event_code: String,
    notification_channel_id: String,
}

/// What everything that is made has.
fn made(state: &mut State) -> (String, Value) {
    let (id, now) = (state.uuid(), state.now().to_string());
    let shown = json!({
        "id": id, "timeCreated": now, "timeModified": now, "ownerId": wire::USER_ID, "tenantId": wire::USER_ID,
        "tenantName": "simulator",
    });
    (id.to_string(), shown)
}

fn with(mut shown: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (shown.as_object_mut(), more) {
        fields.extend(more);
    }
    shown
}

pub(super) fn channels(simulator: &Simulator) -> Answer {
    let items: Vec<Value> = simulator.with(|state| state.channels.clone());
    Answer::ok(&json!({ "items": items }))
}

pub(super) fn create_channel(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let NewChannel { enabled, of_type, address, aws_region } = asked.read()?;
    if !TYPES.contains(&of_type.as_str()) {
        return Err(Problem::parameter("type", &of_type, "must be MAIL, SQS, SNS or HTTP"));
    }
    if address.is_empty() || address.len() > LONGEST_ADDRESS {
        return Err(Problem::parameter("address", &address, "must have 1 to 100 characters"));
    }
    simulator.with(|state| {
        let (id, shown) = made(state);
        let mut shown = with(shown, json!({ "enabled": enabled, "type": of_type, "address": address }));
        if let Some(region) = aws_region {
            shown = with(shown, json!({ "awsRegion": region }));
        }
        state.channels.push(shown.clone());
        let etag = http::HeaderValue::from_str(&format!("\"{id}\"")).ok();
        Ok(Answer { etag, ..Answer::created(&shown) })
    })
}

pub(super) fn subscriptions(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    simulator.with(|state| {
        let project = asked.project(state)?;
        let own = state.subscriptions.iter().filter(|(of, _)| *of == project);
        let items: Vec<&Value> = own.map(|(_, shown)| shown).collect();
        Ok(Answer::ok(&json!({ "items": items })))
    })
}

/// Is answered with 200, not 201.
pub(super) fn create_subscription(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let NewSubscription { enabled, event_code, notification_channel_id } = asked.read()?;
    if event_code.is_empty() || event_code.len() > LONGEST_CODE {
        return Err(Problem::parameter("eventCode", &event_code, "must have 1 to 20 characters"));
    }
    simulator.with(|state| {
        let project = asked.project(state)?;
        let is_it = |channel: &&Value| {
            channel.get("id").and_then(Value::as_str) == Some(notification_channel_id.as_str())
        };
        let channel = state.channels.iter().find(is_it).cloned();
        let channel =
            channel.ok_or_else(|| Problem::not_found("notificationChannelId", &notification_channel_id))?;
        let (_, shown) = made(state);
        let shown = with(
            shown,
            json!({ "enabled": enabled, "eventCode": event_code, "notificationChannel": channel }),
        );
        state.subscriptions.push((project, shown.clone()));
        Ok(Answer::ok(&shown))
    })
}
