//! What is asked for besides copies of folders: manifests, copies to a bucket, and lists. Drawn apart
//! from the rest of a plan.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    shares::Share,
    world::{DESTINATIONS, Dice, FOLDERS, File, LAB, Request, TO, Want, folder_wants},
};

/// A bucket of objects to be copied, one that is copied to, and one with the lists.
pub(crate) const SHELF: &str = "shelf-data";
pub(crate) const DEST: &str = "dest-data";
pub(crate) const LISTS: &str = "lists-data";

/// What a list has written besides its objects.
pub(crate) const MARKER: &str = "STARTED_COPY.txt";
pub(crate) const SUMMARY: &str = "ENDED_COPY.csv";

const MIB: u64 = 1 << 20;
const SHELVES: [&str; 4] = ["p/", "p/sub/", "q/", ""];

/// How something is asked for, and so how it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// A copy, to a project or to a bucket.
    Copy,
    /// What goes where, as each pair of a source and a destination.
    Manifest(BTreeSet<(String, String)>),
    List(List),
    /// A package, and its push.
    Share(Share),
    /// A run over the tables of a replica, and when it is asked for.
    Run(Duration),
}

impl Way {
    /// The `detail-type` of its event.
    pub(crate) fn event(&self) -> &'static str {
        match self {
            Self::Copy => "ICAv2DataCopySync",
            Self::Manifest(_) => "ICAv2CopyBatchSync",
            Self::List(_) => "S3CopyOutSync",
            Self::Share(_) => "DataPackageSync",
            Self::Run(_) => "CanvasReplicaSync",
        }
    }
}

/// A list of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List {
    /// What its objects' keys start with at the destination; no other list has it.
    pub prefix: String,
    pub key: String,
    /// The key of each row's object, and whether there is one.
    pub rows: Vec<(String, bool)>,
    /// Objects that may be in flight.
    pub in_flight: u64,
    /// Whether it succeeds although objects are missing.
    pub goes_on: bool,
}

impl List {
    pub(crate) fn text(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(|(key, _)| format!("{SHELF},{key}\n")).collect();
        rows.concat()
    }

    /// The key of a row's object at the destination.
    pub(crate) fn lands_at(&self, key: &str) -> String {
        format!("{}{}", self.prefix, key.rsplit('/').next().unwrap())
    }

    /// Where the summary is.
    pub(crate) fn summary(&self) -> String {
        format!("{}{SUMMARY}", self.prefix)
    }
}

/// An object to be copied.
#[derive(Debug, Clone)]
pub(crate) struct Shelved {
    pub key: String,
    pub size: u64,
    pub parts: u32,
    pub cold: bool,
}

impl Shelved {
    fn uri(&self) -> String {
        format!("s3://{SHELF}/{}", self.key)
    }

    fn wanted_at(&self, key: &str) -> Want {
        Want { to: format!("s3://{DEST}/{key}"), from: Some(self.uri()), size: self.size }
    }

    pub(crate) fn in_world(&self) -> Value {
        let class = if self.cold { "GLACIER" } else { "STANDARD" };
        json!({"key": self.key, "size": self.size, "parts": self.parts, "storageClass": class})
    }
}

/// Everything that is asked for so.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    pub requests: Vec<(Request, Value)>,
    pub objects: Vec<Shelved>,
}

impl Errands {
    /// Those of a history; none in most.
    pub(crate) fn draw(dice: &mut Dice, lab: &[File], folders: &[&str]) -> Self {
        if !dice.chance(0.35) {
            return Self::default();
        }
        let mut errands = Self { objects: objects(dice), ..Self::default() };
        for n in 0..=dice.index(3) {
            let drawn = match dice.below(4) {
                0 | 1 => Some(list(dice, &errands.objects, n)),
                2 => outward(dice, lab, &errands.objects),
                _ => manifest(dice, lab, folders),
            };
            errands.requests.extend(drawn);
        }
        errands
    }

