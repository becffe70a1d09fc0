//! The process: parse, run, exit code.

use std::{io::Write as _, process::ExitCode, time::Duration};

use copy_manager::cli::Cli;
use tokio::runtime::Builder;

/// Gives memory back that a burst of requests has taken.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::from_arguments();
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _unheard = writeln!(std::io::stderr(), "error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli.run());
    // What was abandoned at the deadline must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}
