//! What settings must not allow, and that no text breaks their reader.

use pretty_assertions::assert_eq;

use super::{complaints, file, load, vars};
use crate::config::Settings;

#[test]
fn secrets_go_over_tls_or_nowhere() {
    let plain = "must start with https://: only this machine may be called without TLS";
    let text = r#"
        icav2 = { base_url = "http://ica.example/ica/rest", s3_endpoint_url = "http://10.0.0.1:9000" }
        share = { slack_url = "http://slack.example/api/" }
    "#;
    let expected = ["icav2.base_url", "icav2.s3_endpoint_url", "share.slack_url"]
        .map(|key| format!("{key} (file FILE): {plain}"));
    assert_eq!(complaints(text, &[]), expected);
    for host in ["127.0.0.1:8080", "localhost", "[::1]:9", "127.9.9.9"] {
        assert!(
            load(None, vars(&[("ICAV2_BASE_URL", &format!("http://{host}/ica/rest"))])).is_ok(),
            "{host}"
        );
    }
    assert_eq!(
        complaints("", &[("ICAV2_BASE_URL", "https://user:s3cr3t@ica.example")]),
        ["icav2.base_url (env ICAV2_BASE_URL): must not hold a user or a password"]
    );
}

#[test]
fn presigned_urls_lead_to_amazon_and_the_platform_unless_said_otherwise() {
    let allowed = |settings: &Settings, url: &str| {
        settings.icav2.url_hosts().check(&url::Url::parse(url).unwrap()).is_ok()
    };
    let settings = load(None, []).unwrap();
    assert!(allowed(&settings, "https://bucket.s3.amazonaws.com/key"));
    assert!(allowed(&settings, "https://ica.illumina.com/key"));
    assert!(!allowed(&settings, "https://storage.example/key"));

    let more = [("COPY_MANAGER__ICAV2__URL_HOSTS", "storage.example,*.internal")];
    let settings = load(None, vars(&more)).unwrap();
    assert!(allowed(&settings, "https://storage.example/key") && allowed(&settings, "https://a.internal/"));
    assert!(!allowed(&settings, "https://bucket.s3.amazonaws.com/key"));
    assert_eq!(
        complaints("[icav2]\nurl_hosts = [\"\"]\n", &[]),
        ["icav2.url_hosts (file FILE): a pattern must not be empty"]
    );
}

#[test]
fn nobody_is_said_to_have_given_up_an_upload_that_may_last() {
    let key = "COPY_MANAGER__ICAV2__ABANDONED_AFTER";
    let simulated = ("ICAV2_BASE_URL", "http://127.0.0.1:9/ica/rest");
    assert!(load(None, vars(&[(key, "36h")])).is_ok() && load(None, vars(&[(key, "5m"), simulated])).is_ok());
    let said = complaints("", &[(key, "35h")]);
    assert!(said.len() == 1 && said[0].contains("must last for at least 36h"), "{said:?}");
}

#[test]
fn reports_go_to_a_folder_in_s3_or_nowhere() {
    let key = "COPY_MANAGER__REPORT__S3_PREFIX";
    for good in ["s3://bucket/", "s3://bucket/a/b/"] {
        assert!(load(None, vars(&[(key, good)])).is_ok(), "{good}");
    }
    for bad in ["bucket/a/", "s3://bucket/a", "icav2://p/a/"] {
        let said = "must be empty or like \"s3://bucket/prefix/\"";
        assert_eq!(complaints("", &[(key, bad)]), [format!("report.s3_prefix (env {key}): {said}")]);
    }
}

proptest::proptest! {
    #[test]
    fn any_file_and_variable_give_settings_or_problems(text in ".{0,200}", value in "[^\0]{0,40}") {
        let known = ["ICAV2__URL_HOSTS", "SERVICE__TICK", "ICAV2", "ADMIN__LISTEN", "", "POLICY__X__Y"];
        let file = file(&text);
        let env = known.map(|name| (format!("COPY_MANAGER__{name}"), value.clone()));
        let problems = load(Some(file.path()), env).err();
        proptest::prop_assert!(problems.is_none_or(|problems| !problems.to_string().is_empty()));
    }
}

