//! The file of what is shared by itself, read anew each time.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;

use super::tables::{Place, bytes_of};
use crate::ports::{Class, Error, Result, inventory::AutoJobs, objects::ObjectStore};

/// Bytes that it may have.
const LARGEST: usize = 1 << 20;

/// The file at a place.
#[derive(Debug)]
pub struct JobsFile {
    objects: Arc<dyn ObjectStore>,
    place: Place,
}

impl JobsFile {
    /// The one at that place.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, place: Place) -> Self {
        Self { objects, place }
    }

    fn wrong(&self, why: &str) -> Error {
        Error::new(Class::Invalid, "read jobs", format!("{}: {why}", self.place))
    }
}

#[async_trait]
impl AutoJobs for JobsFile {
    async fn read(&self) -> Result<String> {
        let mut bytes = bytes_of(&self.objects, &self.place).await?;
        let mut content = Vec::new();
        let broken = |error: std::io::Error| {
            Error::new(Class::Transient, "read jobs", format!("{} cannot be read: {error}", self.place))
        };
        while let Some(piece) = bytes.try_next().await.map_err(broken)? {
            content.extend_from_slice(&piece);
            if content.len() > LARGEST {
                return Err(self.wrong("it is larger than a megabyte"));
            }
        }
        String::from_utf8(content).map_err(|_| self.wrong("it is not UTF-8"))
    }
}
