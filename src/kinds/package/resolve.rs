//! Which files a package is to hold: from what its caller asked for to rows, and from rows to places.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Package, meant::pages, sources::Sources, stopped};
use crate::{
    domain::{
        ids::digest,
        outcome::{ErrorName, Failure},
        share::{
            files::{Library, PackagedFile, StorageClass},
            lims, places,
            request::{Listed, PackageOrder, PackageRequest},
            rows::Row,
            selection::Selection,
        },
    },
    engine::{
        kind::{CancellationCheck, PlanError},
        lease::{Leased, RoundResult},
        liveness::RootRef,
    },
    kinds::frozen::{FileWriter, Wrong, put_libraries},
    ports::{
        Class, Error, Sharing,
        inventory::{RowQuery, Whose},
    },
};

type Known = BTreeMap<String, Library>;

/// What was resolved.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The chunks of files that were written.
    pub chunks: u32,
    /// Libraries that nobody has asked for, and that files of the package are of, too.
    pub also: BTreeSet<String>,
}

/// A file, as it is remembered: 16 bytes.
fn short(uri: &str) -> u128 {
    u128::from_str_radix(&digest(&[uri]), 16).unwrap_or_default()
}

impl Package {
    /// Writes the files that are asked for, and what is known of their libraries; how many chunks of files there
    /// are.
    pub(super) async fn resolve(
        &self,
        held: &Leased,
        order: &PackageOrder,
    ) -> RoundResult<Result<Resolved, PlanError>> {
        let request = &order.request;
        let Some(sharing) = &self.core.ports.sharing else {
            let why = "nothing is shared here (share.artifacts)";
            return Ok(Err(Failure::new(ErrorName::PolicyDenied, why).into()));
        };
        if let Err(failure) = Sources::new(&self.core).check_tables(request) {
            return Ok(Err(failure.into()));
        }
        if let Err(error) = self.since(order).await {
            return Ok(Err(error));
        }
        let told = match own_libraries(sharing, request).await {
            Ok(told) => told,
            Err(error) => return Ok(Err(error)),
        };
        let named = match named_libraries(sharing, request, told.as_ref()).await {
            Ok(named) => named,
            Err(error) => return Ok(Err(error)),
        };
        let meant = named.as_ref().map(|named| named.keys().cloned().collect());
        let mut selection = Selection::new(request, &self.settings.workflow_filters, meant);
        let mut watch = CancellationCheck::new();
        if selection.needs_survey() {
            let mut pages = match pages(sharing, request, named.as_ref()).await {
                Ok(pages) => pages,
                Err(error) => return Ok(Err(unreadable(error))),
            };
            loop {
                match pages.next().await {
                    Ok(Some(page)) => page.iter().for_each(|row| selection.survey(row)),
                    Ok(None) => break,
                    Err(error) => return Ok(Err(unreadable(error))),
                }
                if let Some(failure) = self.goes_on(held, &mut watch).await? {
                    return Ok(Err(failure));
                }
            }
        }
        let is_known = told.is_some() || sharing.metadata.is_there();
        if !is_known && let Err(failure) = refuse_unknown(Whose::Libraries, &selection.unseen()) {
            return Ok(Err(failure.into()));
        }
        self.write_files(held, order, sharing, &selection, named.unwrap_or_default(), told).await
    }