#[test]
fn an_empty_variable_is_none() {
    let empty = [
        "COPY_MANAGER_CONFIG",
        "COPY_MANAGER_SETTINGS",
        "ICAV2_API_KEY",
        "ICAV2_BASE_URL",
        "COPY_MANAGER__BACKEND",
        "COPY_MANAGER__REPORT__S3_PREFIX",
        "COPY_MANAGER__ADMIN__LISTEN",
        "COPY_MANAGER__ICAV2__TIMEOUT",
        "COPY_MANAGER__COPY__MAX_DEPTH",
        "COPY_MANAGER__COPY__EMPTY_FOLDERS",
        "COPY_MANAGER__POLICY__EVENT_SOURCES",
    ];
    let settings = load(None, vars(&empty.map(|name| (name, "")))).unwrap();
    let plain = load(None, []).unwrap();
    assert_eq!(format!("{settings:?}"), format!("{plain:?}"));
}

#[test]
fn the_token_of_the_admin_interface_is_in_one_place() {
    let (token, file) =
        (("COPY_MANAGER__ADMIN__TOKEN", "t"), ("COPY_MANAGER__ADMIN__TOKEN_FILE", "/run/token"));
    let settings = load(None, vars(&[file])).unwrap();
    assert_eq!(settings.admin.token_file.as_deref(), Some(std::path::Path::new("/run/token")));
    assert!(
        load(None, vars(&[token, ("COPY_MANAGER__ADMIN__TOKEN_FILE", "")])).unwrap().admin.token.is_some()
    );
    let said = "must not be set beside admin.token: one of the two has the token";
    let origin = "admin.token_file (env COPY_MANAGER__ADMIN__TOKEN_FILE)";
    assert_eq!(complaints("", &[token, file]), [format!("{origin}: {said}")]);
}

#[test]
fn urls_name_a_host() {
    for (url, fine) in [
        ("https://ica.example/ica/rest", true),
        ("https:///ica.example/rest", false),
        ("https:ica.example", false),
        ("https:/ica.example", false),
        ("https://", false),
        ("https://:443/x", false),
        ("ftp://ica.example", false),
        ("ica.example", false),
    ] {
        let loaded = load(None, vars(&[("ICAV2_BASE_URL", url)]));
        assert_eq!(loaded.is_ok(), fine, "{url}: {loaded:?}");
    }
    for (arn, fine) in [
        ("arn:aws:sns:ap-southeast-2:123456789012:ica-events", true),
        ("arn:aws:sqs:ap-southeast-2:123456789012:ica-events", false),
        ("ica-events", false),
    ] {
        let loaded = load(None, vars(&[("COPY_MANAGER__ADMIN__SNS_TOPICS", arn)]));
        assert_eq!(loaded.is_ok(), fine, "{arn}: {loaded:?}");
    }
}

