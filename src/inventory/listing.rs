//! Files as they lie in buckets, found by templates of their addresses.
//!
//! What is known of what is asked for is filled into the templates first, so that what is listed begins as the keys
//! do that could be meant. A page of a listing tells of each object what a row can hold: size, `ETag`, class, when it
//! was written.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::tables::Catalogue;
use crate::{
    domain::share::{
        files::DataType,
        rows::Row,
        templates::{Field, Known, Template},
    },
    ports::{
        Class, Error, Result,
        inventory::{Inventory, Pages, RowQuery},
        objects::{Access, ObjectInfo, ObjectStore},
        store::Page,
    },
};

/// Listings that are read at a time, a page of each.
const WIDTH: usize = 8;
/// Listings that one template may lead to; beyond, fewer of what is known is filled in.
const MOST_LISTINGS: usize = 2000;

/// Buckets whose files lie as templates say.
#[derive(Debug)]
pub struct Listing {
    objects: Arc<dyn ObjectStore>,
    templates: Vec<Template>,
    /// What reads the manifests that requests name.
    tables: Catalogue,
}

impl Listing {
    /// By those templates.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, templates: Vec<Template>) -> Self {
        Self { tables: Catalogue::new(objects.clone(), []), objects, templates }
    }

    /// The templates that can find such files.
    fn fitting(&self, data_type: DataType, query: &RowQuery) -> Result<Vec<&Template>> {
        let mut fitting: Vec<&Template> =
            self.templates.iter().filter(|template| template.data_type() == data_type).collect();
        let what = match data_type {
            DataType::Fastq => "reads (without {portal_run_id})",
            DataType::SecondaryAnalysis => "analyses (with {portal_run_id})",
        };
        if fitting.is_empty() {
            return Err(cannot(&format!("no template of share.templates is one of {what}")));
        }
        if data_type == DataType::SecondaryAnalysis && query.portal_runs.is_none() {
            fitting.retain(|template| template.names(Field::Library));
            if fitting.is_empty() {
                return Err(cannot(
                    "analyses are found by their portal runs alone here (portalRunIdList): no template of \
                     share.templates with {portal_run_id} has {library_id}",
                ));
            }
        }
        Ok(fitting)
    }
}

fn cannot(why: &str) -> Error {
    Error::new(Class::Invalid, "list files", why)
}

/// What is known of the files of a kind.
fn known(data_type: DataType, query: &RowQuery) -> Known {
    match data_type {
        DataType::Fastq => Known {
            libraries: query.libraries.clone(),
            instrument_runs: query.instrument_runs.clone(),
            portal_runs: None,
        },
        DataType::SecondaryAnalysis => Known {
            libraries: query.libraries.clone().filter(|_| query.portal_runs.is_none()),
            instrument_runs: None,
            portal_runs: query.portal_runs.clone(),
        },
    }
}

/// A template, and what is known of the files that are looked for by it.
#[derive(Debug)]
struct Sought {
    template: Template,
    known: Known,
}

impl Sought {
    /// The file that an object is; `None` where it is none that is looked for.
    fn row(&self, object: ObjectInfo) -> Option<Row> {
        let row = self.template.read(&object.key, &self.known)?;
        Some(Row {
            size: Some(object.size),
            etag: object.etag.as_ref().map(ToString::to_string).unwrap_or_default(),
            storage_class: object.storage_class.unwrap_or_default(),
            modified: object.modified,
            ..row
        })
    }
}

/// Keys with one beginning, from one of them on.
#[derive(Debug)]
struct Stretch {
    sought: Arc<Sought>,
    prefix: String,
    from: Option<String>,
}

/// The rows of some listings.
struct Listed {
    objects: Arc<dyn ObjectStore>,
    stretches: VecDeque<Stretch>,
}

impl Listed {
    async fn page(&self, stretch: &Stretch) -> Result<Page<ObjectInfo>> {
        let (bucket, from) = (stretch.sought.template.bucket(), stretch.from.as_deref());
        self.objects.list(bucket, &stretch.prefix, from, &Access::Own).await
    }
}

#[async_trait]
impl Pages<Row> for Listed {
    async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        if self.stretches.is_empty() {
            return Ok(None);
        }
        let due: Vec<Stretch> = self.stretches.drain(..WIDTH.min(self.stretches.len())).collect();
        let pages: Vec<_> = due.iter().map(|stretch| self.page(stretch)).collect();
        let pages: Vec<Page<ObjectInfo>> = stream::iter(pages).buffered(WIDTH).try_collect().await?;
        let (mut rows, mut further) = (Vec::new(), Vec::new());
        for (stretch, page) in due.into_iter().zip(pages) {
            rows.extend(page.items.into_iter().filter_map(|object| stretch.sought.row(object)));
            if page.next.is_some() {
                further.push(Stretch { from: page.next, ..stretch });
            }
            tokio::task::consume_budget().await;
        }
        for stretch in further.into_iter().rev() {
            self.stretches.push_front(stretch);
        }
        Ok(Some(rows))
    }
}

#[async_trait]
impl Inventory for Listing {
    async fn rows(&self, query: &RowQuery) -> Result<Box<dyn Pages<Row>>> {
        let mut stretches = VecDeque::new();
        for data_type in [DataType::Fastq, DataType::SecondaryAnalysis] {
            // Runs of workflows name no reads.
            let names_any = query.libraries.is_some() || query.instrument_runs.is_some();
            if !query.wants(data_type) || data_type == DataType::Fastq && !names_any {
                continue;
            }
            let known = known(data_type, query);
            for template in self.fitting(data_type, query)? {
                let sought = Arc::new(Sought { template: template.clone(), known: known.clone() });
                let prefixes = template.prefixes(&known, MOST_LISTINGS).into_iter();
                stretches.extend(prefixes.map(|prefix| Stretch {
                    sought: sought.clone(),
                    prefix,
                    from: None,
                }));
            }
        }
        Ok(Box::new(Listed { objects: self.objects.clone(), stretches }))
    }

    async fn manifest(&self, uri: &str) -> Result<Box<dyn Pages<Row>>> {
        self.tables.manifest(uri).await
    }
}
