//! A small random world and what is asked of the fleet in it: all of it from the seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use copy_manager::{
    domain::route::{Folders, SinglePart},
    engine::settings::{CopyOutSettings, OnCallerGone, Settings},
    simulator::{self, world::WorldFile},
};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    errands::{DEST, Errands, LISTS, SHELF, Shelved, Way},
    fate::{Odds, Service},
    replicas::School,
    shares,
    throngs::Throng,
    trials::{self, Late, Trials},
    versions::Versions,
};

pub(crate) const LAB: &str = "lab";
pub(crate) const TO: &str = "archive";
pub(crate) const LAB_ID: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const TO_ID: &str = "22222222-2222-4222-8222-222222222222";
pub(crate) const OUTSIDE: &str = "outside-data";

/// A file of the world at the start.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub path: String,
    pub size: u64,
    pub parts: u32,
}

/// One file that a request wants, and where from; `None`: from outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Want {
    pub to: String,
    pub from: Option<String>,
    pub size: u64,
}

/// What somebody asks for.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(crate) struct Request {
    pub wants: Vec<Want>,
    pub folders: Vec<String>,
    pub overwrite: bool,
    pub dry_run: bool,
    /// Names a source that is not there.
    pub missing: bool,
    /// The same id was used with another payload.
    pub contradicts: bool,
    pub way: Way,
}

impl Request {
    /// One for nothing but that.
    pub(crate) fn plain(wants: Vec<Want>, way: Way) -> Self {
        Self {
            wants,
            folders: Vec::new(),
            overwrite: false,
            dry_run: false,
            missing: false,
            contradicts: false,
            way,
        }
    }
}

/// A message with its token.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub at: Duration,
    pub token: String,
    pub request: usize,
    pub body: String,
    /// When the caller stops waiting.
    pub leaves_at: Option<Duration>,
}

/// What is done to the fleet from outside.
#[derive(Debug, Clone)]
pub(crate) enum Blow {
    Kill(usize),
    Stop(usize),
    Pause(usize, Duration),
    Outage(Service, Duration),
    /// Somebody cancels one of the requests that are there.
    Cancel,
    /// A stranger's copy job of these files into that folder.
    Stranger(Vec<String>, String),
    /// Others begin something on the platform, as its control has it.
    Others(Value),
}

/// Everything that the seed decides before the start.
#[derive(Debug)]
pub(crate) struct Plan {
    pub world: WorldFile,
    pub platform: simulator::Settings,
    pub settings: Settings,
    pub odds: Odds,
    pub crashes: u32,
    pub instances: usize,
    /// Places that keep an S3 client: it costs time to make one.
    pub needs_s3: bool,
    pub requests: Vec<Request>,
    pub asks: Vec<Ask>,
    /// PARTIAL files of strangers at the start: folder and name.
    pub partials: Vec<(String, String)>,
    pub blows: Vec<(Duration, Blow)>,
    pub scripts: Value,
    /// What is done to calls of S3.
    pub s3_rules: Value,
    pub poison: Vec<String>,
    pub calm_at: Duration,
    pub visibility: Duration,
    pub max_receives: Option<u32>,
    pub job_events: bool,
    /// Records of another version of the daemon lie in the table.
    pub two_versions: bool,
    /// The versions of the fleet.
    pub versions: Versions,
    /// Wanted destination paths, with the sources that may be there in the end.
    pub wanted: BTreeMap<String, BTreeSet<Option<String>>>,
    /// Those of them that somebody may overwrite.
    pub overwritten: BTreeSet<String>,
    pub strangers: BTreeSet<String>,
    pub trials: Trials,
    /// What a replica is made of.
    pub school: Option<School>,
}

/// Kinds of work besides copies, which came later.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Also {
    pub shares: bool,
    pub replicas: bool,
}

