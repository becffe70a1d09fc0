//! Those who ask: executions that hang on a task token.

use std::{collections::VecDeque, time::Duration};

use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    aftermath,
    lab::{Lab, payload},
    machine::{self, Ended, Execution, Machine},
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

/// A request that was made.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) execution: Execution,
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
    world(&[], &files)
}

impl Callers {
    pub(crate) async fn of(lab: &Lab, name: &str) -> Self {
        let task = machine::jsonata(&lab.stack.external_bus_name, &machine::jsonata_detail());
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
        let from =
            if hopeless { "icav2://lab/nowhere/".to_owned() } else { format!("icav2://lab/run/{source}/") };
        let input = payload(&[&from], &format!("icav2://archive/in/{destination}/"));
        let execution = self.machine.start(&input).await;
        self.waiting.push_back(Asked { execution, source, destination, hopeless });
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

impl Asked {
    /// What is wrong with how it ended.
    pub(crate) async fn check(&self, ended: &Ended) -> Option<String> {
        let answers = self.execution.answers().await;
        let well = match (self.hopeless, &ended.status) {
            (false, ExecutionStatus::Succeeded) => {
                let files = &ended.output["files"];
                json!(6) == files["copied"].as_u64().unwrap_or(0) + files["skipped"].as_u64().unwrap_or(0)
            }
            (true, ExecutionStatus::Failed) => ended.error == "SourceNotFound",
            _ => false,
        };
        (!well || answers != 1).then(|| format!("{answers} answers to {self:?}: {ended:?}"))
    }
}
