//! The binary as a shell sees it: data on stdout, talk on stderr, and a code that scripts can rely on.
#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::{
    path::Path,
    process::{Command, Output},
};

use clap::Parser as _;
use copy_manager::cli::Cli;

fn copy_manager(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_copy-manager")).args(arguments).output().unwrap()
}

#[test]
fn data_goes_to_stdout_alone() {
    let Output { status, stdout, stderr } = copy_manager(&["schema"]);
    assert_eq!((status.code(), stderr), (Some(0), Vec::new()));
    assert!(String::from_utf8(stdout).unwrap().lines().any(|name| name == "copy-request"));

    let schema = copy_manager(&["schema", "copy-request", "--json"]).stdout;
    assert!(serde_json::from_slice::<serde_json::Value>(&schema).unwrap().is_object());
}

#[test]
fn failures_and_wrong_usage_are_told_on_stderr_and_apart() {
    for (arguments, code) in [
        (vec!["healthcheck", "--server", "http://127.0.0.1:1"], 1),
        (vec!["schema", "no-such-format"], 1),
        (vec!["teleport"], 2),
        (vec!["submit", "copy", "icav2://p/only-one"], 2),
    ] {
        let Output { status, stdout, stderr } = copy_manager(&arguments);
        assert_eq!((status.code(), stdout), (Some(code), Vec::new()), "{arguments:?}");
        assert!(String::from_utf8(stderr).unwrap().starts_with("error: "), "{arguments:?}");
    }
}

#[test]
fn a_plan_that_reaches_nobody_says_that_it_may_be_tried_again() {
    let mut plan = Command::new(env!("CARGO_BIN_EXE_copy-manager"));
    plan.args(["plan", "icav2://lab/run/a.txt", "icav2://guest/in/", "--json"])
        .env("ICAV2_BASE_URL", "http://127.0.0.1:1/ica/rest")
        .env("ICAV2_ACCESS_TOKEN", "any")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any");
    let Output { status, stdout, .. } = plan.output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!((status.code(), told["error"]["code"].as_str()), (Some(5), Some("Unreachable")), "{told}");
}

#[cfg(unix)]
#[test]
fn by_another_name_it_is_the_tool_for_sharing() {
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("data-sharing-tool");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_copy-manager"), &tool).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&tool);
        command
            .args(arguments)
            .env_remove("COPY_MANAGER_SHARE_ENDPOINT")
            .env_remove("COPY_MANAGER_SHARE_TOKEN")
            // Nor is there an account that could be asked.
            .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "ap-southeast-2")])
            .env("HOME", folder.path());
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };
    for (arguments, code) in [(&["help"][..], 0), (&[], 0), (&["teleport"], 1)] {
        let (ended, usage, talk) = run(arguments);
        assert_eq!((ended, talk.as_str()), (Some(code), ""), "{arguments:?}");
        assert!(usage.contains("data-sharing-tool") && usage.contains("get-push-job-status"), "{usage}");
        assert_eq!(usage.contains("Could not find cmd \"teleport\""), code == 1);
    }
    let (ended, said, talk) = run(&["list-packages"]);
    assert_eq!((ended, said.as_str()), (Some(78), ""));
    assert!(talk.contains("set --endpoint or COPY_MANAGER_SHARE_ENDPOINT"), "{talk}");
    assert_eq!(run(&["list-packages", "--max-packages", "many"]).0, Some(2));
}

/// Every command that operators are told to type is one that there is, with the options that there are.
#[test]
fn commands_in_the_documents_are_commands() {
    let words = [
        ("ID", "request.1"),
        ("EVENT_ID", "event-1"),
        ("TEXT", "reason"),
        ("PART", "icav2://p/"),
        ("TIME", "2026-11-30T00:00:00Z"),
        ("NAME", "table"),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut checked = 0;
    for document in ["docs/runbook.md", "docs/operators.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let quoted = text.split('`').skip(1).step_by(2).filter(|quoted| !quoted.contains('\n'));
        for line in quoted.filter_map(|quoted| quoted.strip_prefix("copy-manager ")) {
            let said = line.split_whitespace();
            let typed =
                said.map(|word| words.iter().find(|(is, _)| *is == word).map_or(word, |(_, typed)| typed));
            let parsed = Cli::try_parse_from(std::iter::once("copy-manager").chain(typed));
            assert!(parsed.is_ok(), "{document}: `{line}`: {}", parsed.unwrap_err());
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked}");
}
