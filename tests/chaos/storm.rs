//! The faults: who is killed, what is cut off, and when.

use std::{process::ExitStatus, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    binary::Process,
    lab::Lab,
    proxy::{Mode, Proxy},
    token,
};

/// How long somebody who was asked to stop may take: `service.drain_timeout` and a slow machine.
const LEAVE: Duration = Duration::from_secs(80);

const SETTINGS: &[(&str, &str)] = &[
    ("ICAV2__MAX_ATTEMPTS", "20"),
    ("ICAV2__MAX_RUNNING_JOBS", "60"),
    ("HEARTBEAT__PROMISE", "60s"),
    ("HEARTBEAT__INTERVAL", "15s"),
    ("SERVICE__MAX_ACTIVE", "32"),
    // A long poll, which is waited for, and an outage.
    ("SERVICE__DRAIN_TIMEOUT", "40s"),
    ("SERVICE__TICK", "1s"),
];

/// What was done to them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) kills: u64,
    pub(crate) terms: u64,
    pub(crate) outages: u64,
    pub(crate) cuts: u64,
    pub(crate) platform_faults: u64,
    /// Who was asked to stop and ended otherwise than well.
    pub(crate) bad_ends: u64,
}

/// Two daemons and the network around them.
#[derive(Debug)]
pub(crate) struct Storm<'a> {
    lab: &'a Lab,
    proxies: &'a [Proxy],
    dice: StdRng,
    /// By how much everything is faster than in a long storm.
    haste: u64,
    started: u64,
    daemons: Vec<Process>,
    /// Asked to stop; until when they must have ended.
    leaving: Vec<(Process, Instant)>,
    /// Which proxy is bad until when.
    bad: Vec<(usize, Instant)>,
    pub(crate) figures: Figures,
}

impl<'a> Storm<'a> {
    /// The calm before it, with two daemons that are ready.
    pub(crate) async fn gather(lab: &'a Lab, proxies: &'a [Proxy], seed: u64, quick: bool) -> Self {
        let (dice, haste) = (StdRng::seed_from_u64(seed), if quick { 2 } else { 1 });
        let (daemons, leaving, bad) = (Vec::new(), Vec::new(), Vec::new());
        let mut storm = Self {
            lab,
            proxies,
            dice,
            haste,
            started: 0,
            daemons,
            leaving,
            bad,
            figures: Figures::default(),
        };
        for _ in 0..2 {
            let mut daemon = storm.another();
            daemon.ready().await;
            storm.daemons.push(daemon);
        }
        storm
    }

    fn another(&mut self) -> Process {
        self.started += 1;
        let lease = if self.haste > 1 { "5s" } else { "8s" };
        let settings = [SETTINGS, &[("SERVICE__LEASE", lease)]].concat();
        self.lab.spawn(&format!("daemon-{}", self.started), &settings)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice.random_range(0..sides)
    }

    fn soon(&mut self, from: u64, to: u64) -> Instant {
        Instant::now() + Duration::from_millis(self.dice.random_range(from..to) / self.haste)
    }

    /// Rages until then, and until each fault has struck.
    pub(crate) async fn rage(&mut self, until: Instant) {
        let [mut daemons_at, mut network_at, mut platform_at] = [(); 3].map(|()| self.soon(1_000, 3_000));
        while Instant::now() < until || !self.has_struck() {
            sleep(Duration::from_millis(100)).await;
            let now = Instant::now();
            self.clear_up(now);
            self.mourn();
            if now >= daemons_at {
                self.strike_daemon();
                daemons_at = self.soon(3_000, 9_000);
            }
            if now >= network_at {
                self.strike_network();
                network_at = self.soon(1_500, 5_000);
            }
            if now >= platform_at {
                self.strike_platform().await;
                platform_at = self.soon(3_000, 8_000);
            }
        }
    }

    /// Whether somebody was killed, somebody was asked to stop, and every service was out.
    fn has_struck(&self) -> bool {
        let struck = &self.figures;
        struck.kills > 0 && struck.terms > 0 && struck.outages >= self.proxies.len() as u64
    }

    /// Ends every fault; two daemons stay.
    pub(crate) async fn calm(&mut self) {
        for proxy in self.proxies {
            proxy.set(Mode::Pass);
        }
        self.bad.clear();
        self.lab
            .platform
            .faults(&json!({"jobFailureRate": 0, "responses": [], "s3": [], "rateLimit": null}))
            .await;
        self.mourn();
        for daemon in &mut self.daemons {
            daemon.ready().await;
        }
    }

