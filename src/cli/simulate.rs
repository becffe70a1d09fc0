//! `simulate`: the ICAv2 stand-in, on a socket.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
    time::Duration,
};

use clap::Args;
use url::Url;

use crate::{
    app::{self, SimulateOptions},
    domain::duration_text,
};

#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Where to listen; port 0 for any
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Where to serve the projects' buckets, and those of the world file, as S3
    #[arg(long, value_name = "ADDR")]
    s3_listen: Option<SocketAddr>,
    /// Where to serve a simulated Data Access Platform (Canvas Data 2)
    #[cfg(feature = "canvas")]
    #[arg(long, value_name = "ADDR")]
    dap_listen: Option<SocketAddr>,
    /// World file (JSON) of that platform; without one it is a small school
    #[cfg(feature = "canvas")]
    #[arg(long, value_name = "FILE", requires = "dap_listen")]
    dap_world: Option<PathBuf>,
    /// World file (JSON); without one the world is empty
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
    /// Makes a history repeatable
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Share of copy jobs that fail, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    job_failure_rate: f64,
    /// How long a copy job takes
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration_text::parse)]
    job_duration: Duration,
    /// How long every answer takes
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration_text::parse)]
    latency: Duration,
    /// How fast one call of S3 copies, besides the latency; at once without
    #[arg(long, value_name = "BYTES/s", value_parser = per_second::<NonZeroU64>)]
    s3_copy_rate: Option<NonZeroU64>,
    /// Calls per second before 429; unlimited without
    #[arg(long, value_name = "N/s", value_parser = per_second::<NonZeroU32>)]
    rate_limit: Option<NonZeroU32>,
    /// SQS queue that gets the job events
    #[arg(long, value_name = "URL")]
    events_queue_url: Option<Url>,
    /// Address that the job events are posted to
    #[arg(long, value_name = "URL")]
    events_http: Option<Url>,
}

impl Simulate {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        app::simulate(SimulateOptions {
            listen: self.listen,
            s3_listen: self.s3_listen,
            #[cfg(feature = "canvas")]
            dap: self.dap_listen.map(|listen| (listen, self.dap_world)),
            world: self.world,
            seed: self.seed,
            job_failure_rate: self.job_failure_rate,
            job_duration: self.job_duration,
            latency: self.latency,
            s3_copy_rate: self.s3_copy_rate,
            rate_limit: self.rate_limit,
            events_queue_url: self.events_queue_url,
            events_http: self.events_http,
        })
        .await
    }
}

/// A share, such as `0.2`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a share; write it like `0.2`");
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(wrong)
}

/// A rate, such as `50/s`.
fn per_second<N: FromStr>(text: &str) -> Result<N, String> {
    let wrong = || format!("`{text}` is not a rate; write it like `50/s`");
    text.strip_suffix("/s").and_then(|number| number.parse().ok()).ok_or_else(wrong)
}
