//! Hand-outs: what leads others to a package, to its papers and to its files.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;

use super::{
    Desk,
    links::{Found, Terms, Whole},
    scripts::{LONGEST, add, place_of, script_name},
};
use crate::{
    domain::{
        ids::RequestId,
        share::{files::InProject, ids::Shared, outcome::PackageReport, places::artifact, settings::Presign},
    },
    events::share::linked::{LinkAsked, LinkMade},
    kinds::{cards::Card, package::Package},
    papers::script::{Head, Script},
    ports::{
        objects::Presigned,
        reports::{Opened, kind_of},
    },
    share::{Led, Refusal},
};

/// Who a link is for that nobody is named for.
const ANYBODY: &str = "anybody";

/// What is said of a link that leads nowhere, whatever the reason.
pub(super) fn gone() -> Refusal {
    Refusal::NotFound("there is no such link, or it has ended".to_owned())
}

fn later(at: Timestamp, lasts: Duration) -> Timestamp {
    at.saturating_add(SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX))
        .unwrap_or(Timestamp::MAX)
}

impl Desk {
    /// The name of the report of a package.
    pub(super) fn report_name(id: &RequestId, card: &Card) -> String {
        artifact(id, card.asked_at, &format!("SummaryReport.{}.html", card.name))
    }

    /// Where a paper of a package can be read from elsewhere.
    pub(super) async fn url_of(
        &self,
        (who, id, card): (&str, &RequestId, &Card),
        name: &str,
    ) -> Result<String, Refusal> {
        let now = self.clock.now();
        if self.settings.presign == Presign::S3
            && let Some(link) = self.sharing.artifacts.link(name, now, LONGEST).await?
        {
            return Ok(link.url);
        }
        let mut until = later(now, LONGEST);
        // What a push has left may be looked at for as long as it is kept.
        if Shared::of(id) == Some(Shared::Package) {
            until = until.min(self.settings.expires_at(card.asked_at));
        }
        let (label, who, paper) = (String::new(), who.to_owned(), Some(name.to_owned()));
        let terms = Terms { label, who, made_at: now, until, paper };
        let unknown = || Refusal::NotFound(format!("{id} is not known"));
        let link = self.links.make(id, terms, until).await?.ok_or_else(unknown)?;
        let last = name.rsplit('/').next().unwrap_or_default();
        Ok(self.door(&link.text, last))
    }

