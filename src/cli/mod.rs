//! The command line: one file per subcommand. Data goes to stdout, talk to stderr.
//!
//! Exit codes are in [`exit`]; `plan` says itself what its own mean.

#[cfg(feature = "canvas")]
mod canvas;
mod client;
mod config;
mod copy;
#[cfg(feature = "simulator")]
mod demo;
#[cfg(all(feature = "canvas", feature = "simulator"))]
mod demo_canvas;
#[cfg(feature = "simulator")]
mod demo_share;
#[cfg(feature = "simulator")]
mod demo_view;
#[cfg(feature = "simulator")]
mod demo_world;
mod doctor;
mod exit;
mod explain;
mod healthcheck;
mod log_level;
mod output;
mod plan;
mod requests;
mod schema;
mod serve;
mod share;
#[cfg(feature = "simulator")]
mod simulate;
mod submit;
mod token;
mod ui;
mod verify;
mod watch;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

/// What a daemon needs, for `--help`.
const SERVE: &str = "Needs ICAV2_ACCESS_TOKEN or ICAV2_API_KEY in the environment, and ICAV2_BASE_URL where ICAv2 is not \
    at its usual place. Everything else has a default: settings come from --config and from \
    COPY_MANAGER__SECTION__KEY, such as COPY_MANAGER__ADMIN__LISTEN=127.0.0.1:8080 or COPY_MANAGER__LOG__LEVEL=info.";

/// Copies genomics data between ICAv2 projects on request, and answers the caller's task token.
#[derive(Debug, Parser)]
#[command(name = "copy-manager", version, propagate_version = true, after_help = exit::CODES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand understands.
#[derive(Debug, Clone, Default, Args)]
struct Global {
    /// Settings file (TOML), over the defaults and under `COPY_MANAGER__SECTION__KEY`
    #[arg(long, global = true, value_name = "FILE", env = "COPY_MANAGER_CONFIG")]
    config: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    #[command(after_help = SERVE)]
    Serve,
    /// Run a stand-in for ICAv2
    #[cfg(feature = "simulator")]
    Simulate(simulate::Simulate),
    /// Copy a simulated sequencing run on this machine and show it
    #[cfg(feature = "simulator")]
    Demo(demo::Demo),
    /// Submit a request to a running daemon
    Submit(submit::Submit),
    /// List requests, newest first
    List(requests::List),
    /// Show how a request stands, or all that have not ended
    Status(requests::Status),
    /// Say what has become of a request, why, and what is next
    Explain(explain::Explain),
    /// End a request; what has arrived stays
    Cancel(requests::Cancel),
    /// Make a request that failed again; what has arrived is not copied twice
    Retry(requests::Retry),
    /// Have a request looked at now, not when its waits are over
    Wake(requests::Wake),
    /// Try each address and permission that the settings need, and say what to do where one is missing
    Doctor(doctor::Doctor),
    /// Have ICAv2 send the job events of a project to our queue
    Subscribe(doctor::Subscribe),
    /// Have all instances write more log lines, or fewer, for a while
    LogLevel(log_level::LogLevel),
    /// Serve the page on this machine, for a table in DynamoDB
    Ui(ui::Ui),
    /// Say what a copy would do, without doing it; asks ICAv2 and no daemon
    Plan(plan::Plan),
    /// Check a receipt against what is there
    Verify(verify::Verify),
    /// Have packages of data made, pushed and handed out, by the API of sharing
    Share(Box<share::Share>),
    /// Keep a replica of Canvas Data 2, and look at the platform that it is of
    #[cfg(feature = "canvas")]
    Canvas(Box<canvas::Canvas>),
    /// Print the JSON Schema of a wire format; without a name, the names
    Schema(schema::Schema),
    /// Ask a running daemon whether it is healthy
    Healthcheck(healthcheck::Healthcheck),
    /// Show or check the settings of the daemon
    Config(config::Config),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one for each command, into a folder
    Man {
        /// Which folder
        folder: PathBuf,
    },
}

impl Cli {
    /// Reads the arguments of this process. Ends it with code 2 when they are wrong.
    #[must_use]
    pub fn from_arguments() -> Self {
        Self::read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
    }

    /// Reads a command line. By the name of the tool for sharing, its commands come first.
    fn read(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        if !arguments.first().is_some_and(|program| share::Tool::is_called(program)) {
            return Self::try_parse_from(arguments);
        }
        let tool = share::Tool::try_parse_from(arguments)?;
        Ok(Self { global: Global::default(), command: Command::Share(Box::new(tool.share())) })
    }

    /// Does what was asked. An error is told on stderr, or as JSON on stdout.
    pub async fn run(self) -> ExitCode {
        let Self { global, command } = self;
        let done = match command {
            Command::Serve => Box::pin(serve::run(global.clone())).await,
            #[cfg(feature = "simulator")]
            Command::Simulate(simulate) => simulate.run().await,
            #[cfg(feature = "simulator")]
            Command::Demo(demo) => Box::pin(demo.run(&global)).await,
            Command::Submit(submit) => submit.run(&global).await,
            Command::List(list) => list.run(&global).await,
            Command::Status(status) => status.run(&global).await,
            Command::Explain(explain) => explain.run(&global).await,
            Command::Cancel(cancel) => cancel.run(&global).await,
            Command::Retry(retry) => retry.run(&global).await,
            Command::Wake(wake) => wake.run(&global).await,
            Command::Doctor(doctor) => doctor.run(&global).await,
            Command::Subscribe(subscribe) => subscribe.run(&global).await,
            Command::LogLevel(level) => level.run(&global).await,
            Command::Ui(ui) => ui.run(&global).await,
            Command::Plan(plan) => plan.run(&global).await,
            Command::Verify(verify) => verify.run(&global).await,
            Command::Share(share) => Box::pin(share.run(global.config.clone())).await,
            #[cfg(feature = "canvas")]
            Command::Canvas(canvas) => Box::pin(canvas.run(&global)).await,
            Command::Schema(schema) => schema.run(&global),
            Command::Healthcheck(healthcheck) => healthcheck.run(&global).await,
            Command::Config(config) => config.run(&global),
            Command::Completions { shell } => completions(shell),
            Command::Man { folder } => man(&folder),
        };
        done.unwrap_or_else(|error| exit::tell(&error, &global))
    }
}

fn man(folder: &Path) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("the pages cannot be written into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "copy-manager", &mut script);
    output::data(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