    /// Whether S3 is needed for them.
    pub(crate) fn need_s3(&self) -> bool {
        let needs = |request: &Request| {
            matches!(request.way, Way::List(_)) || request.wants.iter().any(|want| want.to.starts_with("s3"))
        };
        self.requests.iter().any(|(request, _)| needs(request))
    }
}

/// Each name is there once, so that no two objects of a list have one key at the destination.
pub(crate) fn objects(dice: &mut Dice) -> Vec<Shelved> {
    let has_cold = dice.chance(0.1);
    let most = if dice.chance(0.2) { 60 } else { 12 };
    let mut objects = Vec::new();
    for n in 0..=dice.below(most) {
        let cold = has_cold && dice.chance(0.3);
        let shelf = if cold { "cold/" } else { dice.pick(&SHELVES) };
        let large = dice.chance(0.04);
        let parts = if large { 2 } else { 1 };
        let size = if large { 10 * MIB + n } else { dice.pick(&[0, 5, 17, 40]) + n };
        objects.push(Shelved { key: format!("{shelf}o{n}.bin"), size, parts, cold });
    }
    objects
}

fn list(dice: &mut Dice, objects: &[Shelved], n: usize) -> (Request, Value) {
    let prefix = format!("list-{n}/");
    let (mut rows, mut wants) = (Vec::new(), Vec::new());
    let share = dice.pick(&[0.3, 0.9]);
    for object in objects {
        if !dice.chance(share) {
            continue;
        }
        for _ in 0..=u64::from(dice.chance(0.03)) {
            rows.push((object.key.clone(), true));
        }
    }
    if dice.chance(0.12) || rows.is_empty() {
        rows.push((format!("gone/x{n}.bin"), false));
    }
    let list = List {
        key: format!("lists/{n}.csv"),
        rows,
        in_flight: dice.pick(&[1, 1, 2, 3, 5, 100]),
        goes_on: dice.chance(0.5),
        prefix,
    };
    for object in objects.iter().filter(|object| list.rows.iter().any(|(key, _)| *key == object.key)) {
        wants.push(object.wanted_at(&list.lands_at(&object.key)));
    }
    let payload = json!({
        "sourceFilesCsvBucket": LISTS, "sourceFilesCsvKey": list.key, "destinationBucket": DEST,
        "destinationPrefixKey": list.prefix, "maxItemsPerBatch": dice.pick(&[1, 2, 3, 10]),
        "copyConcurrency": list.in_flight, "continueOnError": list.goes_on,
    });
    let request = Request::plain(wants, Way::List(list));
    // What is not surely equal is written over.
    (Request { overwrite: true, ..request }, payload)
}

/// A copy of files, folders, objects and prefixes to a bucket.
fn outward(dice: &mut Dice, lab: &[File], objects: &[Shelved]) -> Option<(Request, Value)> {
    let prefix = dice.pick(&["c/", "c/deep/er/"]);
    let (mut names, mut wants) = (BTreeSet::new(), Vec::new());
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    let warm: Vec<&Shelved> = objects.iter().filter(|object| !object.cold).collect();
    for _ in 0..=dice.index(3) {
        match dice.below(4) {
            0 => {
                let folder = dice.pick(&FOLDERS);
                let name = name_of(folder);
                let there = folder_wants(lab, folder, &format!("s3://{DEST}/{prefix}{name}/"));
                if !there.is_empty() && names.insert(name.to_owned()) {
                    inside.push(format!("icav2://{LAB}{folder}"));
                    wants.extend(there);
                }
            }
            1 if !lab.is_empty() => {
                let file = &lab[dice.index(lab.len())];
                let name = name_of(&file.path).to_owned();
                let to = format!("s3://{DEST}/{prefix}{name}");
                if names.insert(name) {
                    inside.push(format!("icav2://{LAB}{}", file.path));
                    wants.push(Want { to, from: Some(file.path.clone()), size: file.size });
                }
            }
            2 => {
                let shelf = dice.pick(&["p/", "p/sub/", "q/"]);
                let name = name_of(shelf);
                let there: Vec<_> = warm.iter().filter(|object| object.key.starts_with(shelf)).collect();
                if !there.is_empty() && names.insert(name.to_owned()) {
                    outside.push(format!("s3://{SHELF}/{shelf}"));
                    let landed = there.iter().map(|object| {
                        object
                            .wanted_at(&format!("{prefix}{name}/{}", object.key.strip_prefix(shelf).unwrap()))
                    });
                    wants.extend(landed);
                }
            }
            _ if !warm.is_empty() => {
                let object = warm[dice.index(warm.len())];
                let name = name_of(&object.key);
                if names.insert(name.to_owned()) {
                    outside.push(object.uri());
                    wants.push(object.wanted_at(&format!("{prefix}{name}")));
                }
            }
            _ => {}
        }
    }
    let missing = dice.chance(0.06);
    if missing {
        outside.push(format!("s3://{SHELF}/gone.bin"));
    }
    if wants.is_empty() {
        return None;
    }
    let mut payload = json!({"sourceUriList": inside, "destinationUri": format!("s3://{DEST}/{prefix}")});
    if !outside.is_empty() {
        payload["externalSourceUriList"] = outside.into();
    }
    let overwrite = conflict(dice, &mut payload);
    Some((Request { overwrite, missing, ..Request::plain(wants, Way::Copy) }, payload))
}

