//! OrcaBus: its services over HTTP, as inventory and as metadata.
//!
//! What is asked of which service: `fastq` knows reads and their ingest ids, `file` where the files of an ingest id
//! or of a workflow's run lie, `workflow` the runs of libraries, `metadata` libraries, subjects, individuals and
//! projects, `sequence` what was sequenced in a run. `file` is told of copies that pushes make, too. Facts about them are from the sources of these services and of their client in
//! `OrcaBus/platform-cdk-constructs` (5a65731).
//!
//! What can go wrong: a service that does not answer is tried again for some seconds, and then by whoever asks; a
//! call that is refused as wrong is `Invalid`. Tables that a request names are not OrcaBus's business, and are read by
//! whoever reads tables.

mod ask;
mod client;
mod copies;
mod libraries;
mod rows;
mod runs;
mod sequences;
mod wire;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;

pub use self::{
    client::{Client, Settings},
    copies::Accounts,
};
use crate::{
    domain::share::{files::Library, rows::Row},
    ports::{
        Result,
        inventory::{Inventory, Metadata, Pages, RowQuery, Whose},
    },
};

/// Files, as the services for reads, workflows and files know them.
#[derive(Debug)]
pub struct Files {
    client: Arc<Client>,
    tables: Arc<dyn Inventory>,
}

impl Files {
    /// `tables` reads the manifests that requests name.
    #[must_use]
    pub fn new(client: Arc<Client>, tables: Arc<dyn Inventory>) -> Self {
        Self { client, tables }
    }
}

#[async_trait]
impl Inventory for Files {
    async fn rows(&self, query: &RowQuery) -> Result<Box<dyn Pages<Row>>> {
        Ok(Box::new(rows::Found::new(self.client.clone(), query.clone())))
    }

    async fn manifest(&self, uri: &str) -> Result<Box<dyn Pages<Row>>> {
        self.tables.manifest(uri).await
    }

    async fn sequenced(&self, run: &str) -> Result<Option<BTreeSet<String>>> {
        sequences::libraries(&self.client, run).await.map(Some)
    }
}

/// Libraries, as the service for metadata knows them.
#[derive(Debug)]
pub struct Libraries {
    client: Arc<Client>,
    tables: Arc<dyn Metadata>,
}

impl Libraries {
    /// `tables` reads the LIMS manifests that requests name.
    #[must_use]
    pub fn new(client: Arc<Client>, tables: Arc<dyn Metadata>) -> Self {
        Self { client, tables }
    }
}

#[async_trait]
impl Metadata for Libraries {
    async fn libraries(&self, whose: Whose, ids: &BTreeSet<String>) -> Result<Vec<Library>> {
        libraries::libraries(&self.client, whose, ids).await
    }

    async fn manifest(&self, uri: &str) -> Result<Box<dyn Pages<Library>>> {
        self.tables.manifest(uri).await
    }

    fn is_there(&self) -> bool {
        true
    }
}
