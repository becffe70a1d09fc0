//! Where packages and pushes are asked for, looked at and ended: what the API of sharing needs of the engine.

mod auto;
mod hand_out;
mod links;
mod pushes;
mod scripts;
mod shelf;
mod standing;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::{
    links::Links,
    scripts::{Maker, Scripts},
    shelf::Shelf,
    standing::Standing,
};
use crate::{
    domain::{
        ids::RequestId,
        share::{
            files::PackagedFile,
            ids::{self, Shared},
            places::artifact,
            request::{PackageOrder, PackageRequest},
            settings::ShareSettings,
        },
    },
    engine::{Cancel, Engine, Order, Submitted},
    events::share::{
        asked::PushAsked,
        linked::{LinkAsked, LinkMade, LinkShown},
        shown::{JobStatus, PackageShown, PushShown},
    },
    kinds::{
        cards::{Card, Cards},
        orders::{self, Given, OWN_SOURCE},
        package::Package,
        releases::Releases,
    },
    ports::{
        self, Ports, Sharing, chance::Chance, clock::Clock, notices::Sent, objects::ObjectStore,
        platform::DataPlatform,
    },
    share::{Backend, Led, Refusal, Wanted},
    signals,
};

/// Roots that are looked at at a time.
const WIDTH: usize = 8;
/// How often an order is given whose answer is lost, and the wait between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

const NOT_ENDED: &str = "Job is in a state that cannot be deleted";
const HAS_ENDED: &str = "Job is not in a state that can be aborted";

/// Packages and pushes, from outside.
#[derive(Debug)]
pub struct Desk {
    engine: Arc<Engine>,
    packages: Arc<Package>,
    cards: Cards,
    releases: Releases,
    links: Links,
    sharing: Sharing,
    objects: Arc<dyn ObjectStore>,
    platform: Arc<dyn DataPlatform>,
    settings: Arc<ShareSettings>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    public_url: Url,
    scripts: Scripts,
    shelf: Shelf,
}

