//! Addresses of what is read of a package: its report, and the script that downloads it.

use std::{
    ffi::OsString,
    io::Write,
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use clap::Args;

use super::{api::Api, say};
use crate::cli::exit::Ended;

#[derive(Debug, Args)]
pub(super) struct ViewPackageReport {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
pub(super) struct PresignPackage {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
struct Of {
    /// The package
    #[arg(long, value_name = "ID")]
    package_id: String,
    /// A program that is run with the address
    #[arg(long, value_name = "PROGRAM", env = "BROWSER")]
    browser: Option<OsString>,
}

impl ViewPackageReport {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        self.of.open("getSummaryReport", api, out).await
    }
}

impl PresignPackage {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        self.of.open("presign", api, out).await
    }
}

impl Of {
    async fn open(self, verb: &str, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let answer = api.get(&["package", &format!("{}:{verb}", self.package_id)]).await?;
        let url = answer.as_str().context("not an address")?;
        // A program is run with it: nothing that could be an option, or no address at all.
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(Ended::Refused("the service has told no address of HTTP".to_owned()).into());
        }
        say(out, format_args!("\"{url}\""))?;
        if let Some(browser) = self.browser.filter(|browser| !browser.is_empty()) {
            // How it ends is its own matter.
            Command::new(&browser)
                .arg(url)
                .status()
                .with_context(|| format!("cannot run {} (BROWSER)", browser.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