    /// Asks everybody to stop.
    pub(crate) fn dismiss(&mut self) {
        for daemon in std::mem::take(&mut self.daemons) {
            daemon.terminate();
            self.leaving.push((daemon, Instant::now() + LEAVE));
        }
    }

    /// Waits until everybody who was asked to stop has.
    pub(crate) async fn end(&mut self) {
        for (mut daemon, _) in std::mem::take(&mut self.leaving) {
            let status = daemon.ended().await;
            self.figures.bad_ends += bad_end(&daemon, status);
        }
    }

    fn strike_daemon(&mut self) {
        let which = usize::try_from(self.roll(2)).unwrap();
        // Each at least once, even in a short run.
        let term = self.figures.terms < self.figures.kills.min(1) || self.roll(5) < 2;
        let another = self.another();
        let mut struck = std::mem::replace(&mut self.daemons[which], another);
        if term && self.figures.kills > 0 {
            struck.terminate();
            self.leaving.push((struck, Instant::now() + LEAVE));
            self.figures.terms += 1;
        } else {
            struck.kill();
            self.figures.kills += 1;
        }
    }

    fn strike_network(&mut self) {
        if self.figures.outages >= self.proxies.len() as u64 && self.roll(3) == 0 {
            let which = usize::try_from(self.roll(self.proxies.len() as u64)).unwrap();
            self.proxies[which].sever();
            self.figures.cuts += 1;
            return;
        }
        // Each service in turn, or a short run might leave one out.
        let which = usize::try_from(self.figures.outages).unwrap() % self.proxies.len();
        let mode = match self.roll(3) {
            0 => Mode::Refuse,
            1 => Mode::Stall,
            _ => Mode::Cut(usize::try_from(self.roll(300)).unwrap()),
        };
        eprintln!("chaos: {} is bad: {mode:?}", self.proxies[which].name);
        self.proxies[which].set(mode);
        let until = self.soon(1_000, 9_000);
        self.bad.retain(|(bad, _)| *bad != which);
        self.bad.push((which, until));
        self.figures.outages += 1;
    }

    async fn strike_platform(&mut self) {
        let calls = [
            "POST /api/projects/{projectId}/dataCopyBatch",
            "GET /api/projects/{projectId}/data",
            "GET /api/jobs",
            "GET /api/jobs/{jobId}",
            "PUT /sim/bytes/{token}",
            "POST /api/projects/{projectId}/data",
        ];
        let mut responses = Vec::new();
        for call in calls {
            let status = match self.roll(5) {
                0 => json!(500),
                1 => json!(503),
                2 => json!(429),
                3 => json!(401),
                _ => json!("close"),
            };
            responses.push(json!({ "call": call, "times": 1 + self.roll(4), "status": status, "after": self.roll(2) == 0 }));
        }
        let mut s3 = Vec::new();
        for call in ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload", "PutObject", "HeadObject"] {
            let status =
                [json!(500), json!(503), json!("close")][usize::try_from(self.roll(3)).unwrap()].clone();
            let times = 1 + self.roll(3);
            s3.push(json!({ "calls": [call], "times": times, "status": status, "after": self.roll(2) == 0 }));
        }
        self.lab.platform.faults(&json!({ "responses": responses, "s3": s3 })).await;
        self.figures.platform_faults += 1;
        token::renew(self.lab, self.figures.platform_faults).await;
    }

    fn clear_up(&mut self, now: Instant) {
        let proxies = self.proxies;
        self.bad.retain(|(which, until)| {
            if *until <= now {
                proxies[*which].set(Mode::Pass);
            }
            *until > now
        });
    }

    /// Whoever has ended is let go, or replaced if nobody asked it to.
    fn mourn(&mut self) {
        let now = Instant::now();
        let mut bad_ends = 0;
        self.leaving.retain_mut(|(daemon, until)| match daemon.status() {
            None => {
                assert!(now < *until, "{daemon:?} does not end");
                true
            }
            Some(status) => {
                bad_ends += bad_end(daemon, status);
                false
            }
        });
        self.figures.bad_ends += bad_ends;
        for which in 0..self.daemons.len() {
            if let Some(status) = self.daemons[which].status() {
                panic!("{:?} ended by itself: {status}", self.daemons[which]);
            }
        }
    }
}

/// 1, and a word about it, if that was no orderly end.
fn bad_end(daemon: &Process, status: ExitStatus) -> u64 {
    if status.success() {
        return 0;
    }
    let told = [
        "ready",
        "stopping: no new work is taken",
        "shutdown deadline near: work in hand is handed over",
        "shutdown incomplete: tasks left behind, their leases run out",
    ]
    .map(|message| daemon.said(message));
    eprintln!("chaos: a bad end, {status}: {}", serde_json::json!(told));
    1
}
