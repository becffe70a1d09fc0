//! Allow-lists: which projects and buckets may be copied from and to, and whose events are taken.
//!
//! An empty list allows everything. A project matches by its id or by its name, a bucket by its
//! name; both exactly, but for the `*` and `?` of a pattern.

use serde::{Deserialize, Serialize};

use super::{
    ids::ProjectId,
    outcome::{Culprit, ErrorName, Failure},
};

/// A pattern: `*` stands for any text, `?` for any one character, everything else for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

/// A pattern of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern must not be empty")]
pub struct EmptyGlob;

impl TryFrom<String> for Glob {
    type Error = EmptyGlob;

    fn try_from(text: String) -> Result<Self, EmptyGlob> {
        if text.is_empty() { Err(EmptyGlob) } else { Ok(Self(text)) }
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.0
    }
}

impl Glob {
    /// Whether the whole text fits the pattern.
    ///
    /// Only the last `*` seen ever has to take more: what the earlier ones took is settled once the
    /// pattern between them has fitted. So the time is bounded by the product of the lengths.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), text.chars());
        let mut last_star = None;
        loop {
            let here = rest.clone();
            match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    rest = here;
                    last_star = Some((pattern.clone(), rest.clone()));
                }
                (Some('?'), Some(_)) => {}
                (Some(wanted), Some(found)) if wanted == found => {}
                _ => {
                    let Some((behind, taken)) = &mut last_star else { return false };
                    if taken.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (behind.clone(), taken.clone());
                }
            }
        }
    }
}

/// Where data is, as rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In an ICAv2 project.
    Project {
        /// Its id.
        id: &'a ProjectId,
        /// Its name.
        name: &'a str,
    },
    /// In a bucket that belongs to no project.
    Bucket(&'a str),
}

/// The rules of an installation (`[policy]`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Projects that may be copied from.
    pub source_projects: Vec<Glob>,
    /// Buckets in no project that may be copied from.
    pub source_buckets: Vec<Glob>,
    /// Projects that may be copied to.
    pub destination_projects: Vec<Glob>,
    /// Buckets in no project that may be copied to.
    pub destination_buckets: Vec<Glob>,
    /// The `source` of events whose requests are taken.
    pub event_sources: Vec<Glob>,
}

impl Rules {
    /// Whether data may be copied from there; `uri` is what the caller wrote.
    pub fn check_source(&self, place: Place<'_>, uri: &str) -> Result<(), Failure> {
        let rule = match place {
            Place::Project { .. } => ("policy.source_projects", self.source_projects.as_slice()),
            Place::Bucket(_) => ("policy.source_buckets", self.source_buckets.as_slice()),
        };
        check_place(rule, "copying from", place, uri)
    }

    /// Whether data may be copied to there; `uri` is what the caller wrote.
    pub fn check_destination(&self, place: Place<'_>, uri: &str) -> Result<(), Failure> {
        let rule = match place {
            Place::Project { .. } => ("policy.destination_projects", self.destination_projects.as_slice()),
            Place::Bucket(_) => ("policy.destination_buckets", self.destination_buckets.as_slice()),
        };
        check_place(rule, "copying to", place, uri)
    }

    /// Whether requests of events with that `source` are taken.
    pub fn check_event_source(&self, source: &str) -> Result<(), Failure> {
        let rule = ("policy.event_sources", self.event_sources.as_slice());
        check(rule, &[source], &format!("a request of the event source `{source}`"), source)
    }
}

fn check_place(rule: (&str, &[Glob]), doing: &str, place: Place<'_>, uri: &str) -> Result<(), Failure> {
    match place {
        Place::Project { id, name } => {
            let what = format!("{doing} the project `{name}` ({id})");
            check(rule, &[id.as_str(), name], &what, uri)
        }
        Place::Bucket(bucket) => check(rule, &[bucket], &format!("{doing} the bucket `{bucket}`"), uri),
    }
}

