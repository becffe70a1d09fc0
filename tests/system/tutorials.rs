//! The documents for newcomers and operators, as somebody follows them: every command is run, in the terminal that
//! it is for.
//!
//! A block of commands is headed by `<!-- terminal N -->`, where N is 1 to 3, maybe with `, exit M`. What terminals 1
//! and 2 run goes on, until a later block of the same terminal ends it, as Ctrl-C does. Terminal 3 runs its blocks one
//! after the other, and each has to end as it says.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::{Child, Command};

/// No block of terminal 3 takes longer.
const PATIENCE: Duration = Duration::from_mins(3);

/// A block of commands.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    terminal: u32,
    exit: i32,
    commands: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for rest in page.split("<!-- terminal ").skip(1) {
        let Some((head, rest)) = rest.split_once("-->") else { continue };
        let mut words = head.trim().split(", exit ");
        let terminal = words.next().and_then(|number| number.trim().parse().ok());
        let exit = words.next().map_or(0, |exit| exit.trim().parse().unwrap());
        let commands = rest.trim_start().strip_prefix("```sh\n").and_then(|rest| rest.split("\n```").next());
        if let (Some(terminal), Some(commands)) = (terminal, commands) {
            blocks.push(Block { terminal, exit, commands: format!("{commands}\n") });
        }
    }
    blocks
}

/// Where the commands of a page are run: an empty folder, with `copy-manager` on the path.
struct Reader {
    folder: tempfile::TempDir,
    path: String,
    running: BTreeMap<u32, Child>,
}

impl Reader {
    fn new() -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_copy-manager"));
        let places = program.parent().unwrap().display().to_string();
        let path = format!("{places}:{}", std::env::var_os("PATH").unwrap().to_string_lossy());
        Self { folder: tempfile::tempdir().unwrap(), path, running: BTreeMap::new() }
    }

    fn shell(&self, commands: &str) -> Command {
        let mut shell = Command::new("bash");
        shell.args(["-e", "-c", commands]).current_dir(self.folder.path());
        shell.env_clear().env("PATH", &self.path).env("HOME", self.folder.path());
        // A group of its own, so that all of it can be ended.
        shell.process_group(0).kill_on_drop(true).stdin(Stdio::null());
        shell
    }

    fn log(&self, terminal: u32) -> PathBuf {
        self.folder.path().join(format!("terminal-{terminal}.log"))
    }

    /// Ends what a terminal runs, as Ctrl-C does.
    async fn interrupt(&mut self, terminal: u32) {
        if let Some(mut child) = self.running.remove(&terminal)
            && let Some(group) = child.id()
        {
            let group = format!("-{group}");
            Command::new("kill").args(["-INT", "--", &group]).status().await.unwrap();
            if tokio::time::timeout(Duration::from_secs(20), child.wait()).await.is_err() {
                Command::new("kill").args(["-KILL", "--", &group]).status().await.unwrap();
            }
        }
    }

    async fn follow(&mut self, page: &str) {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        let blocks = blocks(&text);
        assert!(blocks.len() > 5, "{page} has {} blocks", blocks.len());
        for block in blocks {
            let Block { terminal, exit, commands } = &block;
            if *terminal < 3 {
                self.interrupt(*terminal).await;
                let log = std::fs::File::create(self.log(*terminal)).unwrap();
                let mut shell = self.shell(commands);
                shell.stdout(log.try_clone().unwrap()).stderr(log);
                self.running.insert(*terminal, shell.spawn().unwrap());
                continue;
            }
            let done = tokio::time::timeout(PATIENCE, self.shell(commands).output()).await;
            let Output { status, stdout, stderr } =
                done.unwrap_or_else(|_| panic!("does not end: {commands}")).unwrap();
            let said = String::from_utf8_lossy(&stdout);
            let talk = String::from_utf8_lossy(&stderr);
            let logs = [1, 2].map(|terminal| std::fs::read_to_string(self.log(terminal)).unwrap_or_default());
            let logs = logs.map(|log| log.lines().rev().take(15).collect::<Vec<_>>().join("\n"));
            assert_eq!(status.code(), Some(*exit), "{page}: {commands}\n{said}\n{talk}\n{logs:#?}");
        }
        for terminal in [2, 1] {
            self.interrupt(terminal).await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for child in self.running.values() {
            if let Some(group) = child.id() {
                drop(std::process::Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status());
            }
        }
    }
}

/// One after the other: they use the same ports.
#[tokio::test]
async fn what_the_documents_show_works() {
    Reader::new().follow("docs/newcomers.md").await;
    Reader::new().follow("docs/runbook.md").await;
}

#[test]
fn blocks_say_for_which_terminal_they_are() {
    let page = "a\n<!-- terminal 1 -->\n```sh\nserve\n```\n<!-- terminal 3, exit 4 -->\n```sh\none\ntwo\n```\n```sh\nnone\n```\n";
    let block = |terminal, exit, commands: &str| Block { terminal, exit, commands: commands.into() };
    assert_eq!(blocks(page), [block(1, 0, "serve\n"), block(3, 4, "one\ntwo\n")]);
}