    /// Where a link leads in, and to what behind it.
    fn door(&self, link: &str, rest: &str) -> String {
        format!("{}/d/{link}/{rest}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// Where the script of a package can be fetched.
    pub(super) async fn script(&self, who: &str, id: &RequestId, card: &Card) -> Result<String, Refusal> {
        if self.settings.presign == Presign::S3 {
            self.scripts.make(id, card).await?;
            let name = artifact(id, card.asked_at, &script_name(card));
            return self.url_of((who, id, card), &name).await;
        }
        let text = if let Some(text) = self.links.made_for(id, who).await? {
            text
        } else {
            let label = if who.is_empty() { ANYBODY } else { who }.to_owned();
            let whole = self.new_link(who, id, card, LinkAsked { label, until: None }).await?;
            self.links.remember(id, who, &whole.text);
            whole.text
        };
        Ok(self.door(&text, &script_name(card)))
    }

    /// Makes a link to the files of a package that can be shared.
    async fn new_link(
        &self,
        who: &str,
        id: &RequestId,
        card: &Card,
        asked: LinkAsked,
    ) -> Result<Whole, Refusal> {
        let (now, end) = (self.clock.now(), self.settings.expires_at(card.asked_at));
        let LinkAsked { label, until } = asked;
        let until = until.unwrap_or(end);
        if until > end {
            return Err(Refusal::Bad(format!("until must not be after the package expires, at {end}")));
        }
        if until <= now {
            return Err(Refusal::Bad("until must be after the current time".to_owned()));
        }
        let most = usize::try_from(self.settings.max_links).unwrap_or(usize::MAX);
        let links = self.links.all(id).await?;
        if links.iter().filter(|link| link.paper.is_none()).count() >= most {
            return Err(Refusal::Conflict(format!("the package has {most} links (share.max_links)")));
        }
        let terms = Terms { label, who: who.to_owned(), made_at: now, until, paper: None };
        let unknown = || Refusal::NotFound(format!("{id} is not known"));
        let keep = later(card.asked_at, self.settings.keep).max(until);
        self.links.make(id, terms, keep).await?.ok_or_else(unknown)
    }

    pub(super) async fn make_a_link(
        &self,
        who: &str,
        id: &RequestId,
        asked: LinkAsked,
    ) -> Result<LinkMade, Refusal> {
        let card = self.ready(id).await?;
        let Whole { text, shown } = self.new_link(who, id, &card, asked).await?;
        let url = self.door(&text, "").trim_end_matches('/').to_owned();
        Ok(LinkMade { shown, url, script: self.door(&text, &script_name(&card)) })
    }

    /// What a link leads to: a paper; the script of a package; or one of its files, of which the bytes from `from` on
    /// are wanted.
    pub(super) async fn lead(&self, link: &str, name: Option<&str>, from: u64) -> Result<Led, Refusal> {
        let found = self.links.find(link).await?.ok_or_else(gone)?;
        if let Some(paper) = &found.terms.paper {
            let opened = self.sharing.artifacts.open(paper).await?.ok_or_else(gone)?;
            let counted = self.links.count(&found, opened.size.unwrap_or_default()).await?;
            return if counted { Ok(Led::Here(opened)) } else { Err(gone()) };
        }
        match name {
            None => self.linked_script(&found, link).await,
            Some(name) if name == script_name(&found.card) => self.linked_script(&found, link).await,
            Some(name) => {
                let number = name.parse().map_err(|_| gone())?;
                self.file(&found, number, from).await
            }
        }
    }

    /// Where a file is read. It is counted before that is told; what cannot be counted is not told.
    async fn file(&self, found: &Found, number: u64, from: u64) -> Result<Led, Refusal> {
        let file = self.shelf.file(&found.package, number).await?.ok_or_else(gone)?;
        if !self.links.count(found, file.size.saturating_sub(from)).await? {
            return Err(gone());
        }
        let (now, lasts) = (self.clock.now(), self.settings.link_lifetime);
        let Some(InProject { project, data }) = &file.icav2 else {
            return Ok(Led::There(self.objects.presign(&place_of(&file)?, now, lasts).await?));
        };
        // ICAv2 says for itself how long it is good.
        let urls = self.platform.download_urls(project, std::slice::from_ref(data)).await?;
        let url = urls.first().ok_or_else(gone)?.expose_secret().to_owned();
        Ok(Led::There(Presigned { url, until: later(now, lasts) }))
    }

    /// The script of a package, whose links are those of `link`. It is made as it is read, and kept nowhere: it holds
    /// the secret.
    async fn linked_script(&self, found: &Found, link: &str) -> Result<Led, Refusal> {
        let report = self.shelf.report(&found.package).await?.ok_or_else(gone)?;
        let (files, bytes) = (report.files, report.bytes);
        let (name, id) = (found.card.name.as_str(), found.package.as_str());
        let head = Head { name, id, expires: found.terms.until, files, bytes };
        let writing = Writing {
            packages: self.packages.clone(),
            package: found.package.clone(),
            report,
            base: self.door(link, ""),
            script: Some(Script::new(&head)),
            chunk: 0,
            number: 0,
        };
        let bytes = stream::try_unfold(writing, async |mut writing: Writing| {
            let piece = writing.next().await.map_err(|why| io::Error::other(format!("{why:?}")))?;
            Ok(piece.map(|piece| (Bytes::from(piece), writing)))
        });
        Ok(Led::Here(Opened { size: None, kind: kind_of("x.sh"), bytes: bytes.boxed() }))
    }
}

/// A script that is made as it is read.
struct Writing {
    packages: Arc<Package>,
    package: RequestId,
    report: Arc<PackageReport>,
    base: String,
    /// None: its end was read.
    script: Option<Script>,
    chunk: u32,
    /// The number of the last file.
    number: u64,
}

impl Writing {
    /// The next piece; `None` behind the last.
    async fn next(&mut self) -> Result<Option<String>, Refusal> {
        if self.chunk >= self.report.chunks {
            let script = self.script.take();
            return script.map(|script| script.finish().map_err(Refusal::from)).transpose();
        }
        let Some(script) = &mut self.script else { return Ok(None) };
        for file in &self.packages.some_files(&self.package, &self.report, self.chunk).await? {
            self.number += 1;
            add(script, file, &format!("{}{}", self.base, self.number))?;
        }
        self.chunk += 1;
        Ok(Some(script.drain()))
    }
}
