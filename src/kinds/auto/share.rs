//! A package that is pushed once it is made, and let go where somebody has to.
//!
//! Each round begins at the beginning: what was done is seen, and what is next is done. Package and push have ids that
//! come from the root's own, so that nothing is made twice.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Auto, claims, done, made_by};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{ErrorName, Failure, Outcome},
        share::{
            auto::{Release, ShareOrder},
            destination::Destination,
            jobs::Approval,
            outcome::PackageReport,
            places::artifact,
            request::PushOrder,
        },
    },
    engine::{
        lease::{Leased, RoundResult, id_of},
        records::{self, RootState, attr, millis, set},
        round::AfterRound,
    },
    kinds::{
        cards::Card,
        frozen::outcome_of,
        orders::{self, Given, OWN_SOURCE},
        releases::Held,
    },
    ports::{
        Class, Error,
        notices::{Became, Question},
    },
    signals,
};

/// How long the link to a report is good that people are shown.
const LINK_LASTS: Duration = Duration::from_hours(7 * 24);

/// What the root keeps besides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    /// Whether it was found out what the package is to be without.
    is_begun: bool,
    /// Without what that package held.
    since: Option<String>,
    /// Whether people were told that it is on its way.
    is_told: bool,
}

/// One round.
pub(super) async fn plan(
    auto: &Auto,
    held: &mut Leased,
    order: &ShareOrder,
) -> RoundResult<Option<AfterRound>> {
    let (package, push) = made_by(&id_of(held));
    // Who has asked for a run was looked at with the run.
    if order.job_name.is_none() {
        let source = held.item.text(attr::SOURCE).unwrap_or_default();
        if let Err(failure) = auto.core.settings.policy.check_event_source(source) {
            return auto.core.fail(held, failure).await.map(|()| None);
        }
    }
    // Once its push has begun, nothing of what came before matters any more: records of that may be gone.
    let is_pushed = auto.core.ports.store.get(&records::request_key(&push)).await?.is_some();
    if !is_pushed && let Some(wait) = packaged(auto, held, order, &package).await? {
        return Ok(Some(wait));
    }
    let made = outcome_of(&auto.core, &package).await?;
    let (report, answer) = match made {
        Some(Outcome { failure: Some(failure), .. }) => {
            return auto.core.fail(held, of(&package, failure)).await.map(|()| None);
        }
        Some(Outcome { package: Some(report), answer, .. }) => (report, answer),
        Some(_) | None if is_pushed => (Box::default(), None),
        Some(_) | None => {
            let failure = Failure::new(ErrorName::Internal, format!("what became of {package} is gone"));
            return auto.core.fail(held, failure).await.map(|()| None);
        }
    };
    if order.after.is_some() && report.files == 0 && !is_pushed {
        signals::share::nothing_new(held.lease.key.id.as_str(), package.as_str());
        let outcome = Outcome { answer, ..done(auto, held) };
        return auto.core.conclude(held, &outcome).await.map(|()| None);
    }
    let card = auto.cards.of(&package).await?;
    let card = card.or_else(|| is_pushed.then(|| Card::unknown(auto.core.ports.clock.now())));
    let Some(card) = card else {
        let failure = Failure::new(ErrorName::SourceNotFound, format!("{package} was deleted"));
        return auto.core.fail(held, failure).await.map(|()| None);
    };
    if order.approval != Approval::None
        && !is_pushed
        && let Some(wait) = let_go(auto, held, order, (&package, &card, &report)).await?
    {
        return Ok(Some(wait).filter(|_| !has_ended(held)));
    }
    if let Some(wait) = pushed(auto, held, order, (&package, card.clone()), &push).await? {
        return Ok(Some(wait));
    }
    let end = outcome_of(&auto.core, &push).await?;
    let outcome = match end {
        Some(Outcome { failure: Some(failure), counters, .. }) => {
            Outcome { failure: Some(of(&push, failure)), counters, ..done(auto, held) }
        }
        Some(Outcome { counters, answer: pushed, .. }) => {
            Outcome { answer: both(answer, pushed), counters, ..done(auto, held) }
        }
        None => {
            let failure = Failure::new(ErrorName::Internal, format!("what became of {push} is gone"));
            Outcome { failure: Some(failure), ..done(auto, held) }
        }
    };
    let became = match outcome.failure {
        None => Became::Completed,
        Some(_) => Became::Failed(push.to_string()),
    };
    say(auto, (&package, &card, &report), order, &became).await?;
    auto.core.conclude(held, &outcome).await.map(|()| None)
}

