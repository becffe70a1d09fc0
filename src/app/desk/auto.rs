//! What is shared by itself, when somebody asks for it, or lets it go.

use serde_json::json;

use super::Desk;
use crate::{
    domain::{
        ids::RequestId,
        share::{
            auto::{AutoOrder, RunOrder},
            ids::Shared,
        },
    },
    engine::{Order, Woken},
    kinds::orders::OWN_SOURCE,
    ports::{Class, notices::Sent},
    share::Refusal,
};

impl Desk {
    /// Shares a run as if it were ready just now.
    pub(super) async fn run_by_hand(
        &self,
        who: &str,
        run: String,
        job: Option<String>,
    ) -> Result<String, Refusal> {
        if self.settings.auto_jobs.is_empty() {
            let why = "nothing is shared by itself here (share.auto_jobs)";
            return Err(Refusal::Conflict(why.to_owned()));
        }
        let id = RequestId::new(format!("auto.{}", self.chance.uuid().simple()));
        let destination = format!("run {run}");
        let order = AutoOrder::Run(RunOrder {
            instrument_run_id: run,
            job_name: job,
            requested_by: who.to_owned(),
            by_hand: true,
            public_url: self.public_url.to_string(),
        });
        let (source, payload) = (OWN_SOURCE.to_owned(), json!(order));
        let order = Order {
            kind: "auto",
            id: id.clone(),
            destination,
            payload,
            source,
            token: None,
            also: Vec::new(),
        };
        self.submit(order).await?;
        Ok(id.to_string())
    }

    /// Lets go what somebody in Slack has let go.
    pub(super) async fn hear_answer(&self, sent: &Sent<'_>) -> Result<(), Refusal> {
        let nobody =
            || Refusal::NotFound("nobody is asked in Slack here (share.slack_config_secret_id)".to_owned());
        let notices = self.sharing.notices.as_ref().ok_or_else(nobody)?;
        let heard = notices.hear(sent).await.map_err(|error| match error.class {
            Class::Unauthorized => Refusal::Unknown(error.message),
            Class::Invalid => Refusal::Bad(error.message),
            _ => Refusal::from(error),
        })?;
        let Some(answer) = heard else { return Ok(()) };
        let unknown = || Refusal::Bad("the button names no package".to_owned());
        let id = Shared::Package.read(&answer.package_id).ok_or_else(unknown)?;
        self.let_go(&answer.who, &id).await
    }

    /// Lets a package go that waits for it. Who lets it go again changes nothing.
    pub(super) async fn let_go(&self, who: &str, id: &RequestId) -> Result<(), Refusal> {
        self.ready(id).await?;
        let waits_not = || Refusal::Conflict(format!("{id} does not wait for approval"));
        let there = self.releases.of(id).await?.ok_or_else(waits_not)?;
        let who = if who.is_empty() { "somebody" } else { who };
        self.releases.approve(id, who).await?;
        match self.engine.wake_request(&RequestId::new(there.release.root.as_str())).await? {
            Woken::Now => Ok(()),
            Woken::Ended | Woken::Unknown => Err(waits_not()),
        }
    }
}
