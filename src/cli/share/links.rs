//! Links to the files of a package, and to papers: made for somebody, listed with what was asked for by them, taken
//! back.

use std::{io::Write, process::ExitCode};

use clap::Args;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use super::{api::Api, show};

const KEPT: &str = "The secret of a link is told when it is made, and kept nowhere.";

/// The word for all links.
const ALL: &str = "all";

#[derive(Debug, Args)]
#[command(after_help = KEPT)]
pub(super) struct Links {
    /// The package
    #[arg(long, value_name = "ID", required_unless_present = "push_job_id")]
    package_id: Option<String>,
    /// The push whose papers are linked to, instead
    #[arg(long, value_name = "ID", conflicts_with = "package_id")]
    push_job_id: Option<String>,
    /// Make a link to the files of a package; who it is for
    #[arg(long, value_name = "TEXT", conflicts_with = "push_job_id")]
    label: Option<String>,
    /// When it ends: 2026-12-24T12:00:00Z, or the day 2026-12-24, when that begins on this machine
    #[arg(long, value_name = "TIME", requires = "label", value_parser = time)]
    until: Option<Timestamp>,
    /// End a link at once, by its id, or all of them
    #[arg(long, value_name = "ID|all", conflicts_with = "label")]
    revoke: Option<String>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let day: Date = text.parse().map_err(|_| "is no time and no day (YYYY-MM-DD)".to_owned())?;
    let begins = day.to_zoned(TimeZone::system()).map_err(|error| error.to_string())?;
    Ok(begins.timestamp())
}

impl Links {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let Self { package_id, push_job_id, label, until, revoke } = self;
        let at = match (&package_id, &push_job_id) {
            (_, Some(push)) => ["push", push.as_str(), "links"],
            (package, None) => ["package", package.as_deref().unwrap_or_default(), "links"],
        };
        let shown = match (label, revoke.as_deref()) {
            (Some(label), _) => {
                let until = until.map(|until| until.to_string());
                api.post(&at, &json!({ "label": label, "until": until })).await?
            }
            (None, Some(ALL)) => api.delete(&at).await?,
            (None, Some(link)) => api.delete(&[&at[..], &[link]].concat()).await?,
            (None, None) => {
                let mut pages = api.pages(&at, []);
                let mut links = Vec::new();
                while let Some(page) = pages.next().await? {
                    links.extend(page);
                }
                Value::Array(links)
            }
        };
        show(out, &shown)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_a_day_ends_a_link() {
        assert_eq!(time("2026-12-24T12:00:00Z").unwrap().as_second(), 1_798_113_600);
        assert!(time("2026-12-24").is_ok());
        assert!(time("soon").is_err());
    }
}
