//! Everything that a copy wants, as it is found: a page of a folder or of a prefix at a time.

use std::collections::{BTreeMap, VecDeque};

use super::{
    PlanResult, culprit,
    names::Names,
    target::{SelfCopyCheck, Target},
};
use crate::{
    domain::{
        copy_out::{Origin, SliceItem},
        file::{Data, DataKind, DataStatus, ETag, status_words},
        ids::{DataId, ProjectId},
        outcome::{Culprit, ErrorName, Failure},
        request::{CopyRequest, NamedObject},
        seen::Seen,
    },
    engine::concurrent::join_unordered,
    kinds::sources::{
        checks,
        external::{self, ExternalSource},
        find::{Found, find_sources},
        places::{Projects, ResolvedSource},
        planner::Planner,
        renames, trees,
    },
    planes::folder::reserved,
    ports::{
        Class,
        objects::{Access, ObjectInfo},
        platform::Folder,
    },
};

/// Folders listed at a time.
const WIDTH: usize = 8;

/// A file or an object, with where it lands.
#[derive(Debug)]
pub(super) struct TargetPath {
    pub item: SliceItem,
    /// Its source, as far as it is known.
    pub info: ObjectInfo,
    /// Why it cannot be read, if it cannot.
    pub unready: Option<DataStatus>,
}

/// A step that is still to be gone through.
enum WalkStep {
    /// Files and objects that were named one by one.
    Named(Vec<(Origin, ObjectInfo, String)>),
    Level(Level),
    Prefix(Prefix),
}

/// One folder of a project.
struct Level {
    project: ProjectId,
    id: DataId,
    /// The prefix of the keys of its files.
    to: String,
    from: Option<String>,
}

/// Everything below a prefix.
struct Prefix {
    uri: String,
    bucket: String,
    key: String,
    /// The prefix of the keys of its objects.
    to: String,
    from: Option<String>,
    /// The folder that was last seen to be in no project.
    open: Option<String>,
    seen: bool,
}

/// Goes through the sources of a copy.
pub(super) struct Walk<'a> {
    with: Planner<'a>,
    target: Target,
    names: Names,
    guard: SelfCopyCheck,
    queue: VecDeque<WalkStep>,
    sources: usize,
    first: String,
    files: u64,
    missing: Vec<Culprit>,
    /// The content that the folders of projects were seen to hold, if there are any.
    seen: Option<Seen>,
    unready: Failure,
    /// Calls of the platform's API.
    pub calls: u64,
}

impl<'a> Walk<'a> {
    /// Finds the sources; those that can be refused by their names are refused here.
    pub(super) async fn open(
        with: Planner<'a>,
        mut projects: Projects<'a>,
        request: &CopyRequest,
        target: Target,
    ) -> PlanResult<Self> {
        let (mut near, mut prefixes, mut guard) = (Vec::new(), Vec::new(), SelfCopyCheck::default());
        for uri in request.sources.iter().chain(&request.external) {
            // A prefix may hold any number of objects: they are not looked at before their turn.
            if uri.starts_with("s3://")
                && uri.ends_with('/')
                && let ResolvedSource::ExternalSource(at) =
                    projects.place(uri, "a source", ErrorName::SourceNotFound).await?
            {
                external::check(with.rules, &at, uri)?;
                guard.add_prefix(&target, &at.bucket, &at.key, uri)?;
                prefixes.push(named_prefix(uri, at.bucket, at.key)?);
            } else {
                near.push(uri.clone());
            }
        }
        let (found, outside) = find_sources(&mut projects, with.objects, with.settings, &near).await?;
        let (found, all) = checks::once(found, outside.into_iter().chain(prefixes).collect());
        checks::names(&found, &all, !request.renaming.is_empty())?;
        checks::ready(&found, &all)?;
        for object in all.iter().filter(|source| !source.is_folder) {
            guard.add_key(&target, &object.bucket, &object.key);
        }
        let (map, _) = renames::canonical(&mut projects, &request.renaming).await?;
        let first =
            found.first().map(|found| found.data.name()).or(all.first().map(|source| source.name.as_str()));
        let mut walk = Self {
            with,
            names: Names::new(map)?,
            guard,
            queue: VecDeque::new(),
            sources: found.len() + all.len(),
            first: target.like(first.unwrap_or_default()),
            files: 0,
            missing: Vec::new(),
            seen: None,
            unready: Failure::new(ErrorName::SourceNotReady, String::new()),
            calls: found.len() as u64,
            target,
        };
        walk.queue_named(&found, &all);
        for folder in found.iter().filter(|found| found.data.kind == DataKind::Folder) {
            walk.queue_tree(folder).await?;
        }
        for source in all.into_iter().filter(|source| source.is_folder) {
            walk.queue_prefix(source).await?;
        }
        Ok(walk)
    }