/// Sources with one to three destinations each.
fn manifest(dice: &mut Dice, lab: &[File], folders: &[&str]) -> Option<(Request, Value)> {
    let mut entries: Map<String, Value> = Map::new();
    let (mut names, mut pairs) = (BTreeSet::new(), BTreeSet::new());
    let (mut wants, mut made) = (Vec::new(), Vec::new());
    for _ in 0..=dice.index(4) {
        let source = if dice.chance(0.4) || lab.is_empty() {
            dice.pick(&FOLDERS).to_owned()
        } else {
            lab[dice.index(lab.len())].path.clone()
        };
        let is_folder = source.ends_with('/');
        let uri = format!("icav2://{LAB}{source}");
        let there = |file: &File| file.path.starts_with(&source);
        if entries.contains_key(&uri) || !lab.iter().any(there) {
            continue;
        }
        let mut to = Vec::new();
        for destination in DESTINATIONS {
            let name = name_of(&source);
            if !dice.chance(0.5) || !names.insert((destination, name.to_owned())) {
                continue;
            }
            let landed = format!("icav2://{TO}{destination}");
            pairs.insert((uri.clone(), landed.clone()));
            to.push(landed);
            let below = format!("{destination}{name}/");
            if is_folder {
                let inside = folder_wants(lab, &source, &below);
                made.push(below.clone());
                made.extend(inside.iter().map(|want| above(&want.to)));
                let empty = folders.iter().filter_map(|folder| folder.strip_prefix(source.as_str()));
                made.extend(empty.map(|inside| format!("{below}{inside}")));
                wants.extend(inside);
            } else {
                let file = lab.iter().find(|file| file.path == source).unwrap();
                let to = format!("{destination}{name}");
                wants.push(Want { to, from: Some(source.clone()), size: file.size });
            }
        }
        if !to.is_empty() {
            entries.insert(uri, to.into());
        }
    }
    if entries.is_empty() {
        return None;
    }
    let missing = dice.chance(0.05);
    if missing {
        let gone = format!("icav2://{LAB}/x/not-there.bam");
        entries.insert(gone, json!([format!("icav2://{TO}/out/")]));
    }
    let mut payload = json!({"manifest": entries});
    let overwrite = conflict(dice, &mut payload);
    let request = Request::plain(wants, Way::Manifest(pairs));
    Some((Request { overwrite, missing, folders: made, ..request }, payload))
}

/// Says what is done about conflicts; whether that is to overwrite.
fn conflict(dice: &mut Dice, payload: &mut Value) -> bool {
    let way = dice.pick(&[None, Some("fail"), Some("skip"), Some("overwrite"), Some("overwrite")]);
    if let Some(way) = way {
        payload["onConflict"] = way.into();
    }
    way == Some("overwrite")
}

fn name_of(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap()
}

fn above(path: &str) -> String {
    format!("{}/", path.rsplit_once('/').unwrap().0)
}