impl Plan {
    /// A world without any chance in it: one instance, one folder with two files for jobs and one to be
    /// streamed, one request for it.
    pub(crate) fn plain() -> Self {
        let mut plan = Self::of(0);
        let file = |path: &str, size, parts| File { path: path.to_owned(), size, parts };
        let lab = [file("/x/r3/a.bam", 100, 2), file("/x/r3/b.bam", 50, 2), file("/x/r3/c.txt", 9, 1)];
        let world = json!({"projects": [
            {"id": LAB_ID, "name": LAB, "byob": {"bucket": "lab-data", "prefix": "top/"}, "age": "1h",
             "files": list(&lab)},
            {"id": TO_ID, "name": TO, "byob": {"bucket": "archive-data", "prefix": ""}, "folders": ["/in/"]},
        ]});
        plan.world = serde_json::from_value(world).unwrap();
        plan.platform = simulator::Settings::default();
        plan.settings = plain_settings();
        plan.odds = Odds::default();
        plan.instances = 1;
        plan.needs_s3 = false;
        let wants = lab.iter().map(|file| {
            let to = file.path.replace("/x/", "/in/");
            Want { to, from: Some(file.path.clone()), size: file.size }
        });
        let folders = vec!["/in/r3/".to_owned()];
        let request = Request { folders, ..Request::plain(wants.collect(), Way::Copy) };
        let wanted = request.wants.iter().map(|want| (want.to.clone(), BTreeSet::from([want.from.clone()])));
        plan.wanted = wanted.collect();
        plan.requests = vec![request];
        let payload =
            json!({"sourceUriList": ["icav2://lab/x/r3/"], "destinationUri": "icav2://archive/in/"});
        let body = json!({"payload": payload, "taskToken": "token"}).to_string();
        let (at, token) = (Duration::ZERO, "token".to_owned());
        plan.asks = vec![Ask { at, token, request: 0, body, leaves_at: None }];
        plan.partials.clear();
        plan.blows.clear();
        plan.scripts = json!([]);
        plan.s3_rules = json!([]);
        plan.poison.clear();
        plan.calm_at = Duration::ZERO;
        plan.max_receives = None;
        plan.job_events = false;
        plan.two_versions = false;
        plan.overwritten.clear();
        plan.strangers.clear();
        plan.trials = Trials::none();
        plan.school = None;
        plan
    }
}

pub(crate) struct Dice(StdRng);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end.max(1)
    }
    pub(crate) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }
    pub(crate) fn chance(&mut self, odds: f64) -> bool {
        self.0.random::<f64>() < odds
    }
    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())].clone()
    }
    pub(crate) fn seconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from * 1000 + self.below((to - from) * 1000))
    }
    /// With even odds nothing, else something between the bounds, evenly in its logarithm.
    fn rate(&mut self, from: f64, to: f64) -> f64 {
        if self.chance(0.5) { 0.0 } else { from * (to / from).powf(self.0.random::<f64>()) }
    }
}

