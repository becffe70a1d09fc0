//! The platform without a replica: lists, schemas and files, as its official client has them.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{fs, io::AsyncWriteExt as _, time::sleep};

use super::{Namespace, Tables};
use crate::{
    app,
    cli::{Global, output},
    domain::replica::{names::TableName, settings::CanvasSettings},
    ports::{
        self,
        source::{Format, Job, JobStatus, Query, SchemaVersion, Source},
    },
};

/// How often a call is made that is answered with "later".
const TRIES: u32 = 20;
/// The longest wait between two of them.
const LONGEST_WAIT: Duration = Duration::from_secs(65);

#[derive(Debug, Args)]
#[command(after_help = super::CODES)]
pub(super) struct List {
    #[command(flatten)]
    namespace: Namespace,
}

#[derive(Debug, Args)]
#[command(after_help = super::CODES)]
pub(super) struct Schema {
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    tables: Tables,
    #[command(flatten)]
    to: Directory,
}

#[derive(Debug, Args)]
#[command(after_help = super::CODES)]
pub(super) struct Snapshot {
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    tables: Tables,
    #[command(flatten)]
    to: Directory,
    /// How the files are written
    #[arg(long, value_enum, default_value_t = FormatName::Jsonl)]
    format: FormatName,
}

#[derive(Debug, Args)]
#[command(after_help = super::CODES)]
pub(super) struct Incremental {
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    tables: Tables,
    #[command(flatten)]
    to: Directory,
    /// How the files are written
    #[arg(long, value_enum, default_value_t = FormatName::Jsonl)]
    format: FormatName,
    /// From then on, as 2022-06-13T09:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Timestamp,
    /// Until then, and not then itself; now where it is not said
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

#[derive(Debug, Args)]
struct Directory {
    /// Where files go
    #[arg(long, value_name = "DIR", default_value = "downloads")]
    output_directory: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Tsv,
    Csv,
    Jsonl,
    Parquet,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Tsv => Self::ExpandedTsv,
            FormatName::Csv => Self::Csv,
            FormatName::Jsonl => Self::JsonLines,
            FormatName::Parquet => Self::Parquet,
        }
    }
}

/// The platform, and whose namespace is meant.
struct Platform {
    settings: CanvasSettings,
    source: Arc<dyn Source>,
    namespace: String,
}

impl Platform {
    async fn new(global: &Global, namespace: Namespace) -> anyhow::Result<Self> {
        let (settings, source) = app::canvas_platform(&namespace.options(global)).await?;
        let first = || settings.namespaces.first().cloned().unwrap_or_default();
        let namespace = namespace.namespace.unwrap_or_else(first);
        Ok(Self { settings, source, namespace })
    }

    /// The tables that are meant.
    async fn tables(&self, of: &Tables) -> anyhow::Result<Vec<TableName>> {
        let mut names = of.names();
        if names.is_empty() {
            names = patiently(|| self.source.tables(&self.namespace)).await?;
        }
        Ok(names.into_iter().map(|name| TableName::new(self.namespace.as_str(), name)).collect())
    }

    /// Asks for data, waits for the job, and saves its files.
    async fn download(
        &self,
        table: &TableName,
        query: &Query,
        format: Format,
        to: &Path,
    ) -> anyhow::Result<Value> {
        let mut job = patiently(|| self.source.ask(table, query, format)).await?;
        let mut wait = self.settings.poll;
        while matches!(job.status, JobStatus::Waiting | JobStatus::Running) {
            sleep(wait).await;
            wait = (wait * 2).min(self.settings.poll_cap);
            job = patiently(|| self.source.job(&job.id)).await?;
        }
        if job.status == JobStatus::Failed {
            let why = job.error.map(|(kind, message)| format!("{kind}: {message}"));
            bail!(
                "job {} of {table} has failed: {}",
                job.id,
                why.unwrap_or_else(|| "it does not say why".to_owned())
            );
        }
        let folder = to.join(format!("job_{}", file_name(&job.id)));
        fs::create_dir_all(&folder).await.with_context(|| format!("{} cannot be made", folder.display()))?;
        let mut files = Vec::new();
        for object in &job.objects {
            let path = folder.join(file_name(object));
            self.save(object, &path).await.with_context(|| format!("{}", path.display()))?;
            files.push(path.display().to_string());
        }
        output::talk(format_args!("{table}: {} files in {}", files.len(), folder.display()));
        Ok(told(table, &job, &files))
    }

