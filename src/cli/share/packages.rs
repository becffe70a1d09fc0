//! Packages: asked for, listed, shown and ended.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::ensure;
use clap::Args;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    api::Api,
    end::{self, Awaited},
    manifests::{self, Wish},
    python, say, show,
};
use crate::{
    admin::words::{moment, text},
    cli::exit::Ended,
    domain::share::ids::Shared,
    events::lists::Rows,
};

const PREFIXES: &str =
    "A prefix of / writes to the root. That is for reads or analyses, not for both at once.";

#[derive(Debug, Args)]
#[command(after_help = PREFIXES)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct GeneratePackage {
    /// Name of the package
    #[arg(long, value_name = "NAME")]
    package_name: String,
    /// The LIMS manifest: the libraries, and the runs in which they were sequenced
    #[arg(long, value_name = "CSV", required_unless_present = "manifest")]
    lims_manifest_csv: Option<PathBuf>,
    /// The workflow manifest: the runs of workflows whose files are wanted, too
    #[arg(long, value_name = "CSV")]
    workflow_manifest_csv: Option<PathBuf>,
    /// The files themselves: CSV (….csv) or JSON lines, with their `uri`
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Leave out reads; only where there are analyses
    #[arg(long)]
    exclude_primary_data: bool,
    /// Restore archived reads
    #[arg(long)]
    defrost_archived_fastqs: bool,
    /// Take all files of analyses, not only those that are usually shared
    #[arg(long)]
    no_use_workflow_file_filters: bool,
    /// The folder of reads: fastq, primary or /
    #[arg(long, value_name = "PREFIX", default_value = "fastq")]
    primary_data_path_prefix: String,
    /// The folder of analyses: secondary-analysis, analysis or /
    #[arg(long, value_name = "PREFIX", default_value = "secondary-analysis")]
    secondary_analysis_path_prefix: String,
    /// Leave out what that package held
    #[arg(long, value_name = "ID")]
    since_package: Option<String>,
    /// Read the files of which no sum is known
    #[arg(long)]
    compute_sums: bool,
    /// Wait for its end
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListPackages {
    /// Only packages of that name
    #[arg(long, value_name = "NAME")]
    package_name: Option<String>,
    /// Asked for on that day (YYYY-MM-DD) or later, in the zone of this machine
    #[arg(long, value_name = "DATE", value_parser = day)]
    start_date: Option<DateTime>,
    /// Asked for before that day begins
    #[arg(long, value_name = "DATE", value_parser = day)]
    end_date: Option<DateTime>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_packages: usize,
}

#[derive(Debug, Args)]
pub(super) struct GetPackageStatus {
    /// The package
    #[arg(long, value_name = "ID")]
    package_id: String,
}

#[derive(Debug, Args)]
pub(super) struct Files {
    /// The package
    #[arg(long, value_name = "ID")]
    package_id: String,
}

#[derive(Debug, Args)]
pub(super) struct Abort {
    /// The package (pkg.…) or the push (psh.…)
    id: String,
}

impl GeneratePackage {
    pub(super) async fn run(
        self,
        connect: impl AsyncFnOnce() -> anyhow::Result<Api>,
        out: &mut dyn Write,
    ) -> anyhow::Result<ExitCode> {
        let name = &self.package_name;
        if !is_name(name) {
            let why = "contains invalid characters. Only alphanumeric characters are allowed.";
            return Err(Ended::Refused(format!("Package name {name} {why}")).into());
        }
        let body = json!({ "packageName": name, "packageRequest": self.wish()?.request()? });
        let api = connect().await?;
        let made = api.post(&["package"], &body).await?;
        let id = text(&made, "id");
        ensure!(!id.is_empty(), "the service has told no id");
        let quoted = python::dumps(&Value::from(id), 0);
        if !self.wait {
            say(out, format_args!("Generating package: {quoted}"))?;
            return Ok(ExitCode::SUCCESS);
        }
        say(out, format_args!("Starting packaging with id '{id}'"))?;
        let awaited = Awaited {
            path: &["package", id],
            look: &format!("get-package-status --package-id {id}"),
            failed: "Package generation failed",
            aborted: "Package generation was aborted",
            told_at: "stepsExecutionArn",
        };
        let ended = awaited.end(&api).await?;
        match &ended {
            Ok(()) => say(out, format_args!("Generated package: {quoted}"))?,
            Err(why) => say(out, why)?,
        }
        Ok(end::code(&ended))
    }