pub(crate) const FOLDERS: [&str; 5] = ["/in/r1/", "/in/r1/sub/", "/in/r1/sub/deep/", "/in/r2/", "/x/r3/"];
const NAMES: [&str; 7] = ["a.bam", "b.bam", "c.txt", "d e+f.txt", "A.bam", "ü.vcf", "zero"];
pub(crate) const DESTINATIONS: [&str; 3] = ["/in/", "/out/", "/in/new/"];

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        Self::drawn(seed, true, Also { shares: true, replicas: true })
    }

    /// The same; `tried`: with what the real world does besides.
    #[expect(clippy::too_many_lines, reason = "one draw after the other")]
    pub(crate) fn drawn(seed: u64, tried: bool, also: Also) -> Self {
        let mut dice = Dice(StdRng::seed_from_u64(seed ^ 0x5eed));
        let quiet = dice.chance(0.12);
        let rough = if quiet { 0.0 } else { 1.0 };
        let mut odds = Odds {
            crash: rough * dice.rate(0.0003, 0.01),
            fail: rough * dice.rate(0.001, 0.08),
            lost_answer: rough * dice.rate(0.001, 0.08),
            twice: rough * dice.rate(0.001, 0.05),
            short_delay: if dice.chance(0.8) { 0.3 } else { 0.02 },
            long_delay: rough * dice.rate(0.0005, 0.01),
            pause: rough * dice.rate(0.0003, 0.004),
            lose: rough * dice.rate(0.01, 0.3),
            duplicate: rough * dice.rate(0.01, 0.3),
            late: rough * dice.rate(0.02, 0.5),
        };

        let mut lab: Vec<File> = Vec::new();
        let most = 1 + dice.below(30);
        for _ in 0..most {
            let path = format!("{}{}", dice.pick(&FOLDERS), dice.pick(&NAMES));
            if lab.iter().any(|file| file.path == path) {
                continue;
            }
            let zero = path.ends_with("zero");
            let size = if zero { 0 } else { 3 + dice.below(200) };
            let parts =
                if zero || path.contains(".txt") { 1 } else { 1 + u32::try_from(dice.below(3)).unwrap() };
            lab.push(File { path, size, parts });
        }
        lab.sort_by(|a, b| a.path.cmp(&b.path));
        let mut lab_folders = vec!["/in/", "/x/"];
        if dice.chance(0.3) {
            lab_folders.push("/in/r1/empty/");
        }

        let mut requests: Vec<Request> = Vec::new();
        let mut asks: Vec<Ask> = Vec::new();
        let mut needs_s3 = false;
        let calm_at = if quiet { Duration::from_mins(1) } else { dice.seconds(60, 900) };
        let most = if dice.chance(0.3) { 6 } else { 3 };
        let count = 1 + dice.index(most);
        for n in 0..count {
            let (request, payload, s3) = request(&mut dice, &lab, &lab_folders);
            needs_s3 |= s3;
            let named = dice.chance(0.3).then(|| format!("id-{n}"));
            let index = requests.len();
            asks.extend(asks_for(&mut dice, calm_at, &payload, None, (n, index), named.as_deref()));
            requests.push(request.clone());
            if let Some(id) = named.filter(|_| dice.chance(0.2)) {
                // The same id for something else: refused, whichever of the two comes first.
                let token = format!("token-{n}-other");
                let payload = json!({"sourceUriList": ["icav2://lab/nothing.txt"], "destinationUri": "icav2://archive/out/"});
                let body = json!({"payload": payload, "taskToken": token, "requestId": id}).to_string();
                let at = dice.seconds(0, 1 + calm_at.as_secs() / 2);
                asks.push(Ask { at, token, request: requests.len(), body, leaves_at: None });
                requests[index].contradicts = true;
                let nothing = Request::plain(Vec::new(), Way::Copy);
                requests.push(Request { missing: true, contradicts: true, ..nothing });
            }
        }

        // Drawn apart, so that the rest of a history stays what it was.
        let mut other = Dice(StdRng::seed_from_u64(seed ^ 0xb0c7));
        let mut errands = Errands::draw(&mut other, &lab, &lab_folders);
        needs_s3 |= errands.need_s3();
        let throng = Throng::draw(&mut other);
        lab.extend(throng.files.iter().cloned());
        for (n, (request, payload)) in errands.requests.iter().chain(&throng.requests).enumerate() {
            let (n, index) = (count + n, requests.len());
            let named = other.chance(0.3).then(|| format!("id-{n}"));
            let event = Some(request.way.event());
            asks.extend(asks_for(&mut other, calm_at, payload, event, (n, index), named.as_deref()));
            requests.push(request.clone());
        }

        let tried = tried && !quiet;
        let mut world = Dice(StdRng::seed_from_u64(seed ^ 0x7e57));
        let mut blows = Vec::new();
        let late = if tried { Late::draw(&mut world) } else { None };
        if let Some(late) = &late {
            let (n, index) = (asks.len() + 1000, requests.len());
            let mut again = asks_for(&mut world, calm_at, &late.payload, None, (n, index), None);
            // The files take some seconds to be written; then somebody asks.
            let first = again.iter().map(|ask| ask.at).min().unwrap_or_default() + Duration::from_secs(2);
            for ask in &mut again {
                ask.at += Duration::from_secs(12);
            }
            let uploads: Vec<_> = late
                .files
                .iter()
                .map(|file| {
                    json!({
                        "project": LAB, "path": file.path, "size": file.size, "parts": file.parts,
                        "takes": world.below(9),
                    })
                })
                .collect();
            blows.push((first, Blow::Others(json!({"uploads": uploads}))));
            asks.extend(again);
            requests.push(late.request.clone());
        }

        let mut wanted: BTreeMap<String, BTreeSet<Option<String>>> = BTreeMap::new();
        let mut overwritten = BTreeSet::new();
        for request in requests.iter().filter(|request| !request.dry_run) {
            for want in &request.wants {
                wanted.entry(want.to.clone()).or_default().insert(want.from.clone());
                if request.overwrite {
                    overwritten.insert(want.to.clone());
                }
            }
        }

        // What is there already: equal, different, PARTIAL; wanted, and of nobody here.
        let mut there: Vec<File> = Vec::new();
        let mut partials = Vec::new();
        let sources: BTreeMap<&str, &File> = lab.iter().map(|file| (file.path.as_str(), file)).collect();
        for (to, from) in wanted.iter().filter(|(to, _)| !to.starts_with("s3://")) {
            let source = from.iter().flatten().find_map(|from| sources.get(from.as_str()));
            match dice.below(14) {
                0 | 1 => {
                    let (size, parts) = source.map_or((9, 1), |file| (file.size, file.parts));
                    there.push(File { path: to.clone(), size, parts });
                }
                2 => there.push(File { path: to.clone(), size: 1 + dice.below(300), parts: 1 }),
                3 => {
                    let (folder, name) = to.rsplit_once('/').unwrap();
                    partials.push((format!("{folder}/"), name.to_owned()));
                }
                _ => {}
            }
        }
        let mut strangers = BTreeSet::new();
        for folder in ["/in/r1/", "/in/r1/sub/", "/out/", "/in/"] {
            if dice.chance(0.4) {
                there.push(File { path: format!("{folder}stranger.bam"), size: 17, parts: 2 });
            }
            if dice.chance(0.4) {
                partials.push((folder.to_owned(), "stranger.partial".to_owned()));
            }
        }

        let instances = 1 + dice.index(4);
        if !quiet {
            for _ in 0..dice.below(4) {
                let at = dice.seconds(0, calm_at.as_secs());
                let n = dice.index(instances);
                blows.push((
                    at,
                    match dice.below(6) {
                        4 => Blow::Cancel,
                        0 => Blow::Kill(n),
                        1 => Blow::Stop(n),
                        2 => Blow::Pause(n, dice.seconds(1, 200)),
                        3 => {
                            let service = dice.pick(&[
                                Service::Store,
                                Service::Queue,
                                Service::Bus,
                                Service::Callbacks,
                                Service::Platform,
                                Service::Bytes,
                            ]);
                            Blow::Outage(service, dice.seconds(10, 200))
                        }
                        _ => {
                            let files: Vec<_> = lab
                                .iter()
                                .filter(|file| file.parts > 1 && dice.0.random())
                                .map(|file| file.path.clone())
                                .collect();
                            let folder = dice.pick(&["/in/r1/", "/out/", "/in/"]);
                            Blow::Stranger(files, folder.to_owned())
                        }
                    },
                ));
            }
        }
        blows.sort_by_key(|(at, _)| *at);
        for (_, blow) in &blows {
            if let Blow::Stranger(files, folder) = blow {
                for file in files {
                    let name = file.rsplit('/').next().unwrap();
                    strangers.insert(format!("{folder}{name}"));
                }
            }
        }

        let shelves = shelves(&mut other, &errands, &wanted);
        let mut s3_rules = if quiet { Vec::new() } else { s3_rules(&mut other) };

        if also.shares {
            let mut apart = Dice(StdRng::seed_from_u64(seed ^ 0x5a4e));
            for (request, payload) in shares::draw(&mut apart, &mut errands.objects) {
                needs_s3 = true;
                let (n, index) = (asks.len() + 2000, requests.len());
                let event = Some(request.way.event());
                asks.extend(asks_for(&mut apart, calm_at, &payload, event, (n, index), None));
                for want in &request.wants {
                    wanted.entry(want.to.clone()).or_default().insert(want.from.clone());
                    overwritten.insert(want.to.clone());
                }
                requests.push(request);
            }
        }

        let mut apart = Dice(StdRng::seed_from_u64(seed ^ 0xca5a));
        let school = if also.replicas { School::draw(&mut apart, calm_at) } else { None };
        if school.is_some() {
            for (request, ask) in School::runs(&mut apart, calm_at, requests.len()) {
                requests.push(request);
                asks.push(ask);
            }
            if !quiet {
                blows.extend(School::blows(&mut apart, calm_at));
                blows.sort_by_key(|(at, _)| *at);
            }
        }

        let settle = dice.pick(&[30, 60, 120]);
        let mut trials = Trials::none();
        if tried {
            trials = Trials::draw(&mut world, instances, calm_at, settle, throng.is_wide());
            if late.is_some() {
                trials.hide(&mut world, settle);
            }
            trials.tell(&mut world, &wanted);
            let others = trials.others(&mut world, calm_at, &wanted, &lab);
            blows.extend(others.begun.into_iter().map(|(at, begun)| (at, Blow::Others(begun))));
            blows.sort_by_key(|(at, _)| *at);
            strangers.extend(others.paths);
            s3_rules.extend(trials::under_way(&mut world));
            odds.long_delay = odds.long_delay.max(trials.sluggish);
        }
        let mut platform = simulator::Settings { seed, ..simulator::Settings::default() };
        platform.job_duration = dice.pick(&[1, 2, 10, 40, 100]) * Duration::from_secs(1);
        if throng.is_wide() {
            // Hundreds of folders, one job at a time: with slow ones they take longer than anyone waits.
            platform.job_duration = platform.job_duration.min(Duration::from_secs(10));
        }
        platform.index_delay = if dice.chance(0.5) { Duration::ZERO } else { dice.seconds(0, settle / 3) };
        platform.delete_delay = dice.seconds(0, 20);
        platform.latency = Duration::from_millis(dice.pick(&[0, 0, 5, 80]));
        platform.tag_defect = dice.chance(0.7);
        if !quiet {
            platform.job_failure_rate = dice.pick(&[0.0, 0.0, 0.2, 0.5]);
            platform.rate_limit = dice.chance(0.15).then_some(20);
        }
        let poison = if !quiet && dice.chance(0.15) && !lab.is_empty() {
            vec![lab[dice.index(lab.len())].path.clone()]
        } else {
            Vec::new()
        };
        let scripts: Vec<Value> = if quiet || dice.chance(0.6) {
            Vec::new()
        } else {
            (0..=dice.below(3))
                .map(|_| {
                    let call = dice.pick(&[
                        "POST /api/projects/{projectId}/dataCopyBatch",
                        "GET /api/jobs",
                        "GET /api/jobs/{jobId}",
                        "PUT /sim/bytes/{token}",
                        "GET /sim/bytes/{token}",
                        "POST /api/projects/{projectId}/data",
                        "DELETE /api/projects/{projectId}/data/{dataId}",
                    ]);
                    let status = dice.pick(&[json!(503), json!(500), json!("close"), json!(429)]);
                    let times = 1 + dice.below(3);
                    // Who is throttled was not heard: a job that nobody knows of would leave what is nobody's.
                    let after = dice.chance(0.5) && status != json!(429);
                    json!({"call": call, "times": times, "status": status, "after": after})
                })
                .collect()
        };

        let world_file = json!({"projects": [
            {"id": LAB_ID, "name": LAB, "byob": {"bucket": "lab-data", "prefix": "top/"},
             "encryption": trials.encryption(LAB), "folders": lab_folders,
             "files": files(&mut world, &trials, &lab)},
            {"id": TO_ID, "name": TO, "byob": {"bucket": "archive-data", "prefix": ""},
             "encryption": trials.encryption(TO), "folders": ["/in/"],
             "files": files(&mut world, &trials, &there)},
        ], "buckets": [{"name": OUTSIDE, "encryption": trials.encryption(SHELF), "requesterPays": trials.pays, "objects": [
            {"key": "ref/one.txt", "size": 70}, {"key": "ref/two.fa", "size": 90, "parts": 2}]},
            {"name": SHELF, "encryption": trials.encryption(SHELF), "objectLock": trials.locked, "requesterPays": trials.pays,
             "objects": errands.objects.iter().map(Shelved::in_world).collect::<Vec<_>>()},
            {"name": DEST, "encryption": trials.encryption(DEST), "objectLock": trials.locked,
             "objects": shelves},
            {"name": LISTS, "encryption": trials.encryption(DEST), "objectLock": trials.locked, "requesterPays": trials.pays}]});
        let mut settings = settings(&mut dice, settle);
        if throng.is_long() {
            // With two at a time, hundreds of children or roots stand in line for minutes, and nobody has lost
            // them.
            settings.service.max_active = settings.service.max_active.max(8);
        }
        settings.jobs.abandoned_after = trials.abandoned_after;
        Self {
            world: serde_json::from_value(world_file).unwrap(),
            platform,
            settings: with_buckets(&mut other, settings),
            crashes: u32::try_from(dice.below(7)).unwrap(),
            odds,
            instances,
            needs_s3,
            requests,
            asks,
            partials,
            blows,
            scripts: scripts.into(),
            s3_rules: s3_rules.into(),
            poison,
            calm_at,
            visibility: dice.pick(&[30, 60]) * Duration::from_secs(1),
            max_receives: dice.chance(0.1).then_some(4),
            job_events: dice.chance(0.6),
            two_versions: dice.chance(0.2),
            versions: Versions::ONE,
            wanted,
            overwritten,
            strangers,
            trials,
            school,
        }
    }
}

