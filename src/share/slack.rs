//! Where Slack says who has pressed which button. It shows no token: it signs what it says. So whoever comes gets little
//! room and little time.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use tokio::time::timeout;

use super::{Refusal, Share};
use crate::ports::notices::Sent;

/// Bytes of what Slack says of a button, and more.
const LARGEST: usize = 64 * 1024;
/// How long it may take to say it.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Share> {
    Router::new().route("/slack/actions", post(hear))
}

async fn hear(State(share): State<Share>, headers: HeaderMap, body: Body) -> Result<StatusCode, Refusal> {
    let unread = || Refusal::Bad("the body is too long, or does not come".to_owned());
    let body =
        timeout(PATIENCE, to_bytes(body, LARGEST)).await.map_err(|_| unread())?.map_err(|_| unread())?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (timestamp, signature) = (text("x-slack-request-timestamp"), text("x-slack-signature"));
    share.backend.hear(&Sent { timestamp, signature, body: &body }).await?;
    Ok(StatusCode::OK)
}
