//! What a copy is, as `plan` and `submit copy` are told.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::{
    domain::request::OnConflict,
    events::intake::{Incoming, Refusal, Submission, read_request},
};

/// A copy.
#[derive(Debug, Clone, Args)]
pub(super) struct CopyArgs {
    /// What to copy, and last the folder it goes to: `icav2://PROJECT/PATH` or `s3://BUCKET/KEY`, folders end with /
    #[arg(value_names = ["SRC", "DEST"], num_args = 1.., required = true)]
    uris: Vec<String>,
    /// Something to copy from a bucket that belongs to no project
    #[arg(long, value_name = "URI")]
    external: Vec<String>,
    /// What is done where another file stands; without it, what the settings say
    #[arg(long, value_name = "WAY")]
    on_conflict: Option<Way>,
    /// Have a file arrive under another name
    #[arg(long, value_name = "SRC=NAME", value_parser = rename)]
    rename: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Way {
    Fail,
    Overwrite,
    Skip,
}

impl CopyArgs {
    /// The payload of the request; `None` where what is given cannot be sources and a destination.
    pub(super) fn payload(&self, dry_run: bool, receipt: bool) -> Option<Value> {
        let (destination, sources) = self.uris.split_last()?;
        if sources.is_empty() && self.external.is_empty() {
            return None;
        }
        let mut payload = json!({ "sourceUriList": sources, "destinationUri": destination });
        let fields = payload.as_object_mut()?;
        if !self.external.is_empty() {
            fields.insert("externalSourceUriList".to_owned(), json!(self.external));
        }
        if !self.rename.is_empty() {
            let entry =
                |(source, name): &(String, String)| json!({ "sourceUri": source, "outputFileName": name });
            fields.insert("renamingMapList".to_owned(), self.rename.iter().map(entry).collect());
        }
        if let Some(way) = self.on_conflict {
            let way = match way {
                Way::Fail => OnConflict::Fail,
                Way::Overwrite => OnConflict::Overwrite,
                Way::Skip => OnConflict::Skip,
            };
            fields.insert("onConflict".to_owned(), way.as_str().into());
        }
        if dry_run {
            fields.insert("dryRun".to_owned(), true.into());
        }
        if receipt {
            fields.insert("receipt".to_owned(), true.into());
        }
        Some(payload)
    }
}

/// Reads an event as the daemon would, or says why that would not take it.
pub(super) fn read(detail_type: &str, detail: &Value) -> Result<Submission, String> {
    let event = json!({ "detail-type": detail_type, "source": "copy-manager.cli", "detail": detail });
    match read_request(&event.to_string()) {
        Ok(Incoming::Request(submission)) => Ok(*submission),
        Ok(Incoming::Child(_)) => Err("not a request".to_owned()),
        Err(Refusal::Malformed { reason, .. }) => Err(reason),
        Err(error @ Refusal::UnknownKind { .. }) => Err(error.to_string()),
    }
}

fn rename(text: &str) -> Result<(String, String), String> {
    let (source, name) = text.rsplit_once('=').ok_or("write it like `icav2://PROJECT/PATH=NAME`")?;
    Ok((source.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        copy: CopyArgs,
    }

    fn payload(line: &str) -> Option<Value> {
        Line::try_parse_from(line.split_whitespace()).unwrap().copy.payload(false, false)
    }

    #[test]
    fn the_last_uri_is_the_destination() {
        assert_eq!(
            payload("copy icav2://p/a icav2://p/b/ icav2://q/c/"),
            Some(json!({
                "sourceUriList": ["icav2://p/a", "icav2://p/b/"], "destinationUri": "icav2://q/c/",
            }))
        );
        assert_eq!(payload("copy icav2://q/c/"), None);
    }

    #[test]
    fn whatever_a_request_may_hold_can_be_said() {
        let line = "copy icav2://p/a=b icav2://q/c/ --external s3://bkt/k --on-conflict skip --rename icav2://p/a=b=z";
        let expected = json!({
            "sourceUriList": ["icav2://p/a=b"],
            "destinationUri": "icav2://q/c/",
            "externalSourceUriList": ["s3://bkt/k"],
            "renamingMapList": [{ "sourceUri": "icav2://p/a=b", "outputFileName": "z" }],
            "onConflict": "skip",
        });
        assert_eq!(payload(line), Some(expected.clone()));
        assert!(read("ICAv2DataCopySync", &json!({ "payload": expected })).is_ok());
        assert!(payload("copy icav2://q/c/ --external s3://bkt/k").is_some());
        let text = read("ICAv2DataCopySync", &json!({ "payload": { "sourceUriList": "a" } })).unwrap_err();
        assert!(text.contains("detail.payload.sourceUriList"), "{text}");
    }
}
