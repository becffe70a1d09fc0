//! `verify`: a receipt against what is there.

use std::process::ExitCode;

use clap::Args;

use super::{Global, exit, output};
use crate::app::{self, VerifyOptions};

#[derive(Debug, Args)]
#[command(after_help = exit::CODES)]
pub(super) struct Verify {
    /// The receipt: an object, `s3://bucket/key`, or a local file
    receipt: String,
    /// The SHA-256 that the outcome of the request gives for it
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

impl Verify {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self { receipt, sha256 } = self;
        let found = app::verify(VerifyOptions { config: global.config.clone(), receipt, sha256 }).await?;
        if global.json {
            output::data(found.to_json())?;
        } else {
            for (what, why) in &found.differences {
                output::data(format_args!("{what}  {why}"))?;
            }
            let more = found.differing - found.differences.len() as u64;
            if more > 0 {
                output::data(format_args!("… and {more} more"))?;
            }
            output::talk(format_args!(
                "{} files are as the receipt says, {} are not; {} were not delivered",
                found.whole, found.differing, found.not_delivered
            ));
        }
        Ok(if found.differing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
