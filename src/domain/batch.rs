//! What a caller of the `batch` kind asks for, and what became of it, destination by destination.

use std::collections::{HashMap, hash_map::Entry};

use serde::{Deserialize, Serialize};

use super::{
    outcome::{ErrorName, JobSummary},
    request::OnConflict,
};

/// A manifest, turned around: what each destination gets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchRequest {
    /// URIs of what is copied, in the order of the manifest, each once.
    pub sources: Vec<String>,
    /// Where to, in the order of their first mention.
    pub destinations: Vec<Destination>,
    /// The object that holds the manifest, as long as it has not been read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_uri: Option<String>,
    /// What is done about conflicts; absent: what is configured.
    pub on_conflict: Option<OnConflict>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Keep a receipt of every file.
    #[serde(default, skip_serializing_if = "crate::domain::request::is_false")]
    pub receipt: bool,
}

/// A destination folder of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// As the manifest writes it; ends with `/`.
    pub uri: String,
    /// What goes there, as places among the sources, ascending.
    pub sources: Vec<usize>,
}

/// A destination with as many of its sources as one job takes: what the output tells of one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Which of the destinations it is.
    pub destination: usize,
    /// What goes there with it, as places among the sources.
    pub sources: &'a [usize],
}

impl BatchRequest {
    /// Turns a manifest around, from where each source goes to what each destination gets. The order
    /// of both is kept, and what is said twice counts once.
    #[must_use]
    pub fn of_manifest(manifest: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let mut request = Self::default();
        let mut known_sources: HashMap<String, usize> = HashMap::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (source, destinations) in manifest {
            let next = request.sources.len();
            let source = match known_sources.entry(source) {
                Entry::Occupied(place) => *place.get(),
                Entry::Vacant(place) => {
                    request.sources.push(place.key().clone());
                    *place.insert(next)
                }
            };
            for uri in destinations {
                let next = request.destinations.len();
                let place = *known.entry(uri).or_insert_with_key(|uri| {
                    request.destinations.push(Destination { uri: uri.clone(), sources: Vec::new() });
                    next
                });
                if let Some(destination) = request.destinations.get_mut(place) {
                    destination.sources.push(source);
                }
            }
        }
        for destination in &mut request.destinations {
            destination.sources.sort_unstable();
            destination.sources.dedup();
        }
        request
    }

    /// The destinations, those with more than `most` sources in several pieces.
    pub fn pieces(&self, most: usize) -> impl Iterator<Item = Piece<'_>> {
        let destinations = self.destinations.iter().enumerate();
        destinations.flat_map(move |(n, destination)| {
            destination.sources.chunks(most.max(1)).map(move |sources| Piece { destination: n, sources })
        })
    }

    /// The URI of the destination at that place.
    #[must_use]
    pub fn destination_at(&self, place: usize) -> &str {
        self.destinations.get(place).map_or("", |destination| &destination.uri)
    }

    /// The URI of the source at that place.
    #[must_use]
    pub fn source_at(&self, place: usize) -> &str {
        self.sources.get(place).map_or("", String::as_str)
    }

    /// Where it copies to, as it is shown: empty where there are several places.
    #[must_use]
    pub fn destination(&self) -> String {
        match self.destinations.as_slice() {
            [only] => only.uri.clone(),
            _ => String::new(),
        }
    }
}

/// Why something was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// The name.
    pub error: ErrorName,
    /// In words.
    pub why: String,
}

/// What became of one piece of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The destination as the manifest writes it.
    pub destination: String,
    /// The sources as the manifest writes them.
    pub sources: Vec<String>,
    /// The last job that carried its files; none where all were streamed.
    pub job_id: Option<String>,
    /// The jobs before it, oldest first, without those that did their part. The predecessor had one job
    /// for an entry at a time, so that each before the last had failed; here several may share the files
    /// of an entry, and none of them is called failed for being another's neighbour.
    pub failed_jobs: Vec<String>,
    /// Which try the last job was, from 1.
    pub attempt: u32,
    /// Why it was not delivered, if it was not.
    pub failure: Option<Undelivered>,
}

/// What became of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Deliveries {
    /// Piece by piece.
    pub pieces: Vec<Delivery>,
    /// Whether their sources were left out here because they are too many to be told.
    pub without_sources: bool,
    /// The object that holds the whole output, where it is too long to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

