//! Those who ask: executions that hang on a task token.

use std::{collections::VecDeque, time::Duration};

use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    aftermath,
    lab::{Lab, payload},
    machine::{self, Ended, Execution, Machine},
    shelves::{self, DEST, LISTS, OBJECTS},
    worlds::world,
};

/// How many different folders there are to copy.
pub(crate) const SOURCES: usize = 8;

/// One of so many asks for what is not there, and must be told so.
const HOPELESS: usize = 20;
/// One of so many asks for what the one before it asks for, to the same place.
const TWINS: usize = 10;

/// How many executions are looked at between two pauses.
const LOOKS: usize = 25;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder, to a project.
    Copy,
    /// The same in a manifest.
    Manifest,
    /// A folder, to a bucket.
    Outward,
    /// A list of objects.
    List,
}

/// A request that was made.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) execution: Execution,
    pub(crate) kind: Kind,
    pub(crate) source: usize,
    pub(crate) destination: usize,
    /// Whether there is nothing to copy.
    pub(crate) hopeless: bool,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct Callers {
    machine: Machine,
    made: usize,
    waiting: VecDeque<Asked>,
    pub(crate) ended: Vec<(Asked, Ended)>,
}

/// What there is to copy: per source a folder with a folder in it; files for jobs and for streams.
pub(crate) fn sources() -> Value {
    let files: Vec<_> = (0..SOURCES)
        .flat_map(|source| {
            let files = (0..4).map(move |n| (format!("/run/{source}/lane/{n}.bam"), 40_000 + n, 2));
            files.chain([
                (format!("/run/{source}/sums.txt"), 900 + source as u64, 1),
                (format!("/run/{source}/lane/index.txt"), 300, 1),
            ])
        })
        .collect();
    let mut world = world(&[], &files);
    world["buckets"] = shelves::buckets();
    world
}

impl Kind {
    /// What goes to that destination, whoever asks for it.
    fn of(destination: usize) -> Self {
        match destination % 8 {
            1 | 5 => Self::Manifest,
            3 => Self::Outward,
            6 => Self::List,
            _ => Self::Copy,
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::Copy | Self::Outward => "ICAv2DataCopySync",
            Self::Manifest => "ICAv2CopyBatchSync",
            Self::List => "S3CopyOutSync",
        }
    }

    fn payload(self, source: usize, destination: usize, hopeless: bool) -> Value {
        let from =
            if hopeless { "icav2://lab/nowhere/".to_owned() } else { format!("icav2://lab/run/{source}/") };
        let to = format!("icav2://archive/in/{destination}/");
        match self {
            Self::Copy => payload(&[&from], &to),
            Self::Manifest => json!({ "manifest": { from: [to] } }),
            Self::Outward => payload(&[&from], &format!("s3://{DEST}/out/{destination}/")),
            Self::List => json!({
                "sourceFilesCsvBucket": LISTS,
                "sourceFilesCsvKey": if hopeless { "nowhere.csv".to_owned() } else { format!("{source}.csv") },
                "destinationBucket": DEST,
                "destinationPrefixKey": format!("list/{destination}/"),
                "maxItemsPerBatch": 2,
                "copyConcurrency": 4,
            }),
        }
    }
}

impl Callers {
    pub(crate) async fn of(lab: &Lab, name: &str) -> Self {
        let detail = json!({
            "taskToken": "{% $states.context.Task.Token %}", "payload": "{% $states.input.payload %}",
        });
        let mut task = machine::jsonata(&lab.stack.external_bus_name, &detail);
        task["Arguments"]["Entries"][0]["DetailType"] = "{% $states.input.event %}".into();
        let machine = Machine::create(&lab.aws.sfn, name, task).await;
        Self { machine, made: 0, waiting: VecDeque::new(), ended: Vec::new() }
    }

    /// Keeps that many in flight until then: who has been answered is followed by another.
    pub(crate) async fn keep_asking(&mut self, in_flight: usize, until: Instant) {
        while Instant::now() < until {
            for _ in 0..LOOKS {
                if self.waiting.len() < in_flight {
                    self.ask().await;
                }
            }
            self.look().await;
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Waits until all have been answered.
    pub(crate) async fn all_end(&mut self, lab: &Lab, deadline: Instant) {
        while !self.waiting.is_empty() {
            if Instant::now() >= deadline {
                let left: Vec<_> =
                    self.waiting.iter().map(|asked| (asked.source, asked.destination)).collect();
                panic!("{} have no end: {left:?}\n{}", left.len(), aftermath::explain(lab).await);
            }
            self.look().await;
            sleep(Duration::from_millis(500)).await;
        }
    }

    pub(crate) fn made(&self) -> usize {
        self.made
    }

    async fn ask(&mut self) {
        let number = self.made;
        self.made += 1;
        let hopeless = number % HOPELESS == HOPELESS / 2;
        let destination = if number % TWINS == TWINS - 1 { number - 1 } else { number };
        let source = destination % SOURCES;
        let kind = Kind::of(destination);
        let payload = kind.payload(source, destination, hopeless);
        let execution = self.machine.start(&json!({ "event": kind.event(), "payload": payload })).await;
        self.waiting.push_back(Asked { execution, kind, source, destination, hopeless });
    }

    async fn look(&mut self) {
        for _ in 0..LOOKS.min(self.waiting.len()) {
            let Some(asked) = self.waiting.pop_front() else { return };
            match asked.execution.look().await {
                Some(ended) => self.ended.push((asked, ended)),
                None => self.waiting.push_back(asked),
            }
        }
    }
}

impl Kind {
    /// Whether an output tells of everything.
    fn is_told_in_full(self, output: &Value) -> bool {
        let count = |group: &str, name: &str| output[group][name].as_u64().unwrap_or(0);
        match self {
            Self::Copy | Self::Outward => count("files", "copied") + count("files", "skipped") == 6,
            Self::Manifest => count("counters", "jobs_passed") == 1 && count("counters", "jobs_failed") == 0,
            Self::List => {
                let arrived = count("objects", "copied") + count("objects", "alreadyCopied");
                arrived == OBJECTS as u64 && count("objects", "total") == arrived
            }
        }
    }
}

impl Asked {
    /// What is wrong with how it ended.
    pub(crate) async fn check(&self, ended: &Ended) -> Option<String> {
        let answers = self.execution.answers().await;
        let well = match (self.hopeless, &ended.status) {
            (false, ExecutionStatus::Succeeded) => self.kind.is_told_in_full(&ended.output),
            (true, ExecutionStatus::Failed) => ended.error == "SourceNotFound",
            _ => false,
        };
        (!well || answers != 1).then(|| format!("{answers} answers to {self:?}: {ended:?}"))
    }
}
