//! Where a push may go, as far as its text tells.

use crate::domain::copy_out::ThawParams;

/// A destination that is written as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Keys below a prefix, which is empty or ends with `/`.
    Bucket {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
    /// A folder of a project, with its whole URI, which ends with `/`.
    Project(String),
}

impl Destination {
    /// Reads a destination; a missing `/` at its end is added. The error is what its caller is told.
    pub fn read(text: &str) -> Result<Self, String> {
        let (kind, what) =
            if text.starts_with("icav2://") { ("icav2", "project id") } else { ("s3", "bucket name") };
        let wrong = |why: String| format!("Error: pushLocation must be a valid {kind} url, {text} {why}");
        let scheme = format!("{kind}://");
        let Some(rest) = text.strip_prefix(&scheme) else {
            return Err(wrong("does not start with s3://".to_owned()));
        };
        let (first, path) = rest.split_once('/').map_or((rest, None), |(first, path)| (first, Some(path)));
        if first.is_empty() {
            return Err(wrong(format!("does not have a {what}")));
        }
        let Some(path) = path else { return Err(wrong("does not have a path".to_owned())) };
        let slash = if path.is_empty() || path.ends_with('/') { "" } else { "/" };
        Ok(match kind {
            "icav2" => Self::Project(format!("icav2://{first}/{path}{slash}")),
            _ => Self::Bucket { bucket: first.to_owned(), prefix: format!("{path}{slash}") },
        })
    }

    /// Refuses what it cannot do: the platform restores files of its projects in its own way.
    pub fn takes(&self, thaw: Option<&ThawParams>) -> Result<(), String> {
        match self {
            Self::Project(_) if thaw.is_some() => {
                Err("thawParams: only files on their way to a bucket are restored so".to_owned())
            }
            Self::Project(_) | Self::Bucket { .. } => Ok(()),
        }
    }

    /// As it is shown.
    #[must_use]
    pub fn uri(&self) -> String {
        match self {
            Self::Bucket { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
            Self::Project(uri) => uri.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_as_ever() {
        let says = |text: &str| Destination::read(text).unwrap_err();
        let s3 = "Error: pushLocation must be a valid s3 url,";
        assert_eq!(says("gs://b/x"), format!("{s3} gs://b/x does not start with s3://"));
        assert_eq!(says("s3:///x"), format!("{s3} s3:///x does not have a bucket name"));
        assert_eq!(says("s3://b"), format!("{s3} s3://b does not have a path"));
        let icav2 = "Error: pushLocation must be a valid icav2 url,";
        assert_eq!(says("icav2:///x/"), format!("{icav2} icav2:///x/ does not have a project id"));
        assert_eq!(says("icav2://p"), format!("{icav2} icav2://p does not have a path"));
    }

    #[test]
    fn restores_are_said_of_buckets_alone() {
        let takes = |text: &str, thaw| Destination::read(text).unwrap().takes(thaw);
        let thaw = ThawParams::default();
        assert_eq!(takes("s3://b/x/", Some(&thaw)), Ok(()));
        assert_eq!(takes("icav2://p/x/", None), Ok(()));
        assert!(
            takes("icav2://p/x/", Some(&thaw)).unwrap_err().contains("only files on their way to a bucket")
        );
    }

    #[test]
    fn a_slash_is_added() {
        let uri = |text: &str| Destination::read(text).unwrap().uri();
        assert_eq!(uri("s3://b/"), "s3://b/");
        assert_eq!(uri("s3://b/x/y"), "s3://b/x/y/");
        assert_eq!(uri("icav2://p/x"), "icav2://p/x/");
    }
}
