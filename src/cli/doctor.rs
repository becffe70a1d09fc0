//! `doctor` and `subscribe`: whether a daemon could work with these settings, and job events for a project.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Global, exit, output};
use crate::app::{self, DoctorOptions, Finding, Health, SubscribeOptions};

#[derive(Debug, Args)]
#[command(
    after_help = "Writes are tried that cannot happen, and nothing is received; on AWS, an event CopyManagerDoctor is put on each \
    bus, which no rule of ours takes. Buckets are not tried. Exit codes: 0 nothing is bad; 1 something is; 2 wrong usage; 78 wrong settings."
)]
pub(super) struct Doctor {
    /// A project that copies go to; may be given again
    #[arg(long, value_name = "PROJECT")]
    project: Vec<String>,
}

impl Doctor {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let options = DoctorOptions { config: global.config.clone(), projects: self.project };
        let mut told = Ok(());
        let is_well = app::doctor(options, |finding| {
            if told.is_ok() {
                told = if global.json { output::data(as_json(finding)) } else { output::data(line(finding)) };
            }
        })
        .await?;
        told?;
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

const fn word(health: Health) -> &'static str {
    match health {
        Health::Good => "ok",
        Health::Fair => "warning",
        Health::Bad => "BAD",
    }
}

fn as_json(finding: &Finding) -> serde_json::Value {
    let Finding { what, health, seen, remedy } = finding;
    json!({ "what": what, "health": word(*health).to_lowercase(), "seen": seen, "remedy": remedy })
}

fn line(finding: &Finding) -> String {
    let Finding { what, health, seen, remedy } = finding;
    let found = format!("{:8} {what:26} {seen}", word(*health));
    match remedy {
        Some(remedy) => format!("{found}\n{:35} → {remedy}", ""),
        None => found,
    }
}

#[derive(Debug, Args)]
#[command(after_help = exit::CODES)]
pub(super) struct Subscribe {
    /// The project that copies go to, by name or id
    project: String,
    /// The URL of the queue [default: `aws.ica_events_queue_url`]
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
}

impl Subscribe {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self { project, queue } = self;
        let options = SubscribeOptions { config: global.config.clone(), project: project.clone(), queue };
        let done = app::subscribe(options).await?;
        let (had_channel, had_subscription) = done.was_there;
        if global.json {
            output::data(json!({
                "channelId": done.channel, "subscriptionId": done.subscription,
                "channelWasThere": had_channel, "subscriptionWasThere": had_subscription,
            }))?;
        } else {
            let said = |had: bool| if had { "was there" } else { "was made" };
            output::data(format_args!("channel {} {}", done.channel, said(had_channel)))?;
            output::data(format_args!(
                "subscription {} of {project} {}",
                done.subscription,
                said(had_subscription)
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_that_is_not_good_says_what_to_do() {
        let finding = Finding {
            what: "table: read".into(),
            health: Health::Bad,
            seen: "GetItem: AccessDenied".into(),
            remedy: Some("allow dynamodb:GetItem".into()),
        };
        let said = line(&finding);
        assert!(said.starts_with("BAD      table: read"), "{said}");
        assert!(said.ends_with("→ allow dynamodb:GetItem"), "{said}");
        assert_eq!(as_json(&finding)["health"], "bad");
    }
}
