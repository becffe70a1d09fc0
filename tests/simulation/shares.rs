//! Packages that are pushed once they are made: what is shared, and what a rule keeps here. Drawn apart from the rest
//! of a plan.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use copy_manager::{
    domain::share::{rules::ShareRules, settings::ShareSettings},
    inventory::{
        lims::Lims,
        tables::{Catalogue, Place},
    },
    ports::{Sharing, objects::ObjectStore},
    transfer::reports::InBucket,
};
use serde_json::{Value, json};

use crate::{
    board::Board,
    errands::{self, DEST, LISTS, SHELF, Shelved, Way},
    shelves::by_uri,
    world::{Dice, Request, Want},
};

/// The tables that packages are made of, and where what belongs to packages is kept.
const CATALOGUE: &str = "tables/catalogue.csv";
const LIMS: &str = "tables/lims.csv";
pub(crate) const ARTIFACTS: &str = "share/";
/// The libraries, and the project of each; packages of the second may not go where packages go.
const LIBRARIES: [(&str, &str, &str); 3] =
    [("p/", "L1", "Trauma"), ("q/", "L2", "Grief"), ("", "L3", "Trauma")];

/// A package and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    /// What its objects' keys start with; no other one has it.
    pub prefix: String,
    /// Whether a rule keeps it here.
    pub forbidden: bool,
}

impl Share {
    /// Whether that key is of what a push leaves besides files.
    pub(crate) fn leaves(&self, key: &str) -> bool {
        let marks = ["STARTED_COPY__", "ENDED_COPY__"];
        let rest = key.strip_prefix(self.prefix.as_str()).filter(|_| !self.forbidden);
        rest.is_some_and(|rest| marks.iter().any(|mark| rest.starts_with(mark)))
    }
}

fn library(key: &str) -> &'static str {
    LIBRARIES.iter().find(|(folder, ..)| key.starts_with(folder)).unwrap().1
}

/// Packages of a history; none in most. Where there are no objects yet, some are made for them.
pub(crate) fn draw(dice: &mut Dice, shelved: &mut Vec<Shelved>) -> Vec<(Request, Value)> {
    if !dice.chance(0.2) {
        return Vec::new();
    }
    if shelved.is_empty() {
        *shelved = errands::objects(dice);
    }
    (0..=dice.index(2)).map(|n| share(dice, shelved, n)).collect()
}

fn share(dice: &mut Dice, shelved: &[Shelved], n: usize) -> (Request, Value) {
    let chosen: BTreeSet<&str> =
        LIBRARIES.iter().filter(|_| dice.chance(0.6)).map(|(_, library, _)| *library).collect();
    // At least one is named.
    let chosen = if chosen.is_empty() { BTreeSet::from(["L1"]) } else { chosen };
    let prefix = format!("shared-{n}/");
    let files: Vec<_> = shelved.iter().filter(|object| chosen.contains(library(&object.key))).collect();
    let forbidden = files.iter().any(|object| library(&object.key) == "L2");
    let want = |object: &&Shelved| Want {
        to: format!("s3://{DEST}/{prefix}{}", path(&object.key)),
        from: Some(format!("s3://{SHELF}/{}", object.key)),
        size: object.size,
    };
    let wants = if forbidden { Vec::new() } else { files.iter().map(want).collect() };
    let payload = json!({
        "packageName": format!("package-{n}"), "shareDestination": format!("s3://{DEST}/{prefix}"),
        "packageRequest": { "libraryIdList": chosen, "dataTypeList": ["fastq"] },
    });
    let request = Request::plain(wants, Way::Share(Share { prefix, forbidden }));
    (Request { overwrite: true, ..request }, payload)
}

/// Where an object lies in a package.
fn path(key: &str) -> String {
    format!("{}/{}", library(key), key.rsplit('/').next().unwrap())
}

/// The tables, by their keys.
pub(crate) fn tables(keys: impl Iterator<Item = String>) -> [(&'static str, String); 2] {
    let mut rows = "uri,library_id,instrument_run_id,lane,path\n".to_owned();
    for key in keys {
        writeln!(rows, "s3://{SHELF}/{key},{},R1,1,{}", library(&key), path(&key)).unwrap();
    }
    let mut lims = "library_id,project_id\n".to_owned();
    for (_, library, project) in LIBRARIES {
        writeln!(lims, "{library},{project}").unwrap();
    }
    [(CATALOGUE, rows), (LIMS, lims)]
}

/// What packages are made of.
pub(crate) fn sharing(objects: Arc<dyn ObjectStore>) -> Sharing {
    let place = |key: &str| Place::of(&format!("s3://{LISTS}/{key}"));
    Sharing {
        inventory: Arc::new(Catalogue::new(objects.clone(), [place(CATALOGUE)])),
        metadata: Arc::new(Lims::new(objects.clone(), Some(place(LIMS)))),
        copies: None,
        artifacts: Arc::new(InBucket::below(objects, &format!("s3://{LISTS}/{ARTIFACTS}")).unwrap()),
        jobs: None,
        notices: None,
    }
}

/// The rule that keeps the packages of one project here.
pub(crate) fn settings() -> ShareSettings {
    let rules: ShareRules = serde_json::from_value(json!([format!("Trauma s3://{DEST}/shared*")])).unwrap();
    ShareSettings { rules, ..ShareSettings::default() }
}

impl Board {
    pub(crate) fn shares(&self) -> impl Iterator<Item = &Share> {
        self.plan.requests.iter().filter_map(|request| match &request.way {
            Way::Share(share) => Some(share),
            Way::Copy | Way::Manifest(_) | Way::List(_) | Way::Run(_) => None,
        })
    }

    /// A package that was pushed is there as a whole, and nothing was pushed that a rule keeps here.
    pub(crate) async fn judge_share(&self, token: &str, request: &Request, share: &Share, output: &Value) {
        if share.forbidden {
            return self.broke(format!("`{token}` shares what a rule keeps here: {output}"));
        }
        if output["status"] != "SUCCEEDED" || output["push"]["status"] != "SUCCEEDED" {
            self.broke(format!("`{token}` succeeded with {output}"));
        }
        if output["files"]["total"] != request.wants.len() {
            self.broke(format!("`{token}`: {} files were asked for: {output}", request.wants.len()));
        }
        let there = self.standing().await;
        let sources: std::collections::BTreeMap<_, _> = by_uri(self.shelves_before.get().unwrap()).collect();
        for want in &request.wants {
            let from = &sources[want.from.as_ref().unwrap()];
            if there.get(&want.to).is_none_or(|there| there.1 != from.1) {
                self.broke(format!("`{token}` succeeded without {}", want.to));
            }
        }
    }
}