    /// Writes the files that are chosen.
    async fn write_files(
        &self,
        held: &Leased,
        order: &PackageOrder,
        sharing: &Sharing,
        selection: &Selection<'_>,
        named: Known,
        told: Option<Known>,
    ) -> RoundResult<Result<Resolved, PlanError>> {
        let request = &order.request;
        let (mut writer, mut wrong) = (FileWriter::new(held), Wrong::default());
        let (mut libraries, mut files) = (BTreeSet::new(), HashSet::new());
        let mut sources = Sources::new(&self.core);
        let mut watch = CancellationCheck::new();
        let mut pages =
            match pages(sharing, request, Some(&named).filter(|_| request.names_libraries())).await {
                Ok(pages) => pages,
                Err(error) => return Ok(Err(unreadable(error))),
            };
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) => return Ok(Err(unreadable(error))),
            };
            for row in page.into_iter().filter(|row| selection.chooses(row)) {
                if let Err(error) = sources.check(&row.uri).await {
                    return Ok(Err(error));
                }
                libraries.extend(row.libraries().map(str::to_owned));
                files.insert(short(&row.uri));
                match places::place(&row, request) {
                    Ok(path) => writer.take(&self.core, held, file(row, path)).await?,
                    Err(why) => wrong.note(row.uri, why),
                }
            }
            if writer.files > self.settings.max_files {
                let most = self.settings.max_files;
                let why = format!("the package would hold more than {most} files (share.max_files)");
                return Ok(Err(Failure::new(ErrorName::InvalidRequest, why).into()));
            }
            if let Some(failure) = self.goes_on(held, &mut watch).await? {
                return Ok(Err(failure));
            }
        }
        if let Err(failure) = wrong.refuse(ErrorName::InvalidRequest, "files have no place in the package") {
            return Ok(Err(failure.into()));
        }
        writer.flush(&self.core, held).await?;
        let also = match self.others_of(held, sharing, request, &files, &libraries).await? {
            Ok(also) => also,
            Err(error) => return Ok(Err(error)),
        };
        let known = match facts(sharing, named, told, libraries).await {
            Ok(known) => known,
            Err(error) => return Ok(Err(unreadable(error))),
        };
        put_libraries(&self.core, held, writer.generation(), &known).await?;
        Ok(Ok(Resolved { chunks: writer.chunks, also }))
    }

    /// The libraries that files of the package are of besides those that were asked for: rules must know of them.
    async fn others_of(
        &self,
        held: &Leased,
        sharing: &Sharing,
        request: &PackageRequest,
        files: &HashSet<u128>,
        known: &BTreeSet<String>,
    ) -> RoundResult<Result<BTreeSet<String>, PlanError>> {
        let mut others = BTreeSet::new();
        if request.manifest.is_some() || !sharing.inventory.may_repeat() || files.is_empty() {
            return Ok(Ok(others));
        }
        let mut pages = match sharing.inventory.rows(&RowQuery::default()).await {
            Ok(pages) => pages,
            Err(error) => return Ok(Err(unreadable(error))),
        };
        let mut watch = CancellationCheck::new();
        loop {
            match pages.next().await {
                Ok(Some(page)) => {
                    for row in page.iter().filter(|row| files.contains(&short(&row.uri))) {
                        let new = row.libraries().filter(|library| !known.contains(*library));
                        others.extend(new.map(str::to_owned));
                    }
                }
                Ok(None) => return Ok(Ok(others)),
                Err(error) => return Ok(Err(unreadable(error))),
            }
            if let Some(failure) = self.goes_on(held, &mut watch).await? {
                return Ok(Err(failure));
            }
        }
    }

    /// Whether a long step is still wanted; why it is not.
    async fn goes_on(&self, held: &Leased, watch: &mut CancellationCheck) -> RoundResult<Option<PlanError>> {
        self.core.record_progress(&[RootRef::of(&held.item)]);
        Ok(watch.stopped(&self.core, held).await?.map(stopped))
    }
}

/// A table that is wrong is the fault of whoever wrote it.
fn unreadable(error: Error) -> PlanError {
    if error.class == Class::Invalid {
        return Failure::new(ErrorName::InvalidRequest, error.message).into();
    }
    error.into()
}

fn file(row: Row, path: String) -> PackagedFile {
    let data_type = row.data_type();
    let unless_empty = |text: String| (!text.is_empty()).then_some(text);
    PackagedFile {
        path,
        size: row.size.unwrap_or_default(),
        etag: unless_empty(row.etag),
        storage_class: StorageClass::read(&row.storage_class),
        icav2: None,
        archived: false,
        modified: row.modified,
        data_type,
        library_id: row.library_id,
        instrument_run_id: row.instrument_run_id,
        lane: row.lane,
        portal_run_id: row.portal_run_id,
        workflow_name: row.workflow_name,
        workflow_version: row.workflow_version,
        md5: unless_empty(row.md5),
        sha256: unless_empty(row.sha256),
        ingest_id: unless_empty(row.ingest_id),
        uri: row.uri,
    }
}

