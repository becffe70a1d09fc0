//! A push into a project: the manifest that says the same, each folder of the package a destination. Papers that go
//! with it are written beside those of the package first, and brought from there.

use std::{
    collections::{BTreeMap, HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Failed, Push,
    deliver::{self, Place},
    log::{Draft, row_of},
    packaged::Packaged,
};
use crate::{
    domain::{
        batch::BatchRequest,
        file::ETag,
        ids::RequestId,
        outcome::{ErrorName, Outcome, culprit},
        receipt::{self, Line},
        request::{FolderRequest, OnConflict},
        share::{
            destination::Destination,
            files::{InProject, PackagedFile},
            outcome::{Delivered, PushReport},
            request::PushOrder,
        },
    },
    engine::{
        concurrent::join_unordered,
        kind::PlanError,
        lease::{Leased, RoundError, RoundResult},
    },
    kinds::{
        folders::{FolderKind, receipt::TakesLines},
        frozen::Wrong,
        sources::{self, find::Found, landings, limits, manifest, places::Projects, planner::Planner},
    },
    papers::delivery::{log::Fate, receipt::Compared},
    ports::{
        self,
        objects::{Access, ObjectInfo, ObjectLocation},
    },
};

/// Objects looked at at a time.
const WIDTH: usize = 32;
/// Files that are planned at a time: more of them are not held in memory with all that is found out of them.
const PAGE: usize = 1000;

#[async_trait]
impl FolderKind for Push {
    type Request = PushOrder;

    fn is_dry_run(order: &PushOrder) -> bool {
        order.dry_run
    }

    fn wants_receipt(_: &PushOrder) -> bool {
        false
    }

    async fn children(
        &self,
        id: &RequestId,
        source: &str,
        order: &PushOrder,
    ) -> Result<Vec<FolderRequest>, PlanError> {
        let order = &self.completed(id, order.clone()).await?;
        let Destination::Project(folder) = self.destination(order)? else { return Ok(Vec::new()) };
        let packaged = self.packaged(order).await.map_err(|failed| match failed {
            Failed::Failure(failure) => PlanError::Failed(failure),
            Failed::Port(error) => PlanError::from(error),
        })?;
        // Who has asked through the API has shown who it is.
        let asked_by = Some(source).filter(|_| order.is_of_event());
        asked_by.map_or(Ok(()), |source| self.core.settings.policy.check_event_source(source))?;
        let most = self.core.settings.copy.max_files;
        if most > 0 && packaged.len() > most {
            let why = format!("the package has more files than copy.max_files = {most}");
            return Err(culprit(ErrorName::InvalidRequest, why.clone(), &order.package_id, &why).into());
        }
        let (mut page, mut wrong) = (Vec::new(), Wrong::default());
        let mut projects = Projects::new(self.core.ports.platform.as_ref(), &self.core.settings.policy);
        let mut children = Vec::new();
        for n in 0..packaged.chunks() {
            let files = packaged.files(n).await?;
            self.refuse_changed(&mut projects, &files, &mut wrong).await?;
            for file in files {
                packaged.check(&file)?;
                let (parent, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
                if file.uri.rsplit('/').next() != Some(name) {
                    let why = format!("would be {name}: in a project files keep their names");
                    wrong.note(file.uri.clone(), why);
                }
                let slash = if parent.is_empty() { "" } else { "/" };
                let to = format!("{folder}{parent}{slash}");
                page.push((file.uri, vec![to]));
            }
            // What is wrong is all told at once, so nothing is planned any more where something is.
            if page.len() >= PAGE && wrong.is_empty() {
                self.plan_page(std::mem::take(&mut page), order.on_conflict, &mut children).await?;
            }
        }
        wrong.refuse(ErrorName::CopyError, "files of the package cannot be pushed into a project")?;
        self.plan_page(page, order.on_conflict, &mut children).await?;
        let mut papers = Vec::new();
        if !order.dry_run {
            for paper in deliver::asked_for(order) {
                let kept =
                    self.write_paper(order, &packaged, paper, Place::Kept).await.map_err(not_written)?;
                if !kept.starts_with("s3://") {
                    let why = "into a project goes only what lies in a bucket: share.artifacts is a folder";
                    return Err(culprit(ErrorName::InvalidRequest, why, &kept, why).into());
                }
                papers.push((kept, vec![folder.clone()]));
            }
        }
        // They are ours, and take the place of those of an earlier push, as they do in a bucket.
        self.plan_page(papers, Some(OnConflict::Overwrite), &mut children).await?;
        // What is told of a folder is told once.
        children.sort_by(|one, other| (&one.project, &one.path).cmp(&(&other.project, &other.path)));
        landings::check(self.core.ports.platform.as_ref(), &children).await?;
        limits::check_folders(self.core.settings.copy.max_folders, children.len(), None)?;
        Ok(children)
    }

    async fn complete_dry_run(&self, held: &Leased, outcome: &mut Outcome) -> RoundResult<()> {
        self.answer(held, outcome).await
    }

    async fn outcome(
        &self,
        held: &mut Leased,
        _most_in_piece: usize,
        children: &[(RequestId, FolderRequest)],
        outcomes: &[Outcome],
        merged: Outcome,
    ) -> RoundResult<Outcome> {
        let (order, mut outcome) = (self.order(held).await?, merged);
        let Some(mut draft) = self.begin_log(held, &order, &outcome).await? else {
            self.answer(held, &mut outcome).await?;
            return Ok(outcome);
        };
        let filled = self.fill_log_of_folders(held, &order, (children, outcomes), &mut draft).await;
        let filled = filled.map(|delivered| {
            // Papers are files of the push there: it has failed where one has not arrived.
            let delivered = if outcome.failure.is_none() { delivered } else { Vec::new() };
            outcome.push = Some(Box::new(PushReport { delivered, ..PushReport::default() }));
        });
        self.end_log(held, draft, filled, &mut outcome).await?;
        self.answer(held, &mut outcome).await?;
        Ok(outcome)
    }
}

/// A paper that is brought from here is written without a lease: only the place for it can have failed.
fn not_written(halt: RoundError) -> PlanError {
    match halt {
        RoundError::Port(error) => PlanError::from(error),
        _ => PlanError::Port(ports::Error::new(ports::Class::Transient, "write paper", "it was broken off")),
    }
}

/// Writes down what became of the files of a package in a project.
struct Told<'a> {
    draft: &'a mut Draft,
    packaged: &'a Packaged<'a>,
    hasher: RandomState,
    /// By the sum of its path: the chunk of a file, and its place there.
    places: HashMap<u64, (u32, usize)>,
    /// The chunk that was read last.
    chunk: Option<(u32, Vec<PackagedFile>)>,
    /// The path that the push goes to, in its project.
    below: String,
    /// When what is not there was looked for.
    now: Timestamp,
}

impl Told<'_> {
    async fn file(&mut self, path: &str) -> ports::Result<Option<&PackagedFile>> {
        let Some((n, place)) = self.places.get(&self.hasher.hash_one(path)).copied() else { return Ok(None) };
        if self.chunk.as_ref().is_none_or(|(read, _)| *read != n) {
            self.chunk = Some((n, self.packaged.files(n).await?));
        }
        let file = self.chunk.as_ref().and_then(|(_, files)| files.get(place));
        Ok(file.filter(|file| file.path == path))
    }
}

