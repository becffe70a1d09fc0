//! Where Slack says who has pressed which button. It shows no token: it signs what it says.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};

use super::{Refusal, Share};
use crate::ports::notices::Sent;

pub(super) fn routes() -> Router<Share> {
    Router::new().route("/slack/actions", post(hear))
}

async fn hear(State(share): State<Share>, headers: HeaderMap, body: Bytes) -> Result<StatusCode, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (timestamp, signature) = (text("x-slack-request-timestamp"), text("x-slack-signature"));
    share.backend.hear(&Sent { timestamp, signature, body: &body }).await?;
    Ok(StatusCode::OK)
}