    fn queue_named(&mut self, found: &[Found], outside: &[ExternalSource]) {
        let files = found.iter().filter(|found| found.data.kind == DataKind::File).map(|found| {
            let name = found.data.name().to_owned();
            (origin(&found.project, &found.data), of_file(found.data.size, found.data.etag.as_ref()), name)
        });
        let objects = outside.iter().filter(|source| !source.is_folder).flat_map(|source| {
            let objects = source.objects.values().flatten();
            objects.map(|object| {
                let NamedObject { key, size, etag, opaque, .. } = object;
                let info = ObjectInfo { opaque: *opaque, ..of_file(*size, etag.as_ref()) };
                (object_at(&source.bucket, key), info, source.name.clone())
            })
        });
        let named: Vec<_> = files.chain(objects).collect();
        if !named.is_empty() {
            self.queue.push_back(WalkStep::Named(named));
        }
    }

    async fn queue_tree(&mut self, source: &Found) -> PlanResult<()> {
        let base = format!("{}{}/", self.target.prefix, source.data.name());
        let folders = trees::tree_of(self.with.platform, self.with.settings, source, 0).await?;
        self.calls += 1 + folders.len() as u64 / 1000;
        for folder in folders.iter().filter(|folder| !reserved::holds(&folder.path)) {
            let to = format!("{base}{}", trees::inside(self.with.settings, source, folder)?);
            self.target.check_open(self.with.platform, &to, &source.uri).await?;
            let (project, id) = (source.project.clone(), folder.id.clone());
            self.queue.push_back(WalkStep::Level(Level { project, id, to, from: None }));
        }
        Ok(())
    }

    async fn queue_prefix(&mut self, source: ExternalSource) -> PlanResult<()> {
        let ExternalSource { uri, bucket, key, name, .. } = source;
        let to = format!("{}{name}/", self.target.prefix);
        self.target.check_open(self.with.platform, &to, &uri).await?;
        let prefix = Prefix { uri, bucket, key, to, from: None, open: None, seen: false };
        self.queue.push_back(WalkStep::Prefix(prefix));
        Ok(())
    }

    /// Where it all goes.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// A key at the destination, as one of those that will be written.
    pub(super) fn first_key(&self) -> String {
        self.first.clone()
    }

    /// The next items, which may be none; `None` at the end.
    pub(super) async fn next(&mut self) -> PlanResult<Option<Vec<TargetPath>>> {
        let landings = match self.queue.pop_front() {
            None => return Ok(None),
            Some(WalkStep::Named(named)) => {
                let folder = self.target.prefix.clone();
                let lands = |(from, info, name): (Origin, _, String)| {
                    self.land(from, info, None, (&folder, &name), true)
                };
                named.into_iter().map(lands).collect::<Result<_, _>>()?
            }
            Some(WalkStep::Level(level)) => self.levels(level).await?,
            Some(WalkStep::Prefix(prefix)) => self.page_of(prefix).await?,
        };
        Ok(Some(landings))
    }

    /// A page of this folder, and of some that come next.
    async fn levels(&mut self, first: Level) -> PlanResult<Vec<TargetPath>> {
        let mut levels = vec![first];
        while levels.len() < WIDTH
            && let Some(WalkStep::Level(level)) =
                self.queue.pop_front_if(|piece| matches!(piece, WalkStep::Level(_)))
        {
            levels.push(level);
        }
        self.calls += levels.len() as u64;
        let platform = self.with.platform;
        let pages = levels.into_iter().map(|level| async move {
            let folder = Folder::Id(level.id.clone());
            let page = platform.children(&level.project, &folder, level.from.as_deref()).await;
            (level, page)
        });
        let mut landings = Vec::new();
        for (level, page) in join_unordered(WIDTH, pages).await {
            let page = page?;
            let seen = self.seen.get_or_insert_with(|| Seen::at(self.with.now));
            page.items.iter().filter(|data| !reserved::holds(&data.path)).for_each(|data| seen.add(data));
            for data in page.items.into_iter().filter(|data| data.kind == DataKind::File) {
                let unready = match data.status {
                    DataStatus::Available => None,
                    // It is on its way out: the user that deletes it does not want it copied.
                    DataStatus::Deleting => continue,
                    status => Some(status),
                };
                let info = of_file(data.size, data.etag.as_ref());
                let from = origin(&level.project, &data);
                landings.push(self.land(from, info, unready, (&level.to, data.name()), false)?);
            }
            if page.next.is_some() {
                self.queue.push_front(WalkStep::Level(Level { from: page.next, ..level }));
            }
        }
        Ok(landings)
    }

