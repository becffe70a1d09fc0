//! The ports of one instance: the world's, seen through the instance's gate, and watched at the moment
//! an effect is asked for.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use copy_manager::{
    domain::{
        file::{Data, ETag},
        ids::{BatchId, DataId, JobId, ProjectId},
        location::DataPath,
        token::TaskToken,
    },
    ports::{
        Class, Error, Result,
        bus::{Bus, Event, EventBus},
        callbacks::{Delivery, TaskCallbacks},
        objects::{
            Access, BucketAccess, ByteStream, ObjectBody, ObjectCopy, ObjectInfo, ObjectLocation,
            ObjectStore, PartTag, PartUploads, Precondition, RestoreRequest, UploadId, WriteOptions,
        },
        platform::{BatchItem, DataPlatform, Folder, Job, NewFile, Project, Submitted},
        queue::{Message, Queue},
        store::{Due, Item, Key, Page, Store, Transacted, Write, Written},
        transfers::{PartsUpload, PresignedUrl, Sent, Stream, Tagged, Transfers},
    },
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    doubles::{MemoryQueue, MemoryStore},
    fate::{Gate, Service},
};

/// A port behind a gate.
#[derive(Debug)]
pub(crate) struct Gated<T> {
    pub(crate) gate: Arc<Gate>,
    pub(crate) inner: T,
}

impl<T> Gated<T> {
    pub(crate) fn new(gate: &Arc<Gate>, inner: T) -> Arc<Self> {
        Arc::new(Self { gate: Arc::clone(gate), inner })
    }
}

const READ: bool = false;
const EFFECT: bool = true;

#[async_trait]
impl Store for Gated<Arc<MemoryStore>> {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        self.gate.pass(Service::Store, "get", READ, || key.to_string(), self.inner.get(key)).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let detail = || keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" ");
        self.gate.pass(Service::Store, "get_many", READ, detail, self.inner.get_many(keys)).await
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        let detail = || format!("{id} {prefix}");
        self.gate.pass(Service::Store, "query", READ, detail, self.inner.query(id, prefix)).await
    }

    async fn write(&self, write: Write) -> Result<Written> {
        let shown = write.clone();
        let detail = || format!("{} {:?}", shown.key, shown.action);
        let call = async {
            if self.gate.fate.writes_twice() {
                // The first answer was lost on its way to the SDK, which asked again.
                self.inner.write(write.clone()).await?;
            }
            self.inner.write(write).await
        };
        self.gate.pass(Service::Store, "write", EFFECT, detail, call).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
        let keys: Vec<_> = writes.iter().map(|write| write.key.to_string()).collect();
        let call = self.inner.transact(writes);
        self.gate.pass(Service::Store, "transact", EFFECT, || keys.join(" "), call).await
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        let mut due = self.inner.due(shard, until, limit).await?;
        // An index may lag; an empty answer is not worth a line.
        due.retain(|_| !self.gate.fate.loses());
        if due.is_empty() && !self.gate.fate.is_out(Service::Store) {
            return self.gate.idle(due).await;
        }
        let detail = format!("{shard}: {} entries", due.len());
        self.gate.pass(Service::Store, "due", READ, || detail, async { Ok(due) }).await
    }

    async fn tree(&self, root: &str, from: Option<&str>) -> Result<Page<Item>> {
        self.gate.pass(Service::Store, "tree", READ, || root.to_owned(), self.inner.tree(root, from)).await
    }
}