    fn wish(&self) -> anyhow::Result<Wish> {
        let table = |path: &Option<PathBuf>, what| path.as_deref().map(|path| manifests::table(path, what));
        let files =
            self.manifest.as_deref().map(|path| manifests::rows::<Rows>(path, &path.to_string_lossy()));
        Ok(Wish {
            lims: table(&self.lims_manifest_csv, "LIMS").transpose()?,
            workflows: table(&self.workflow_manifest_csv, "Workflow").transpose()?,
            files: files.transpose()?,
            exclude_primary_data: self.exclude_primary_data,
            defrost_archived_fastqs: self.defrost_archived_fastqs,
            use_workflow_filters: !self.no_use_workflow_file_filters,
            primary_data_path_prefix: self.primary_data_path_prefix.clone(),
            secondary_analysis_path_prefix: self.secondary_analysis_path_prefix.clone(),
            since_package: self.since_package.clone(),
            compute_sums: self.compute_sums,
        })
    }
}

impl ListPackages {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let zone = TimeZone::system();
        let begin = |day: Option<DateTime>| {
            day.map(|day| day.to_zoned(zone.clone()).map(|day| day.timestamp())).transpose()
        };
        let (after, before) = (begin(self.start_date)?, begin(self.end_date)?);
        let listed = |package: &Value| {
            let asked = moment(package, "requestTime");
            let is_named = self.package_name.as_ref().is_none_or(|name| text(package, "packageName") == name);
            is_named && asked.is_none_or(|asked| is_within(asked, after, before))
        };
        let mut pages = api.pages(&["package"], [("packageName", self.package_name.as_deref())]);
        let mut found: Vec<Value> = Vec::new();
        while let Some(page) = pages.next().await? {
            // They come newest first.
            let oldest = page.last().and_then(|package| moment(package, "requestTime"));
            found.extend(page.into_iter().filter(listed));
            let is_past = oldest.is_some_and(|oldest| after.is_some_and(|after| oldest < after));
            if is_past || found.len() >= self.max_packages {
                break;
            }
        }
        found.sort_by(|one, other| text(other, "requestTime").cmp(text(one, "requestTime")));
        found.truncate(self.max_packages);
        show(out, &Value::Array(found))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl GetPackageStatus {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        show(out, &api.get(&["package", &self.package_id]).await?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Files {
    /// An array like all others, but written as it comes: there may be 200,000.
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let path = ["package", self.package_id.as_str(), "files"];
        let mut pages = api.pages(&path, []);
        // A line is written once it is known whether another follows.
        let mut line: Option<String> = None;
        while let Some(page) = pages.next().await? {
            for file in page {
                match line.replace(format!("    {}", python::dumps(&file, 1))) {
                    Some(line) => say(out, format_args!("{line},"))?,
                    None => say(out, "[")?,
                }
            }
        }
        match line {
            Some(line) => say(out, format_args!("{line}\n]"))?,
            None => say(out, "[]")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Abort {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let is = |kind: Shared| self.id.starts_with(kind.prefix());
        let route = match (is(Shared::Package), is(Shared::Push)) {
            (true, _) => "package",
            (_, true) => "push",
            _ => {
                let why = format!("{} is neither a package (pkg.…) nor a push (psh.…)", self.id);
                return Err(Ended::Refused(why).into());
            }
        };
        show(out, &api.patch(&[route, &format!("{}:abort", self.id)]).await?)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn is_within(asked: Timestamp, after: Option<Timestamp>, before: Option<Timestamp>) -> bool {
    after.is_none_or(|after| asked >= after) && before.is_none_or(|before| asked <= before)
}

/// Whether the command line takes a name: letters and digits, `-` and `_` among them.
fn is_name(text: &str) -> bool {
    let mut letters = text.chars().filter(|letter| !matches!(letter, '-' | '_')).peekable();
    letters.peek().is_some() && letters.all(char::is_alphanumeric)
}

/// The beginning of a day, or a time in it.
fn day(text: &str) -> Result<DateTime, String> {
    text.parse().map_err(|_| "write it like 2026-11-30".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_letters_digits_and_dashes() {
        for fine in ["latest-fastqs", "a_1", "1", "Zoë"] {
            assert!(is_name(fine), "{fine}");
        }
        for wrong in ["", "--", "_", "my package", "a.b", "a/b", "a\n", "a$"] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn days_begin_at_midnight() {
        assert_eq!(day("2026-11-30").unwrap(), day("2026-11-30T00:00").unwrap());
        assert!(day("30.11.2026").is_err());
    }
}
