//! Layers, problems and secrets.

use std::{io::Write as _, time::Duration};

use pretty_assertions::assert_eq;
use secrecy::ExposeSecret as _;
use tempfile::NamedTempFile;

use super::*;
fn vars(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// The problems, one per line, with the file called FILE.
fn complaints(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let file = file(text);
    let problems = load(Some(file.path()), vars(env)).unwrap_err().to_string();
    problems.replace(&file.path().display().to_string(), "FILE").lines().map(str::to_owned).collect()
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_default_is_what_the_design_says() {
    let settings = load(None, []).unwrap();
    assert_eq!(settings.backend, Backend::Embedded);
    assert_eq!(settings.aws, aws::Settings::default());
    assert_eq!(settings.embedded, embedded::Settings::default());
    assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.log, Log { level: Level::Info, format: Format::Auto });
    assert_eq!(settings.icav2.base_url, "https://ica.illumina.com/ica/rest");
    assert_eq!(settings.icav2.requests_per_second.get(), 20);
    assert_eq!(settings.icav2.timeout, seconds(30));
    assert!(!settings.icav2.has_credentials() && settings.icav2.s3_endpoint_url.is_none());
    assert_eq!(settings.heartbeat.every(), seconds(180));
    assert_eq!(settings.engine(), engine::Settings::for_tests());
}

#[test]
fn every_setting_and_section_is_explained() {
    let mut above = "";
    for line in DEFAULT.lines() {
        let goes_on = line.starts_with("    ") || line.starts_with(']');
        if !line.is_empty() && !line.starts_with('#') && !goes_on {
            assert!(above.starts_with("# "), "no comment above `{line}`");
        }
        above = line;
    }
}

#[test]
fn durations_and_counts_name_their_unit() {
    let mut comment = String::new();
    for line in DEFAULT.lines() {
        if let Some(words) = line.strip_prefix('#') {
            comment.push_str(words);
            continue;
        }
        let value = line.split_once(" = ").map_or("", |(_, value)| value);
        let unit = match value.trim_matches('"') {
            text if text.parse::<u64>().is_ok() => "count",
            text if crate::domain::duration_text::parse(text).is_ok() => "(duration",
            _ => "",
        };
        assert!(comment.contains(unit), "`{line}` does not say that it is a {unit}");
        comment.clear();
    }
}

#[test]
fn later_layers_win() {
    let lower = file("backend = \"embedded\"\n[icav2]\nbase_url = \"https://file/\"\ntimeout = \"1s\"\n");
    let base_url = |env: &[(&str, &str)]| load(Some(lower.path()), vars(env)).unwrap().icav2.base_url;
    let own = ("COPY_MANAGER__ICAV2__BASE_URL", "https://own/");
    let others = ("ICAV2_BASE_URL", "https://others/");
    assert_eq!(base_url(&[]), "https://file/");
    assert_eq!(base_url(&[others]), "https://others/");
    assert_eq!(base_url(&[others, own]), "https://own/");

    let named = vars(&[("COPY_MANAGER_CONFIG", lower.path().to_str().unwrap())]);
    assert_eq!(load(None, named.clone()).unwrap().icav2.timeout, seconds(1));
    let upper = file("[icav2]\nmax_attempts = 9\n");
    let settings = load(Some(upper.path()), named).unwrap();
    assert_eq!((settings.icav2.max_attempts, settings.icav2.timeout), (9, seconds(30)));

    // A text lies between the file and the single variables.
    let text = ("COPY_MANAGER_SETTINGS", "[icav2]\nbase_url = \"https://text/\"\nmax_attempts = 7\n");
    assert_eq!([base_url(&[text]), base_url(&[text, others])], ["https://text/", "https://others/"]);
    let settings = load(Some(lower.path()), vars(&[text])).unwrap();
    assert_eq!((settings.icav2.max_attempts, settings.icav2.timeout), (7, seconds(1)));
    let broken = [("COPY_MANAGER_SETTINGS", "[icav2]\ntoken = \"s3cret\"\nbase_url = 's3cret\n")];
    let problems = load(None, vars(&broken)).unwrap_err().to_string();
    assert!(problems.starts_with("env COPY_MANAGER_SETTINGS: line 3: "), "{problems}");
    assert!(!problems.contains("s3cret"), "{problems}");
}

#[test]
fn variables_take_the_type_of_their_setting() {
    let settings = load(
        None,
        vars(&[
            ("COPY_MANAGER__EMBEDDED__DATABASE", "42"),
            ("COPY_MANAGER__COPY__MAX_DEPTH", "3"),
            ("COPY_MANAGER__HEARTBEAT__PUBLISH", "false"),
            ("COPY_MANAGER__HEARTBEAT__INTERVAL", "2m"),
            ("COPY_MANAGER__LOG__FORMAT", "text"),
            ("COPY_MANAGER__ADMIN__LISTEN", "[::1]:0"),
            ("PATH", ""),
        ]),
    )
    .unwrap();
    assert_eq!((settings.embedded.database.as_str(), settings.copy.max_depth), ("42", 3));
    assert_eq!((settings.heartbeat.publish, settings.heartbeat.every()), (false, seconds(120)));
    assert_eq!((settings.log.format, settings.admin.listen.to_string()), (Format::Text, "[::1]:0".into()));
}

#[test]
fn names_that_settings_had_before_are_taken_and_what_is_gone_is_told() {
    let old = file("[icav2]\nretry_base = \"7s\"\n[heartbeat]\nenabled = true\n");
    let env = vars(&[("COPY_MANAGER__ICAV2__RETRY_CAP", "9m"), ("COPY_MANAGER__HEARTBEAT__ENABLED", "true")]);
    let service = load(Some(old.path()), env).unwrap().service;
    assert_eq!((service.retry_base, service.retry_cap), (seconds(7), seconds(9 * 60)));

    let told = complaints("[icav2]\nretry_base = 7\n[heartbeat]\nenabled = false\n", &[]);
    let expected = [
        "heartbeat.enabled (file FILE): is no setting any more: heartbeats are always sent",
        "service.retry_base (file FILE): must be a duration such as \"5s\", not an integer",
    ];
    assert_eq!(told, expected);
}

#[test]
fn lists_are_written_with_commas_in_variables() {
    let variable = [("COPY_MANAGER__POLICY__SOURCE_PROJECTS", "lab-*, 7b2f")];
    let allowed = load(None, vars(&variable)).unwrap().policy.source_projects;
    assert!(allowed.len() == 2 && allowed[1].matches("7b2f") && allowed[0].matches("lab-1"));

    let text =
        "[policy]\nsource_buckets = \"b\"\nevent_sources = [\"lab\", \"\"]\ndestination_buckets = [1]\n";
    let expected = [
        "policy.source_buckets (file FILE): must be an array, not a string",
        "policy.destination_buckets (file FILE): invalid type: integer `1`, expected a string",
        "policy.event_sources (file FILE): a pattern must not be empty",
        "policy.source_projects (env COPY_MANAGER__POLICY__SOURCE_PROJECTS): a pattern must not be empty",
    ];
    let empty_entry = [("COPY_MANAGER__POLICY__SOURCE_PROJECTS", "lab,,")];
    assert_eq!(complaints(text, &empty_entry), expected);
}

#[test]
fn all_problems_come_at_once() {
    let text = "
        backend = \"cloud\"
        icav3 = 1
        [icav2]
        requests_per_second = 0
        timeout = 5
        settle = \"soon\"
        max_job_items = 3
        base_url = \"\"
        [service]
        drain_timeout = \"2m\"
        interval = \"1m\"
        max_active = -1
        [log.level]
        icav2 = \"debug\"
    ";
    let env = [
        ("COPY_MANAGER__COPY__MAX_DEPTH", "deep"),
        ("COPY_MANAGER__SERVICE__MAX_PAYLOAD", "0"),
        ("COPY_MANAGER__COPY", "fast"),
        ("COPY_MANAGER__ADMIN__LISTENS", "x"),
        ("COPY_MANAGER__ADMIN__LISTENED", ""),
    ];
    let expected = [
        "icav2.base_url (file FILE): must not be empty",
        "icav2.max_job_items (file FILE): is not a setting; the nearest is `icav2.max_attempts`",
        "icav2.timeout (file FILE): must be a duration such as \"30s\", not an integer",
        "icav3 (file FILE): is not a setting; the nearest is `icav2`",
        "log.level.icav2 (file FILE): is not a setting; the nearest is `log.level`",
        "service.interval (file FILE): is not a setting; the nearest is `heartbeat.interval`",
        "admin.listened (env COPY_MANAGER__ADMIN__LISTENED): is not a setting; the nearest is `admin.listen`",
        "admin.listens (env COPY_MANAGER__ADMIN__LISTENS): is not a setting; the nearest is `admin.listen`",
        "copy (env COPY_MANAGER__COPY): is a section, not a setting",
        "copy.max_depth (env COPY_MANAGER__COPY__MAX_DEPTH): must be an integer, not a string",
        "backend (file FILE): unknown variant `cloud`, expected `embedded` or `aws`",
        "icav2.requests_per_second (file FILE): invalid value: integer `0`, expected a nonzero u32",
        "icav2.settle (file FILE): `soon` is not a duration; write it like `2s`, `5m` or `1h 30m`",
        "service.max_active (file FILE): invalid value: integer `-1`, expected usize",
        "service.max_payload (env COPY_MANAGER__SERVICE__MAX_PAYLOAD): must be at least 1",
        "service.drain_timeout (file FILE): must be at most 1m 55s: ECS kills after 120 s",
    ];
    assert_eq!(complaints(text, &env), expected);
}

#[test]
fn values_must_fit_each_other() {
    let text = "
        [icav2]
        retry_base = \"10m\"
        s3_endpoint_url = \"localhost:4566\"
        [heartbeat]
        interval = \"5m\"
        [service]
        tick = \"20s\"
        keep = \"0s\"
    ";
    let expected = [
        "service.keep (file FILE): must be longer than nothing",
        "service.retry_base (file FILE): must not be longer than service.retry_cap (5m)",
        "heartbeat.interval (file FILE): must be shorter than heartbeat.promise (5m)",
        "service.lease (default): must last for at least three times service.tick (20s)",
        "icav2.s3_endpoint_url (file FILE): must be a URL that starts with http:// or https://",
    ];
    assert_eq!(complaints(text, &[]), expected);

    let keep = [("COPY_MANAGER__SERVICE__KEEP", "2h")];
    assert_eq!(
        complaints("", &keep),
        [
            "service.keep (env COPY_MANAGER__SERVICE__KEEP): must be at least 192h: ICAv2 repeats answers for a week"
        ]
    );

    let promise = [("COPY_MANAGER__HEARTBEAT__PROMISE", "10s")];
    assert_eq!(
        complaints("", &promise),
        [
            "heartbeat.promise (env COPY_MANAGER__HEARTBEAT__PROMISE): cannot be kept: a heartbeat is due every \
             6s and looked for every 5s (service.tick)"
        ]
    );
    assert_eq!(
        complaints("[heartbeat]\ninterval = \"often\"\n", &[]),
        ["heartbeat.interval (file FILE): `often` is not a duration; write it like `2s`, `5m` or `1h 30m`"]
    );
}

#[test]
fn signs_of_life_come_more_often_than_they_are_missed() {
    let quiet = "which is how far apart signs of life may be";
    assert_eq!(
        complaints(
            "[heartbeat]\nstalled_after = \"5m\"\noutage_after = \"4m\"\n[icav2]\nretry_cap = \"1m\"\n",
            &[]
        ),
        [
            format!("heartbeat.stalled_after (file FILE): must last for at least twice 3m, {quiet}"),
            "heartbeat.outage_after (file FILE): must not be shorter than heartbeat.stalled_after (5m)"
                .into(),
        ]
    );
    assert_eq!(
        complaints("[icav2]\nretry_cap = \"30m\"\n", &[]),
        ["service.retry_cap (file FILE): must be shorter than heartbeat.stalled_after (30m)"]
    );
    assert_eq!(
        complaints("[icav2]\npoll_interval = \"20m\"\n", &[]),
        [format!("heartbeat.stalled_after (default): must last for at least twice 20m, {quiet}")]
    );
    let text = "[heartbeat]\nstalled_after = \"0s\"\non_caller_gone = \"shrug\"\n[copy]\non_conflict = \"Skip\"\nfolders = \"\"\n";
    let expected = [
        "copy.folders (file FILE): must not be empty",
        "copy.on_conflict (file FILE): unknown variant `Skip`, expected one of `fail`, `overwrite`, `skip`",
        "heartbeat.on_caller_gone (file FILE): unknown variant `shrug`, expected `finish` or `stop`",
        "heartbeat.stalled_after (file FILE): must be longer than nothing",
    ];
    assert_eq!(complaints(text, &[]), expected);
}

#[test]
fn what_stands_in_for_a_broken_value_is_not_blamed() {
    let text = "[service]\ntick = 90\nlease = \"20s\"\n";
    assert_eq!(
        complaints(text, &[]),
        ["service.tick (file FILE): must be a duration such as \"5s\", not an integer"]
    );
}

#[test]
fn aws_says_what_it_needs() {
    let needed = "is required with backend = \"aws\"";
    assert_eq!(
        complaints("backend = \"aws\"\n[aws]\ntable_name = \"\"\n", &[]),
        [
            format!("aws.copy_requests_queue_url (default): {needed}"),
            format!("aws.table_name (file FILE): {needed}"),
            format!("aws.internal_bus_name (default): {needed}"),
            format!(
                "icav2.token_secret_id (default): {needed}, unless icav2.access_token or icav2.api_key is set, or replicas alone are kept"
            ),
        ]
    );
    let settings = load(
        None,
        vars(&[
            ("COPY_MANAGER__BACKEND", "aws"),
            ("COPY_MANAGER__AWS__COPY_REQUESTS_QUEUE_URL", "http://localhost:4566/0/requests"),
            ("COPY_MANAGER__AWS__TABLE_NAME", "t"),
            ("COPY_MANAGER__AWS__INTERNAL_BUS_NAME", "b"),
            ("ICAV2_ACCESS_TOKEN", "jwt"),
        ]),
    )
    .unwrap();
    assert_eq!(settings.aws.table_name.as_deref(), Some("t"));
    assert_eq!(settings.aws.ica_events_queue_url, None);
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let missing = load(Some(Path::new("/nowhere.toml")), []).unwrap_err().to_string();
    assert!(missing.starts_with("file /nowhere.toml: cannot be read: "), "{missing}");
    let [line] = complaints("\n\nx = \n", &[]).try_into().unwrap();
    assert!(line.starts_with("file FILE: line 3: "), "{line}");
}

#[test]
fn secrets_are_never_shown() {
    let env = vars(&[("ICAV2_ACCESS_TOKEN", "s3cr3t-token"), ("ICAV2_API_KEY", "s3cr3t-key")]);
    let settings = load(None, env).unwrap();
    let token = settings.icav2.access_token.as_ref().unwrap();
    assert_eq!(token.expose_secret(), "s3cr3t-token");
    assert!(!format!("{settings:?} {settings:#?} {:?}", settings.engine()).contains("s3cr3t"));

    for text in [
        "[icav2]\naccess_token = \"s3cr3t",
        "[icav2]\napi_key = s3cr3t",
        "[icav2]\napi_key = [\"s3cr3t\"]",
        "[icav2]\naccess_token = { s3cr3t = 1 }",
        "[icav2]\napikey = \"s3cr3t\"",
    ] {
        let lines = complaints(text, &[]);
        // The name of a mistaken setting is shown, its value is not.
        let name = text.contains("{ s3cr3t");
        assert_eq!(lines.concat().contains("s3cr3t"), name, "{lines:?}");
    }
}

mod more;
mod safety;

#[test]
fn settings_are_shown_with_their_origin_and_without_secrets() {
    let env = [("ICAV2_ACCESS_TOKEN", "s3cr3t"), ("COPY_MANAGER__ADMIN__LISTEN", "127.0.0.1:9")];
    let shown = show(None, env.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    let one = |key: &str| shown.iter().find(|shown| shown.key == key).unwrap();
    assert_eq!(one("admin.listen").value, "\"127.0.0.1:9\"");
    assert_eq!(one("admin.listen").origin, Origin::Env("COPY_MANAGER__ADMIN__LISTEN".to_owned()));
    assert_eq!(
        (one("admin.max_connections").value.as_str(), &one("admin.max_connections").origin),
        ("64", &Origin::Default)
    );
    assert_eq!(one("icav2.access_token").value, "(set)");
    assert_eq!(one("admin.token").value, "\"\"");
    assert!(!format!("{shown:?}").contains("s3cr3t"));
    // Every setting of the reference is among them, and what is wrong is told as when it is loaded.
    assert_eq!(shown.len(), Layers::new(DEFAULT).shown(&[]).len());
    let wrong = [("COPY_MANAGER__ADMIN__LISTEN".to_owned(), "here".to_owned())];
    assert_eq!(show(None, wrong.clone()).unwrap_err(), load(None, wrong).unwrap_err());
}