fn check(
    (setting, allowed): (&str, &[Glob]),
    names: &[&str],
    what: &str,
    culprit: &str,
) -> Result<(), Failure> {
    let fits = |glob: &Glob| names.iter().any(|name| glob.matches(name));
    if allowed.is_empty() || allowed.iter().any(fits) {
        return Ok(());
    }
    let listed: Vec<_> = allowed.iter().map(|glob| format!("`{}`", glob.0)).collect();
    let why = format!("{setting} allows only {}", listed.join(", "));
    Err(Failure::new(ErrorName::PolicyDenied, format!("{what} is not allowed by {setting}"))
        .naming([Culprit { what: culprit.to_owned(), why }]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::try_from(text.to_owned()).unwrap()
    }

    /// What patterns mean, said as simply as can be.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', behind @ ..], _) => {
                plainly(behind, text) || text.split_first().is_some_and(|(_, rest)| plainly(pattern, rest))
            }
            (['?', behind @ ..], [_, rest @ ..]) => plainly(behind, rest),
            ([wanted, behind @ ..], [found, rest @ ..]) => wanted == found && plainly(behind, rest),
            _ => false,
        }
    }

    #[test]
    fn patterns_fit_whole_texts() {
        for (pattern, text, fits) in [
            ("lab", "lab", true),
            ("lab", "Lab", false),
            ("lab", "lab2", false),
            ("*", "", true),
            ("?", "", false),
            ("?", "ü", true),
            ("lab-*-prod", "lab-a-prod-b-prod", true),
            ("lab-*-prod", "lab--pro", false),
            ("a*b?c", "axxbyc", true),
            ("[a]", "a", false),
        ] {
            assert_eq!(glob(pattern).matches(text), fits, "{pattern} {text}");
        }
        assert_eq!(Glob::try_from(String::new()), Err(EmptyGlob));
        assert!(!glob(&format!("{}b", "*a".repeat(500))).matches(&"a".repeat(5000)));
    }

    proptest! {
        #[test]
        fn patterns_mean_what_is_plainly_said(pattern in "[ab*?]{1,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob(&pattern).matches(&text), plainly(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn a_text_without_signs_fits_itself_alone(text in "[^*?]{1,9}", other in ".{0,9}") {
            prop_assert!(glob(&text).matches(&text));
            prop_assert_eq!(glob(&text).matches(&other), text == other);
        }
    }

    #[test]
    fn empty_lists_allow_everything() {
        let (rules, id) = (Rules::default(), ProjectId::new("1"));
        for place in [Place::Project { id: &id, name: "lab" }, Place::Bucket("b")] {
            assert_eq!(rules.check_source(place, "u"), Ok(()));
            assert_eq!(rules.check_destination(place, "u"), Ok(()));
        }
        assert_eq!(rules.check_event_source("x"), Ok(()));
    }

    #[test]
    fn refusals_name_rule_value_and_setting() {
        let rules = Rules {
            source_projects: vec![glob("lab-*"), glob("7b2f")],
            source_buckets: vec![glob("in")],
            destination_projects: vec![glob("archive")],
            destination_buckets: vec![glob("out")],
            event_sources: vec![glob("lab.*")],
        };
        let id = ProjectId::new("7b2f");
        let other = ProjectId::new("9999");
        let lab = Place::Project { id: &id, name: "secret" };
        let far = Place::Project { id: &other, name: "far" };
        assert_eq!(rules.check_source(lab, "u"), Ok(()));
        assert_eq!(rules.check_source(Place::Project { id: &other, name: "lab-1" }, "u"), Ok(()));
        assert_eq!(rules.check_source(Place::Bucket("in"), "u"), Ok(()));
        assert_eq!(rules.check_destination(Place::Bucket("out"), "u"), Ok(()));
        assert_eq!(rules.check_event_source("lab.workflows"), Ok(()));

        let cases = [
            (
                rules.check_source(far, "icav2://far/a"),
                "copying from the project `far` (9999) is not allowed by policy.source_projects",
                ("icav2://far/a", "policy.source_projects allows only `lab-*`, `7b2f`"),
            ),
            (
                rules.check_source(Place::Bucket("out"), "s3://out/a"),
                "copying from the bucket `out` is not allowed by policy.source_buckets",
                ("s3://out/a", "policy.source_buckets allows only `in`"),
            ),
            (
                rules.check_destination(lab, "icav2://7b2f/a/"),
                "copying to the project `secret` (7b2f) is not allowed by policy.destination_projects",
                ("icav2://7b2f/a/", "policy.destination_projects allows only `archive`"),
            ),
            (
                rules.check_destination(Place::Bucket("in"), "s3://in/a/"),
                "copying to the bucket `in` is not allowed by policy.destination_buckets",
                ("s3://in/a/", "policy.destination_buckets allows only `out`"),
            ),
            (
                rules.check_event_source("labs"),
                "a request of the event source `labs` is not allowed by policy.event_sources",
                ("labs", "policy.event_sources allows only `lab.*`"),
            ),
        ];
        for (checked, message, (what, why)) in cases {
            let culprit = Culprit { what: what.to_owned(), why: why.to_owned() };
            let failure = Failure::new(ErrorName::PolicyDenied, message).naming([culprit]);
            assert_eq!(checked, Err(failure));
        }
    }
}