/// Whether an outcome was stored in this round.
fn has_ended(held: &Leased) -> bool {
    records::Phase::of(&held.item) == Some(records::Phase::Finishing)
}

/// The failure of a package or a push, as that of the root.
fn of(id: &RequestId, failure: Failure) -> Failure {
    Failure { message: format!("{id}: {}", failure.message), ..failure }
}

/// The package, and in it its push.
fn both(package: Option<String>, push: Option<String>) -> Option<String> {
    let mut package: Value = serde_json::from_str(&package?).ok()?;
    package.as_object_mut()?.insert("push".to_owned(), serde_json::from_str(&push?).ok()?);
    Some(package.to_string())
}

fn state(held: &Leased) -> RoundResult<(RootState, Own)> {
    let state: RootState = records::document(&held.item, attr::STATE)?;
    let own = state.own()?;
    Ok((state, own))
}

async fn keep(auto: &Auto, held: &mut Leased, mut state: RootState, own: &Own) -> RoundResult<()> {
    state.set_own(own)?;
    auto.core.save(held, vec![set(attr::STATE, records::text(&state)?)]).await
}

/// Who has asked, as far as that is known: an event says it beside what is compared when it comes again.
fn asker(held: &Leased, order: &ShareOrder) -> String {
    let source = held.item.text(attr::SOURCE).unwrap_or_default();
    if order.package.requested_by.is_empty() { source } else { &order.package.requested_by }.to_owned()
}

/// Has the package made; when to look again, until it is.
async fn packaged(
    auto: &Auto,
    held: &mut Leased,
    order: &ShareOrder,
    package: &RequestId,
) -> RoundResult<Option<AfterRound>> {
    let (state, mut own) = state(held)?;
    if !own.is_begun {
        if let Some(after) = &order.after {
            let other = RequestId::new(after.as_str());
            if let Some(wait) = auto.waits_for(held, &other).await? {
                return Ok(Some(wait));
            }
            own.since = claims::newest_package(auto, after).await?.map(|id| id.to_string());
        }
        own.is_begun = true;
        keep(auto, held, state, &own).await?;
    }
    let mut wanted = order.package.clone();
    wanted.asked_at = Some(records::started_at(&held.item));
    if own.since.is_some() {
        wanted.request.since_package_id = own.since;
    }
    let (token, at) = (None, auto.core.ports.clock.now());
    if wanted.public_url.is_empty() {
        wanted.public_url = auto.settings.address();
    }
    let given = Given { source: OWN_SOURCE.to_owned(), at, who: asker(held, order), token };
    let ordered = orders::package(&auto.cards, given, package, &wanted)?;
    if auto.core.ports.store.get(&records::request_key(package)).await?.is_none() {
        held.lease.check()?;
        auto.core.submit(&ordered).await?;
    }
    auto.waits_for(held, package).await
}

/// Has the package let go; when to look again, until somebody has.
async fn let_go(
    auto: &Auto,
    held: &mut Leased,
    order: &ShareOrder,
    (package, card, report): (&RequestId, &Card, &PackageReport),
) -> RoundResult<Option<AfterRound>> {
    let expires_at = auto.settings.expires_at(card.asked_at);
    let there = if let Some(there) = auto.releases.of(package).await? {
        there
    } else {
        let release = Release {
            root: id_of(held).to_string(),
            package_name: card.name.clone(),
            destination: order.destination.clone(),
            approved_by: None,
        };
        // It is kept for as long as a push may take that was let go in the last moment.
        let keep = i64::try_from(auto.settings.expires_after.as_secs()).unwrap_or(i64::MAX / 2);
        auto.releases.put(package, &release, expires_at.as_second().saturating_add(keep)).await?;
        signals::share::waits_for_approval(package.as_str(), &card.name, &order.destination);
        Held { release, asked_as: None }
    };
    let Some(who) = &there.release.approved_by else {
        let now = auto.core.ports.clock.now();
        if now >= expires_at {
            let why = format!("{package} was not approved before it expired (share.expires_after)");
            auto.core.fail(held, Failure::new(ErrorName::PolicyDenied, why)).await?;
            return Ok(Some(AfterRound::at(0)));
        }
        if there.asked_as.is_none() && order.approval == Approval::Slack {
            ask(auto, (package, card, report), order).await?;
        }
        return Ok(Some(AfterRound::at(millis(expires_at))));
    };
    let (state, mut own) = state(held)?;
    if !own.is_told {
        let became = Became::Pushing(who.clone());
        say(auto, (package, card, report), order, &became).await?;
        own.is_told = true;
        keep(auto, held, state, &own).await?;
    }
    Ok(None)
}

