//! The calls: what of the API the engine uses, and how it is asked.

use std::{collections::HashMap, num::NonZeroU32};

use async_trait::async_trait;
use secrecy::SecretString;

use super::{call::Call, client::Client, credentials::Purpose, linked::LIST, problem, roots::Root, wire};
use crate::{
    domain::{
        file::Data,
        ids::{BatchId, DataId, JobId, ProjectId},
        job::JobStatus,
        location::DataPath,
    },
    ports::{
        Class, Error, Result,
        objects::BucketAccess,
        platform::{BatchItem, DataPlatform, Destination, Folder, Job, Load, NewFile, Project, Submitted},
        store::Page,
        transfers::PresignedUrl,
    },
    signals::api,
};

/// The most that is known to work.
pub(super) const PAGE_SIZE: &str = "1000";
/// A caller that asks for jobs wants the newest, or those that have not ended.
const JOBS_PAGE: u64 = 100;
const RUNNING_PAGE: u64 = 1000;
/// The statuses of jobs that have not ended, as the API filters by them.
const NOT_ENDED: [JobStatus; 3] =
    [JobStatus::Initialized, JobStatus::WaitingForResources, JobStatus::Running];
/// How many download URLs are asked for at once.
const URLS_AT_ONCE: usize = 1000;

impl Client {
    /// One page of a listing of data. `base` is the folder that is listed, as far as that is known.
    pub(super) async fn list(
        &self,
        mut call: Call,
        base: &DataPath,
        from: Option<&str>,
    ) -> Result<Page<Data>> {
        call = call.with("pageSize", PAGE_SIZE);
        if let Some(token) = from {
            call = call.with("pageToken", token);
        }
        let page: wire::PagedList<wire::ProjectData> = self.call(&call).await?;
        let mut odd = Vec::new();
        let items = page.items.into_iter().map(|entry| entry.data(base, &mut odd)).collect();
        api::odd_entries(call.operation, &odd);
        Ok(Page { items, next: page.next_page_token.filter(|token| !token.is_empty()) })
    }

    /// A page of jobs from that offset. Sorting makes the API count its pages, so a page starts at an
    /// offset: jobs that are made meanwhile push others onto the next page, which shows them twice and
    /// leaves none out.
    async fn page_of_jobs(&self, mut call: Call, size: u64, from: Option<&str>) -> Result<Page<Job>> {
        let offset: u64 = from
            .map_or(Ok(0), str::parse)
            .map_err(|error| Error::new(Class::Invalid, call.operation, "not a page").caused_by(error))?;
        call = call
            .with("sort", "timeCreated desc")
            .with("pageOffset", &offset.to_string())
            .with("pageSize", &size.to_string());
        let page: wire::PagedList<wire::Job> = self.call(&call).await?;
        let end = offset + page.items.len() as u64;
        let more = match page.total_item_count {
            Some(total) => !page.items.is_empty() && end < total,
            None => page.items.len() as u64 >= size,
        };
        let items = known(&call, page.items).map(Job::from).collect();
        Ok(Page { items, next: more.then(|| end.to_string()) })
    }
}

/// The entries that can be read. What cannot is told of and left out: for lists of which no entry is
/// missed that is not asked for by itself.
pub(super) fn known<T>(call: &Call, entries: Vec<wire::Entry<T>>) -> impl Iterator<Item = T> + use<T> {
    let (mut known, mut odd) = (Vec::with_capacity(entries.len()), Vec::new());
    for entry in entries {
        match entry {
            wire::Entry::Read(entry) => known.push(entry),
            wire::Entry::Odd(entry) => odd.push(entry.why),
        }
    }
    api::odd_entries(call.operation, &odd);
    known.into_iter()
}

impl Client {
    /// What is below a path, at any depth. The filter ignores case, and it finds the folder itself.
    async fn below(
        &self,
        project: &ProjectId,
        path: &DataPath,
        from: Option<&str>,
        kind: Option<&str>,
    ) -> Result<Page<Data>> {
        let mut call = Call::read(LIST, &[project.as_str()])
            .with("filePath", path.as_str())
            .with("filePathMatchMode", "STARTS_WITH_CASE_INSENSITIVE");
        if let Some(kind) = kind {
            call = call.with("type", kind);
        }
        let mut page = self.list(call, path, from).await?;
        page.items.retain(|data| data.path.inside(path).is_some_and(|rest| !rest.is_empty()));
        Ok(page)
    }