impl Delivery {
    /// What became of a piece, from the jobs that had to do with it, oldest first.
    #[must_use]
    pub fn new(
        destination: &str,
        sources: Vec<String>,
        jobs: &[JobSummary],
        failure: Option<Undelivered>,
    ) -> Self {
        let in_vain = |job: &JobSummary| matches!(job.status.as_str(), "FAILED" | "STOPPED");
        let carrier = jobs.iter().rev().find(|job| !in_vain(job));
        // Whatever no job has brought was streamed, unless it was not brought at all.
        let last = carrier.or_else(|| jobs.last().filter(|_| failure.is_some()));
        let job_id = last.map(|job| job.job_id.clone());
        let failed = |job: &&JobSummary| job.status != "SUCCEEDED" && Some(&job.job_id) != job_id.as_ref();
        let failed_jobs: Vec<_> = jobs.iter().filter(failed).map(|job| job.job_id.clone()).collect();
        // A job for what another has left over is another try, though no round was lost.
        let tries = if failed_jobs.is_empty() { 1 } else { 2 };
        Self {
            destination: destination.to_owned(),
            sources,
            failed_jobs,
            attempt: jobs.iter().map(|job| job.attempt).fold(tries, u32::max),
            job_id,
            failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn flipped(manifest: &[(&str, &[&str])]) -> BatchRequest {
        BatchRequest::of_manifest(manifest.iter().map(|(source, destinations)| {
            ((*source).to_owned(), destinations.iter().map(|uri| (*uri).to_owned()).collect())
        }))
    }

    fn sources_of(request: &BatchRequest, place: usize) -> Vec<&str> {
        request.destinations[place].sources.iter().map(|source| request.source_at(*source)).collect()
    }

    #[test]
    fn a_manifest_is_turned_around_in_its_order() {
        let request = flipped(&[("z", &["d/", "c/", "d/"]), ("a", &["c/"]), ("m", &["b/", "d/"])]);
        assert_eq!(request.sources, ["z", "a", "m"]);
        let uris: Vec<_> = request.destinations.iter().map(|destination| destination.uri.as_str()).collect();
        assert_eq!(uris, ["d/", "c/", "b/"]);
        assert_eq!(sources_of(&request, 0), ["z", "m"]);
        assert_eq!(sources_of(&request, 1), ["z", "a"]);
        assert_eq!(sources_of(&request, 2), ["m"]);
        assert_eq!(request.destination(), "");
        assert_eq!(flipped(&[("a", &["c/"])]).destination(), "c/");
    }

    #[test]
    fn a_destination_with_many_sources_is_cut() {
        let request = flipped(&[("a", &["x/", "y/"]), ("b", &["x/"]), ("c", &["x/"])]);
        let pieces: Vec<_> =
            request.pieces(2).map(|piece| (piece.destination, piece.sources.to_vec())).collect();
        assert_eq!(pieces, [(0, vec![0, 1]), (0, vec![2]), (1, vec![0])]);
        assert_eq!(request.pieces(0).count(), 4, "never a piece of nothing");
    }

    #[test]
    fn a_delivery_names_the_job_that_counts() {
        let job = |id: &str, attempt, status: &str| JobSummary {
            job_id: id.into(),
            attempt,
            status: status.into(),
        };
        let of = |jobs: &[JobSummary], failed: bool| {
            let failure = failed.then(|| Undelivered { error: ErrorName::CopyJobFailed, why: String::new() });
            let delivery = Delivery::new("d/", Vec::new(), jobs, failure);
            (delivery.job_id.unwrap_or_default(), delivery.failed_jobs.join(","), delivery.attempt)
        };
        let (bad, good) = (job("a", 1, "FAILED"), job("b", 2, "SUCCEEDED"));
        assert_eq!(of(&[], false), (String::new(), String::new(), 1));
        assert_eq!(of(std::slice::from_ref(&good), false), ("b".into(), String::new(), 2));
        assert_eq!(of(&[bad.clone(), good.clone()], false), ("b".into(), "a".into(), 2));
        // Several jobs for one folder are no failure.
        let more = job("c", 2, "SUCCEEDED");
        assert_eq!(of(&[good.clone(), more], false), ("c".into(), String::new(), 2));
        // What no job would carry was streamed.
        assert_eq!(of(std::slice::from_ref(&bad), false), (String::new(), "a".into(), 2));
        assert_eq!(of(&[good, bad.clone()], false), ("b".into(), "a".into(), 2));
        // What was not brought at all: the last job is the one to look at.
        let again = job("d", 2, "FAILED");
        assert_eq!(of(&[bad, again], true), ("d".into(), "a".into(), 2));
        let partly = job("p", 1, "PARTIALLY_SUCCEEDED");
        assert_eq!(of(&[partly], false), ("p".into(), String::new(), 1));
    }

    prop_compose! {
        fn any_manifest()(
            entries in prop::collection::vec(("[a-e]", prop::collection::vec("[v-z]", 0..6)), 0..12)
        ) -> Vec<(String, Vec<String>)> {
            entries
        }
    }

    proptest! {
        #[test]
        fn whatever_goes_somewhere_goes_there_once(manifest in any_manifest(), most in 1..4_usize) {
            let request = BatchRequest::of_manifest(manifest.clone());
            let wanted: BTreeSet<_> = manifest
                .iter()
                .flat_map(|(source, to)| to.iter().map(move |uri| (source.as_str(), uri.as_str())))
                .collect();
            let mut found = Vec::new();
            for piece in request.pieces(most) {
                prop_assert!((1..=most).contains(&piece.sources.len()));
                prop_assert!(piece.sources.is_sorted_by(|a, b| a < b));
                let uri = request.destination_at(piece.destination);
                found.extend(piece.sources.iter().map(|source| (request.source_at(*source), uri)));
            }
            prop_assert_eq!(found.len(), wanted.len());
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
        }

        #[test]
        fn order_is_that_of_the_first_mention(manifest in any_manifest()) {
            let request = BatchRequest::of_manifest(manifest.clone());
            let mut first: BTreeMap<&str, usize> = BTreeMap::new();
            for (n, (source, _)) in manifest.iter().enumerate() {
                first.entry(source).or_insert(n);
            }
            let places: Vec<_> = request.sources.iter().map(|source| first[source.as_str()]).collect();
            prop_assert!(places.is_sorted_by(|a, b| a < b));
            let mentions = manifest.iter().flat_map(|(_, destinations)| destinations);
            let mut seen: Vec<&String> = Vec::new();
            for uri in mentions {
                if !seen.contains(&uri) {
                    seen.push(uri);
                }
            }
            let uris: Vec<_> = request.destinations.iter().map(|destination| &destination.uri).collect();
            prop_assert_eq!(uris, seen);
        }
    }
}