impl Desk {
    /// Over that engine and these ports. `public_url`: where callers reach it.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        packages: Arc<Package>,
        ports: &Ports,
        sharing: Sharing,
        settings: ShareSettings,
        public_url: Url,
    ) -> Self {
        let keep = settings.keep;
        let (settings, cards) = (Arc::new(settings), Cards::new(ports.store.clone(), keep));
        let scripts = Scripts::new(Maker {
            packages: packages.clone(),
            cards: cards.clone(),
            artifacts: sharing.artifacts.clone(),
            objects: ports.objects.clone(),
            store: ports.store.clone(),
            settings: settings.clone(),
            clock: ports.clock.clone(),
        });
        Self {
            engine,
            shelf: Shelf::new(packages.clone()),
            packages,
            cards,
            releases: Releases::new(ports.store.clone()),
            links: Links::new(ports.store.clone(), ports.clock.clone(), ports.chance.clone()),
            sharing,
            objects: ports.objects.clone(),
            platform: ports.platform.clone(),
            settings,
            clock: ports.clock.clone(),
            chance: ports.chance.clone(),
            public_url,
            scripts,
        }
    }

    /// Goes on with scripts whose callers have hung up, until `off`.
    pub async fn go_on(&self, off: CancellationToken) {
        self.scripts.go_on(off).await;
    }

    /// Those of all cards that are wanted, with where they stand.
    async fn listed(
        &self,
        kind: Shared,
        wanted: &Wanted,
    ) -> Result<(usize, Vec<(RequestId, Card, Standing)>), Refusal> {
        let mut all = self.cards.all(kind, wanted.asked_after, self.clock.now()).await?;
        all.retain(|(_, card)| {
            wanted.packages.is_empty() || wanted.packages.iter().any(|id| id.as_str() == card.package_id)
        });
        let stand = |(id, card): (RequestId, Card)| async move {
            let standing = self.standing(&id, &card).await?;
            Ok::<_, ports::Error>((id, card, standing))
        };
        let all: Vec<_> = stream::iter(all).map(stand).buffered(WIDTH).try_collect().await?;
        let fits = |(_, card, standing): &(RequestId, Card, Standing)| {
            wanted.fits(&card.name, standing.status, card.asked_at, standing.end.as_ref().map(|end| end.at))
        };
        let mut fitting: Vec<_> = all.into_iter().filter(fits).collect();
        let count = fitting.len();
        let page = fitting.drain(..).skip(wanted.first()).take(wanted.rows_per_page).collect();
        Ok((count, page))
    }

    async fn submit(&self, order: Order) -> Result<(), Refusal> {
        let mut tries = 1;
        let submitted = loop {
            match self.engine.submit(&order).await {
                // Whether it was made is found out by giving the same order again.
                Err(error) if error.is_passing() && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                submitted => break submitted?,
            }
        };
        match submitted {
            Submitted::New | Submitted::Known => Ok(()),
            Submitted::Other => Err(Refusal::Conflict(format!("{} was asked for otherwise", order.id))),
        }
    }

    /// An order that is given here and now.
    fn given(&self) -> Given {
        Given { source: OWN_SOURCE.to_owned(), at: self.clock.now(), who: String::new(), token: None }
    }

    fn fresh(&self, kind: Shared) -> RequestId {
        kind.fresh(self.clock.now().as_millisecond(), self.chance.uuid().as_u128())
    }

    async fn abort(&self, id: &RequestId) -> Result<(Card, Standing), Refusal> {
        let card = self.card(id).await?;
        if self.standing(id, &card).await?.status.has_ended() {
            return Err(Refusal::Conflict(HAS_ENDED.to_owned()));
        }
        match self
            .engine
            .cancel(ids::attempt(id, card.newest()).as_str(), "aborted through the API of sharing")
            .await?
        {
            Cancel::Stopping => {}
            Cancel::Ended => return Err(Refusal::Conflict(HAS_ENDED.to_owned())),
            Cancel::Unknown => return Err(Refusal::NotFound(format!("{id} is not known"))),
        }
        let standing = self.settled_soon(id, &card).await?;
        Ok((card, standing))
    }

    /// Where it stands once it has ended, or after a moment in which it has not.
    async fn settled_soon(&self, id: &RequestId, card: &Card) -> Result<Standing, Refusal> {
        const LOOKS: u32 = 10;
        for _ in 0..LOOKS {
            let standing = self.standing(id, card).await?;
            if standing.status.has_ended() {
                return Ok(standing);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(self.standing(id, card).await?)
    }

    /// A package that can be shared.
    async fn ready(&self, id: &RequestId) -> Result<Card, Refusal> {
        let mut card = self.card(id).await?;
        let standing = self.standing(id, &card).await?;
        if standing.status != JobStatus::Succeeded {
            return Err(Refusal::Conflict("Status is not succeeded".to_owned()));
        }
        card.end = standing.end;
        if self.clock.now() >= self.settings.expires_at(card.asked_at) {
            return Err(Refusal::Conflict("Package has expired".to_owned()));
        }
        Ok(card)
    }
}

#[async_trait]
impl Backend for Desk {
    async fn make(
        &self,
        who: &str,
        name: String,
        mut request: PackageRequest,
    ) -> Result<PackageShown, Refusal> {
        if let Some(since) = &request.since_package_id {
            request.since_package_id = Some(self.since(since).await?.to_string());
        }
        let id = self.fresh(Shared::Package);
        let given = self.given();
        let (asked_at, public_url) = (Some(given.at), self.public_url.to_string());
        let order = PackageOrder {
            name,
            request,
            requested_by: who.to_owned(),
            asked_at,
            public_url,
            by_event: false,
        };
        self.submit(orders::package(&self.cards, given, &id, &order)?).await?;
        let card = self.card(&id).await?;
        Ok(self.shown(&id, &card, &Standing::fresh()))
    }

    async fn package(&self, id: &RequestId) -> Result<PackageShown, Refusal> {
        let card = self.card(id).await?;
        let standing = self.standing(id, &card).await?;
        Ok(self.shown(id, &card, &standing))
    }

    async fn packages(&self, wanted: &Wanted) -> Result<(usize, Vec<PackageShown>), Refusal> {
        let (count, page) = self.listed(Shared::Package, wanted).await?;
        let shown = page.into_iter().map(|(id, card, standing)| self.shown(&id, &card, &standing));
        Ok((count, shown.collect()))
    }

    async fn files(
        &self,
        id: &RequestId,
        first: usize,
        most: usize,
    ) -> Result<(usize, Vec<PackagedFile>), Refusal> {
        let card = self.card(id).await?;
        if self.standing(id, &card).await?.status != JobStatus::Succeeded {
            return Err(Refusal::Conflict("Status is not succeeded".to_owned()));
        }
        Ok(self.packages.files(id, first, most).await?)
    }

    async fn abort_package(&self, id: &RequestId) -> Result<PackageShown, Refusal> {
        let (card, standing) = self.abort(id).await?;
        Ok(self.shown(id, &card, &standing))
    }

    async fn delete_package(&self, id: &RequestId) -> Result<PackageShown, Refusal> {
        let card = self.card(id).await?;
        let standing = self.standing(id, &card).await?;
        if !standing.status.has_ended() {
            return Err(Refusal::Conflict(NOT_ENDED.to_owned()));
        }
        match self.sharing.artifacts.remove(&artifact(id, card.asked_at, "")).await {
            Err(error) if error.is_passing() => return Err(error.into()),
            // Where it may not be done, they end by a rule of the bucket.
            Err(error) => signals::share::papers_stay(id.as_str(), &error),
            Ok(()) => {}
        }
        // Links first: once the card is gone, nobody can ask for this again.
        self.links.forget(id).await?;
        // From then on no link is good, and none is made.
        self.cards.delete(id, &card).await?;
        self.links.forget(id).await?;
        Ok(self.shown(id, &card, &standing))
    }

    async fn push(&self, who: &str, id: &RequestId, asked: PushAsked) -> Result<PushShown, Refusal> {
        self.push_of(who, id, asked).await
    }

    async fn retry_push(&self, id: &RequestId) -> Result<PushShown, Refusal> {
        self.push_again(id).await
    }

    async fn receipt(&self, id: &RequestId) -> Result<String, Refusal> {
        self.receipt_of(id).await
    }

    async fn pushed(&self, id: &RequestId) -> Result<PushShown, Refusal> {
        let card = self.card(id).await?;
        let standing = self.standing(id, &card).await?;
        Ok(self.push_shown(id, &card, standing))
    }

    async fn pushes(&self, wanted: &Wanted) -> Result<(usize, Vec<PushShown>), Refusal> {
        let (count, page) = self.listed(Shared::Push, wanted).await?;
        let shown = page.into_iter().map(|(id, card, standing)| self.push_shown(&id, &card, standing));
        Ok((count, shown.collect()))
    }

    async fn abort_push(&self, id: &RequestId) -> Result<PushShown, Refusal> {
        let (card, standing) = self.abort(id).await?;
        Ok(self.push_shown(id, &card, standing))
    }

    async fn run(&self, who: &str, run: String, job: Option<String>) -> Result<String, Refusal> {
        self.run_by_hand(who, run, job).await
    }

    async fn hear(&self, sent: &Sent<'_>) -> Result<(), Refusal> {
        self.hear_answer(sent).await
    }

    async fn approve(&self, who: &str, id: &RequestId) -> Result<PackageShown, Refusal> {
        self.let_go(who, id).await?;
        self.package(id).await
    }

    async fn report(&self, who: &str, id: &RequestId) -> Result<String, Refusal> {
        let card = self.ready(id).await?;
        self.url_of((who, id, &card), &Self::report_name(id, &card)).await
    }

    async fn hand_out(&self, who: &str, id: &RequestId) -> Result<String, Refusal> {
        let card = self.ready(id).await?;
        self.script(who, id, &card).await
    }

    async fn make_link(&self, who: &str, id: &RequestId, asked: LinkAsked) -> Result<LinkMade, Refusal> {
        self.make_a_link(who, id, asked).await
    }

    async fn links(&self, id: &RequestId) -> Result<Vec<LinkShown>, Refusal> {
        self.card(id).await?;
        Ok(self.links.all(id).await?)
    }

    async fn end_link(&self, id: &RequestId, link: &str) -> Result<LinkShown, Refusal> {
        self.card(id).await?;
        let unknown = || Refusal::NotFound(format!("{id} has no such link"));
        self.links.end(id, link).await?.ok_or_else(unknown)
    }

    async fn follow(&self, link: &str, name: Option<&str>, from: u64) -> Result<Led, Refusal> {
        self.lead(link, name, from).await
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
