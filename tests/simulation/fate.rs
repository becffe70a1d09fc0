//! What happens to the calls of an instance: the seeded fate stands before every port and lets the
//! call pass, fails it, loses its answer, delays it, kills the instance or makes it stand still.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use copy_manager::ports::{Class, Error, Result};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, sleep, sleep_until},
};

/// A service that the instances call, as far as outages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Store,
    Queue,
    Bus,
    Callbacks,
    Platform,
    Bytes,
    /// What replicas are made of, and where they are.
    Source,
    Database,
}

/// How likely what is at one call, from 0 to 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Odds {
    /// The instance is killed before the call's effect, or after it.
    pub crash: f64,
    /// The call fails without effect.
    pub fail: f64,
    /// It has its effect and fails.
    pub lost_answer: f64,
    /// A store write is made twice below us.
    pub twice: f64,
    /// It takes up to 50 ms; hardly anything is instant.
    pub short_delay: f64,
    /// It takes up to 20 s.
    pub long_delay: f64,
    /// The instance stands still, perhaps beyond its leases.
    pub pause: f64,
    /// An event is lost on the bus, a message received twice, received late, an index entry missed.
    pub lose: f64,
    pub duplicate: f64,
    pub late: f64,
}

/// What was done to the fleet, to judge whether a failure is justified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub calls: u64,
    pub crashes: u32,
    pub pauses: u32,
    pub failures: u32,
    pub losses: u32,
}

/// A fault at one certain call: the first of that name whose arguments hold that text.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    pub op: &'static str,
    pub about: &'static str,
    pub fault: Fault,
}

/// What a script does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    CrashBefore,
    CrashAfter,
    LoseAnswer,
    /// The instance stands still for that many seconds before the call.
    StandStill(u64),
    /// The call is made; before its answer comes, somebody cancels the request.
    Cancel,
}

#[derive(Debug)]
struct Inner {
    scripts: Vec<Scripted>,
    rng: StdRng,
    odds: Odds,
    crashes_left: u32,
    pauses_left: u32,
    outages: BTreeMap<Service, Instant>,
    tally: Tally,
    digest: DefaultHasher,
    lines: Option<Vec<String>>,
}

/// Chance and memory of one history.
#[derive(Debug)]
pub(crate) struct Fate {
    inner: Mutex<Inner>,
    calm: AtomicBool,
    start: Instant,
}

/// What fate has decided about a call.
#[derive(Debug)]
enum Verdict {
    Pass,
    CrashBefore,
    CrashAfter,
    Fail(Error),
    LoseAnswer,
    Pause { before: bool, long: Duration },
    Cancel,
}

/// What the world is told by a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Crashed(usize),
    Cancel,
}

