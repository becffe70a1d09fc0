//! The command line: one file per subcommand. Data goes to stdout, talk to stderr.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 78 the configuration cannot be used; `plan` has more.

mod client;
#[cfg(feature = "simulator")]
mod demo;
#[cfg(feature = "simulator")]
mod demo_view;
#[cfg(feature = "simulator")]
mod demo_world;
mod healthcheck;
mod output;
mod plan;
mod schema;
mod serve;
#[cfg(feature = "simulator")]
mod simulate;
mod submit;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::app::Misconfigured;

/// `EX_CONFIG` of sysexits.
const EXIT_CONFIGURATION: u8 = 78;

/// Copies genomics data between ICAv2 projects on request, and answers the caller's task token.
#[derive(Debug, Parser)]
#[command(name = "copy-manager", version, propagate_version = true)]
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
    Serve,
    /// Run a stand-in for ICAv2
    #[cfg(feature = "simulator")]
    Simulate(simulate::Simulate),
    /// Copy a simulated sequencing run on this machine and show it
    #[cfg(feature = "simulator")]
    Demo(demo::Demo),
    /// Ask a running daemon for something
    Submit(submit::Submit),
    /// Say what a copy would do, without doing it; asks ICAv2 and no daemon
    Plan(plan::Plan),
    /// Print the JSON Schema of a wire format; without a name, the names
    Schema(schema::Schema),
    /// Ask a running daemon whether it takes work
    Healthcheck(healthcheck::Healthcheck),
}

impl Cli {
    /// Reads the arguments of this process. Ends it with code 2 when they are wrong.
    #[must_use]
    pub fn from_arguments() -> Self {
        Self::parse()
    }

    /// Does what was asked. An error is told on stderr.
    pub async fn run(self) -> ExitCode {
        let Self { global, command } = self;
        let done = match command {
            Command::Serve => serve::run(global).await,
            #[cfg(feature = "simulator")]
            Command::Simulate(simulate) => simulate.run().await,
            #[cfg(feature = "simulator")]
            Command::Demo(demo) => demo.run(&global).await,
            Command::Submit(submit) => submit.run(&global).await,
            Command::Plan(plan) => plan.run(&global).await,
            Command::Schema(schema) => schema.run(&global),
            Command::Healthcheck(healthcheck) => healthcheck.run(&global).await,
        };
        done.unwrap_or_else(|error| {
            output::talk(format_args!("error: {error:#}"));
            exit_code(&error)
        })
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(<dyn Error>::is::<Misconfigured>) {
        ExitCode::from(EXIT_CONFIGURATION)
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests;
