//! Reports in a folder of this machine.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt as _,
};

use tokio_util::io::ReaderStream;

use crate::ports::{
    Class, Error, Result,
    objects::Presigned,
    reports::{Artifacts, Opened, ReportWriter, Reports, kind_of},
};

/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;

/// Writers that this process has had: each has a file of its own until it ends.
static WRITERS: AtomicU64 = AtomicU64::new(0);

/// Reports as files.
#[derive(Debug)]
pub struct InFolder(PathBuf);

impl InFolder {
    /// Below that folder, which is made when it is needed.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }
}

#[async_trait]
impl Artifacts for InFolder {
    async fn open(&self, name: &str) -> Result<Option<Opened>> {
        let file = match File::open(self.0.join(name)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let size = file.metadata().await.map_err(failed)?.len();
        let bytes = ReaderStream::with_capacity(file, PIECE);
        Ok(Some(Opened { size: Some(size), kind: kind_of(name), bytes: bytes.boxed() }))
    }

    async fn link(&self, _: &str, _: Timestamp, _: Duration) -> Result<Option<Presigned>> {
        Ok(None)
    }

    async fn remove(&self, folder: &str) -> Result<()> {
        match fs::remove_dir_all(self.0.join(folder)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

struct Writer {
    file: File,
    place: PathBuf,
    temporary: PathBuf,
}

fn failed(error: io::Error) -> Error {
    use io::ErrorKind::{Interrupted, ResourceBusy, StorageFull, TimedOut, WouldBlock};
    // What is wrong with the place does not pass by itself.
    let passes = matches!(error.kind(), Interrupted | ResourceBusy | StorageFull | TimedOut | WouldBlock);
    let class = if passes { Class::Transient } else { Class::Invalid };
    Error::new(class, "write report", error.to_string()).caused_by(error)
}

#[async_trait]
impl Reports for InFolder {
    async fn begin(&self, name: &str) -> Result<Box<dyn ReportWriter>> {
        let place = self.0.join(name);
        let folder = place.parent().unwrap_or(&self.0);
        fs::create_dir_all(folder).await.map_err(failed)?;
        // Two writers of one name do not share a file: the last one to end has its place.
        let own = format!("{}-{}.part", std::process::id(), WRITERS.fetch_add(1, Ordering::Relaxed));
        let temporary = place.with_extension(own);
        let file = File::create(&temporary).await.map_err(failed)?;
        Ok(Box::new(Writer { file, place, temporary }))
    }
}

#[async_trait]
impl ReportWriter for Writer {
    async fn write(&mut self, text: &str) -> Result<()> {
        self.file.write_all(text.as_bytes()).await.map_err(failed)
    }

    async fn finish(mut self: Box<Self>) -> Result<String> {
        self.file.flush().await.map_err(failed)?;
        self.file.sync_all().await.map_err(failed)?;
        fs::rename(&self.temporary, &self.place).await.map_err(failed)?;
        Ok(self.place.display().to_string())
    }

    async fn abandon(self: Box<Self>) {
        drop(fs::remove_file(&self.temporary).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_report_is_seen_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let reports = InFolder::new(&folder.path().join("reports"));
        let mut writer = reports.begin("r1/receipt.jsonl").await.unwrap();
        writer.write("one\n").await.unwrap();
        let place = folder.path().join("reports/r1/receipt.jsonl");
        assert!(!place.exists());
        writer.write("two\n").await.unwrap();
        assert_eq!(writer.finish().await.unwrap(), place.display().to_string());
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "one\ntwo\n");
        reports.remove("r1/").await.unwrap();
        reports.remove("r1/").await.unwrap();
        assert!(!place.exists());
    }
}
