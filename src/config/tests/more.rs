//! Further instances of replicas.

use pretty_assertions::assert_eq;

use super::*;

const FIRST: &[(&str, &str)] = &[
    ("DAP_CLIENT_ID", "us-east-1#a"),
    ("DAP_CLIENT_SECRET", "s3cr3t-a"),
    ("DAP_CONNECTION_STRING", "postgresql://a:s3cr3t@db.example.org/canvas"),
    ("COPY_MANAGER__CANVAS__SCHEDULE", "rate(3 hours)"),
    ("ICAV2_ACCESS_TOKEN", "jwt"),
];

const SECOND: &str = r#"
[north]
client_id = "us-east-1#b"
client_secret = "s3cr3t-b"
database_url = "postgresql://b:s3cr3t@db.example.org/north"
namespaces = ["canvas", "catalog"]
"#;

/// The problems with a file of further instances, one per line, with it called FILE.
fn wrong(text: &str) -> Vec<String> {
    let file = file(text);
    let path = file.path().display().to_string();
    let env = vars(&[FIRST, &[("COPY_MANAGER__CANVAS__MORE", path.as_str())]].concat());
    let problems = load(None, env).unwrap_err().to_string();
    problems.replace(&path, "FILE").lines().map(str::to_owned).collect()
}

#[test]
fn an_instance_has_what_it_says_and_the_rest_from_the_first() {
    let file = file(SECOND);
    let path = file.path().display().to_string();
    for more in [path.as_str(), SECOND] {
        let env = vars(&[FIRST, &[("COPY_MANAGER__CANVAS__MORE", more)]].concat());
        let settings = load(None, env.clone()).unwrap();
        let all: Vec<_> = settings.replicas().collect();
        let [first, north] = all[..] else { panic!("{all:?}") };
        assert_eq!((first.instance.as_str(), north.instance.as_str()), ("main", "north"));
        assert_eq!((north.client_id.as_str(), north.schedule.as_str()), ("us-east-1#b", "rate(3 hours)"));
        assert_eq!(north.namespaces, ["canvas", "catalog"]);
        let url = north.database_url.as_ref().unwrap();
        assert_eq!(url.expose_secret(), "postgresql://b:s3cr3t@db.example.org/north");
        assert!(!format!("{settings:?}").contains("s3cr3t"));
        let shown = show(None, env).unwrap();
        assert!(!format!("{shown:?}").contains("s3cr3t"));
        let own: Vec<_> = shown.iter().filter(|shown| shown.key.starts_with("canvas.more.")).collect();
        assert_eq!(own.len(), 4, "{own:?}");
        assert_eq!(
            (own[0].key.as_str(), own[0].value.as_str()),
            ("canvas.more.north.client_id", "\"us-east-1#b\"")
        );
    }
}

#[test]
fn replicas_alone_need_no_icav2_on_aws() {
    let aws = [
        ("COPY_MANAGER__BACKEND", "aws"),
        ("COPY_MANAGER__AWS__COPY_REQUESTS_QUEUE_URL", "http://127.0.0.1/q"),
        ("COPY_MANAGER__AWS__TABLE_NAME", "t"),
        ("COPY_MANAGER__AWS__INTERNAL_BUS_NAME", "b"),
    ];
    let alone = [&FIRST[..4], &aws].concat();
    load(None, vars(&alone)).unwrap();
    let told = load(None, vars(&aws)).unwrap_err().to_string();
    assert!(told.starts_with("icav2.token_secret_id (default): is required"), "{told}");
}

#[test]
fn nobody_has_the_client_or_the_database_of_another_by_an_oversight() {
    assert_eq!(
        wrong("[north]\nnamespaces = [\"catalog\"]"),
        ["canvas.more.north.client_id (file FILE): must be said of each instance, or credentials_ssm_path"]
    );
    let same = SECOND.replace("b:s3cr3t@db.example.org/north", "a:s3cr3t@db.example.org/canvas");
    assert_eq!(
        wrong(&same),
        [
            "canvas.more.north (file FILE): must not have the namespace `canvas` in the same database as the instance `main`"
        ]
    );
    assert_eq!(
        wrong(&SECOND.replace("north", "main")),
        ["canvas.more.main (file FILE): is the name of another instance"]
    );
}

#[test]
fn what_is_wrong_with_an_instance_is_told_with_its_name() {
    let told = |text: &str| wrong(&format!("{SECOND}{text}"));
    assert_eq!(told("schedul = \"\"").len(), 1);
    assert!(told("schedul = \"\"")[0].starts_with(
        "canvas.more.north.schedul (file FILE): is not a setting; the nearest is `canvas.schedule`"
    ));
    assert_eq!(told("concurrency = 0"), ["canvas.more.north.concurrency (file FILE): must be at least 1"]);
    assert_eq!(told("poll = \"soon\"")[0].split(':').next().unwrap(), "canvas.more.north.poll (file FILE)");
    assert_eq!(
        told("instance = \"south\""),
        ["canvas.more.north.instance (file FILE): cannot be said of a further instance"]
    );
    assert_eq!(wrong("x = 1"), ["canvas.more.x (file FILE): must stand in the table of an instance"]);
    assert!(wrong("[north\nclient_secret = \"s3cr3t\"")[0].starts_with("canvas.more (file FILE): line 1: "));
    let lost = [("COPY_MANAGER__CANVAS__MORE", "/nowhere.toml")];
    let told = load(None, vars(&[FIRST, &lost].concat())).unwrap_err().to_string();
    assert!(told.starts_with("canvas.more (file /nowhere.toml): cannot be read: "), "{told}");
    // What is on one line is no path either, and is not shown as one.
    for line in [r#"{"north": {"client_secret": "s3cr3t"}}"#, "north.client_secret = 's3cr3t'"] {
        let env = vars(&[FIRST, &[("COPY_MANAGER__CANVAS__MORE", line)]].concat());
        let told = load(None, env).unwrap_err().to_string();
        assert!(told.contains("canvas.more") && !told.contains("s3cr3t"), "{told}");
    }
}
