//! `submit`: what a caller would send, by hand.

use std::{fs, io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::{Args, Subcommand};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tokio::{signal::ctrl_c, time::sleep};

use super::{
    Global,
    client::{Put, ServerArgs},
    copy::{self, CopyArgs},
    exit::{self, Ended},
    output,
    plan::misused,
    watch,
};
use crate::{
    app,
    domain::{duration_text, ids::RequestId},
    events::{BATCH_REQUEST, COPY_OUT_REQUEST, COPY_REQUEST},
};

/// Bytes of a manifest that is sent as it is.
const LONGEST_PLAIN: usize = 128 * 1024;
/// The first bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

#[derive(Debug, Args)]
#[command(after_help = exit::CODES)]
pub(super) struct Submit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Copy files and folders into one destination folder
    #[command(after_help = exit::CODES, override_usage = "copy-manager submit copy [OPTIONS] <SRC>... <DEST>")]
    Copy(Copy),
    /// Copy what a manifest names to where it says
    #[command(after_help = exit::CODES, override_usage = "copy-manager submit batch [OPTIONS] <MANIFEST.json>")]
    Batch(Batch),
    /// Copy the objects of a list in S3 to a bucket
    #[command(after_help = exit::CODES, override_usage = "copy-manager submit copy-out [OPTIONS] <CSV_URI> <DEST_BUCKET>")]
    CopyOut(CopyOut),
}

#[derive(Debug, Args)]
struct CopyOut {
    /// The list: `s3://BUCKET/KEY`, CSV (`bucket,key`) when it ends with .csv, else JSON lines
    #[arg(value_name = "CSV_URI")]
    list: String,
    /// The bucket that the objects go to
    #[arg(value_name = "DEST_BUCKET")]
    destination: String,
    /// What their keys there start with; ends with /
    #[arg(long, value_name = "P", default_value = "")]
    prefix: String,
    /// Objects that one instance takes at a time
    #[arg(long, value_name = "N")]
    max_items_per_batch: Option<u32>,
    /// Objects in flight over the fleet
    #[arg(long, value_name = "N")]
    copy_concurrency: Option<u32>,
    /// Let objects that could not be copied leave the request a success
    #[arg(long)]
    continue_on_error: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Bring the last one of several objects that would have one key there
    #[arg(long)]
    allow_collisions: bool,
    #[command(flatten)]
    sending: Sending,
}

impl CopyOut {
    fn payload(&self) -> anyhow::Result<Value> {
        let place = self.list.strip_prefix("s3://").and_then(|place| place.split_once('/'));
        let Some((bucket, key)) = place.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()) else {
            let why = format!("the list `{}` must be an object: s3://BUCKET/KEY", self.list);
            return Err(Ended::Refused(why).into());
        };
        Ok(json!({
            "sourceFilesCsvBucket": bucket,
            "sourceFilesCsvKey": key,
            "destinationBucket": self.destination,
            "destinationPrefixKey": self.prefix,
            "maxItemsPerBatch": self.max_items_per_batch,
            "copyConcurrency": self.copy_concurrency,
            "continueOnError": self.continue_on_error,
            "dryRun": self.dry_run,
            "allowCollisions": self.allow_collisions,
        }))
    }
}

#[derive(Debug, Args)]
struct Copy {
    #[command(flatten)]
    what: CopyArgs,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Keep a receipt, a line for each file; needs `report.s3_prefix` or `report.folder`
    #[arg(long, conflicts_with = "dry_run")]
    receipt: bool,
    #[command(flatten)]
    sending: Sending,
}

#[derive(Debug, Args)]
struct Batch {
    /// A file with an object in JSON, plain or gzipped: each source with a list of destination folders
    #[arg(value_name = "MANIFEST.json")]
    manifest: PathBuf,
    /// Keep a receipt, a line for each file; needs `report.s3_prefix` or `report.folder`
    #[arg(long)]
    receipt: bool,
    #[command(flatten)]
    sending: Sending,
}

/// How a request is sent, of whatever kind.
#[derive(Debug, Args)]
struct Sending {
    /// Wait for the end
    #[arg(long)]
    wait: bool,
    /// Wait for so long at most; the request goes on
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = duration_text::parse)]
    timeout: Option<Duration>,
    #[command(flatten)]
    server: ServerArgs,
    /// Put the event on this bus of EventBridge instead of the daemon's own interface
    #[arg(long, value_name = "NAME")]
    bus: Option<String>,
    /// Name the request; the same name with the same content is the same request
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// The event's source
    #[arg(long, value_name = "NAME", default_value = "copy-manager.cli")]
    source: String,
}

