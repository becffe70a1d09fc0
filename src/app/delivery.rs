//! Checks a delivery against its receipt, in a folder or in a bucket. The receipt is read as it comes: it may have
//! 200,000 lines.

use std::{
    fs, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use md5::Md5;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio_util::io::StreamReader;

use super::{Misconfigured, Unreachable, on_aws};
use crate::{
    config,
    domain::share::places,
    papers::delivery::receipt::Line,
    ports::objects::{Access, ObjectInfo, ObjectLocation, ObjectStore},
};

/// The longest line of a receipt, in bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// Lines that are checked before the next are read.
const BATCH: usize = 256;
/// Files that are read at a time, and objects that are looked at.
const FILES: usize = 4;
const OBJECTS: usize = 32;
/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// What is to be checked.
#[derive(Debug, Clone, Default)]
pub struct DeliveryOptions {
    /// The settings file, over the defaults and under the environment; read where something is in S3.
    pub config: Option<PathBuf>,
    /// The receipt: `s3://bucket/key`, or a local file.
    pub receipt: String,
    /// Where the files are: `s3://bucket/prefix/`, or a folder.
    pub place: String,
    /// The SHA-256 that the receipt must have, in hex, where that is known.
    pub sha256: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Files with the sum that the receipt tells.
    pub by_sum: u64,
    /// Objects with the tag that it tells.
    pub by_tag: u64,
    /// Files of which only the size could be compared.
    pub by_size: u64,
    /// Files that are not there.
    pub missing: u64,
    /// Files that are others.
    pub different: u64,
}

impl Checked {
    /// Files that have to be brought again.
    #[must_use]
    pub const fn wrong(&self) -> u64 {
        self.missing + self.different
    }
}

/// How a file stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    BySum,
    ByTag,
    BySize,
    Missing,
    Different(String),
}

/// Where files are.
enum Place {
    Folder(PathBuf),
    Bucket(Arc<dyn ObjectStore>, ObjectLocation),
}

/// Checks every file of a receipt. `wrong` is told of those that have to be brought again: the path, and why.
/// Nothing is changed.
///
/// # Errors
///
/// A receipt that cannot be read, or is another one than the one of that sum; an S3 that does not answer.
pub async fn check_delivery(
    options: DeliveryOptions,
    mut wrong: impl FnMut(&str, &str) -> anyhow::Result<()>,
) -> anyhow::Result<Checked> {
    let DeliveryOptions { config, receipt, place, sha256 } = options;
    let objects = if receipt.starts_with("s3://") || place.starts_with("s3://") {
        let settings = config::load(config.as_deref(), config::environment())
            .map_err(|problems| Misconfigured(Box::new(problems)))?;
        Some(on_aws::objects(&settings))
    } else {
        None
    };
    let mut lines = open(&receipt, objects.as_ref()).await?;
    let place = match (object(&place), objects) {
        (Some(mut at), Some(objects)) => {
            if !at.key.is_empty() && !at.key.ends_with('/') {
                at.key.push('/');
            }
            Place::Bucket(objects, at)
        }
        _ => Place::Folder(PathBuf::from(place)),
    };
    if let Place::Folder(folder) = &place {
        anyhow::ensure!(folder.is_dir(), "{} is no folder", folder.display());
    }
    let (mut checked, mut sum, mut number) = (Checked::default(), Sha256::new(), 0_u64);
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(text) =
                next(lines.as_mut()).await.with_context(|| format!("{receipt} cannot be read"))?
        {
            sum.update(&text);
            number += 1;
            let line = std::str::from_utf8(&text).ok().and_then(|text| Line::read(text).ok());
            batch.push(
                line.with_context(|| format!("line {number} of {receipt} is none of the receipt of a push"))?,
            );
        }
        if batch.is_empty() {
            break;
        }
        let width = if matches!(place, Place::Folder(_)) { FILES } else { OBJECTS };
        let found = stream::iter(&batch).map(|line| place.look(line)).buffered(width);
        let found: Vec<Found> = found.try_collect().await?;
        for (line, found) in batch.iter().zip(found) {
            match found {
                Found::BySum => checked.by_sum += 1,
                Found::ByTag => checked.by_tag += 1,
                Found::BySize => checked.by_size += 1,
                Found::Missing => {
                    checked.missing += 1;
                    wrong(&line.path, "is not there")?;
                }
                Found::Different(why) => {
                    checked.different += 1;
                    wrong(&line.path, &why)?;
                }
            }
        }
    }
    anyhow::ensure!(number > 0, "{receipt} has no line: nothing had arrived");
    let sum = hex::encode(sum.finalize());
    if let Some(wanted) = sha256 {
        anyhow::ensure!(
            sum.eq_ignore_ascii_case(&wanted),
            "the receipt is another one: its SHA-256 is {sum}"
        );
    }
    Ok(checked)
}

type Lines = Pin<Box<dyn AsyncBufRead + Send>>;

