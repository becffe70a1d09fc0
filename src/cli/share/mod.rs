//! `share`, and `data-sharing-tool`: packages of data, by the API of sharing.
//!
//! Commands, options and what stands on stdout are those of the tool that this one replaces; scripts are not to
//! notice. What that tool did not have is told as ours.

mod api;
mod auto;
mod end;
mod handouts;
mod links;
mod manifests;
mod packages;
mod pushes;
mod python;
mod verify;
mod whereabouts;

use std::{
    ffi::{OsStr, OsString},
    fmt::Display,
    io::{self, ErrorKind, Write, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde_json::Value;
use url::Url;

use self::{
    auto::Auto,
    handouts::{PresignPackage, ViewPackageReport},
    links::Links,
    packages::{Abort, Files, GeneratePackage, GetPackageStatus, ListPackages},
    pushes::{GetPushJobStatus, ListPushJobs, PushPackage, RetryPush},
    verify::Verify,
};
use super::{client::http, exit::CODES, token::Hidden};
use crate::app::Directory;

/// The name by which this program is the tool.
const TOOL: &str = "data-sharing-tool";

const SERVICE: &str = "The service is named by --endpoint or COPY_MANAGER_SHARE_ENDPOINT, and the token by --token or \
    COPY_MANAGER_SHARE_TOKEN. Where no service is named it is https://data-sharing.{zone}, of the zone that AWS Systems \
    Manager has as /hosted_zone/umccr/name; to a service of that zone goes, where no token is named, the one that AWS \
    Secrets Manager has as orcabus/token-service-jwt. An empty token is none.";

/// Has packages of data made, looks at them, pushes them and hands them out.
#[derive(Debug, Parser)]
#[command(name = TOOL, version, after_help = help())]
pub(super) struct Tool {
    #[command(flatten)]
    share: Share,
}

#[derive(Debug, Args)]
#[command(after_help = help())]
pub(super) struct Share {
    #[command(flatten)]
    service: Service,
    #[command(subcommand)]
    command: Option<Command>,
    #[arg(skip = "copy-manager share")]
    called: &'static str,
    /// The settings file, for what is read from S3.
    #[arg(skip)]
    config: Option<PathBuf>,
}

/// Which service.
#[derive(Debug, Clone, Args)]
struct Service {
    /// The service, such as `https://data-sharing.example.org`; else that of the zone that AWS knows
    #[arg(long, global = true, display_order = 100, value_name = "URL", env = "COPY_MANAGER_SHARE_ENDPOINT", value_parser = http)]
    endpoint: Option<Url>,
    /// The token that it wants to be shown; else, to a service of that zone, the one that AWS keeps
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "COPY_MANAGER_SHARE_TOKEN",
        hide_env_values = true
    )]
    token: Option<Hidden>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Have a package made
    GeneratePackage(Box<GeneratePackage>),
    /// List packages, newest first
    ListPackages(ListPackages),
    /// Show a package
    GetPackageStatus(GetPackageStatus),
    /// Print the address of the report of a package, for a browser
    ViewPackageReport(ViewPackageReport),
    /// Copy a package to a bucket or a project
    PushPackage(PushPackage),
    /// Print the address of a script that downloads a package
    PresignPackage(PresignPackage),
    /// List, make and end links to the files of a package, and to papers
    Links(Links),
    /// List pushes, newest first
    ListPushJobs(ListPushJobs),
    /// Show a push
    GetPushJobStatus(GetPushJobStatus),
    /// Bring what has failed into the same push
    RetryPush(RetryPush),
    /// List the files of a package
    Files(Files),
    /// End a package that is being made, or a push that is under way
    Abort(Abort),
    /// Share a run by itself, or let a package go that waits for approval
    Auto(Auto),
    /// Check files against the receipt of the push that has brought them
    Verify(Verify),
    #[command(external_subcommand)]
    Unknown(Vec<OsString>),
}

fn help() -> String {
    format!("{SERVICE}\n\n{CODES}")
}

impl Tool {
    /// Whether that is the tool's name, wherever it lies.
    pub(super) fn is_called(program: &OsStr) -> bool {
        Path::new(program).file_name().is_some_and(|name| name == TOOL)
    }

    pub(super) fn share(self) -> Share {
        Share { called: TOOL, ..self.share }
    }
}

impl Share {
    pub(super) async fn run(self, config: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        Self { config, ..self }.run_on(&mut stdout(), Directory::on_aws).await
    }

    /// Does it; what it prints goes to `out`. `directory` knows the service, where nobody has named it.
    async fn run_on(
        self,
        out: &mut dyn Write,
        directory: impl AsyncFnOnce() -> anyhow::Result<Directory>,
    ) -> anyhow::Result<ExitCode> {
        let Self { service, command, called, config } = self;
        let usage = || Tool::command().bin_name(called).render_help();
        let command = match command {
            None => {
                say(out, usage())?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Command::Unknown(words)) => {
                say(out, usage())?;
                let word = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
                say(out, format_args!("Could not find cmd \"{word}\". Please refer to usage above"))?;
                return Ok(ExitCode::FAILURE);
            }
            Some(command) => command,
        };
        let connect = async move || service.connect(directory).await;
        match command {
            // It reads its files first: what is wrong with them is told without asking anybody.
            Command::GeneratePackage(generate) => generate.run(connect, out).await,
            Command::ListPackages(list) => list.run(&connect().await?, out).await,
            Command::GetPackageStatus(status) => status.run(&connect().await?, out).await,
            Command::ViewPackageReport(view) => view.run(&connect().await?, out).await,
            Command::PushPackage(push) => push.run(&connect().await?, out).await,
            Command::PresignPackage(presign) => presign.run(&connect().await?, out).await,
            Command::Links(links) => links.run(&connect().await?, out).await,
            Command::ListPushJobs(list) => list.run(&connect().await?, out).await,
            Command::GetPushJobStatus(status) => status.run(&connect().await?, out).await,
            Command::RetryPush(retry) => retry.run(&connect().await?, out).await,
            // It asks no service.
            Command::Verify(verify) => verify.run(config, out).await,
            Command::Files(files) => files.run(&connect().await?, out).await,
            Command::Abort(abort) => abort.run(&connect().await?, out).await,
            Command::Auto(auto) => auto.run(&connect().await?, out).await,
            Command::Unknown(_) => Ok(ExitCode::FAILURE),
        }
    }
}

/// Prints a line. A reader that has gone away is not an error.
fn say(out: &mut dyn Write, line: impl Display) -> anyhow::Result<()> {
    let told = |written: io::Result<()>| match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    };
    told(writeln!(out, "{line}"))
}

/// Prints a value as the tool does.
fn show(out: &mut dyn Write, value: &Value) -> anyhow::Result<()> {
    say(out, python::dumps(value, 0))
}

#[cfg(test)]
mod tests;
