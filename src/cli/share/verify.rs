//! `verify`: a delivery against its receipt.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::Args;

use super::say;
use crate::{
    app::{DeliveryOptions, check_delivery},
    cli::output,
};

/// Patterns that are told; more are more than a command line is for.
const MOST_PATTERNS: usize = 100;

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The receipt: a local file, or an object, `s3://BUCKET/KEY`
    receipt: String,
    /// Where the files are: a folder, or `s3://BUCKET/PREFIX/`
    #[arg(default_value = ".", value_name = "DIR")]
    place: String,
    /// The SHA-256 that the push tells of its receipt
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

impl Verify {
    pub(super) async fn run(self, config: Option<PathBuf>, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let Self { receipt, place, sha256 } = self;
        let in_bucket = place.starts_with("s3://");
        let options = DeliveryOptions { config, receipt, place, sha256 };
        let mut patterns = Vec::new();
        let checked = check_delivery(options, |path, why| {
            // A receipt is whatever it was made: it must not write to a terminal what it likes.
            if path.contains(char::is_control) {
                return say(out, format_args!("{}  {why}", path.escape_debug()));
            }
            if patterns.len() < MOST_PATTERNS {
                patterns.push(format!("--only {}", pattern(path)));
            }
            say(out, format_args!("{path}  {why}"))
        });
        let checked = checked.await?;
        let same = checked.by_sum + checked.by_tag + checked.by_size;
        output::talk(format_args!(
            "{same} of {} files are as the receipt says: {} by their sums, {} by tag, {} by size alone",
            same + checked.wrong(),
            checked.by_sum,
            checked.by_tag,
            checked.by_size
        ));
        if checked.wrong() == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        let (missing, different) = (checked.missing, checked.different);
        output::talk(format_args!("{missing} are missing, and {different} are different"));
        if in_bucket {
            output::talk("Push the package there again: what is there and equal is not copied.");
        } else if checked.wrong() > patterns.len() as u64 {
            output::talk(
                "Remove those of them that are there, and run the script of the package again: it skips the rest.",
            );
        } else {
            output::talk(
                "Remove those of them that are there, and run the script of the package again with:",
            );
            say(out, patterns.join(" "))?;
        }
        Ok(ExitCode::FAILURE)
    }
}

/// A pattern of the script that stands for that path alone, as one word of a shell.
fn pattern(path: &str) -> String {
    let mut word = String::from("'");
    for letter in path.chars() {
        match letter {
            '*' | '?' | '[' | ']' | '\\' => word.extend(['\\', letter]),
            '\'' => word.push_str("'\\''"),
            letter => word.push(letter),
        }
    }
    word.push('\'');
    word
}
