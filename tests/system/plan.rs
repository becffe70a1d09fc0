//! `copy-manager plan` beside `copy-manager simulate`: no daemon, no records, nothing changed.

use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    lab::{Platform, credentials},
    worlds::world,
};

struct Shell {
    platform: Platform,
    directory: TempDir,
}

impl Shell {
    async fn start(world: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let platform = Platform::start(&directory, world, &[], &[]).await;
        Self { platform, directory }
    }

    async fn plan(&self, arguments: &[&str], more: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
        command.arg("plan").args(arguments).env_clear().envs(credentials(&self.platform));
        command.envs(more.iter().copied()).current_dir(self.directory.path()).kill_on_drop(true);
        let Output { status, stdout, stderr } = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }
}

#[tokio::test]
async fn a_plan_is_a_table_or_json_and_its_code_says_how_it_would_end() {
    let mut world = world(&[], &[("/run/a.bam".to_owned(), 9_000, 3), ("/run/b.txt".to_owned(), 100, 1)]);
    world["projects"][1]["files"] = json!([{"path": "/taken/run/b.txt", "size": 101}]);
    let shell = Shell::start(&world).await;

    let (code, stdout, stderr) = shell.plan(&["icav2://lab/run/", "icav2://archive/in/"], &[]).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let lines: Vec<Vec<&str>> = stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ROUTE", "SIZE", "SOURCE", "DESTINATION", "WHY"]);
    assert_eq!(lines[1][..2], ["job", "9000"]);
    assert!(lines[1][3].ends_with("/in/run/a.bam"), "{stdout}");
    assert_eq!(lines[2][..2], ["stream", "100"]);
    assert!(stdout.contains("\n2 files, 9100 bytes to bring\n"), "{stdout}");

    let taken = ["--json", "icav2://lab/run/", "icav2://archive/taken/"];
    let (code, stdout, stderr) = shell.plan(&taken, &[]).await;
    assert_eq!(code, Some(4), "{stdout}");
    assert!(stderr.starts_with("the request would fail: "), "{stderr}");
    let plan: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(plan["totals"]["failing"], 1);
    assert_eq!(plan["files"][0]["conflict"]["there"], "another file of 101 bytes is there");
    let (code, stdout, _) = shell.plan(&[&["--on-conflict", "overwrite"], &taken[..]].concat(), &[]).await;
    assert_eq!(code, Some(0), "{stdout}");

    // Refusals: by what is written, by what is there, and by a setting of the installation.
    for (arguments, settings, error) in [
        (
            ["icav2://lab/run/", "icav2://archive/in"],
            vec![],
            "InvalidRequest: `detail.payload.destinationUri`",
        ),
        (
            ["icav2://lab/nothing", "icav2://archive/in/"],
            vec![],
            "SourceNotFound: 1 of 1 sources are not there",
        ),
        (
            ["icav2://lab/run/", "icav2://archive/in/"],
            vec![("COPY_MANAGER__COPY__MAX_FILES", "1")],
            "InvalidRequest: the request has at least 2 files, more than copy.max_files = 1",
        ),
    ] {
        let (code, stdout, stderr) = shell.plan(&arguments, &settings).await;
        assert_eq!((code, stdout.as_str()), (Some(3), ""), "{stderr}");
        assert!(stderr.starts_with(&format!("the request would be refused: {error}")), "{stderr}");
    }
    assert_eq!(shell.plan(&["icav2://archive/in/"], &[]).await.0, Some(2));

    assert_eq!(shell.platform.tree("archive", "/").await.len(), 3, "something was made");
    let calls = shell.platform.stats().await;
    assert!(calls["calls"].as_object().unwrap().keys().all(|call| call.starts_with("GET ")), "{calls}");
    let left: Vec<_> =
        std::fs::read_dir(shell.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("sqlite")), "{left:?}");
}
