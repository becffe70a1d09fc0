//! Pushes: asked for, listed and shown.

use std::{io::Write, process::ExitCode};

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};

use super::{
    api::Api,
    end::{self, Awaited},
    python, say, show,
};
use crate::admin::words::text;

#[derive(Debug, Args)]
pub(super) struct PushPackage {
    /// The package
    #[arg(long, value_name = "ID")]
    package_id: String,
    /// Where to: `s3://BUCKET/PREFIX/` or `icav2://PROJECT/PATH/`
    #[arg(long, value_name = "URI")]
    share_location: String,
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
        let Self { package_id, share_location, wait } = self;
        let body = json!({ "shareDestination": share_location });
        let pushed = api.post(&["package", &format!("{package_id}:push")], &body).await?;
        let id = text(&pushed, "id");
        ensure!(!id.is_empty(), "the service has told no id");
        if !wait {
            let line =
                format!("Pushing package '{package_id}' to '{share_location}' with push job id '{id}'");
            say(out, line)?;
            return Ok(ExitCode::SUCCESS);
        }
        say(out, format_args!("Starting push job '{id}'"))?;
        let awaited = Awaited {
            path: &["push", id],
            look: &format!("get-push-job-status --push-job-id {id}"),
            failed: "Push to destination failed",
            aborted: "Push to destination was aborted",
            told_at: "stepFunctionsExecutionArn",
        };
        let ended = awaited.end(api).await?;
        match &ended {
            Ok(()) => {
                say(out, format_args!("Generated push job: {}", python::dumps(&Value::from(id), 0)))?;
            }
            Err(why) => say(out, why)?,
        }
        Ok(end::code(&ended))
    }
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