#[test]
fn sharing_is_open_to_those_who_are_named() {
    let listen = ("COPY_MANAGER__SHARE__LISTEN", "0.0.0.0:8090");
    let entry = format!("ann:read:{}", "0".repeat(64));
    let tokens = ("COPY_MANAGER__SHARE__TOKENS", entry.as_str());
    let told = |env: &[(&str, &str)]| complaints("", env).join("\n");
    assert!(told(&[listen]).starts_with("share.tokens"));
    assert!(load(None, vars(&[listen, tokens])).is_ok());
    let open = ("COPY_MANAGER__SHARE__AUTH", "none");
    assert!(told(&[listen, tokens, open]).starts_with("share.auth"));
    assert!(load(None, vars(&[("COPY_MANAGER__SHARE__LISTEN", "127.0.0.1:0"), open])).is_ok());

    let issued = ("COPY_MANAGER__SHARE__AUTH", "oidc");
    let audience = ("COPY_MANAGER__SHARE__OIDC_AUDIENCE", "share");
    let of = |url| ("COPY_MANAGER__SHARE__OIDC_ISSUER", url);
    assert!(load(None, vars(&[listen, issued, audience, of("https://issuer.example.org/pool")])).is_ok());
    assert!(load(None, vars(&[listen, issued, audience, of("http://127.0.0.1:9/pool")])).is_ok());
    assert!(
        told(&[listen, issued, audience, of("http://issuer.example.org/")]).starts_with("share.oidc_issuer")
    );
    assert!(told(&[listen, issued, audience]).starts_with("share.oidc_issuer"));
    assert!(told(&[listen, issued, of("https://issuer.example.org")]).starts_with("share.oidc_audience"));
    let checked = ("COPY_MANAGER__SHARE__AUTH", "gateway");
    assert!(told(&[listen, checked]).starts_with("share.behind_gateway"));
    let behind = ("COPY_MANAGER__SHARE__BEHIND_GATEWAY", "true");
    assert!(load(None, vars(&[listen, checked, behind])).is_ok());
}

#[test]
fn what_is_shared_is_looked_up_in_one_place_and_what_that_needs_is_said() {
    let told = |text: &str| complaints(&format!("[share]\n{text}"), &[]).join("\n");
    let listing = "inventory = \"listing\"\n";
    let reads = "s3://b/{instrument_run_id}/{library_id}_*.fastq.{gz|ora}";
    assert!(told(listing).starts_with("share.templates (default): must say where files lie"));
    let lone = format!("templates = [\"{reads}\"]\n");
    assert!(told(&lone).contains("must be empty unless share.inventory = \"listing\""));
    assert!(load(Some(file(&format!("[share]\n{listing}{lone}")).path()), []).is_ok());
    assert!(
        load(
            None,
            vars(&[("COPY_MANAGER__SHARE__INVENTORY", "listing"), ("COPY_MANAGER__SHARE__TEMPLATES", reads)])
        )
        .is_ok()
    );
    let wrong = told(&format!("{listing}templates = [\"s3://b/{{library}}\"]\n"));
    assert!(wrong.contains("unknown field {library}"), "{wrong}");
    let both = told(&format!("{listing}{lone}catalogue = [\"s3://b/c.csv\"]\n"));
    assert!(both.starts_with("share.catalogue"), "{both}");

    let orcabus = told("inventory = \"orcabus\"\nmetadata = \"orcabus\"\nlims = \"x.csv\"\n");
    for key in ["share.lims", "share.orcabus_token_secret_id", "share.orcabus_zone", "share.inventory"] {
        assert!(orcabus.lines().any(|line| line.starts_with(key)), "{key}: {orcabus}");
    }
    let aws = "backend = \"aws\"\n[aws]\ncopy_requests_queue_url = \"https://sqs/q\"\ntable_name = \"t\"\n\
        internal_bus_name = \"b\"\n[icav2]\ntoken_secret_id = \"s\"\n[share]\nmetadata = \"orcabus\"\n\
        orcabus_token_secret_id = \"orcabus/token-service-jwt\"\n";
    for (more, complaint) in [
        ("orcabus_zone = \"prod.example.org\"", None),
        ("orcabus_zone = \"evil.org/x?\"", Some("share.orcabus_zone")),
        ("orcabus_url = \"http://127.0.0.1:9/{service}\"", None),
        ("orcabus_url = \"http://orcabus.example/{service}\"", Some("share.orcabus_url")),
        ("orcabus_url = \"https://me:you@orcabus.example/{service}\"", Some("share.orcabus_url")),
        ("orcabus_url = \"https://orcabus.example/\"", Some("share.orcabus_url")),
    ] {
        let loaded = load(Some(file(&format!("{aws}{more}\n")).path()), []).map(drop);
        match complaint {
            None => assert!(loaded.is_ok(), "{more}: {loaded:?}"),
            Some(key) => assert!(loaded.unwrap_err().to_string().starts_with(key), "{more}"),
        }
    }
}