#[async_trait]
impl Queue for Gated<Arc<MemoryQueue>> {
    async fn receive(&self) -> Result<Vec<Message>> {
        self.gate.pass(Service::Queue, "receive", EFFECT, String::new, self.inner.receive()).await
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>> {
        let detail = || receipts.join(" ");
        self.gate.pass(Service::Queue, "delete message", EFFECT, detail, self.inner.delete(receipts)).await
    }

    async fn release(&self, receipts: &[String]) -> Result<()> {
        let detail = || receipts.join(" ");
        self.gate.pass(Service::Queue, "release message", EFFECT, detail, self.inner.release(receipts)).await
    }

    fn max_receives(&self) -> Option<u32> {
        self.inner.max_receives()
    }
}

/// The buses: child events become messages, the rest is kept to be judged.
#[derive(Debug)]
pub(crate) struct Buses {
    pub(crate) board: Arc<Board>,
    pub(crate) queue: Arc<MemoryQueue>,
}

#[async_trait]
impl EventBus for Gated<Buses> {
    async fn publish(&self, events: &[Event]) -> Result<Vec<(usize, Error)>> {
        let fate = &self.gate.fate;
        let call = async {
            let mut refused = Vec::new();
            for (n, event) in events.iter().enumerate() {
                let detail = serde_json::from_str(&event.detail).unwrap();
                match event.bus {
                    Bus::External if fate.loses() => {
                        refused.push((n, Error::new(Class::Throttled, "publish", "fate")));
                    }
                    Bus::External => self.inner.board.told(&detail),
                    Bus::Internal if fate.loses() => {}
                    Bus::Internal => {
                        let envelope = json!({"version": "0", "id": "e", "detail-type": event.detail_type,
                            "source": "copy-manager", "account": "0", "time": "2026-01-01T00:00:00Z",
                            "region": "local", "resources": [], "detail": detail});
                        for _ in 0..=usize::from(fate.duplicates()) {
                            self.inner.queue.push(envelope.to_string());
                        }
                    }
                }
            }
            Ok(refused)
        };
        let detail = || events.iter().map(|event| event.detail.as_str()).collect::<Vec<_>>().join(" ");
        self.gate.pass(Service::Bus, "publish", EFFECT, detail, call).await
    }
}

#[async_trait]
impl TaskCallbacks for Gated<Arc<Board>> {
    async fn heartbeat(&self, token: &TaskToken) -> Result<Delivery> {
        let call = async { Ok(self.inner.beat(token.expose())) };
        self.gate.pass(Service::Callbacks, "beat", EFFECT, || token.expose().to_owned(), call).await
    }

    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery> {
        let detail = || format!("{} {output}", token.expose());
        let call = async { Ok(self.inner.succeed(token.expose(), output).await) };
        self.gate.pass(Service::Callbacks, "succeed", EFFECT, detail, call).await
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery> {
        let detail = || format!("{} {error} {cause}", token.expose());
        let call = async { Ok(self.inner.fail(token.expose(), error, cause)) };
        self.gate.pass(Service::Callbacks, "fail", EFFECT, detail, call).await
    }
}

/// The platform, with somebody who watches what is done there.
#[derive(Debug)]
pub(crate) struct Watched<P> {
    pub(crate) platform: P,
    pub(crate) board: Arc<Board>,
    pub(crate) instance: Arc<std::sync::OnceLock<String>>,
}

impl<P> Watched<P> {
    fn me(&self) -> &str {
        self.instance.get().unwrap()
    }
}

macro_rules! through {
    ($self:ident, $op:literal, $writes:expr, $detail:expr, $call:expr) => {
        $self.gate.pass(Service::Platform, $op, $writes, || $detail, $call).await
    };
}

#[async_trait]
impl<P: DataPlatform> DataPlatform for Gated<Watched<P>> {
    async fn project(&self, reference: &str) -> Result<Project> {
        through!(self, "project", READ, reference.to_owned(), self.inner.platform.project(reference))
    }

    async fn get(&self, project: &ProjectId, id: &DataId) -> Result<Data> {
        through!(self, "data", READ, id.to_string(), self.inner.platform.get(project, id))
    }

    async fn find(&self, project: &ProjectId, path: &DataPath) -> Result<Option<Data>> {
        through!(self, "find", READ, path.to_string(), self.inner.platform.find(project, path))
    }

    async fn children(&self, project: &ProjectId, folder: &Folder, from: Option<&str>) -> Result<Page<Data>> {
        let detail = format!("{folder:?}");
        through!(self, "children", READ, detail, self.inner.platform.children(project, folder, from))
    }

    async fn folders_below(
        &self,
        project: &ProjectId,
        path: &DataPath,
        from: Option<&str>,
    ) -> Result<Page<Data>> {
        let call = self.inner.platform.folders_below(project, path, from);
        through!(self, "folders below", READ, path.to_string(), call)
    }

    async fn everything_below(
        &self,
        project: &ProjectId,
        path: &DataPath,
        from: Option<&str>,
    ) -> Result<Page<Data>> {
        let call = self.inner.platform.everything_below(project, path, from);
        through!(self, "everything below", READ, path.to_string(), call)
    }

    async fn count_files_below(&self, project: &ProjectId, path: &DataPath) -> Result<Option<u64>> {
        let call = self.inner.platform.count_files_below(project, path);
        through!(self, "count files", READ, path.to_string(), call)
    }

    async fn create_folder(&self, project: &ProjectId, path: &DataPath, key: &str) -> Result<Data> {
        let call = self.inner.platform.create_folder(project, path, key);
        through!(self, "create folder", EFFECT, path.to_string(), call)
    }

    async fn create_file(
        &self,
        project: &ProjectId,
        folder: &DataId,
        name: &str,
        key: &str,
    ) -> Result<NewFile> {
        self.inner.board.file_is_made(self.inner.me(), project, folder, name).await;
        let call = self.inner.platform.create_file(project, folder, name, key);
        through!(self, "create file", EFFECT, format!("{folder} {name}"), call)
    }

    async fn upload_url(&self, project: &ProjectId, id: &DataId) -> Result<PresignedUrl> {
        through!(self, "upload url", READ, id.to_string(), self.inner.platform.upload_url(project, id))
    }

