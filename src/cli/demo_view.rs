//! How the demo's progress looks: bars on a terminal, plain lines in a pipe.

use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{demo_world::DemoWorld, output};
use crate::app::DemoProgress;

/// Between two pictures on a terminal, and between two lines in a pipe.
const EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Shows progress until the demo, which sends it, has ended.
pub(super) async fn show(world: &DemoWorld, mut progress: watch::Receiver<DemoProgress>) {
    let (view, between) =
        if stderr().is_terminal() { (View::bars(world), EVERY.0) } else { (View::Lines, EVERY.1) };
    let start = Instant::now();
    loop {
        view.draw(world, *progress.borrow(), start.elapsed());
        let closed = async { while progress.changed().await.is_ok() {} };
        if timeout(between, closed).await.is_ok() {
            break;
        }
    }
    if let View::Bars { all, .. } = view {
        // The summary says all of it again, and stays.
        let _unseen = all.clear();
    }
}

enum View {
    Bars {
        all: MultiProgress,
        folders: ProgressBar,
        files: ProgressBar,
        bytes: ProgressBar,
        jobs: ProgressBar,
    },
    Lines,
}

impl View {
    fn bars(world: &DemoWorld) -> Self {
        let all = MultiProgress::new();
        let bar = |name: &'static str, total: u64, shown: &str| {
            let template = format!("{{prefix:>8}} {{bar:40.cyan/blue}} {shown}");
            let style =
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            all.add(ProgressBar::new(total).with_prefix(name).with_style(style))
        };
        let jobs_style = ProgressStyle::with_template("{prefix:>8} {msg}  {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let folders = bar("folders", world.folders, "{pos}/{len}");
        let files = bar("files", world.files, "{pos}/{len}");
        let bytes = bar("bytes", world.bytes, "{bytes}/{total_bytes}");
        let jobs = all.add(ProgressBar::new_spinner().with_prefix("jobs").with_style(jobs_style));
        jobs.enable_steady_tick(EVERY.0);
        Self::Bars { all, folders, files, bytes, jobs }
    }

    fn draw(&self, world: &DemoWorld, now: DemoProgress, elapsed: Duration) {
        match self {
            Self::Lines => output::talk(line(world, &now, elapsed)),
            Self::Bars { folders, files, bytes, jobs, .. } => {
                folders.set_position(now.folders_done);
                files.set_position(now.files_done);
                bytes.set_position(now.bytes_done);
                jobs.set_message(job_line(&now));
            }
        }
    }
}

fn job_line(progress: &DemoProgress) -> String {
    let DemoProgress { jobs_running, jobs_failed, .. } = progress;
    format!("{jobs_running} running, {jobs_failed} failed and made again")
}

fn line(world: &DemoWorld, now: &DemoProgress, elapsed: Duration) -> String {
    format!(
        "{:>3} s  folders {}/{}  files {}/{}  {} of {}  jobs: {}",
        elapsed.as_secs(),
        now.folders_done,
        world.folders,
        now.files_done,
        world.files,
        HumanBytes(now.bytes_done),
        HumanBytes(world.bytes),
        job_line(now)
    )
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::cli::demo_world::demo_world;

    #[test]
    fn a_line_says_how_far_it_is() {
        let world = DemoWorld { bytes: 2 << 20, ..demo_world(1) };
        let now = DemoProgress {
            folders_done: 3,
            files_done: 40,
            bytes_done: 1 << 20,
            jobs_running: 5,
            jobs_failed: 1,
        };
        assert_eq!(
            line(&world, &now, Duration::from_secs(7)),
            "  7 s  folders 3/14  files 40/200  1.00 MiB of 2.00 MiB  jobs: 5 running, 1 failed and made again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_sender() {
        let world = demo_world(1);
        let (sender, receiver) = watch::channel(DemoProgress::default());
        let send = async move {
            for files_done in 1..=3 {
                sender.send_replace(DemoProgress { files_done, ..DemoProgress::default() });
                sleep(Duration::from_secs(2)).await;
            }
        };
        let start = Instant::now();
        tokio::join!(send, show(&world, receiver));
        assert_eq!(start.elapsed().as_secs(), 6);
    }
}