/// Has it pushed; when to look again, until it is.
async fn pushed(
    auto: &Auto,
    held: &mut Leased,
    order: &ShareOrder,
    (package, card): (&RequestId, Card),
    push: &RequestId,
) -> RoundResult<Option<AfterRound>> {
    if auto.core.ports.store.get(&records::request_key(push)).await?.is_none() {
        // It was read before: what cannot be read any more is told by the push.
        let read = Destination::read(&order.destination).map(|destination| destination.uri());
        let destination = read.unwrap_or_else(|_| order.destination.clone());
        let ordered = PushOrder {
            package_id: package.to_string(),
            package_name: card.name.clone(),
            destination,
            on_conflict: None,
            deliver: auto.settings.deliver.clone(),
            thaw: None,
            dry_run: false,
            by_event: false,
            requested_by: order.package.requested_by.clone(),
            asked_at: Some(auto.core.ports.clock.now()),
            public_url: order.package.public_url.clone(),
        };
        let (at, who) = (auto.core.ports.clock.now(), asker(held, order));
        let given = Given { source: OWN_SOURCE.to_owned(), at, who, token: None };
        held.lease.check()?;
        auto.core.submit(&orders::push(&auto.cards, given, push, &ordered, card)?).await?;
    }
    auto.waits_for(held, push).await
}

async fn question(
    auto: &Auto,
    (package, card, report): (&RequestId, &Card, &PackageReport),
    order: &ShareOrder,
) -> Question {
    let name = artifact(package, card.asked_at, &format!("SummaryReport.{}.html", card.name));
    let now = auto.core.ports.clock.now();
    let link = match &auto.core.ports.sharing {
        Some(sharing) => sharing.artifacts.link(&name, now, LINK_LASTS).await.ok().flatten(),
        None => None,
    };
    Question {
        package_id: package.to_string(),
        package_name: card.name.clone(),
        destination: order.destination.clone(),
        files: report.files,
        bytes: report.bytes,
        report: link.map(|link| link.url),
    }
}

/// Asks people. Where they cannot be asked, the package can still be let go through the API.
async fn ask(
    auto: &Auto,
    package: (&RequestId, &Card, &PackageReport),
    order: &ShareOrder,
) -> RoundResult<()> {
    let notices = auto.core.ports.sharing.as_ref().and_then(|sharing| sharing.notices.clone());
    let asked = match notices {
        Some(notices) => notices.ask(&question(auto, package, order).await).await,
        None => Err(Error::new(
            Class::Invalid,
            "ask",
            "nobody is to be asked here (share.slack_config_secret_id)",
        )),
    };
    match asked {
        Ok(name) => auto.releases.asked(package.0, &name).await?,
        Err(error) if error.is_passing() => return Err(error.into()),
        Err(error) => signals::share::not_asked(package.0.as_str(), &error),
    }
    Ok(())
}

/// Says what became of a question. That is news, and holds nothing up.
async fn say(
    auto: &Auto,
    package: (&RequestId, &Card, &PackageReport),
    order: &ShareOrder,
    became: &Became,
) -> RoundResult<()> {
    if order.approval != Approval::Slack {
        return Ok(());
    }
    let notices = auto.core.ports.sharing.as_ref().and_then(|sharing| sharing.notices.clone());
    let there = auto.releases.of(package.0).await?;
    if let (Some(notices), Some(asked)) = (notices, there.and_then(|there| there.asked_as))
        && let Err(error) = notices.say(&asked, &question(auto, package, order).await, became).await
    {
        signals::share::not_said(package.0.as_str(), &error);
    }
    Ok(())
}