#[async_trait]
impl TakesLines for Told<'_> {
    async fn take(&mut self, line: Line) -> RoundResult<()> {
        let path = in_project(&line.destination).strip_prefix(self.below.as_str()).unwrap_or_default();
        let at = line.made_at.as_ref().and_then(|at| at.parse().ok()).unwrap_or(self.now);
        // A paper is no file of the package.
        let Some(file) = self.file(path).await?.cloned() else { return Ok(()) };
        let result = match line.result {
            receipt::Fate::Copied => Fate::Copied,
            receipt::Fate::Skipped => Fate::AlreadyCopied,
            receipt::Fate::Kept => Fate::Kept,
            receipt::Fate::Failed => Fate::Error,
        };
        let by_tag = line.compared.as_deref() == Some("tag");
        let compared = if by_tag { Compared::Tag } else { Compared::Size };
        let why = line.why.as_deref().unwrap_or_default();
        self.draft.take(&row_of(&file, result, compared, why, at))?;
        Ok(self.draft.flush().await?)
    }
}

/// The path in its project of a URI of one.
fn in_project(uri: &str) -> &str {
    uri.strip_prefix("icav2://").and_then(|rest| rest.split_once('/')).map_or("", |(_, path)| path)
}

impl Push {
    /// Adds the children that bring these sources to where they go.
    async fn plan_page(
        &self,
        page: Vec<(String, Vec<String>)>,
        on_conflict: Option<OnConflict>,
        children: &mut Vec<FolderRequest>,
    ) -> Result<(), PlanError> {
        if page.is_empty() {
            return Ok(());
        }
        let request = BatchRequest { on_conflict, ..BatchRequest::of_manifest(page) };
        let most = self.core.settings.jobs.max_items_per_job;
        children.extend(manifest::plan(Planner::new(&self.core), None, &request, most).await?);
        Ok(())
    }

