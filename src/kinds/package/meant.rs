//! The rows that a request may mean: those that it brings itself, or those of the inventory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use async_trait::async_trait;

use crate::{
    domain::share::{
        files::{DataType, Library},
        filters::canonical,
        request::{Listed, PackageRequest},
        rows::Row,
    },
    ports::{
        Sharing,
        inventory::{Pages, RowQuery},
    },
};

/// Rows that are given out at a time of those that a request brings itself.
const PAGE: usize = 1000;

/// The rows that a request brings itself.
struct Own(VecDeque<Row>);

#[async_trait]
impl Pages<Row> for Own {
    async fn next(&mut self) -> crate::ports::Result<Option<Vec<Row>>> {
        let page: Vec<_> = self.0.drain(..PAGE.min(self.0.len())).collect();
        Ok((!page.is_empty()).then_some(page))
    }
}

/// The rows that may be meant.
pub(super) async fn pages(
    sharing: &Sharing,
    request: &PackageRequest,
    named: Option<&BTreeMap<String, Library>>,
) -> crate::ports::Result<Box<dyn Pages<Row>>> {
    let set = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.iter().cloned().collect());
    match &request.manifest {
        Some(Listed::Rows(rows)) => Ok(Box::new(Own(rows.iter().cloned().collect()))),
        Some(Listed::Uri(uri)) => sharing.inventory.manifest(uri).await,
        None => {
            let types = data_types(sharing, request);
            let workflows = request.secondary_analysis_type_list.as_ref().filter(|list| !list.is_empty());
            let query = RowQuery {
                libraries: named.map(|named| named.keys().cloned().collect()),
                instrument_runs: set(&request.instrument_run_id_list),
                portal_runs: set(&request.portal_run_id_list),
                surveyed: types
                    .iter()
                    .filter(|kind| !request.data_type_list.contains(kind))
                    .copied()
                    .collect(),
                data_types: Some(types),
                workflows: workflows.map(|names| names.iter().map(|name| canonical(name)).collect()),
                excluded_runs: set(&request.portal_run_id_exclusion_list).unwrap_or_default(),
            };
            sharing.inventory.rows(&query).await
        }
    }
}

/// Of which kinds files must be seen. Reads also where they are not wanted themselves: they tell which libraries
/// were sequenced in a run, and, where nothing else does, that there are such libraries.
fn data_types(sharing: &Sharing, request: &PackageRequest) -> BTreeSet<DataType> {
    let mut types: BTreeSet<DataType> = request.data_type_list.iter().copied().collect();
    let is_known = request.lims_manifest.is_some() || sharing.metadata.is_there();
    if request.instrument_run_id_list.is_some() || request.names_libraries() && !is_known {
        types.insert(DataType::Fastq);
    }
    types
}