/// The messages of a request, with the numbers by which tokens and requests are known; `event`: of which
/// kind, where it is no copy that stands there by itself.
fn asks_for(
    dice: &mut Dice,
    calm_at: Duration,
    payload: &Value,
    event: Option<&str>,
    (n, request): (usize, usize),
    named: Option<&str>,
) -> Vec<Ask> {
    let mut asks = Vec::new();
    let tokens = 1 + usize::from(dice.chance(0.25));
    for t in 0..tokens {
        let token = format!("token-{n}-{t}");
        let mut body = json!({"payload": payload, "taskToken": token});
        // Without an id of its own a second token is a second request for the same.
        if let Some(id) = named {
            body["requestId"] = id.into();
        }
        if let Some(event) = event {
            body = json!({"detail-type": event, "source": "lab", "id": token, "detail": body});
        }
        let at = if dice.chance(0.3) { Duration::ZERO } else { dice.seconds(0, 1 + calm_at.as_secs() / 2) };
        let leaves_at = dice.chance(0.08).then(|| at + dice.seconds(0, 300));
        let ask = Ask { at, token, request, body: body.to_string(), leaves_at };
        if dice.chance(0.15) {
            asks.push(Ask { at: at + dice.seconds(0, 200), leaves_at: None, ..ask.clone() });
        }
        asks.push(ask);
    }
    asks
}