/// What the request itself tells of libraries; `None` where it tells nothing.
async fn own_libraries(sharing: &Sharing, request: &PackageRequest) -> Result<Option<Known>, PlanError> {
    let mut known = Known::new();
    let mut take = |library: Library| match known.get_mut(&library.library_id) {
        Some(there) => lims::merge(there, library),
        None => drop(known.insert(library.library_id.clone(), library)),
    };
    match &request.lims_manifest {
        None => return Ok(None),
        Some(Listed::Rows(libraries)) => libraries.iter().cloned().for_each(take),
        Some(Listed::Uri(uri)) => {
            let mut pages = sharing.metadata.manifest(uri).await?;
            while let Some(page) = pages.next().await? {
                page.into_iter().for_each(&mut take);
            }
        }
    }
    Ok(Some(known))
}

/// The libraries that a request names, in whichever way; `None` where it names none.
async fn named_libraries(
    sharing: &Sharing,
    request: &PackageRequest,
    told: Option<&Known>,
) -> Result<Option<Known>, PlanError> {
    let lists = [
        (Whose::Libraries, &request.library_id_list),
        (Whose::Subjects, &request.subject_id_list),
        (Whose::Individuals, &request.individual_id_list),
        (Whose::Projects, &request.project_id_list),
    ];
    let Some((whose, ids)) = lists.into_iter().find_map(|(whose, ids)| Some((whose, ids.as_ref()?))) else {
        return Ok(None);
    };
    let bare =
        |id: &str| if whose == Whose::Libraries { lims::library_id(id).to_owned() } else { id.to_owned() };
    let ids: BTreeSet<String> = ids.iter().map(|id| bare(id)).filter(|id| !id.is_empty()).collect();
    let found = match told {
        Some(told) => {
            let fits = |library: &&Library| ids.iter().any(|id| whose.is(library, id));
            told.values().filter(fits).cloned().collect()
        }
        None if sharing.metadata.is_there() => sharing.metadata.libraries(whose, &ids).await?,
        None if whose == Whose::Libraries => {
            let alone = |id: &String| Library { library_id: id.clone(), ..Library::default() };
            ids.iter().map(alone).collect()
        }
        None => {
            let why = format!("nothing is known of any {} here (share.lims)", whose.noun());
            return Err(Failure::new(ErrorName::InvalidRequest, why).into());
        }
    };
    let is_known = |id: &&String| found.iter().any(|library| whose.is(library, id));
    let unknown: Vec<String> = ids.iter().filter(|id| !is_known(id)).cloned().collect();
    refuse_unknown(whose, &unknown)?;
    Ok(Some(found.into_iter().map(|library| (library.library_id.clone(), library)).collect()))
}

fn refuse_unknown(whose: Whose, unknown: &[String]) -> Result<(), Failure> {
    let mut wrong = Wrong::default();
    for id in unknown {
        wrong.note(id.clone(), format!("no such {} is known", whose.noun()));
    }
    wrong.refuse(ErrorName::SourceNotFound, "ids are not known")
}

/// What is known of the libraries that the files are of, in the order of their ids.
async fn facts(
    sharing: &Sharing,
    named: Known,
    told: Option<Known>,
    mut of_files: BTreeSet<String>,
) -> crate::ports::Result<Vec<Library>> {
    let mut all = named;
    of_files.retain(|id| !all.contains_key(id));
    match told {
        Some(mut told) => {
            let known: Vec<_> = of_files.iter().filter_map(|id| told.remove_entry(id)).collect();
            all.extend(known);
        }
        None if sharing.metadata.is_there() && !of_files.is_empty() => {
            let known = sharing.metadata.libraries(Whose::Libraries, &of_files).await?;
            all.extend(known.into_iter().map(|library| (library.library_id.clone(), library)));
        }
        None => {}
    }
    Ok(all.into_values().collect())
}
