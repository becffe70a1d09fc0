//! Task tokens of the embedded mode: any text that the caller made up. Answers go to the webhook
//! and the log; the first one counts, and is remembered over restarts.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Transaction};
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use super::{
    database::{Database, failed},
    outcomes::Outcomes,
};
use crate::{
    domain::{ids::digest, token::TaskToken},
    ports::{
        Result,
        callbacks::{Delivery, TaskCallbacks},
        clock::Clock,
    },
    signals,
};

/// How long it is remembered that a token was answered, in seconds.
const REMEMBER: i64 = 30 * 24 * 3600;

/// Answers that may be on their way at a time.
const TURNS: usize = 16;

/// Answers by webhook and log.
#[derive(Debug)]
pub struct LocalCallbacks {
    database: Database,
    outcomes: Outcomes,
    clock: Arc<dyn Clock>,
    /// A token takes always the same turn, so that two tasks that answer it do so one after the other.
    turns: [Mutex<()>; TURNS],
}

impl LocalCallbacks {
    /// Answers to that webhook, remembered in that database.
    pub fn new(database: Database, outcomes: Outcomes, clock: Arc<dyn Clock>) -> Self {
        Self { database, outcomes, clock, turns: Default::default() }
    }

    async fn answer(&self, token: &TaskToken, status: &str, body: &Json, told: &str) -> Result<Delivery> {
        let turn = token
            .expose()
            .bytes()
            .fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        let _turn = match self.turns.get(turn % TURNS) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        if self.is_answered(token).await? {
            return Ok(Delivery::Gone);
        }
        // Posted before it is remembered: a crash in between repeats the answer, never loses it.
        self.outcomes.post(body).await?;
        self.remember(token).await?;
        signals::queue::task_answered(status, told);
        Ok(Delivery::Delivered)
    }

    async fn is_answered(&self, token: &TaskToken) -> Result<bool> {
        let hash = digest(&[token.expose()]);
        let look = move |connection: &rusqlite::Connection| {
            connection
                .query_row("SELECT 1 FROM answers WHERE token_hash = ?1", [hash], |_| Ok(()))
                .optional()
                .map(|found| found.is_some())
                .map_err(|error| failed("read answer", error))
        };
        self.database.read("read answer", look).await
    }

    async fn remember(&self, token: &TaskToken) -> Result<()> {
        let (hash, now) = (digest(&[token.expose()]), self.clock.now().as_second());
        let work = move |transaction: &Transaction<'_>| {
            transaction
                .execute("DELETE FROM answers WHERE answered_at < ?1", [now.saturating_sub(REMEMBER)])
                .and_then(|_| {
                    transaction.execute(
                        "INSERT OR IGNORE INTO answers (token_hash, answered_at) VALUES (?1, ?2)",
                        (hash, now),
                    )
                })
                .map(drop)
                .map_err(|error| failed("remember answer", error))
        };
        self.database.write("remember answer", work).await
    }
}

#[async_trait]
impl TaskCallbacks for LocalCallbacks {
    async fn heartbeat(&self, token: &TaskToken) -> Result<Delivery> {
        if self.is_answered(token).await? {
            return Ok(Delivery::Gone);
        }
        signals::queue::heartbeat_noted();
        Ok(Delivery::Delivered)
    }

    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery> {
        let output_json = serde_json::from_str(output).unwrap_or_else(|_| Json::from(output));
        let body = json!({"taskToken": token.expose(), "status": "SUCCEEDED", "output": output_json});
        self.answer(token, "SUCCEEDED", &body, output).await
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery> {
        let cause_json = serde_json::from_str(cause).unwrap_or_else(|_| Json::from(cause));
        let body =
            json!({"taskToken": token.expose(), "status": "FAILED", "error": error, "cause": cause_json});
        self.answer(token, "FAILED", &body, &format!("{error}: {cause}")).await
    }
}