    /// Saves a file as it is kept. One that was begun has another name until it is whole.
    async fn save(&self, object: &str, path: &Path) -> anyhow::Result<()> {
        let mut begun = path.as_os_str().to_owned();
        begun.push(".part");
        let begun = PathBuf::from(begun);
        let mut bytes = patiently(|| self.source.packed(object)).await?;
        let mut file = fs::File::create(&begun).await?;
        while let Some(chunk) = bytes.next().await {
            file.write_all(&chunk.map_err(app::canvas_failed)?).await?;
        }
        file.sync_all().await?;
        fs::rename(&begun, path).await?;
        Ok(())
    }
}

/// The last part of a name that the platform gives, which cannot lead out of a folder.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if matches!(last, "" | "." | "..") { "file".to_owned() } else { last.to_owned() }
}

fn told(table: &TableName, job: &Job, files: &[String]) -> Value {
    json!({
        "table": table.table,
        "job": job.id,
        "schemaVersion": job.schema_version,
        "dataOf": job.data_of.map(|at| at.to_string()),
        "files": files,
    })
}

/// Makes a call, and makes it again where it is answered with "later".
async fn patiently<T, F: Future<Output = ports::Result<T>>>(call: impl Fn() -> F) -> anyhow::Result<T> {
    for _ in 1..TRIES {
        match call().await {
            Err(error) if error.class == ports::Class::Throttled => {
                let wait = error.retry_after.unwrap_or(Duration::from_secs(5)).min(LONGEST_WAIT);
                output::talk(format_args!("waits {} s: {error}", wait.as_secs()));
                sleep(wait).await;
            }
            done => return done.map_err(app::canvas_failed),
        }
    }
    call().await.map_err(app::canvas_failed)
}

impl List {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let platform = Platform::new(global, self.namespace).await?;
        let tables = patiently(|| platform.source.tables(&platform.namespace)).await?;
        output::data(if global.json { json!(tables).to_string() } else { tables.join("\n") })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Schema {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let platform = Platform::new(global, self.namespace).await?;
        let folder = self.to.output_directory;
        fs::create_dir_all(&folder).await.with_context(|| format!("{} cannot be made", folder.display()))?;
        for table in platform.tables(&self.tables).await? {
            let SchemaVersion { version, schema } = patiently(|| platform.source.schema(&table)).await?;
            let path = folder.join(format!("{}_schema_version_{version}.json", file_name(&table.table)));
            let mut text = Vec::new();
            let indented = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            let mut writer = serde_json::Serializer::with_formatter(&mut text, indented);
            serde::Serialize::serialize(&json!({ "schema": schema, "version": version }), &mut writer)?;
            fs::write(&path, text).await.with_context(|| format!("{}", path.display()))?;
            output::data(path.display())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Snapshot {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let platform = Platform::new(global, self.namespace).await?;
        download(&platform, &self.tables, &Query::Snapshot, self.format, &self.to).await
    }
}

impl Incremental {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let platform = Platform::new(global, self.namespace).await?;
        let query = Query::Changes { since: self.since, until: self.until };
        download(&platform, &self.tables, &query, self.format, &self.to).await
    }
}

async fn download(
    platform: &Platform,
    tables: &Tables,
    query: &Query,
    format: FormatName,
    to: &Directory,
) -> anyhow::Result<ExitCode> {
    let mut all = Vec::new();
    for table in platform.tables(tables).await? {
        all.push(platform.download(&table, query, format.into(), &to.output_directory).await?);
    }
    output::data(json!(all))?;
    Ok(ExitCode::SUCCESS)
}
