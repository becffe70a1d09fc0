//! The rules of what is done between buckets: lists, copies to buckets, and what is left there.

use std::collections::{BTreeMap, BTreeSet};

use copy_manager::{
    app::versions::plain,
    ports::{
        objects::{Access, ObjectLocation, ObjectStore as _},
        store::{Item, Key},
    },
    simulator::ObjectEntry,
};
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::{
    board::Board,
    errands::{DEST, LISTS, List, MARKER, SHELF, SUMMARY, Way},
    shares::ARTIFACTS,
    world::Request,
};

/// The buckets that histories know.
const BUCKETS: [&str; 3] = [SHELF, DEST, LISTS];

/// Size and MD5 of what stands somewhere.
pub(crate) type Standing = (Option<u64>, Option<String>);

/// The objects of each bucket.
pub(crate) type Shelves = BTreeMap<String, Vec<ObjectEntry>>;

impl Board {
    /// The buckets as they are, where a history needs them.
    pub(crate) async fn shelves(&self) -> Shelves {
        let mut all = Shelves::new();
        if self.s3.is_some() {
            for bucket in BUCKETS {
                all.insert(bucket.to_owned(), self.simulator.objects(bucket, "").await);
            }
        }
        all
    }

    /// One row for each object of a list, in its order, each of them true.
    pub(crate) async fn judge_summary(&self, token: &str, list: &List) {
        let at = ObjectLocation::new(DEST, list.summary());
        let s3 = self.s3.as_ref().unwrap();
        let mut body = s3.get(&at, None, None, &Access::Own).await;
        if body.is_err() {
            // The first call learns how far off the clock of S3 is, or meets a fault that was meant for others.
            body = s3.get(&at, None, None, &Access::Own).await;
        }
        let body = match body {
            Ok(body) => body,
            Err(error) => return self.broke(format!("`{token}` has no summary: {error}")),
        };
        let chunks: Vec<_> = body.bytes.map(Result::unwrap).collect().await;
        let text = String::from_utf8(chunks.concat()).unwrap();
        let rows: Vec<_> = text.lines().skip(1).map(fields).collect();
        let named: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
        let wanted: Vec<_> = list.rows.iter().map(|(key, _)| key.rsplit('/').next().unwrap()).collect();
        if named != wanted {
            self.broke(format!("`{token}`: the summary has the rows {named:?}, and the list {wanted:?}"));
            return;
        }
        let (there, sources) = (self.objects_in(DEST).await, self.objects_in(SHELF).await);
        for ((key, exists), row) in list.rows.iter().zip(&rows) {
            let to = list.lands_at(key);
            let brought = match row[1].as_str() {
                "COPIED" | "ALREADYCOPIED" => true,
                "ERROR" => false,
                other => {
                    self.broke(format!("`{token}`: {key} is {other}"));
                    continue;
                }
            };
            let equal =
                there.get(&to).is_some_and(|there| Some(&there.md5) == sources.get(key).map(|s| &s.md5));
            if brought && !equal {
                self.broke(format!("`{token}`: {key} is said to be {}, and {to} is not equal", row[1]));
            }
            if !brought && *exists && !self.is_troubled() {
                self.broke(format!("`{token}`: {key} failed without reason: {}", row[3]));
            }
        }
    }

    async fn objects_in(&self, bucket: &str) -> BTreeMap<String, ObjectEntry> {
        let objects = self.simulator.objects(bucket, "").await;
        objects.into_iter().map(|object| (object.key.clone(), object)).collect()
    }

    /// Whether enough has gone wrong for an object to fail.
    pub(crate) fn is_troubled(&self) -> bool {
        let tally = self.fate.tally();
        let ruled = self.plan.s3_rules.as_array().is_some_and(|rules| !rules.is_empty());
        tally.failures + tally.pauses >= 3 || ruled || !self.plan.blows.is_empty()
    }