async fn open(receipt: &str, objects: Option<&Arc<dyn ObjectStore>>) -> anyhow::Result<Lines> {
    if let (Some(at), Some(objects)) = (object(receipt), objects) {
        let body = objects.get(&at, None, None, &Access::Own).await.map_err(away)?;
        return Ok(Box::pin(BufReader::new(StreamReader::new(body.bytes))));
    }
    let file = tokio::fs::File::open(receipt).await.with_context(|| format!("{receipt} cannot be read"))?;
    Ok(Box::pin(BufReader::new(file)))
}

/// The next line, with its end.
async fn next(lines: Pin<&mut (dyn AsyncBufRead + Send)>) -> anyhow::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut lines = lines;
    (&mut lines).take(LONGEST_LINE + 1).read_until(b'\n', &mut line).await?;
    anyhow::ensure!(line.len() as u64 <= LONGEST_LINE, "one of its lines has no end");
    Ok(Some(line).filter(|line| !line.is_empty()))
}

fn object(uri: &str) -> Option<ObjectLocation> {
    let rest = uri.strip_prefix("s3://")?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    Some(ObjectLocation::new(bucket, key))
}

/// An S3 that may answer later is another matter than one that refuses.
fn away(error: crate::ports::Error) -> anyhow::Error {
    if error.is_passing() { Unreachable(Box::new(error)).into() } else { error.into() }
}

impl Place {
    async fn look(&self, line: &Line) -> anyhow::Result<Found> {
        // A receipt comes from elsewhere: nothing outside of the place is looked at.
        if let Err(why) = places::check(&line.path) {
            return Ok(Found::Different(why));
        }
        match self {
            Self::Folder(folder) => {
                let (file, line) = (folder.join(&line.path), line.clone());
                Ok(tokio::task::spawn_blocking(move || in_folder(&file, &line)).await?)
            }
            Self::Bucket(objects, below) => {
                let at = ObjectLocation::new(below.bucket.as_str(), format!("{}{}", below.key, line.path));
                match objects.look(&at, &Access::Own).await {
                    Ok(None) => Ok(Found::Missing),
                    Ok(Some(there)) => Ok(in_bucket(line, &there)),
                    Err(error) if error.is_passing() => Err(away(error)),
                    Err(error) => Ok(Found::Different(format!("cannot be looked at: {error}"))),
                }
            }
        }
    }
}

fn other_size(line: &Line, size: u64) -> Option<Found> {
    (line.size != size).then(|| Found::Different(format!("has {size} bytes, not {}", line.size)))
}

fn in_folder(file: &Path, line: &Line) -> Found {
    let unreadable = |error: io::Error| Found::Different(format!("cannot be read: {error}"));
    let there = match fs::metadata(file) {
        Ok(there) => there,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Found::Missing;
        }
        Err(error) => return unreadable(error),
    };
    if !there.is_file() {
        return Found::Different("is no file".to_owned());
    }
    if let Some(other) = other_size(line, there.len()) {
        return other;
    }
    let Some((kind, wanted)) = line.sum.as_deref().and_then(|sum| sum.split_once(':')) else {
        return Found::BySize;
    };
    let sum = match kind {
        "md5" => sum_of::<Md5>(file),
        "sha256" => sum_of::<Sha256>(file),
        _ => return Found::BySize,
    };
    match sum {
        Ok(sum) if sum.eq_ignore_ascii_case(wanted) => Found::BySum,
        Ok(sum) => Found::Different(format!("has the {kind} {sum}, not {wanted}")),
        Err(error) => unreadable(error),
    }
}

fn sum_of<D: Digest>(file: &Path) -> io::Result<String> {
    let (mut file, mut sum, mut piece) = (fs::File::open(file)?, D::new(), vec![0; PIECE]);
    loop {
        match io::Read::read(&mut file, &mut piece) {
            Ok(0) => return Ok(hex::encode(sum.finalize())),
            Ok(read) => sum.update(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn in_bucket(line: &Line, there: &ObjectInfo) -> Found {
    if let Some(other) = other_size(line, there.size) {
        return other;
    }
    // Under KMS a tag says nothing, and that of an upload in parts is no sum.
    let tag = there.etag.as_ref().filter(|_| !there.opaque);
    let known = |name: &str| match name {
        "md5" => tag.and_then(|tag| tag.md5()).map(str::to_owned),
        "sha256" => there.checksums.get("SHA256").and_then(|sum| whole(sum)),
        _ => None,
    };
    // S3 may know another of its sums than the strongest. One that is wrong is not made good by another.
    let mut is_same = false;
    for (name, wanted) in line.sums() {
        match known(name) {
            Some(is) if is.eq_ignore_ascii_case(wanted) => is_same = true,
            Some(is) => return Found::Different(format!("has the {name} {is}, not {wanted}")),
            None => {}
        }
    }
    if is_same {
        return Found::BySum;
    }
    let is_tagged = line.etag.is_some() && line.etag == tag.map(ToString::to_string);
    if is_tagged { Found::ByTag } else { Found::BySize }
}

/// A checksum of S3 in hex, unless it is one of the sums of parts.
fn whole(base64: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    (bytes.len() == 32).then(|| hex::encode(bytes))
}

#[cfg(test)]
mod tests;