/// What is in the bucket that is copied to before: equal, of other size, of other content.
fn shelves(
    dice: &mut Dice,
    errands: &Errands,
    wanted: &BTreeMap<String, BTreeSet<Option<String>>>,
) -> Vec<Value> {
    let mut there = Vec::new();
    for (to, from) in wanted {
        let Some(key) = to.strip_prefix(&format!("s3://{DEST}/")) else { continue };
        let source = from.iter().flatten().find_map(|from| from.strip_prefix("s3://"));
        let object = source.and_then(|uri| {
            let key = uri.strip_prefix(SHELF)?.strip_prefix('/')?;
            errands.objects.iter().find(|object| object.key == key)
        });
        match (dice.below(10), object) {
            (0, Some(object)) => there.push(json!({
                "key": key, "size": object.size, "parts": object.parts, "sameAs": source,
            })),
            (1, Some(object)) => there.push(json!({"key": key, "size": object.size})),
            (2, _) => there.push(json!({"key": key, "size": 1 + dice.below(60)})),
            _ => {}
        }
    }
    if !errands.requests.is_empty() {
        for folder in ["", "c/", "c/p/", "list-0/"] {
            if dice.chance(0.4) {
                there.push(json!({"key": format!("{folder}stranger.bin"), "size": 17}));
            }
        }
    }
    there
}

