//! The endpoints and secrets that `bucketDefinitions` may name. A caller that may ask for a copy could
//! otherwise have any secret used that the service may read, and have us call whatever we can reach.

use std::collections::BTreeMap;

use url::Url;

use super::named;
use crate::{
    domain::{
        copy_out::{BucketDefinition, Rights},
        outcome::{ErrorName, Failure},
        policy::Glob,
    },
    engine::settings::CopyOutSettings,
};

impl CopyOutSettings {
    /// Whether a request may define buckets like this.
    pub(super) fn check_definitions(
        &self,
        buckets: &BTreeMap<String, BucketDefinition>,
    ) -> Result<(), Failure> {
        for (bucket, definition) in buckets {
            if let Some(url) = &definition.endpoint_url {
                let parsed = Url::parse(url).ok();
                // Parsed hosts are in lower case; a dot at the end names the same host.
                let host = parsed.as_ref().and_then(Url::host_str).unwrap_or_default();
                let host = host.strip_suffix('.').unwrap_or(host);
                let what = format!("the endpoint `{host}` of the bucket `{bucket}`");
                check("copy_out.endpoint_hosts", &self.endpoint_hosts, host, &what)?;
            }
            if let Rights::Secret(id) = &definition.rights {
                let what = format!("the secret `{id}` of the bucket `{bucket}`");
                check("copy_out.secrets", &self.secrets, id, &what)?;
            }
        }
        Ok(())
    }
}

fn check(setting: &str, allowed: &[Glob], name: &str, what: &str) -> Result<(), Failure> {
    if allowed.iter().any(|glob| glob.matches(name)) {
        return Ok(());
    }
    Err(named(ErrorName::PolicyDenied, &format!("{what} is not allowed by {setting}"), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_may_be_named() {
        let glob = |text: &str| Glob::try_from(text.to_owned()).unwrap();
        let open = CopyOutSettings {
            endpoint_hosts: vec![glob("*.ceph.example")],
            secrets: vec![glob("ceph-*")],
            ..CopyOutSettings::default()
        };
        let define = |url: Option<&str>, rights: Rights| {
            BTreeMap::from([(
                "b".to_owned(),
                BucketDefinition { region: None, endpoint_url: url.map(str::to_owned), rights },
            )])
        };
        let secret = |id: &str| Rights::Secret(id.to_owned());
        for (url, rights, refused) in [
            (None, Rights::Own, None),
            (None, Rights::None, None),
            (Some("https://S3.Ceph.Example.:8443/x"), secret("ceph-keys"), None),
            (Some("https://s3.ceph.example@evil.example"), Rights::Own, Some("copy_out.endpoint_hosts")),
            (Some("http://169.254.169.254"), Rights::None, Some("copy_out.endpoint_hosts")),
            (None, secret("icav2-token"), Some("copy_out.secrets")),
        ] {
            let said = open.check_definitions(&define(url, rights.clone()));
            let said = said.err().map(|failure| failure.message);
            assert_eq!(said.is_some(), refused.is_some(), "{url:?} {rights:?}: {said:?}");
            assert!(said.unwrap_or_default().ends_with(refused.unwrap_or_default()));
            let shut = CopyOutSettings::default().check_definitions(&define(url, rights.clone()));
            let needs = url.is_some() || matches!(rights, Rights::Secret(_));
            assert_eq!(shut.is_err(), needs, "nothing is allowed unless it is said");
        }
    }
}
