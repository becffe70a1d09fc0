//! Which projects may go where (`share.rules`).

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{destination::Destination, outcome::Libraries};
use crate::domain::{
    outcome::{Culprit, ErrorName, Failure},
    policy::Glob,
};

/// One rule: the project, and where it may go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    project: Glob,
    destination: Glob,
    /// As it is written.
    text: String,
}

/// All rules. None: every project may go wherever pushes may go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareRules(Vec<Rule>);

impl ShareRules {
    /// Whether a package of these libraries may go there: each must have a project that a rule lets go there.
    ///
    /// # Errors
    ///
    /// `PolicyDenied`, with the libraries that may not and the rules for that place.
    pub fn check(&self, libraries: &Libraries, to: &Destination) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        let uri = to.uri();
        let rules: Vec<&Rule> = self.0.iter().filter(|rule| rule.destination.matches(&uri)).collect();
        let may = |projects: &Vec<String>| {
            projects.iter().any(|project| rules.iter().any(|rule| rule.project.matches(project)))
        };
        let texts: Vec<_> = rules.iter().map(|rule| format!("`{}`", rule.text)).collect();
        let texts = if texts.is_empty() { "no rule is for that place".to_owned() } else { texts.join(", ") };
        let culprits: Vec<Culprit> = libraries
            .iter()
            .filter(|(_, projects)| !may(projects))
            .map(|(library, projects)| {
                let what = if library.is_empty() { "files of no library" } else { library.as_str() };
                let of =
                    if projects.is_empty() { "no known project".to_owned() } else { projects.join(", ") };
                Culprit { what: what.to_owned(), why: format!("is of {of}; {texts}") }
            })
            .collect();
        let Some(first) = culprits.first() else { return Ok(()) };
        let message = format!(
            "{} of the package's libraries may not go to {uri} (share.rules): {} {}",
            culprits.len(),
            first.what,
            first.why
        );
        Err(Failure::new(ErrorName::PolicyDenied, message).naming(culprits))
    }
}

impl<'de> Deserialize<'de> for ShareRules {
    /// Of entries that each name a project and, behind a space, a destination, both as patterns.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Vec::<String>::deserialize(deserializer)?.into_iter().map(|text| {
            let wrong = || format!("`{text}` is not a project, a space and a destination");
            let (project, destination) = text.rsplit_once(' ').ok_or_else(wrong)?;
            let glob = |text: &str| Glob::try_from(text.trim().to_owned()).map_err(|error| error.to_string());
            Ok(Rule { project: glob(project)?, destination: glob(destination)?, text: text.clone() })
        });
        read.collect::<Result<_, String>>().map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> ShareRules {
        serde_json::from_value(serde_json::json!(texts)).unwrap()
    }

    fn libraries(all: &[(&str, &[&str])]) -> Libraries {
        all.iter()
            .map(|(id, of)| ((*id).to_owned(), of.iter().map(|of| (*of).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn one_library_of_another_project_keeps_a_package_here() {
        let rules = rules(&["Trauma s3://trauma/*", "Grief s3://grief/*", "Shared * s3://trauma/*"]);
        let to = |uri: &str| Destination::read(uri).unwrap();
        let of_one = libraries(&[("L1", &["Trauma"]), ("L2", &["Shared one", "Grief"])]);
        assert_eq!(rules.check(&of_one, &to("s3://trauma/in/")), Ok(()));
        let mixed = libraries(&[("L1", &["Trauma"]), ("L3", &["Grief"]), ("", &[])]);
        let refused = rules.check(&mixed, &to("s3://trauma/in/")).unwrap_err();
        assert_eq!(refused.error, ErrorName::PolicyDenied);
        let named: Vec<_> = refused.culprits.iter().map(|culprit| culprit.what.as_str()).collect();
        assert_eq!(named, ["files of no library", "L3"]);
        assert!(refused.culprits[1].why.contains("`Trauma s3://trauma/*`"), "{refused:?}");
        let elsewhere = rules.check(&of_one, &to("s3://elsewhere/")).unwrap_err();
        assert!(elsewhere.message.contains("no rule is for that place"), "{elsewhere:?}");
        assert_eq!(ShareRules::default().check(&mixed, &to("s3://elsewhere/")), Ok(()));
    }

    #[test]
    fn a_rule_has_two_parts() {
        for wrong in ["", "Trauma", " s3://x/*"] {
            assert!(serde_json::from_value::<ShareRules>(serde_json::json!([wrong])).is_err(), "{wrong}");
        }
    }
}