    /// A page of the objects below a prefix.
    async fn page_of(&mut self, mut prefix: Prefix) -> PlanResult<Vec<TargetPath>> {
        let with = self.with;
        let page = match with
            .objects
            .list(&prefix.bucket, &prefix.key, prefix.from.as_deref(), &Access::Own)
            .await
        {
            Ok(page) => page,
            Err(error) if matches!(error.class, Class::Forbidden | Class::NotFound) => {
                let why = format!("it is not there, or not for this service to list: {error}");
                self.missing.push(Culprit { what: prefix.uri, why });
                return Ok(Vec::new());
            }
            Err(error) => return Err(external::refused(&prefix.bucket, &prefix.uri, error)),
        };
        let mut landings = Vec::with_capacity(page.items.len());
        for info in page.items {
            prefix.seen = true;
            let Some(inside) = info.key.strip_prefix(&prefix.key).map(str::to_owned) else { continue };
            let at = inside.rfind('/').map_or(0, |at| at + 1);
            let (folder, name) = inside.split_at_checked(at).unwrap_or_default();
            if prefix.open.as_deref() != Some(folder) {
                if folder.matches('/').count() > with.settings.max_depth as usize {
                    let message = format!(
                        "a source folder is deeper than copy.max_depth = {}",
                        with.settings.max_depth
                    );
                    return Err(culprit(ErrorName::RecursionLimit, message, &prefix.uri, folder).into());
                }
                let key = format!("{}{folder}", prefix.key);
                external::check_root(with.platform, &prefix.bucket, &key, &prefix.uri).await?;
                let to = format!("{}{folder}", prefix.to);
                self.target.check_open(with.platform, &to, &prefix.uri).await?;
                prefix.open = Some(folder.to_owned());
            }
            // The marker of a folder, of which S3 has none.
            if name.is_empty() && info.size == 0 {
                continue;
            }
            let unready = info.archived.then_some(DataStatus::Archived);
            let from = object_at(&prefix.bucket, &info.key);
            let folder = format!("{}{folder}", prefix.to);
            landings.push(self.land(from, info, unready, (&folder, name), false)?);
        }
        prefix.from = page.next;
        if prefix.from.is_some() {
            self.queue.push_front(WalkStep::Prefix(prefix));
        } else if !prefix.seen {
            let why = "there is nothing below this prefix".to_owned();
            self.missing.push(Culprit { what: prefix.uri, why });
        }
        Ok(landings)
    }

    /// Where a file lands: in a folder, under a name, unless the renaming map gives it another.
    fn land(
        &mut self,
        from: Origin,
        info: ObjectInfo,
        unready: Option<DataStatus>,
        (folder, name): (&str, &str),
        named: bool,
    ) -> Result<TargetPath, Failure> {
        let source = from.to_string();
        self.files += 1;
        let most = self.with.settings.max_files;
        if most > 0 && self.files > most {
            let message = format!("the request has more files than copy.max_files = {most}");
            return Err(culprit(ErrorName::InvalidRequest, message, &source, "is one too many"));
        }
        let id = match &from {
            Origin::Data { id, .. } => Some(id.as_str()),
            Origin::Object { .. } => None,
        };
        let to = format!("{folder}{}", self.names.name_of(&source, id, name));
        self.guard.check(&self.target, &source, &to)?;
        self.names.note(&to, &source, named);
        if let Some(status) = unready {
            self.unready.culprits_total += 1;
            if self.unready.culprits.len() < Failure::MOST_CULPRITS {
                self.unready.culprits.push(Culprit { what: source, why: status_words(status).to_owned() });
            }
        }
        Ok(TargetPath { item: SliceItem { from, to }, info, unready })
    }

    /// Whether source folders may have held more than was shown. All have gone by.
    pub(super) fn is_fresh(&self, complete_at: i64, settle: i64) -> bool {
        self.seen.is_some_and(|seen| seen.is_fresh(complete_at, settle))
    }

    /// Refuses files that cannot be read. All have gone by.
    pub(super) fn check_ready(&mut self) -> Result<(), Failure> {
        if self.unready.culprits_total == 0 {
            return Ok(());
        }
        let message = format!("{} of {} files cannot be read now", self.unready.culprits_total, self.files);
        Err(Failure { message, ..self.unready.clone() })
    }

    /// Refuses prefixes of nothing, and names that contradict each other. All have gone by.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if !self.missing.is_empty() {
            return Err(checks::missing(self.missing, self.sources));
        }
        self.names.finish()
    }
}

/// A prefix as a source, none of whose objects have been looked at.
fn named_prefix(uri: &str, bucket: String, key: String) -> Result<ExternalSource, Failure> {
    let name = key.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    if name.is_empty() {
        let message = "a prefix without a name cannot be copied";
        return Err(culprit(ErrorName::InvalidRequest, message, uri, "its last name is empty"));
    }
    Ok(ExternalSource { uri: uri.to_owned(), bucket, key, is_folder: true, name, objects: BTreeMap::new() })
}

fn origin(project: &ProjectId, data: &Data) -> Origin {
    Origin::Data {
        project: project.clone(),
        id: data.id.clone(),
        path: data.path.clone(),
        size: data.size,
        etag: data.etag.clone(),
    }
}

fn object_at(bucket: &str, key: &str) -> Origin {
    Origin::Object { bucket: bucket.to_owned(), key: key.to_owned(), unsigned: false, sums: None, etag: None }
}

fn of_file(size: u64, etag: Option<&ETag>) -> ObjectInfo {
    ObjectInfo { size, etag: etag.cloned(), ..ObjectInfo::default() }
}