/// What goes wrong at S3.
fn s3_rules(dice: &mut Dice) -> Vec<Value> {
    let mut rules = Vec::new();
    for _ in 0..dice.below(4) {
        let call = dice.pick(&[
            "CopyObject",
            "UploadPartCopy",
            "CreateMultipartUpload",
            "CompleteMultipartUpload",
            "PutObject",
            "HeadObject",
            "GetObject",
            "ListObjectsV2",
        ]);
        let status = if call == "CopyObject" || call == "CompleteMultipartUpload" {
            dice.pick(&[json!(503), json!(500), json!("close"), json!(200)])
        } else {
            dice.pick(&[json!(503), json!(500), json!("close")])
        };
        let after = dice.chance(0.5);
        rules.push(json!({"calls": [call], "times": 1 + dice.below(4), "status": status, "after": after}));
    }
    if dice.chance(0.2) {
        rules.push(json!({"calls": ["CopyObject", "UploadPartCopy"], "delay": dice.pick(&["1s", "20s"])}));
    }
    rules
}

fn with_buckets(dice: &mut Dice, settings: Settings) -> Settings {
    let copy_out = CopyOutSettings {
        concurrent_parts: dice.pick(&[1, 16]),
        max_concurrency: dice.pick(&[2, 256]),
        multipart_threshold: dice.pick(&[5 << 20, 5 << 30]),
        part_size: 5 << 20,
        access_retry: Duration::from_mins(1),
        thaw_check: Duration::from_mins(1),
        ..CopyOutSettings::default()
    };
    Settings { copy_out, ..settings }
}