    async fn download_urls(&self, project: &ProjectId, ids: &[DataId]) -> Result<Vec<PresignedUrl>> {
        let call = self.inner.platform.download_urls(project, ids);
        through!(self, "download urls", READ, format!("{} files", ids.len()), call)
    }

    async fn locate(&self, bucket: &str, key: &str) -> Result<Option<(Project, DataPath)>> {
        let detail = format!("{bucket}/{key}");
        through!(self, "locate", READ, detail, self.inner.platform.locate(bucket, key))
    }

    async fn storage(&self, project: &ProjectId) -> Result<Option<(String, String)>> {
        through!(self, "storage", READ, project.to_string(), self.inner.platform.storage(project))
    }

    async fn write_access(&self, project: &ProjectId, data: &DataId) -> Result<BucketAccess> {
        through!(
            self,
            "write access",
            READ,
            data.to_string(),
            self.inner.platform.write_access(project, data)
        )
    }

    async fn read_access(&self, project: &ProjectId, data: &DataId) -> Result<BucketAccess> {
        through!(self, "read access", READ, data.to_string(), self.inner.platform.read_access(project, data))
    }

    async fn create_file_for_parts(
        &self,
        project: &ProjectId,
        folder: &DataId,
        name: &str,
        key: &str,
    ) -> Result<(DataId, BucketAccess)> {
        self.inner.board.file_is_made(self.inner.me(), project, folder, name).await;
        let call = self.inner.platform.create_file_for_parts(project, folder, name, key);
        through!(self, "create file for parts", EFFECT, format!("{folder} {name}"), call)
    }

    async fn delete(&self, project: &ProjectId, id: &DataId) -> Result<()> {
        self.inner.board.data_is_deleted(self.inner.me(), project, id).await;
        through!(self, "delete data", EFFECT, id.to_string(), self.inner.platform.delete(project, id))
    }

    async fn submit(&self, project: &ProjectId, folder: &DataId, files: &[DataId]) -> Result<Submitted> {
        let board = &self.inner.board;
        board.job_is_submitted(self.inner.me(), project, folder, files).await;
        let issued = tokio::time::Instant::now();
        let call = async {
            let submitted = self.inner.platform.submit(project, folder, files).await?;
            board.job_runs(folder, files, &submitted.job.id, issued);
            Ok(submitted)
        };
        let detail = format!("{folder} {}", files.iter().map(DataId::as_str).collect::<Vec<_>>().join(" "));
        through!(self, "submit", EFFECT, detail, call)
    }

    async fn batch_folder(&self, project: &ProjectId, batch: &BatchId) -> Result<Option<DataId>> {
        let call = self.inner.platform.batch_folder(project, batch);
        through!(self, "batch folder", READ, batch.to_string(), call)
    }

    async fn batch_items(
        &self,
        project: &ProjectId,
        batch: &BatchId,
        from: Option<&str>,
    ) -> Result<Page<BatchItem>> {
        let call = self.inner.platform.batch_items(project, batch, from);
        through!(self, "batch items", READ, batch.to_string(), call)
    }

    async fn job(&self, id: &JobId) -> Result<Job> {
        through!(self, "job", READ, id.to_string(), self.inner.platform.job(id))
    }

    async fn jobs(&self, from: Option<&str>) -> Result<Page<Job>> {
        through!(self, "jobs", READ, String::new(), self.inner.platform.jobs(from))
    }
}

#[async_trait]
impl Transfers for Gated<Arc<dyn Transfers>> {
    async fn stream(&self, stream: Stream, cut: &CancellationToken) -> Result<Sent> {
        let detail = format!("{} bytes", stream.size);
        self.gate.pass(Service::Bytes, "stream", EFFECT, || detail, self.inner.stream(stream, cut)).await
    }

    async fn look(&self, url: &PresignedUrl) -> Result<Tagged> {
        self.gate.pass(Service::Bytes, "look", READ, String::new, self.inner.look(url)).await
    }

    async fn upload_parts(&self, upload: PartsUpload, cut: &CancellationToken) -> Result<ETag> {
        let detail = upload.to.to_string();
        let call = self.inner.upload_parts(upload, cut);
        self.gate.pass(Service::Bytes, "upload parts", EFFECT, || detail, call).await
    }
}

type Objects = Gated<Arc<dyn ObjectStore>>;

#[async_trait]
impl PartUploads for Objects {
    async fn begin(
        &self,
        to: &ObjectLocation,
        like: Option<&ObjectInfo>,
        options: &WriteOptions,
        access: &Access,
    ) -> Result<UploadId> {
        let call = self.inner.begin(to, like, options, access);
        self.gate.pass(Service::Bytes, "begin", EFFECT, || to.to_string(), call).await
    }