impl Fate {
    pub(crate) fn new(seed: u64, odds: Odds, crashes: u32, verbose: bool) -> Arc<Self> {
        let inner = Inner {
            scripts: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            odds,
            crashes_left: crashes,
            pauses_left: 4,
            outages: BTreeMap::new(),
            tally: Tally::default(),
            digest: DefaultHasher::new(),
            lines: verbose.then(Vec::new),
        };
        Arc::new(Self { inner: Mutex::new(inner), calm: AtomicBool::new(false), start: Instant::now() })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap())
    }

    /// Adds faults at certain calls.
    pub(crate) fn script(&self, scripts: Vec<Scripted>) {
        self.with(|inner| inner.scripts = scripts);
    }

    /// The scripted fault of a call.
    fn scripted(&self, op: &str, detail: &str) -> Option<Verdict> {
        self.with(|inner| {
            let found = inner.scripts.iter().position(|s| s.op == op && detail.contains(s.about))?;
            Some(match inner.scripts.remove(found).fault {
                Fault::CrashBefore => Verdict::CrashBefore,
                Fault::CrashAfter => Verdict::CrashAfter,
                Fault::LoseAnswer => Verdict::LoseAnswer,
                Fault::StandStill(seconds) => {
                    Verdict::Pause { before: true, long: Duration::from_secs(seconds) }
                }
                Fault::Cancel => Verdict::Cancel,
            })
        })
    }

    /// Whether every scripted fault has happened.
    pub(crate) fn is_played(&self) -> bool {
        self.with(|inner| inner.scripts.is_empty())
    }

    /// From now on everything works.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
        self.with(|inner| {
            inner.outages.clear();
            let short_delay = inner.odds.short_delay;
            inner.odds = Odds { short_delay, ..Odds::default() };
        });
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// A service does not answer for a while.
    pub(crate) fn outage(&self, service: Service, long: Duration) {
        self.note(9, "outage", &format!("{service:?} for {long:?}"));
        self.with(|inner| {
            inner.outages.insert(service, Instant::now() + long);
        });
    }

    pub(crate) fn is_out(&self, service: Service) -> bool {
        self.with(|inner| inner.outages.get(&service).is_some_and(|until| Instant::now() < *until))
    }

    pub(crate) fn tally(&self) -> Tally {
        self.with(|inner| inner.tally)
    }

    /// The hash of everything that was noted.
    pub(crate) fn digest(&self) -> u64 {
        self.with(|inner| inner.digest.finish())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.with(|inner| inner.lines.clone().unwrap_or_default())
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.with(|inner| inner.lines.is_some())
    }

    /// Notes something in the trace. `who`: the instance, 9 for the world.
    pub(crate) fn note(&self, who: usize, what: &str, detail: &str) {
        let at = self.start.elapsed().as_millis();
        self.with(|inner| {
            (at, who, what).hash(&mut inner.digest);
            if let Some(lines) = &mut inner.lines {
                let mut line = format!("{:>6}.{:03} ", at / 1000, at % 1000);
                match who {
                    9 => line.push_str("world "),
                    n => line.extend(["    ", &n.to_string(), " "]),
                }
                line.push_str(what);
                line.push(' ');
                line.extend(detail.chars().take(4000));
                lines.push(line);
            }
        });
    }

    pub(crate) fn below(&self, end: u64) -> u64 {
        self.with(|inner| inner.rng.next_u64() % end.max(1))
    }

    fn happens(&self, odds: impl Fn(&Odds) -> f64) -> bool {
        self.with(|inner| {
            let odds = odds(&inner.odds);
            odds > 0.0 && inner.rng.random::<f64>() < odds
        })
    }

    pub(crate) fn loses(&self) -> bool {
        let lost = self.happens(|odds| odds.lose);
        if lost {
            self.with(|inner| inner.tally.losses += 1);
        }
        lost
    }

    pub(crate) fn duplicates(&self) -> bool {
        self.happens(|odds| odds.duplicate)
    }

    pub(crate) fn delays_message(&self) -> Option<Duration> {
        self.happens(|odds| odds.late).then(|| Duration::from_millis(self.below(60_000)))
    }

    fn delay(&self) -> Option<Duration> {
        self.with(|inner| {
            let draw: f64 = inner.rng.random();
            if draw < inner.odds.long_delay {
                Some(Duration::from_millis(inner.rng.next_u64() % 20_000))
            } else if draw < inner.odds.long_delay + inner.odds.short_delay {
                Some(Duration::from_millis(1 + inner.rng.next_u64() % 50))
            } else {
                None
            }
        })
    }

    fn decide(&self, service: Service, op: &'static str, writes: bool) -> Verdict {
        if self.is_out(service) {
            self.with(|inner| inner.tally.failures += 1);
            return Verdict::Fail(Error::new(Class::Transient, op, "outage"));
        }
        if self.is_calm() {
            return Verdict::Pass;
        }
        self.with(|inner| {
            let draw: f64 = inner.rng.random();
            let odds = inner.odds.clone();
            let mut sum = odds.crash;
            if draw < sum {
                if inner.crashes_left == 0 {
                    return Verdict::Pass;
                }
                inner.crashes_left -= 1;
                inner.tally.crashes += 1;
                return if inner.rng.random() { Verdict::CrashBefore } else { Verdict::CrashAfter };
            }
            sum += odds.fail;
            if draw < sum {
                inner.tally.failures += 1;
                let class = match (service, inner.rng.next_u64() % 6) {
                    (Service::Platform, 0) => Class::Unauthorized,
                    (_, 1 | 2) => Class::Throttled,
                    _ => Class::Transient,
                };
                let mut error = Error::new(class, op, "fate");
                if class == Class::Throttled && inner.rng.random() {
                    error.retry_after = Some(Duration::from_secs(1 + inner.rng.next_u64() % 30));
                }
                return Verdict::Fail(error);
            }
            sum += odds.lost_answer;
            if draw < sum && writes {
                inner.tally.failures += 1;
                return Verdict::LoseAnswer;
            }
            sum += odds.pause;
            if draw < sum && inner.pauses_left > 0 {
                inner.pauses_left -= 1;
                inner.tally.pauses += 1;
                let long = Duration::from_millis(1000 + inner.rng.next_u64() % 180_000);
                return Verdict::Pause { before: inner.rng.random(), long };
            }
            Verdict::Pass
        })
    }

    pub(crate) fn writes_twice(&self) -> bool {
        self.happens(|odds| odds.twice)
    }
}

