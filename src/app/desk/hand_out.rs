//! Hand-outs: the script with which a receiver fetches a package, and the links in it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Desk;
use crate::{
    domain::{
        ids::RequestId,
        share::{files::PackagedFile, places::artifact},
    },
    kinds::cards::Card,
    papers::script::{Head, Refused, Row, Script},
    ports::{
        self, Class, Error,
        objects::ObjectLocation,
        reports::ReportWriter,
        store::{Action, EXPIRE_AT, Item, Key, Write},
    },
    share::Refusal,
};

/// As long as a link can be good at most (`SigV4`).
const LONGEST: Duration = Duration::from_hours(7 * 24);
/// For so long its links must still be good that a script is used again.
const GOOD: SignedDuration = SignedDuration::from_hours(6 * 24);
/// The record of the script of a package.
const HAND_OUT: &str = "HANDOUT";
const DOCUMENT: &str = "handout";

/// A script that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// How long its links are good.
    until: Timestamp,
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(Class::Invalid, "read hand-out", "its record cannot be read").caused_by(error)
}

impl Desk {
    /// The name of the report of a package.
    pub(super) fn report_name(id: &RequestId, card: &Card) -> String {
        artifact(id, card.asked_at, &format!("SummaryReport.{}.html", card.name))
    }

    /// Where an artifact can be read from elsewhere.
    pub(super) async fn url_of(&self, name: &str) -> Result<String, Refusal> {
        if let Some(link) = self.sharing.artifacts.link(name, self.clock.now(), LONGEST).await? {
            return Ok(link.url);
        }
        let link = self.links.make(name, LONGEST).await?;
        let last = name.rsplit('/').next().unwrap_or_default();
        Ok(format!("{}/d/{link}/{last}", self.public_url.as_str().trim_end_matches('/')))
    }

    /// Where the script of a package can be fetched; it is made unless there is one whose links last.
    pub(super) async fn script(&self, id: &RequestId, card: &Card) -> Result<String, Refusal> {
        let name = artifact(id, card.asked_at, &format!("download-data.{}.sh", card.name));
        // Who asks meanwhile gets the one that is being made.
        let _turn = self.scripts.lock().await;
        let key = Key::new(id.as_str(), HAND_OUT);
        let now = self.clock.now();
        if let Some(item) = self.store.get(&key).await? {
            let made: Made =
                serde_json::from_str(item.text(DOCUMENT).unwrap_or_default()).map_err(unreadable)?;
            if made.until.duration_since(now) > GOOD {
                return self.url_of(&name).await;
            }
        }
        let until = self.last_until(now).await?;
        let writer = self.sharing.artifacts.begin(&name).await?;
        self.write_script(id, card, until, writer).await?;
        let text = serde_json::to_string(&Made { until }).map_err(unreadable)?;
        let item = Item::new(key).with(DOCUMENT, text).with(EXPIRE_AT, until.as_second());
        let put = Write { key: item.key, action: Action::Put(item.attributes), conditions: Vec::new() };
        self.store.write(put).await?;
        self.url_of(&name).await
    }

    /// How long links that are signed now are good, if that is long enough.
    async fn last_until(&self, now: Timestamp) -> Result<Timestamp, Refusal> {
        let anywhere = ObjectLocation::new("bucket", "key");
        let until = self.objects.presign(&anywhere, now, LONGEST).await?.until;
        let least = SignedDuration::try_from(self.settings.presign_least).unwrap_or(SignedDuration::MAX);
        if until.duration_since(now) < least {
            let why = format!("Presigned URLs would expire at {until} (share.presign_least)");
            return Err(Refusal::Conflict(why));
        }
        Ok(until)
    }

    async fn write_script(
        &self,
        id: &RequestId,
        card: &Card,
        until: Timestamp,
        mut writer: Box<dyn ReportWriter>,
    ) -> Result<(), Refusal> {
        match self.fill_script(id, card, until, writer.as_mut()).await {
            Ok(()) => writer.finish().await.map(drop).map_err(Refusal::from),
            Err(refusal) => {
                writer.abandon().await;
                Err(refusal)
            }
        }
    }

    async fn fill_script(
        &self,
        id: &RequestId,
        card: &Card,
        until: Timestamp,
        writer: &mut dyn ReportWriter,
    ) -> Result<(), Refusal> {
        let gone = || Refusal::Conflict("Status is not succeeded".to_owned());
        let report = self.packages.report(id).await?.ok_or_else(gone)?;
        let (files, bytes) = (report.files, report.bytes);
        let head = Head { name: &card.name, id: id.as_str(), expires: until, files, bytes };
        let mut script = Script::new(&head);
        let refused = |refused: Refused| Refusal::Conflict(refused.to_string());
        for chunk in 0..report.chunks {
            for file in &self.packages.some_files(id, &report, chunk).await? {
                let url = self.signed(file).await?;
                let (md5, sha256) = (file.md5.as_deref(), file.sha256.as_deref());
                let row = Row { path: &file.path, size: file.size, url: &url, md5, sha256 };
                script.take(&row).map_err(refused)?;
            }
            writer.write(&script.drain()).await?;
        }
        writer.write(&script.finish().map_err(refused)?).await?;
        Ok(())
    }

    async fn signed(&self, file: &PackagedFile) -> ports::Result<String> {
        let place = file.uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let Some((bucket, key)) = place else {
            let why = format!("{} is not in S3", file.uri);
            return Err(Error::new(Class::Invalid, "sign GetObject", why));
        };
        let at = ObjectLocation::new(bucket, key);
        Ok(self.objects.presign(&at, self.clock.now(), LONGEST).await?.url)
    }
}