    /// Adds what became of each file, as its folder shows it; says what was put beside them.
    pub(super) async fn fill_log_of_folders(
        &self,
        held: &Leased,
        order: &PushOrder,
        (children, outcomes): (&[(RequestId, FolderRequest)], &[Outcome]),
        draft: &mut Draft,
    ) -> RoundResult<Vec<Delivered>> {
        let packaged = self.files_of(order).await?;
        let (hasher, mut places) = (RandomState::new(), HashMap::new());
        let mut told = deliver::untold(order);
        for n in 0..packaged.chunks() {
            for (place, file) in packaged.files(n).await?.iter().enumerate() {
                places.insert(hasher.hash_one(file.path.as_str()), (n, place));
                deliver::count(&mut told, file);
            }
        }
        let below = in_project(&order.destination).to_owned();
        let (now, packaged) = (self.core.ports.clock.now(), &packaged);
        let mut lines = Told { draft, packaged, hasher, places, chunk: None, below, now };
        self.folders.add_lines(held, &mut lines, children, children, outcomes).await?;
        Ok(told.into_iter().map(|(_, told)| told).collect())
    }

    /// Notes the files that are not what was packaged any more. A job takes what it finds, so they are looked at
    /// before there is one.
    async fn refuse_changed(
        &self,
        projects: &mut Projects<'_>,
        files: &[PackagedFile],
        wrong: &mut Wrong,
    ) -> Result<(), PlanError> {
        let objects = &self.core.ports.objects;
        let of_project = |file: &PackagedFile| file.icav2.is_some();
        let looks =
            files.iter().enumerate().filter(|(_, file)| !of_project(file)).map(|(n, file)| async move {
                let place = file.uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
                let Some((bucket, key)) = place else { return Ok((n, None)) };
                match objects.look(&ObjectLocation::new(bucket, key), &Access::Own).await {
                    Err(error) if !error.is_passing() => Ok((n, None)),
                    looked => looked.map(|found| (n, found)),
                }
            });
        let seen: ports::Result<Vec<_>> = join_unordered(WIDTH, looks).await.into_iter().collect();
        let as_packaged = |n: usize, found: Option<ObjectInfo>| {
            let packaged = files.get(n).and_then(|file| file.etag.as_deref());
            found.map(|found| found.etag.as_ref().map(ETag::as_str) == packaged)
        };
        let mut states: BTreeMap<usize, Option<bool>> =
            seen?.into_iter().map(|(n, found)| (n, as_packaged(n, found))).collect();
        let uris = files.iter().enumerate().filter(|(_, file)| of_project(file));
        let uris = uris.map(|(n, file)| (n, file.uri.as_str()));
        for (n, found) in sources::files::look(projects, uris).await? {
            let Some(file) = files.get(n) else { continue };
            states.insert(n, found.map(|found| is_as_packaged(file, &found)));
        }
        for (n, state) in states {
            let Some(file) = files.get(n) else { continue };
            match state {
                None => wrong.note(file.uri.clone(), "does not exist or is not accessible".to_owned()),
                Some(false) => wrong.note(file.uri.clone(), "has changed since it was packaged".to_owned()),
                Some(true) => {}
            }
        }
        Ok(())
    }
}

/// Whether a file of a project is the one that was packaged.
fn is_as_packaged(file: &PackagedFile, Found { project, data, .. }: &Found) -> bool {
    let is_it = |it: &InProject| it.project == *project && it.data == data.id;
    let etag = data.etag.as_ref().map(ETag::as_str);
    file.icav2.as_ref().is_some_and(is_it) && (data.size, etag) == (file.size, file.etag.as_deref())
}