    async fn copy_part(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        number: u32,
        from: &ObjectLocation,
        range: Range<u64>,
        etag: Option<&ETag>,
        access: &Access,
    ) -> Result<PartTag> {
        let call = self.inner.copy_part(to, upload, number, from, range, etag, access);
        self.gate.pass(Service::Bytes, "copy part", EFFECT, || to.to_string(), call).await
    }

    async fn parts_of(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        access: &Access,
    ) -> Result<Option<Vec<(PartTag, u64)>>> {
        let call = self.inner.parts_of(to, upload, access);
        self.gate.pass(Service::Bytes, "parts of", READ, || to.to_string(), call).await
    }

    async fn put_part(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        number: u32,
        size: u64,
        bytes: ByteStream,
        access: &Access,
    ) -> Result<PartTag> {
        let call = self.inner.put_part(to, upload, number, size, bytes, access);
        self.gate.pass(Service::Bytes, "put part", EFFECT, || to.to_string(), call).await
    }

    async fn complete(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        parts: &[PartTag],
        precondition: &Precondition,
        access: &Access,
    ) -> Result<ETag> {
        let call = self.inner.complete(to, upload, parts, precondition, access);
        self.gate.pass(Service::Bytes, "complete", EFFECT, || to.to_string(), call).await
    }

    async fn abort(&self, to: &ObjectLocation, upload: &UploadId, access: &Access) -> Result<()> {
        let call = self.inner.abort(to, upload, access);
        self.gate.pass(Service::Bytes, "abort", EFFECT, || to.to_string(), call).await
    }

    async fn unfinished(&self, to: &ObjectLocation, access: &Access) -> Result<Vec<UploadId>> {
        let call = self.inner.unfinished(to, access);
        self.gate.pass(Service::Bytes, "unfinished", READ, || to.to_string(), call).await
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn head(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>> {
        self.gate.pass(Service::Bytes, "head", READ, || at.to_string(), self.inner.head(at, access)).await
    }

    async fn look(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>> {
        self.gate.pass(Service::Bytes, "look", READ, || at.to_string(), self.inner.look(at, access)).await
    }

    async fn part_sizes(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>> {
        let call = self.inner.part_sizes(at, info, access);
        self.gate.pass(Service::Bytes, "part sizes", READ, || at.to_string(), call).await
    }

    async fn each_part_size(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>> {
        let call = self.inner.each_part_size(at, info, access);
        self.gate.pass(Service::Bytes, "each part size", READ, || at.to_string(), call).await
    }

    async fn tags(&self, at: &ObjectLocation, access: &Access) -> Result<BTreeMap<String, String>> {
        self.gate.pass(Service::Bytes, "tags", READ, || at.to_string(), self.inner.tags(at, access)).await
    }

    async fn put(
        &self,
        to: &ObjectLocation,
        bytes: Bytes,
        content_type: Option<&str>,
        options: &WriteOptions,
        access: &Access,
    ) -> Result<ETag> {
        let call = self.inner.put(to, bytes, content_type, options, access);
        self.gate.pass(Service::Bytes, "put object", EFFECT, || to.to_string(), call).await
    }

    async fn restore(&self, at: &ObjectLocation, ask: &RestoreRequest, access: &Access) -> Result<()> {
        let call = self.inner.restore(at, ask, access);
        self.gate.pass(Service::Bytes, "restore", EFFECT, || at.to_string(), call).await
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        access: &Access,
    ) -> Result<Page<ObjectInfo>> {
        let call = self.inner.list(bucket, prefix, from, access);
        self.gate.pass(Service::Bytes, "list", READ, || format!("{bucket}/{prefix}"), call).await
    }

    async fn list_after(
        &self,
        bucket: &str,
        prefix: &str,
        after: &str,
        most: usize,
        access: &Access,
    ) -> Result<Page<ObjectInfo>> {
        let call = self.inner.list_after(bucket, prefix, after, most, access);
        self.gate.pass(Service::Bytes, "list after", READ, || format!("{bucket}/{after}"), call).await
    }

    async fn get(
        &self,
        at: &ObjectLocation,
        range: Option<Range<u64>>,
        etag: Option<&ETag>,
        access: &Access,
    ) -> Result<ObjectBody> {
        let call = self.inner.get(at, range, etag, access);
        self.gate.pass(Service::Bytes, "get object", READ, || at.to_string(), call).await
    }

    async fn copy(&self, copy: &ObjectCopy, access: &Access) -> Result<ETag> {
        let call = self.inner.copy(copy, access);
        self.gate.pass(Service::Bytes, "copy object", EFFECT, || copy.to.to_string(), call).await
    }

    async fn delete(&self, at: &ObjectLocation, access: &Access) -> Result<()> {
        let call = self.inner.delete(at, access);
        self.gate.pass(Service::Bytes, "delete object", EFFECT, || at.to_string(), call).await
    }
}