/// Everything below a folder, as it lands below a place.
pub(crate) fn folder_wants(lab: &[File], folder: &str, to: &str) -> Vec<Want> {
    let inside = lab.iter().filter_map(|file| Some((file, file.path.strip_prefix(folder)?)));
    inside
        .map(|(file, inside)| Want {
            to: format!("{to}{inside}"),
            from: Some(file.path.clone()),
            size: file.size,
        })
        .collect()
}

fn list(files: &[File]) -> Vec<Value> {
    let shown = |file: &File| json!({"path": file.path, "size": file.size, "parts": file.parts});
    files.iter().map(shown).collect()
}

/// The same, some of them encrypted in another way than the rest of their project.
fn files(dice: &mut Dice, trials: &Trials, files: &[File]) -> Vec<Value> {
    let mut all = list(files);
    for file in &mut all {
        if trials.kms_share > 0.0 && dice.chance(trials.kms_share) {
            file["encryption"] = dice.pick(&["aws:kms", "AES256"]).into();
        }
    }
    all
}

/// A request: what it wants, its payload, and whether it needs S3.
fn request(dice: &mut Dice, lab: &[File], folders: &[&str]) -> (Request, Value, bool) {
    let destination = dice.pick(&DESTINATIONS);
    let mut names = BTreeSet::new();
    let (mut sources, mut wants, mut made) = (Vec::new(), Vec::new(), Vec::new());
    let mut renames = Vec::new();
    for _ in 0..=dice.index(3) {
        if dice.chance(0.6) {
            let folder = dice.pick(&FOLDERS);
            let name = folder.trim_end_matches('/').rsplit('/').next().unwrap();
            let there = |file: &&File| file.path.starts_with(folder);
            // A file that is renamed must be named once.
            let again = |rename: &Value| {
                rename["sourceUri"].as_str().unwrap().starts_with(&format!("icav2://lab{folder}"))
            };
            if !lab.iter().any(|file| there(&file))
                || renames.iter().any(again)
                || !names.insert(name.to_owned())
            {
                continue;
            }
            sources.push(format!("icav2://lab{folder}"));
            made.push(format!("{destination}{name}/"));
            let inside = folder_wants(lab, folder, &format!("{destination}{name}/"));
            made.extend(inside.iter().filter_map(|want| Some(format!("{}/", want.to.rsplit_once('/')?.0))));
            wants.extend(inside);
            made.extend(
                folders
                    .iter()
                    .filter(|empty| empty.starts_with(folder))
                    .map(|empty| format!("{destination}{name}/{}", empty.strip_prefix(folder).unwrap())),
            );
        } else if !lab.is_empty() {
            let file = &lab[dice.index(lab.len())];
            let mut name = file.path.rsplit('/').next().unwrap().to_owned();
            if dice.chance(0.2) {
                let new = format!("renamed-{}", dice.below(3));
                if names.contains(&new) {
                    continue;
                }
                renames
                    .push(json!({"sourceUri": format!("icav2://lab{}", file.path), "outputFileName": new}));
                name = new;
            }
            if !names.insert(name.clone()) {
                renames.retain(|rename| rename["outputFileName"] != name.as_str());
                continue;
            }
            let uri = format!("icav2://lab{}", file.path);
            if sources.contains(&uri)
                || wants.iter().any(|want: &Want| want.from.as_ref() == Some(&file.path))
            {
                renames.retain(|rename| rename["outputFileName"] != name.as_str());
                continue;
            }
            sources.push(uri);
            wants.push(Want {
                to: format!("{destination}{name}"),
                from: Some(file.path.clone()),
                size: file.size,
            });
        }
    }
    let missing = dice.chance(0.06) || sources.is_empty();
    if missing {
        sources.push("icav2://lab/x/not-there.bam".to_owned());
    }
    let on_conflict = dice.pick(&[None, Some("fail"), Some("skip"), Some("overwrite"), Some("overwrite")]);
    let mut payload =
        json!({"sourceUriList": sources, "destinationUri": format!("icav2://archive{destination}")});
    if let Some(way) = on_conflict {
        payload["onConflict"] = way.into();
    }
    let mut needs_s3 = !renames.is_empty();
    if !renames.is_empty() {
        payload["renamingMapList"] = renames.into();
    }
    if dice.chance(0.1) {
        payload["externalSourceUriList"] =
            json!([format!("s3://{OUTSIDE}/ref/one.txt"), format!("s3://{OUTSIDE}/ref/two.fa")]);
        wants.push(Want { to: format!("{destination}one.txt"), from: None, size: 70 });
        wants.push(Want { to: format!("{destination}two.fa"), from: None, size: 90 });
        needs_s3 = true;
    }
    let dry_run = dice.chance(0.04);
    if dry_run {
        payload["dryRun"] = true.into();
    }
    let request = Request {
        wants,
        folders: made,
        overwrite: on_conflict == Some("overwrite"),
        dry_run,
        missing,
        contradicts: false,
        way: Way::Copy,
    };
    (request, payload, needs_s3)
}

