//! A run: callers, a storm, and a look at what is left.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;

use crate::{
    aftermath,
    callers::{Callers, sources},
    gossip::Gossip,
    lab::Lab,
    proxy::Proxy,
    shelves,
    storm::Storm,
    token,
    traffic::Seen,
};

/// What a token's heartbeats must keep to (`heartbeat.promise` of the daemons).
const PROMISE: Duration = Duration::from_mins(1);

/// What the daemons call, each behind a proxy of its own.
const SERVICES: [&str; 5] = ["DYNAMODB", "SQS", "EVENTBRIDGE", "SFN", "SECRETS_MANAGER"];

struct Run {
    seed: u64,
    in_flight: usize,
    storm: Duration,
    /// How long everything may take to come to an end when it is calm.
    patience: Duration,
    /// Whether messages that were received and not deleted come back soon, faults follow each other
    /// quickly, and nobody waits for the daemons' last words.
    quick: bool,
}

impl Run {
    async fn live(self, stage: &str) {
        let gossip = Gossip::listen(self.seed).await;
        let seed = self.seed.to_string();
        let options =
            ["--job-duration", "2s", "--job-failure-rate", "0.2", "--latency", "5ms", "--seed", &seed];
        let options = [&options[..], &["--events-http", &gossip.url, "--s3-listen", "127.0.0.1:0"]].concat();
        let Some(mut lab) = Lab::start(stage, &sources(), &options).await else { return };
        let _logs = Logs { from: lab.directory().to_owned(), stage: stage.to_owned() };
        gossip.tell(&lab.aws.sqs, &lab.stack.ica_events_queue_url);
        lab.platform.faults(&json!({ "indexDelay": "200ms" })).await;
        if self.quick {
            lab.messages_come_back_after("5").await;
        }
        let traffic = Arc::new(Seen::default());
        let mut proxies = Vec::new();
        let (aws, platform) = (lab.endpoint(), lab.platform.url());
        for service in SERVICES {
            let proxy = Proxy::before(service, host(&aws), &traffic).await;
            lab.set(&format!("AWS_ENDPOINT_URL_{service}"), &proxy.url);
            proxies.push(proxy);
        }
        shelves::put_lists(&lab.platform).await;
        let s3 = Proxy::before("S3", host(&lab.platform.s3_url()), &traffic).await;
        lab.set("AWS_ENDPOINT_URL_S3", &s3.url);
        proxies.push(s3);
        let icav2 = Proxy::before("ICAV2", host(&platform), &traffic).await;
        lab.set("ICAV2_BASE_URL", &format!("{}/ica/rest", icav2.url));
        proxies.push(icav2);
        token::keep_in_secret(&mut lab).await;

        let began = Instant::now();
        let mut callers = Callers::of(&lab, stage).await;
        let mut storm = Storm::gather(&lab, &proxies, self.seed, self.quick).await;
        eprintln!("chaos: seed {}, {} in flight for {:?}", self.seed, self.in_flight, self.storm);
        let until = Instant::now() + self.storm;
        tokio::join!(callers.keep_asking(self.in_flight, until), storm.rage(until));
        storm.calm().await;
        let calm = Instant::now();
        let deadline = calm + self.patience;
        callers.all_end(&lab, deadline).await;
        let ended = calm.elapsed();
        eprintln!("chaos: all answered");
        let watchful = aftermath::table_is_quiet(&lab, deadline).await;
        let settled = calm.elapsed();
        eprintln!("chaos: all settled");
        aftermath::queues_are_empty(&lab, deadline).await;
        let calls = lab.platform.stats().await["total"].clone();
        eprintln!(
            "chaos: seed {}: {} requests, {:?}, {calls} ICAv2 calls, AWS calls {:?}, longest time without a heartbeat \
             {:.1?}, {watchful} folders on the look-out, after the storm all answered in {ended:.1?}, all settled in {settled:.1?}, in all {:.1?}",
            self.seed,
            callers.made(),
            storm.figures,
            traffic.calls(),
            traffic.longest_silence(),
            began.elapsed(),
        );
        if !self.quick {
            storm.dismiss();
        }
        assert_eq!(callers.ended.len(), callers.made());
        aftermath::answered_once(&callers).await;
        aftermath::trees_are_right(&lab, &callers).await;
        shelves::are_right(&lab, &callers).await;
        let silence = traffic.longest_silence();
        assert!(silence < PROMISE, "a token was without a heartbeat for {silence:?}");
        storm.end().await;
    }
}

/// Keeps the logs of all daemons, those that were killed too, when the run ends badly.
struct Logs {
    from: PathBuf,
    stage: String,
}

impl Drop for Logs {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&self.stage);
        std::fs::remove_dir_all(&to).ok();
        std::fs::create_dir_all(&to).ok();
        for entry in std::fs::read_dir(&self.from).into_iter().flatten().flatten() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).ok();
        }
        eprintln!("chaos: the logs are kept in {}", to.display());
    }
}

fn host(url: &str) -> &str {
    url.trim_start_matches("http://").split('/').next().unwrap()
}

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var_os(name);
    value.map_or(default, |value| value.to_str().unwrap().parse().unwrap())
}

/// Ends as soon as everything has, which takes some 15 seconds after the storm; the patience is for a
/// machine with much else to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_a_short_storm() {
    let (storm, patience) = (Duration::from_secs(15), Duration::from_mins(3));
    let seed = number("SEED", 1);
    Run { seed, in_flight: 40, storm, patience, quick: true }.live("chaos-short").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes MINUTES (10) and more; `make chaos`"]
async fn minutes_of_chaos() {
    let run = Run {
        seed: number("SEED", 1),
        in_flight: usize::try_from(number("IN_FLIGHT", 300)).unwrap(),
        storm: Duration::from_mins(number("MINUTES", 10)),
        patience: Duration::from_mins(20),
        quick: false,
    };
    run.live("chaos-long").await;
}