    /// The folder that holds an entry which was told without its path: `top`, or one below it. All of them are
    /// listed, until it is found: which files are missing depends on where they are.
    async fn holder_of(&self, project: &ProjectId, top: &DataPath, id: &DataId) -> Result<Option<DataPath>> {
        let (mut folders, mut from) = (vec![top.clone()], None);
        loop {
            let page = self.below(project, top, from.as_deref(), Some("FOLDER")).await?;
            folders.extend(page.items.into_iter().map(|folder| folder.path));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        for folder in folders {
            let mut from = None;
            loop {
                let page = self.children_at(project, &folder, from.as_deref()).await?;
                if page.items.iter().any(|data| data.id == *id) {
                    return Ok(Some(folder));
                }
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(None)
    }
}

/// One of our files or folders from the API's.
fn data<T>(call: &Call, found: T) -> Result<Data>
where
    T: TryInto<Data, Error = wire::Incomplete>,
{
    found.try_into().map_err(|error| problem::gibberish(call, error))
}

/// The root is always there, has no id and cannot be made, so no answer about it would be true.
fn refuse_root(operation: &'static str, path: &DataPath) -> Result<()> {
    if path.is_root() {
        return Err(Error::new(Class::Invalid, operation, "the root of a project is no folder with an id"));
    }
    Ok(())
}

#[async_trait]
impl DataPlatform for Client {
    async fn project(&self, reference: &str) -> Result<Project> {
        self.find_project(reference).await
    }

    async fn get(&self, project: &ProjectId, id: &DataId) -> Result<Data> {
        let ids = [project.as_str(), id.as_str()];
        let call = Call::read("GET /api/projects/{projectId}/data/{dataId}", &ids);
        data(&call, self.call::<wire::ProjectData>(&call).await?)
    }

    /// `Invalid` for the root, which is always there and has no id.
    async fn find(&self, project: &ProjectId, path: &DataPath) -> Result<Option<Data>> {
        refuse_root(LIST, path)?;
        self.look_up(project, path).await
    }

    async fn standing(&self, project: &ProjectId, paths: &[DataPath]) -> Result<Vec<Data>> {
        self.standing_at(project, paths).await
    }

    async fn children(&self, project: &ProjectId, folder: &Folder, from: Option<&str>) -> Result<Page<Data>> {
        match folder {
            Folder::Id(id) => self.children_of(project, id, from).await,
            Folder::Path(path) => self.children_at(project, path, from).await,
        }
    }

    async fn folders_below(
        &self,
        project: &ProjectId,
        path: &DataPath,
        from: Option<&str>,
    ) -> Result<Page<Data>> {
        self.below(project, path, from, Some("FOLDER")).await
    }

    async fn everything_below(
        &self,
        project: &ProjectId,
        path: &DataPath,
        from: Option<&str>,
    ) -> Result<Page<Data>> {
        let mut page = self.below(project, path, from, None).await?;
        let is_misplaced =
            |data: &&mut Data| data.is_bare() && !data.path.is_folder() && data.path.parent() == *path;
        for data in page.items.iter_mut().filter(is_misplaced) {
            if let Some(folder) = self.holder_of(project, path, &data.id).await? {
                data.path = folder.file(data.path.name());
            }
        }
        Ok(page)
    }

    async fn count_files_below(&self, project: &ProjectId, path: &DataPath) -> Result<Option<u64>> {
        self.count_files(project, path).await
    }

    async fn create_folder(&self, project: &ProjectId, path: &DataPath, key: &str) -> Result<Data> {
        let operation = "POST /api/projects/{projectId}/data:createFolder";
        refuse_root(operation, path)?;
        let folder =
            wire::CreateFolder { name: path.name().to_owned(), folder_path: path.parent().to_string() };
        let call = Call::keyed(operation, &[project.as_str()], key).json(&folder)?;
        data(&call, self.call::<wire::ProjectData>(&call).await?)
    }

    async fn create_file(
        &self,
        project: &ProjectId,
        folder: &Destination,
        name: &str,
        key: &str,
    ) -> Result<NewFile> {
        let operation = "POST /api/projects/{projectId}/data:createFileWithUploadUrl";
        let file = wire::CreateFile::new(name, folder);
        let call = Call::keyed(operation, &[project.as_str()], key).json(&file)?;
        let made: wire::FileAndUploadUrl = self.call(&call).await?;
        Ok(NewFile { id: DataId::new(made.data.id), upload: SecretString::from(made.upload_url) })
    }

    async fn upload_url(&self, project: &ProjectId, id: &DataId) -> Result<PresignedUrl> {
        let operation = "POST /api/projects/{projectId}/data/{dataId}:createUploadUrl";
        let call = Call::read(operation, &[project.as_str(), id.as_str()]);
        let upload: wire::Upload = self.call(&call).await?;
        Ok(SecretString::from(upload.url))
    }

    async fn download_urls(&self, project: &ProjectId, ids: &[DataId]) -> Result<Vec<PresignedUrl>> {
        let operation = "POST /api/projects/{projectId}/data:createDownloadUrls";
        let mut urls = HashMap::new();
        for some in ids.chunks(URLS_AT_ONCE) {
            let body = wire::DataIds { data_ids: some.iter().map(ToString::to_string).collect() };
            let call = Call::read(operation, &[project.as_str()]).json(&body)?;
            let answer: wire::List<wire::DataUrl> = self.call(&call).await?;
            urls.extend(answer.items.into_iter().map(|item| (item.data_id, item.url)));
        }
        ids.iter()
            .map(|id| {
                urls.get(id.as_str()).map(|url| SecretString::from(url.as_str())).ok_or_else(|| {
                    Error::new(Class::NotFound, operation, format!("no URL was given for {id}"))
                })
            })
            .collect()
    }

    async fn locate(&self, bucket: &str, key: &str) -> Result<Option<(Project, DataPath)>> {
        self.locate_object(bucket, key).await
    }

    async fn storage(&self, project: &ProjectId) -> Result<Option<(String, String)>> {
        Ok(self.root_of(project).await?.map(|Root { bucket, prefix }| (bucket, prefix)))
    }

    async fn write_access(&self, project: &ProjectId, data: &DataId) -> Result<BucketAccess> {
        self.credentials(project, data, Purpose::Write).await
    }

    async fn read_access(&self, project: &ProjectId, data: &DataId) -> Result<BucketAccess> {
        self.credentials(project, data, Purpose::Read).await
    }

    async fn create_file_for_parts(
        &self,
        project: &ProjectId,
        folder: &Destination,
        name: &str,
        key: &str,
    ) -> Result<(DataId, BucketAccess)> {
        self.file_with_credentials(project, folder, name, key).await
    }

    async fn delete(&self, project: &ProjectId, id: &DataId) -> Result<()> {
        let operation = "POST /api/projects/{projectId}/data/{dataId}:delete";
        self.run(&Call::effect(operation, &[project.as_str(), id.as_str()])).await?;
        Ok(())
    }

    async fn submit(&self, project: &ProjectId, folder: &Destination, files: &[DataId]) -> Result<Submitted> {
        let operation = "POST /api/projects/{projectId}/dataCopyBatch";
        let batch = wire::CreateCopyBatch {
            items: files.iter().map(|id| wire::ItemReference { data_id: id.to_string() }).collect(),
            destination_folder_id: folder.id().map(ToString::to_string),
            copy_user_tags: true,
            copy_technical_tags: true,
            copy_instrument_info: true,
            action_on_exist: "SKIP".to_owned(),
        };
        let call = Call::effect(operation, &[project.as_str()]).json(&batch)?;
        self.call::<wire::CopyBatch>(&call).await.map(Submitted::from)
    }

    async fn batch_folder(&self, project: &ProjectId, batch: &BatchId) -> Result<Destination> {
        let operation = "GET /api/projects/{projectId}/dataCopyBatch/{batchId}";
        let call = Call::read(operation, &[project.as_str(), batch.as_str()]);
        let batch: wire::CopyBatch = self.call(&call).await?;
        let folder = batch.destination_folder_id.filter(|id| !id.is_empty());
        Ok(folder.map_or(Destination::Root, |id| Destination::Folder(DataId::new(id))))
    }

    async fn batch_items(
        &self,
        project: &ProjectId,
        batch: &BatchId,
        from: Option<&str>,
    ) -> Result<Page<BatchItem>> {
        let operation = "GET /api/projects/{projectId}/dataCopyBatch/{batchId}/items";
        let mut call = Call::read(operation, &[project.as_str(), batch.as_str()]).with("pageSize", PAGE_SIZE);
        if let Some(token) = from {
            call = call.with("pageToken", token);
        }
        let page: wire::PagedList<wire::CopyBatchItem> = self.call(&call).await?;
        let items = known(&call, page.items).map(BatchItem::from).collect();
        Ok(Page { items, next: page.next_page_token.filter(|token| !token.is_empty()) })
    }

    async fn job(&self, id: &JobId) -> Result<Job> {
        let call = Call::read("GET /api/jobs/{jobId}", &[id.as_str()]);
        self.call::<wire::Job>(&call).await.map(Job::from)
    }

    async fn jobs(&self, from: Option<&str>) -> Result<Page<Job>> {
        self.page_of_jobs(Call::read("GET /api/jobs", &[]).at_once(), JOBS_PAGE, from).await
    }

    async fn running_jobs(&self, from: Option<&str>) -> Result<Page<Job>> {
        let call = Call::read("GET /api/jobs", &[]).at_once();
        let call = NOT_ENDED.iter().fold(call, |call, status| call.with("status", status.as_str()));
        self.page_of_jobs(call, RUNNING_PAGE, from).await
    }

    fn load(&self) -> Load {
        self.queue()
    }

    fn share(&self, instances: NonZeroU32) {
        self.share_pace(instances);
    }
}
