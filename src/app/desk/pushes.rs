//! Pushes: asked for, and tried again.

use std::time::Duration;

use serde_json::json;

use super::{Desk, standing::Standing};
use crate::{
    domain::{
        ids::RequestId,
        share::{
            destination::Destination,
            ids::{self, Shared},
            places::push_log,
            request::PushOrder,
        },
    },
    engine::Order,
    events::share::{
        asked::PushAsked,
        shown::{JobStatus, PushShown},
    },
    kinds::{
        cards::Card,
        orders::{self, OWN_SOURCE},
    },
    share::Refusal,
};

/// How often a push is tried.
const MOST_ATTEMPTS: u32 = 1000;

const NOT_FAILED: &str = "Job is not in a state that can be retried";

impl Desk {
    pub(super) async fn push_of(
        &self,
        who: &str,
        id: &RequestId,
        asked: PushAsked,
    ) -> Result<PushShown, Refusal> {
        let package = self.ready(id).await?;
        let destination = Destination::read(&asked.destination).map_err(Refusal::Bad)?;
        destination.takes(asked.thaw.as_ref()).map_err(Refusal::Bad)?;
        self.check_way(id, &destination).await?;
        let deliver = asked.deliver.unwrap_or_else(|| self.settings.deliver.clone());
        if matches!(destination, Destination::Project(_))
            && !deliver.is_empty()
            && !self.lie_in_bucket().await?
        {
            let why = "deliver: into a project goes only what lies in a bucket: share.artifacts is a folder";
            return Err(Refusal::Bad(why.to_owned()));
        }
        let push = self.fresh(Shared::Push);
        let given = self.given();
        let order = PushOrder {
            package_id: id.to_string(),
            package_name: package.name.clone(),
            destination: destination.uri(),
            on_conflict: asked.on_conflict,
            deliver,
            thaw: asked.thaw,
            dry_run: asked.dry_run,
            requested_by: who.to_owned(),
            asked_at: Some(given.at),
            public_url: self.public_url.to_string(),
            by_event: false,
        };
        self.submit(orders::push(&self.cards, given, &push, &order, package)?).await?;
        let card = self.card(&push).await?;
        Ok(self.push_shown(&push, &card, Standing::fresh()))
    }

    /// What was asked for, as its card knows it: the same whenever it is asked.
    fn push_order(&self, card: &Card) -> PushOrder {
        PushOrder {
            package_id: card.package_id.clone(),
            package_name: card.name.clone(),
            destination: card.destination.clone(),
            on_conflict: card.on_conflict,
            deliver: card.deliver.clone(),
            thaw: card.thaw.clone(),
            dry_run: card.dry_run,
            requested_by: card.who.clone(),
            asked_at: Some(card.asked_at),
            public_url: self.public_url.to_string(),
            by_event: false,
        }
    }

    /// Whether a package may go there.
    async fn check_way(&self, package: &RequestId, to: &Destination) -> Result<(), Refusal> {
        self.settings.check_destination(to).map_err(|failure| Refusal::Forbidden(failure.message))?;
        let gone = || Refusal::Conflict("the files of the package are not kept any more".to_owned());
        let libraries = self.packages.report(package).await?.ok_or_else(gone)?.libraries;
        self.settings.rules.check(&libraries, to).map_err(|failure| Refusal::Forbidden(failure.message))
    }

    /// Whether artifacts can be brought from where they lie.
    async fn lie_in_bucket(&self) -> Result<bool, Refusal> {
        let artifacts = &self.sharing.artifacts;
        Ok(artifacts.link("any", self.clock.now(), Duration::from_mins(1)).await?.is_some())
    }

    /// Tries a push again: a root of its own under the same card, which brings what is not there.
    pub(super) async fn push_again(&self, id: &RequestId) -> Result<PushShown, Refusal> {
        let mut card = self.card(id).await?;
        let standing = self.standing(id, &card).await?;
        let attempt = card.newest() + 1;
        if standing.status != JobStatus::Failed || card.dry_run || attempt > MOST_ATTEMPTS {
            return Err(Refusal::Conflict(NOT_FAILED.to_owned()));
        }
        let package = RequestId::new(card.package_id.as_str());
        self.ready(&package).await?;
        self.check_way(&package, &Destination::read(&card.destination).map_err(Refusal::Bad)?).await?;
        // The same wish has the same id, so that a call that is repeated makes one attempt.
        let order = Order {
            kind: "push",
            id: ids::attempt(id, attempt),
            destination: card.destination.clone(),
            payload: json!(self.push_order(&card)),
            source: OWN_SOURCE.to_owned(),
            token: None,
            also: Vec::new(),
        };
        self.submit(order).await?;
        self.cards.again(id, &card, attempt).await?;
        card.attempt = attempt;
        Ok(self.push_shown(id, &card, Standing::again()))
    }

    /// Where the receipt of a push can be read.
    pub(super) async fn receipt_of(&self, id: &RequestId) -> Result<String, Refusal> {
        let card = self.card(id).await?;
        let standing = self.standing(id, &card).await?;
        if standing.end.is_none_or(|end| end.receipt.is_none()) {
            return Err(Refusal::NotFound(format!("{id} has no receipt")));
        }
        self.url_of(("", id, &card), &push_log(id, card.asked_at, "receipt.jsonl")).await
    }
}
