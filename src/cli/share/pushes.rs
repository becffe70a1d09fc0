//! Pushes: asked for, listed and shown.

use std::{io::Write, process::ExitCode};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::{
    api::Api,
    end::{self, Awaited},
    python, say, show,
};
use crate::{admin::words::text, domain::share::deliver::Deliver};

#[derive(Debug, Args)]
pub(super) struct PushPackage {
    /// The package
    #[arg(long, value_name = "ID")]
    package_id: String,
    /// Where to: `s3://BUCKET/PREFIX/` or `icav2://PROJECT/PATH/`
    #[arg(long, value_name = "URI")]
    share_location: String,
    /// What to put beside the files: `md5`, `sha256`, `report`, `ro-crate`, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = paper)]
    deliver: Option<Vec<Deliver>>,
    /// Only say what would be done; waits for the answer
    #[arg(long)]
    dry_run: bool,
    /// Wait for its end
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct RetryPush {
    /// The push, which has failed
    #[arg(long, value_name = "ID")]
    push_job_id: String,
    /// Wait for its end
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListPushJobs {
    /// Only pushes of that package
    #[arg(long, value_name = "ID")]
    package_id: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct GetPushJobStatus {
    /// The push
    #[arg(long, value_name = "ID")]
    push_job_id: String,
}

impl PushPackage {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let Self { package_id, share_location, deliver, dry_run, wait } = self;
        let mut body = json!({ "shareDestination": share_location });
        if let Some(body) = body.as_object_mut() {
            body.extend(deliver.map(|papers| ("deliver".to_owned(), json!(papers))));
            body.extend(dry_run.then(|| ("dryRun".to_owned(), json!(true))));
        }
        let pushed = api.post(&["package", &format!("{package_id}:push")], &body).await?;
        let id = text(&pushed, "id");
        ensure!(!id.is_empty(), "the service has told no id");
        if !wait && !dry_run {
            let line =
                format!("Pushing package '{package_id}' to '{share_location}' with push job id '{id}'");
            say(out, line)?;
            return Ok(ExitCode::SUCCESS);
        }
        if dry_run {
            return preview(id, api, out).await;
        }
        say(out, format_args!("Starting push job '{id}'"))?;
        awaited(id, api, out).await
    }
}

impl RetryPush {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let id = self.push_job_id.as_str();
        api.post(&["push", &format!("{id}:retry")], &Value::Null).await?;
        say(out, format_args!("Retrying push job '{id}'"))?;
        if self.wait { awaited(id, api, out).await } else { Ok(ExitCode::SUCCESS) }
    }
}

/// How a push ends, on stdout.
async fn awaited(id: &str, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let ended = awaiting(&["push", id], &format!("get-push-job-status --push-job-id {id}")).end(api).await?;
    match &ended {
        Ok(()) => say(out, format_args!("Generated push job: {}", python::dumps(&Value::from(id), 0)))?,
        Err(why) => say(out, why)?,
    }
    Ok(end::code(&ended))
}

/// What a push would do, on stdout.
async fn preview(id: &str, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let ended = awaiting(&["push", id], &format!("get-push-job-status --push-job-id {id}")).end(api).await?;
    if let Err(why) = &ended {
        say(out, why)?;
        return Ok(end::code(&ended));
    }
    let push = api.get(&["push", id]).await?;
    let preview = push.get("preview").context("the service has not told what it would do")?;
    show(out, preview)?;
    let succeeds = preview.get("wouldSucceed") == Some(&Value::Bool(true));
    Ok(if succeeds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn awaiting<'a>(path: &'a [&'a str], look: &'a str) -> Awaited<'a> {
    Awaited {
        path,
        look,
        failed: "Push to destination failed",
        aborted: "Push to destination was aborted",
        told_at: "stepFunctionsExecutionArn",
    }
}

fn paper(text: &str) -> Result<Deliver, String> {
    let known = || Deliver::ALL.map(Deliver::as_str).join(", ");
    Deliver::read(text).ok_or_else(|| format!("one of {}", known()))
}

impl ListPushJobs {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let mut pages = api.pages(&["push"], [("packageId", self.package_id.as_deref())]);
        let mut pushes = Vec::new();
        while let Some(page) = pages.next().await? {
            pushes.extend(page);
        }
        show(out, &Value::Array(pushes))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl GetPushJobStatus {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        show(out, &api.get(&["push", &self.push_job_id]).await?)?;
        Ok(ExitCode::SUCCESS)
    }
}