    /// What a list says of its objects.
    pub(crate) fn judge_counts(&self, token: &str, request: &Request, list: &List, output: &Value) {
        let objects = &output["objects"];
        let count = |name: &str| objects[name].as_u64().unwrap_or(0);
        let (total, missing) = (list.rows.len() as u64, list.rows.iter().filter(|(_, there)| !there).count());
        let counted = count("copied") + count("alreadyCopied") + count("errors");
        if count("total") != total || counted != total {
            self.broke(format!("`{token}`: a list of {total} is told as {output}"));
        }
        if !list.goes_on && count("errors") > 0 {
            self.broke(format!("`{token}` succeeded with errors: {output}"));
        }
        let fine = count("errors") == missing as u64 || self.is_troubled();
        if !fine || count("errors") < missing as u64 {
            self.broke(format!("`{token}`: {missing} of {} are missing: {output}", request.wants.len()));
        }
    }

    /// A manifest names each source with each of its destinations, once.
    pub(crate) fn judge_deliveries(&self, token: &str, pairs: &BTreeSet<(String, String)>, output: &Value) {
        let pieces = output["job_list_with_attempt_counter"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let told = pieces.iter().flat_map(|piece| {
            let to = text(&piece["dest_uri"]);
            piece["source_uris"].as_array().unwrap().iter().map(move |from| (text(from), to.clone()))
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        if !told.iter().eq(pairs) {
            self.broke(format!("`{token}` was asked for {pairs:?} and tells of {told:?}"));
        }
        let passed = output["counters"]["jobs_passed"].as_u64();
        let all = pieces.iter().all(|piece| piece["job_status"] == true);
        if passed != Some(pieces.len() as u64) || !all {
            self.broke(format!("`{token}` succeeded in part: {output}"));
        }
    }

    /// What a failed manifest does not name as undelivered has arrived.
    pub(crate) async fn judge_undelivered(&self, token: &str, cause: &Value) {
        let request = self.request_of(token);
        let Way::Manifest(pairs) = &request.way else { return };
        if cause["truncated"] == true {
            return;
        }
        let Some(failed) = cause["destinations"].as_array() else { return };
        let failed: BTreeSet<_> = failed.iter().filter_map(|one| one["destinationUri"].as_str()).collect();
        let fine: BTreeSet<&str> =
            pairs.iter().map(|(_, to)| to.as_str()).filter(|to| !failed.contains(to)).collect();
        let there = self.standing().await;
        for want in &request.wants {
            let uri = format!("icav2://{}{}", crate::world::TO, want.to);
            let is_fine =
                fine.iter().any(|to| uri.starts_with(to) && !failed.iter().any(|bad| uri.starts_with(bad)));
            if is_fine && !there.contains_key(&want.to) && !self.plan.overwritten.contains(&want.to) {
                self.broke(format!("`{token}` does not name the destination of {}: {cause}", want.to));
            }
        }
    }

    /// A slice has been put. Never is more in flight than the list says.
    pub(crate) fn slice_is_put(&self, slice: &Item) {
        let root = slice.text("root").unwrap();
        let destination = slice.text("destination").unwrap_or_default();
        let Some(list) = self.lists().find(|list| destination == format!("s3://{DEST}/{}", list.prefix))
        else {
            return;
        };
        let mut in_flight = 0;
        self.store.each(|item| {
            let is_open = item.key.id_type == "REQUEST"
                && item.text("kind") == Some("slice")
                && item.text("root") == Some(root)
                && item.text("phase") != Some("SETTLED")
                && item.number("parked_slices").is_none();
            let item = plain(item.clone());
            let spec = item.text("spec").filter(|_| is_open).and_then(|spec| serde_json::from_str(spec).ok());
            let spec: Value = spec.unwrap_or_default();
            in_flight += spec["concurrency"].as_u64().unwrap_or(0);
        });
        if in_flight > list.in_flight {
            self.broke(format!(
                "{in_flight} objects of {destination} may be in flight, and {} were asked for",
                list.in_flight
            ));
        }
    }

    /// The state of a slice has been stored, with the uploads that it has begun.
    pub(crate) fn slice_is_stored(&self, slice: &Item) {
        let slice = plain(slice.clone());
        let state = slice.text("state").unwrap_or_default();
        let ids = state.split(r#""upload":""#).skip(1).filter_map(|rest| rest.split('"').next());
        self.uploads.lock().unwrap().extend(ids.map(str::to_owned));
    }

    pub(crate) fn lists(&self) -> impl Iterator<Item = &List> {
        self.plan.requests.iter().filter_map(|request| match &request.way {
            Way::List(list) => Some(list),
            Way::Copy | Way::Manifest(_) | Way::Share(_) | Way::Run(_) => None,
        })
    }

    /// Files of the destination project and objects, by path and by URI.
    pub(crate) async fn standing(&self) -> BTreeMap<String, Standing> {
        let files = self.tree(crate::world::TO).await;
        let available = files
            .into_iter()
            .filter(|entry| entry.status == copy_manager::domain::file::DataStatus::Available);
        let files = available.map(|entry| (entry.path, (entry.size, entry.md5)));
        files.chain(by_uri(&self.shelves().await)).collect()
    }

    /// What an outcome counts, as it is stored.
    pub(crate) fn stored_counters(&self, id: &str) -> Value {
        let item = self.store.peek(&Key::new(id, "OUTCOME")).unwrap();
        let outcome: Value = serde_json::from_str(plain(item).text("outcome").unwrap()).unwrap();
        outcome["counters"].clone()
    }

    /// Compares the buckets with what they were.
    pub(crate) async fn judge_shelves(&self, before: &Shelves) {
        let after = self.shelves().await;
        let keys = |bucket: &str| -> BTreeMap<&str, &ObjectEntry> {
            after[bucket].iter().map(|object| (object.key.as_str(), object)).collect()
        };
        let same = |one: &ObjectEntry, other: Option<&&ObjectEntry>| {
            other.is_some_and(|other| (&one.etag, &one.md5) == (&other.etag, &other.md5))
        };
        for (bucket, objects) in before {
            let now = keys(bucket);
            for was in objects {
                let uri = format!("s3://{bucket}/{}", was.key);
                if !same(was, now.get(was.key.as_str())) && !self.plan.overwritten.contains(&uri) {
                    self.broke(format!("{uri} was {was:?} and is {:?}", now.get(was.key.as_str())));
                }
            }
            let then: BTreeSet<&str> = objects.iter().map(|object| object.key.as_str()).collect();
            for key in now.keys().filter(|key| !then.contains(**key)) {
                let expected = match bucket.as_str() {
                    DEST => {
                        let own = |list: &List| {
                            let rest = key.strip_prefix(list.prefix.as_str());
                            rest == Some(MARKER) || rest == Some(SUMMARY)
                        };
                        self.plan.wanted.contains_key(&format!("s3://{DEST}/{key}"))
                            || self.lists().any(own)
                            || self.shares().any(|share| share.leaves(key))
                    }
                    LISTS => {
                        key.starts_with(ARTIFACTS)
                            || self.lists().any(|list| *key == format!("{}.{SUMMARY}", list.key))
                    }
                    _ => false,
                };
                if !expected {
                    self.broke(format!("s3://{bucket}/{key} has appeared"));
                }
            }
            // One whose id was lost with an answer, or with a process before it was stored, stays, and is
            // empty.
            let ends = self.fate.tally();
            let is_excused = self.is_troubled() || ends.failures + ends.crashes > 0;
            for upload in self.simulator.uploads(bucket) {
                let is_known = self.uploads.lock().unwrap().contains(&upload.upload_id);
                if is_known || !is_excused || !upload.parts.is_empty() {
                    self.broke(format!("an upload is left in {bucket} (id stored: {is_known}): {upload:?}"));
                }
            }
        }
    }
}

/// Objects by their URIs.
pub(crate) fn by_uri(shelves: &Shelves) -> impl Iterator<Item = (String, Standing)> {
    shelves.iter().flat_map(|(bucket, objects)| {
        objects.iter().map(move |object| {
            (format!("s3://{bucket}/{}", object.key), (Some(object.size), Some(object.md5.clone())))
        })
    })
}

/// The fields of a line of CSV.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for char in line.chars() {
        match char {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            char => field.push(char),
        }
    }
    fields.push(field);
    fields
}
