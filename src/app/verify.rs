//! Checks a receipt against what is there.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Misconfigured, adapters};
use crate::{
    config,
    domain::{
        file::DataStatus,
        location::DataPath,
        receipt::{Fate, Line},
    },
    ports::{
        Ports,
        objects::{Access, ObjectLocation},
        platform::Folder,
    },
};

/// The longest receipt that is read, in bytes.
const LARGEST: usize = 1 << 30;
/// Differences that are told one by one.
const MOST_TOLD: usize = 1000;

/// What is to be checked.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The settings file, over the defaults and under the environment.
    pub config: Option<PathBuf>,
    /// The receipt: `s3://bucket/key`, or a local file.
    pub receipt: String,
    /// The SHA-256 that it must have, in hex, where that is known.
    pub sha256: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files that are as the receipt says.
    pub whole: u64,
    /// Files that the receipt says are not there.
    pub not_delivered: u64,
    /// Files that are not as it says: the destination, and what is wrong. The first ones.
    pub differences: Vec<(String, String)>,
    /// All of them.
    pub differing: u64,
}

impl Verified {
    fn note(&mut self, line: &Line, found: Result<(), String>) {
        match found {
            Ok(()) => self.whole += 1,
            Err(why) => {
                self.differing += 1;
                if self.differences.len() < MOST_TOLD {
                    self.differences.push((line.destination.clone(), why));
                }
            }
        }
    }
}

/// Checks every file of a receipt: size, and tag where both are known. Nothing is changed.
pub async fn verify(options: VerifyOptions) -> anyhow::Result<Verified> {
    let settings = config::load(options.config.as_deref(), config::environment())
        .map_err(|problems| Misconfigured(Box::new(problems)))?;
    let ports = adapters::without_memory(&settings).await?;
    let text = read(&ports, &options.receipt).await?;
    if let Some(wanted) = &options.sha256 {
        let sum = hex::encode(Sha256::digest(text.as_bytes()));
        anyhow::ensure!(sum.eq_ignore_ascii_case(wanted), "the receipt is another one: its SHA-256 is {sum}");
    }
    anyhow::ensure!(!text.trim().is_empty(), "{} has no line: it is the receipt of nothing", options.receipt);
    let mut verified = Verified::default();
    // Folder by folder: one listing tells of all files in one.
    let mut folders: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line: Line = serde_json::from_str(line)
            .with_context(|| format!("line {} of {} is none of a receipt", number + 1, options.receipt))?;
        if line.result == Fate::Failed || line.result == Fate::Kept {
            verified.not_delivered += 1;
            continue;
        }
        let folder = line.destination.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        folders.entry(folder).or_default().push(line);
    }
    for (folder, lines) in folders {
        if folder.starts_with("s3://") {
            for line in &lines {
                verified.note(line, in_bucket(&ports, line).await?);
            }
        } else {
            in_project(&ports, &folder, &lines, &mut verified).await?;
        }
    }
    Ok(verified)
}

async fn read(ports: &Ports, receipt: &str) -> anyhow::Result<String> {
    if !receipt.starts_with("s3://") {
        return tokio::fs::read_to_string(receipt).await.with_context(|| format!("{receipt} cannot be read"));
    }
    let at = object(receipt).with_context(|| format!("{receipt} is no object"))?;
    let mut body = ports.objects.get(&at, None, None, &Access::Own).await?;
    let mut bytes = Vec::new();
    while let Some(some) = body.bytes.next().await {
        bytes.extend_from_slice(&some?);
        anyhow::ensure!(bytes.len() <= LARGEST, "{receipt} is longer than any receipt");
    }
    Ok(String::from_utf8(bytes)?)
}

fn object(uri: &str) -> Option<ObjectLocation> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    Some(ObjectLocation::new(bucket, key))
}

async fn in_bucket(ports: &Ports, line: &Line) -> anyhow::Result<Result<(), String>> {
    let Some(at) = object(&line.destination) else { bail!("{} is no object", line.destination) };
    let there = ports.objects.look(&at, &Access::Own).await?;
    Ok(match there {
        None => Err("is not there".to_owned()),
        Some(there) => compared(line, there.size, there.etag.as_ref().map(ToString::to_string).as_deref()),
    })
}

async fn in_project(
    ports: &Ports,
    folder: &str,
    lines: &[Line],
    verified: &mut Verified,
) -> anyhow::Result<()> {
    let place = folder.strip_prefix("icav2://").map(|place| format!("{place}/"));
    let Some((project, path)) = place.as_deref().and_then(|place| Some(place.split_at(place.find('/')?)))
    else {
        bail!("{folder} is no folder of a project");
    };
    let project = ports.platform.project(project).await?.id;
    let folder = Folder::Path(DataPath::told(path.to_owned())?);
    let mut there = BTreeMap::new();
    let mut from = None;
    loop {
        let page = match ports.platform.children(&project, &folder, from.as_deref()).await {
            Ok(page) => page,
            Err(error) if error.class == crate::ports::Class::NotFound => break,
            Err(error) => return Err(error.into()),
        };
        there.extend(page.items.into_iter().map(|data| (data.path.name().to_owned(), data)));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    for line in lines {
        let name = line.destination.rsplit('/').next().unwrap_or_default();
        let found = match there.get(name) {
            None => Err("is not there".to_owned()),
            Some(data) if data.status != DataStatus::Available => {
                Err(format!("is {:?}", data.status).to_uppercase())
            }
            Some(data) => compared(line, data.size, data.etag.as_ref().map(ToString::to_string).as_deref()),
        };
        verified.note(line, found);
    }
    Ok(())
}

fn compared(line: &Line, size: u64, etag: Option<&str>) -> Result<(), String> {
    if let Some(was) = line.size.filter(|was| *was != size) {
        return Err(format!("has {size} bytes, not {was}"));
    }
    match (&line.etag, etag) {
        (Some(was), Some(is)) if was != is => Err(format!("has the tag {is}, not {was}")),
        _ => Ok(()),
    }
}

impl Verified {
    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let differences: Vec<_> = self
            .differences
            .iter()
            .map(|(what, why)| serde_json::json!({ "destination": what, "why": why }))
            .collect();
        serde_json::json!({
            "whole": self.whole, "notDelivered": self.not_delivered, "differing": self.differing,
            "differences": differences,
        })
    }
}