fn settings(dice: &mut Dice, settle: u64) -> Settings {
    let seconds = Duration::from_secs;
    let mut all = plain_settings();
    all.copy.single_part = if dice.chance(0.2) { SinglePart::Job } else { SinglePart::Stream };
    all.copy.folders = if dice.chance(0.2) { Folders::Whole } else { Folders::PerFolder };
    all.copy.concurrent_streams = dice.pick(&[1, 2, 16]);
    all.jobs.max_running_jobs = dice.pick(&[1, 2, 20]);
    all.jobs.max_items_per_job = dice.pick(&[1, 2, 3, 1000]);
    all.jobs.batch_window = seconds(dice.pick(&[1, 2, 10]));
    all.jobs.max_attempts = dice.pick(&[3, 5]);
    all.jobs.poll_interval = seconds(dice.pick(&[20, 60]));
    all.jobs.settle = seconds(settle);
    all.heartbeat.on_caller_gone = if dice.chance(0.3) { OnCallerGone::Stop } else { OnCallerGone::Finish };
    all.service.max_active = dice.pick(&[2, 8, 256]);
    all.service.tick = seconds(dice.pick(&[5, 10]));
    all.service.lease = seconds(dice.pick(&[20, 45]));
    all
}

/// As they are installed, but for shorter pauses after errors.
fn plain_settings() -> Settings {
    let mut all = Settings::for_tests();
    all.service.retry_base = Duration::from_secs(2);
    all.service.retry_cap = Duration::from_mins(1);
    all
}