impl Submit {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Copy(copy) => {
                let Some(payload) = copy.what.payload(copy.dry_run, copy.receipt) else {
                    return Ok(misused());
                };
                copy.sending.send(global, COPY_REQUEST, payload).await
            }
            What::Batch(batch) => {
                let manifest = fs::read(&batch.manifest)
                    .with_context(|| format!("cannot read {}", batch.manifest.display()))?;
                let mut payload = manifest_payload(&manifest)?;
                if let (true, Some(fields)) = (batch.receipt, payload.as_object_mut()) {
                    fields.insert("receipt".to_owned(), true.into());
                }
                batch.sending.send(global, BATCH_REQUEST, payload).await
            }
            What::CopyOut(copy_out) => {
                let payload = copy_out.payload()?;
                copy_out.sending.send(global, COPY_OUT_REQUEST, payload).await
            }
        }
    }
}

impl Sending {
    async fn send(self, global: &Global, detail_type: &str, payload: Value) -> anyhow::Result<ExitCode> {
        let detail = detail(&payload, self.request_id.as_deref());
        copy::read(detail_type, &detail).map_err(Ended::Refused)?;
        let server = self.server.connect().await?;
        let put = match &self.bus {
            Some(bus) => {
                let event_id = app::put_event(bus, &self.source, detail_type, &detail).await?;
                Put { event_id, request_id: None }
            }
            None => server.put_event(&self.source, detail_type, &detail).await?,
        };
        let event = put.event_id.clone();
        let id = record_id(&self.source, self.request_id.as_deref(), put);
        if !self.wait {
            output::data(if global.json { json!({ "requestId": id }).to_string() } else { id })?;
            return Ok(ExitCode::SUCCESS);
        }
        output::talk(format_args!("waiting for request {id}"));
        let look = server.look(&id);
        let ended = tokio::select! {
            ended = watch::wait_for_event(&server, &id, &event) => ended?,
            within = over(self.timeout) => return Err(Ended::TimedOut { within, look }.into()),
            Ok(()) = ctrl_c() => return Err(Ended::Interrupted { look }.into()),
        };
        watch::report(&ended, global.json)
    }
}

/// Ends when so long has passed; never, where nothing is said.
async fn over(timeout: Option<Duration>) -> String {
    match timeout {
        Some(timeout) => {
            sleep(timeout).await;
            duration_text::print(timeout)
        }
        None => std::future::pending().await,
    }
}

/// Under which id the daemon keeps the request.
fn record_id(source: &str, request_id: Option<&str>, put: Put) -> String {
    let named = || request_id.map(|name| RequestId::of_caller(source, name).to_string());
    put.request_id.or_else(named).unwrap_or(put.event_id)
}

/// A manifest as it is, or packed where it would not fit an event.
fn manifest_payload(content: &[u8]) -> anyhow::Result<Value> {
    let packed = if content.starts_with(&GZIP) {
        content.to_vec()
    } else {
        let manifest: Value = serde_json::from_slice(content)
            .map_err(|error| Ended::Refused(format!("the manifest is not JSON: {error}")))?;
        if !manifest.is_object() {
            let why = "the manifest must be an object: each source with a list of destination folders";
            return Err(Ended::Refused(why.to_owned()).into());
        }
        if content.len() <= LONGEST_PLAIN {
            return Ok(json!({ "manifest": manifest }));
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content)?;
        encoder.finish()?
    };
    Ok(json!({ "manifest_b64gz": BASE64_STANDARD.encode(packed) }))
}

fn detail(payload: &Value, request_id: Option<&str>) -> Value {
    let mut detail = json!({ "payload": payload });
    if let (Some(id), Some(fields)) = (request_id, detail.as_object_mut()) {
        fields.insert("requestId".to_owned(), id.into());
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_packed_where_it_would_not_fit() {
        let short = br#"{"icav2://p/b": ["icav2://q/c/"], "icav2://p/a": ["icav2://q/c/"]}"#;
        let sent = manifest_payload(short).unwrap().to_string();
        assert_eq!(sent, r#"{"manifest":{"icav2://p/b":["icav2://q/c/"],"icav2://p/a":["icav2://q/c/"]}}"#);
        let long = format!(r#"{{"icav2://p/{}": []}}"#, "a".repeat(LONGEST_PLAIN));
        let packed = manifest_payload(long.as_bytes()).unwrap();
        let text = packed["manifest_b64gz"].as_str().unwrap();
        assert!(text.starts_with("H4sI") && text.len() < 10_000);
        let again = manifest_payload(&BASE64_STANDARD.decode(text).unwrap()).unwrap();
        assert_eq!(again, packed);
        assert!(manifest_payload(b"[]").is_err() && manifest_payload(b"{").is_err());
    }

    #[test]
    fn a_named_request_is_asked_for_by_the_id_of_its_record() {
        let put = |request_id: Option<&str>| Put {
            event_id: "event".into(),
            request_id: request_id.map(str::to_owned),
        };
        assert_eq!(record_id("s", None, put(None)), "event");
        let named = record_id("s", Some("tuesday"), put(None));
        assert_eq!(named, RequestId::of_caller("s", "tuesday").as_str());
        assert_ne!(named, RequestId::of_caller("t", "tuesday").as_str());
        assert_eq!(record_id("s", Some("tuesday"), put(Some("told"))), "told");
    }
}