/// The way of one instance's calls into the world.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) who: usize,
    pub(crate) fate: Arc<Fate>,
    dead: AtomicBool,
    still_until: Mutex<Option<Instant>>,
    news: UnboundedSender<News>,
}

impl Gate {
    pub(crate) fn new(who: usize, fate: Arc<Fate>, news: UnboundedSender<News>) -> Arc<Self> {
        Arc::new(Self { who, fate, dead: AtomicBool::new(false), still_until: Mutex::new(None), news })
    }

    /// Kills the instance: none of its calls returns any more.
    pub(crate) fn kill(&self) {
        if !self.dead.swap(true, Ordering::Relaxed) {
            self.fate.note(self.who, "CRASH", "");
            self.news.send(News::Crashed(self.who)).unwrap_or_default();
        }
    }

    /// Dead to the world, without telling: its tasks are being dropped.
    pub(crate) fn silence(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_still(&self) -> bool {
        self.still_until.lock().unwrap().is_some_and(|until| Instant::now() < until)
    }

    pub(crate) fn stand_still(&self, long: Duration) {
        self.fate.note(self.who, "PAUSE", &format!("{long:?}"));
        *self.still_until.lock().unwrap() = Some(Instant::now() + long);
    }

    async fn barrier(&self) {
        loop {
            if self.dead.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let until = *self.still_until.lock().unwrap();
            match until.filter(|until| Instant::now() < *until) {
                Some(until) => sleep_until(until).await,
                None => return,
            }
        }
    }

    /// A call that finds nothing: it only waits while the instance is dead or stands still.
    pub(crate) async fn idle<T>(&self, nothing: T) -> Result<T> {
        self.barrier().await;
        Ok(nothing)
    }

    /// Makes a call as fate will have it. `writes`: it may have an effect.
    pub(crate) async fn pass<T>(
        &self,
        service: Service,
        op: &'static str,
        writes: bool,
        detail: impl FnOnce() -> String,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.barrier().await;
        if let Some(delay) = self.fate.delay() {
            sleep(delay).await;
            self.barrier().await;
        }
        let shown = self.fate.is_verbose() || !self.fate.is_played();
        let detail = if shown { detail() } else { String::new() };
        self.fate.with(|inner| inner.tally.calls += 1);
        let verdict = match self.fate.scripted(op, &detail) {
            Some(scripted) => scripted,
            None => self.fate.decide(service, op, writes),
        };
        let result = match verdict {
            Verdict::CrashBefore => {
                self.fate.note(self.who, op, &format!("{detail} -> crash before"));
                self.kill();
                std::future::pending().await
            }
            Verdict::Fail(error) => {
                self.fate.note(self.who, op, &format!("{detail} -> {:?}", error.class));
                return Err(error);
            }
            Verdict::Pause { before: true, long } => {
                self.stand_still(long);
                self.barrier().await;
                call.await
            }
            Verdict::Pass
            | Verdict::Cancel
            | Verdict::CrashAfter
            | Verdict::LoseAnswer
            | Verdict::Pause { before: false, .. } => call.await,
        };
        let end = match &result {
            Ok(_) => "",
            Err(_) => " -> failed",
        };
        if self.fate.is_verbose() {
            let end = match &result {
                Err(error) => format!(" -> {:?} {}", error.class, error.message),
                Ok(_) => String::new(),
            };
            self.fate.note(self.who, op, &format!("{detail}{end}"));
        } else {
            self.fate.note(self.who, op, end);
        }
        match verdict {
            Verdict::CrashAfter => {
                self.fate.note(self.who, op, "-> crash after");
                self.kill();
            }
            Verdict::LoseAnswer => {
                self.fate.note(self.who, op, "-> answer lost");
                result?;
                self.barrier().await;
                return Err(Error::new(Class::Transient, op, "answer lost").ambiguous());
            }
            Verdict::Pause { before: false, long } => self.stand_still(long),
            Verdict::Cancel => {
                self.news.send(News::Cancel).unwrap_or_default();
                sleep(Duration::from_millis(100)).await;
            }
            _ => {}
        }
        self.barrier().await;
        result
    }
}
