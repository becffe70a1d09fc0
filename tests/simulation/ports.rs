//! The ports of one instance: the world's, seen through the instance's gate, and watched at the moment
//! an effect is asked for.

use std::sync::Arc;

use async_trait::async_trait;
use copy_manager::{
    domain::{
        file::Data,
        ids::{BatchId, DataId, JobId, ProjectId},
        location::DataPath,
        token::TaskToken,
    },
    ports::{
        Class, Error, Result,
        bus::{Bus, Event, EventBus},
        callbacks::{Delivery, TaskCallbacks},
        objects::BucketAccess,
        platform::{BatchItem, DataPlatform, Destination, Folder, Job, Load, NewFile, Project, Submitted},
        queue::{Depth, Message, Queue},
        store::{Action, Due, Item, Key, Page, Recent, Store, Transacted, Write, Written},
        transfers::PresignedUrl,
    },
};
use serde_json::json;

use crate::{
    board::Board,
    doubles::{MemoryQueue, MemoryStore},
    fate::{Gate, Service},
    secrets,
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

/// The table, with somebody who watches what becomes of slices.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) board: Arc<Board>,
}

impl Watching {
    async fn write(&self, write: Write) -> Result<Written> {
        let key = write.key.clone();
        let is_put = matches!(write.action, Action::Put(_)) && key.id_type == "REQUEST";
        let written = self.store.write(write).await?;
        if let Written::Done(Some(item)) = &written
            && item.text("kind") == Some("slice")
        {
            if is_put {
                self.board.slice_is_put(item);
            }
            self.board.slice_is_stored(item);
        }
        Ok(written)
    }
}

pub(crate) const READ: bool = false;
pub(crate) const EFFECT: bool = true;

#[async_trait]
impl Store for Gated<Watching> {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        self.gate.pass(Service::Store, "get", READ, || key.to_string(), self.inner.store.get(key)).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let detail = || keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" ");
        self.gate.pass(Service::Store, "get_many", READ, detail, self.inner.store.get_many(keys)).await
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        let detail = || format!("{id} {prefix}");
        self.gate.pass(Service::Store, "query", READ, detail, self.inner.store.query(id, prefix)).await
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
        let call = self.inner.store.transact(writes);
        self.gate.pass(Service::Store, "transact", EFFECT, || keys.join(" "), call).await
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        let mut due = self.inner.store.due(shard, until, limit).await?;
        // An index may lag; an empty answer is not worth a line.
        due.retain(|_| !self.gate.fate.loses());
        if due.is_empty() && !self.gate.fate.is_out(Service::Store) {
            return self.gate.idle(due).await;
        }
        let detail = format!("{shard}: {} entries", due.len());
        self.gate.pass(Service::Store, "due", READ, || detail, async { Ok(due) }).await
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        let due = self.inner.store.due_after(shard, after, limit).await?;
        self.gate.idle(due).await
    }

    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
        let recent = self.inner.store.recent(day, before, limit).await?;
        self.gate.idle(recent).await
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

    async fn depth(&self) -> Result<Depth> {
        self.inner.depth().await
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
                    Bus::External => {
                        secrets::told(&event.detail);
                        self.inner.board.told(&detail);
                    }
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
        secrets::told(output);
        let detail = || format!("{} {output}", token.expose());
        let call = async { Ok(self.inner.succeed(token.expose(), output).await) };
        self.gate.pass(Service::Callbacks, "succeed", EFFECT, detail, call).await
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery> {
        secrets::told(&format!("{error} {cause}"));
        let detail = || format!("{} {error} {cause}", token.expose());
        let call = async { Ok(self.inner.fail(token.expose(), error, cause).await) };
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
    fn load(&self) -> Load {
        self.inner.platform.load()
    }

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

    async fn standing(&self, project: &ProjectId, paths: &[DataPath]) -> Result<Vec<Data>> {
        let detail = format!("{paths:?}");
        through!(self, "standing", READ, detail, self.inner.platform.standing(project, paths))
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
        folder: &Destination,
        name: &str,
        key: &str,
    ) -> Result<NewFile> {
        self.inner.board.file_is_made(self.inner.me(), project, folder, name).await;
        let call = self.inner.platform.create_file(project, folder, name, key);
        through!(self, "create file", EFFECT, format!("{folder:?} {name}"), call)
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
        folder: &Destination,
        name: &str,
        key: &str,
    ) -> Result<(DataId, BucketAccess)> {
        self.inner.board.file_is_made(self.inner.me(), project, folder, name).await;
        let call = self.inner.platform.create_file_for_parts(project, folder, name, key);
        through!(self, "create file for parts", EFFECT, format!("{folder:?} {name}"), call)
    }

    async fn delete(&self, project: &ProjectId, id: &DataId) -> Result<()> {
        self.inner.board.data_is_deleted(self.inner.me(), project, id).await;
        through!(self, "delete data", EFFECT, id.to_string(), self.inner.platform.delete(project, id))
    }

    async fn submit(&self, project: &ProjectId, folder: &Destination, files: &[DataId]) -> Result<Submitted> {
        let board = &self.inner.board;
        board.job_is_submitted(self.inner.me(), project, folder, files).await;
        let issued = tokio::time::Instant::now();
        let call = async {
            let submitted = self.inner.platform.submit(project, folder, files).await?;
            board.job_runs(folder, files, &submitted.job.id, issued);
            Ok(submitted)
        };
        let detail = format!("{folder:?} {}", files.iter().map(DataId::as_str).collect::<Vec<_>>().join(" "));
        through!(self, "submit", EFFECT, detail, call)
    }

    async fn batch_folder(&self, project: &ProjectId, batch: &BatchId) -> Result<Destination> {
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

    async fn running_jobs(&self, from: Option<&str>) -> Result<Page<Job>> {
        through!(self, "running jobs", READ, String::new(), self.inner.platform.running_jobs(from))
    }
}
