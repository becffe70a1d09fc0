//! Links of a package: how one is asked for, and how they are shown.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Invalid,
    fields::Fields,
    shown::{micros, micros_if_any},
};

/// Bytes of what a link is called.
const LONGEST_LABEL: usize = 256;

/// A link that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAsked {
    /// Who it is for.
    pub label: String,
    /// When it ends; none: with its package.
    pub until: Option<Timestamp>,
}

/// A link that is asked for.
///
/// # Errors
///
/// All that is wrong with it.
pub fn link(body: &Value) -> Result<LinkAsked, Vec<Invalid>> {
    let Some(object) = body.as_object() else {
        let msg = "Input should be a valid dictionary";
        return Err(vec![Invalid::new("model_attributes_type", &[], msg, body)]);
    };
    let mut fields = Fields::of(object, &[]);
    if fields.get("label").is_none() {
        fields.complain("missing", "label", "Field required", body);
    }
    let label = fields.read("label", ("string_type", "Input should be a text of one line"), |value| {
        let label = value.as_str()?.trim();
        let fits = !label.is_empty() && label.len() <= LONGEST_LABEL && !label.contains(char::is_control);
        fits.then(|| label.to_owned())
    });
    let until = fields.read("until", ("datetime_parsing", "Input should be a valid datetime"), |value| {
        value.as_str()?.parse().ok()
    });
    match (label, fields.wrong.is_empty()) {
        (Some(label), true) => Ok(LinkAsked { label, until }),
        _ => Err(fields.wrong),
    }
}

/// A link as it is shown. Its secret is not kept, and so is never shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkShown {
    /// Its id.
    pub id: String,
    /// Who it is for.
    pub label: String,
    /// Who had it made.
    pub created_by: String,
    /// When it was made.
    #[serde(serialize_with = "micros")]
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(serialize_with = "micros")]
    pub until: Timestamp,
    /// Whether it has ended, or was ended.
    pub has_ended: bool,
    /// When it was ended, if it was.
    #[serde(serialize_with = "micros_if_any")]
    pub revoked_at: Option<Timestamp>,
    /// How often a file was asked for by it.
    pub files: u64,
    /// How many bytes were asked for.
    pub bytes: u64,
    /// When a file was last asked for.
    #[serde(serialize_with = "micros_if_any")]
    pub last_asked_at: Option<Timestamp>,
    /// The paper that it leads to; none: it leads to the files of a package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<String>,
}

/// A link that was made, with its secret. What it holds is a capability: it is in no log.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkMade {
    /// The link.
    #[serde(flatten)]
    pub shown: LinkShown,
    /// Where it leads in.
    pub url: String,
    /// Where its script can be fetched.
    pub script: String,
}

impl fmt::Debug for LinkMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkMade").field("shown", &self.shown).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_link_is_for_somebody() {
        let asked = link(&json!({ "label": " Lab of Ann ", "until": "2026-12-01T00:00:00Z" })).unwrap();
        assert_eq!(asked.label, "Lab of Ann");
        assert_eq!(asked.until, Some("2026-12-01T00:00:00Z".parse().unwrap()));
        assert_eq!(link(&json!({ "label": "x" })).unwrap().until, None);
        for wrong in [
            json!(null),
            json!({}),
            json!({ "label": "  " }),
            json!({ "label": "a\nb" }),
            json!({ "label": "x".repeat(257) }),
            json!({ "label": 7 }),
            json!({ "label": "x", "until": "soon" }),
        ] {
            assert_eq!(link(&wrong).unwrap_err().len(), 1, "{wrong}");
        }
    }

    #[test]
    fn the_secret_of_a_link_is_not_in_what_is_told_of_it() {
        let at = Timestamp::UNIX_EPOCH;
        let shown = LinkShown {
            id: "1".into(),
            label: "x".into(),
            created_by: String::new(),
            created_at: at,
            until: at,
            has_ended: true,
            revoked_at: None,
            files: 0,
            bytes: 0,
            last_asked_at: None,
            paper: None,
        };
        let made = LinkMade { shown, url: "s3cr3t".into(), script: "s3cr3t".into() };
        assert!(!format!("{made:?}").contains("s3cr3t"));
    }
}
