//! The end in virtual time: what fits is finished, what does not is handed over, nothing hangs.

use std::{convert::Infallible, io};

use futures_util::stream;
use tokio::time::sleep;

use super::*;

const GRACE: Duration = Duration::from_secs(100);

fn signals<const N: usize>(after: [u64; N]) -> impl Stream<Item = &'static str> + Unpin {
    Box::pin(
        stream::iter(after)
            .then(async |seconds| {
                sleep(Duration::from_secs(seconds)).await;
                "SIGTERM"
            })
            .chain(stream::pending()),
    )
}

/// Ends after `work`, or when cut.
async fn piece(work: Duration, phases: Phases) -> Result<(), Infallible> {
    tokio::select! {
        biased;
        () = phases.cut.cancelled() => {}
        () = sleep(work) => {}
    }
    Ok(())
}

async fn stubborn() -> Result<(), Infallible> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn work_that_fits_is_finished() {
    let supervisor = Supervisor::new();
    supervisor.spawn("piece", OnError::Stop, piece(Duration::from_secs(20), supervisor.phases().clone()));
    let start = Instant::now();
    let ended = supervisor.run(signals([10]), GRACE).await;
    assert_eq!((ended, start.elapsed().as_secs()), (Ended::Well, 20));
    assert!(supervisor.phases().off.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_fit_is_handed_over_within_the_deadline() {
    let supervisor = Supervisor::new();
    supervisor.spawn("piece", OnError::Stop, piece(Duration::from_mins(10), supervisor.phases().clone()));
    let start = Instant::now();
    let ended = supervisor.run(signals([10]), GRACE).await;
    assert_eq!((ended, start.elapsed().as_secs()), (Ended::Well, 100));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ignores_everything_is_abandoned_at_the_deadline() {
    let supervisor = Supervisor::new();
    supervisor.spawn("stubborn", OnError::Stop, stubborn());
    let start = Instant::now();
    let ended = supervisor.run(signals([0]), GRACE).await;
    assert_eq!((ended, start.elapsed()), (Ended::Badly, GRACE.mul_f64(0.95)));
    assert_eq!(supervisor.alive(), ["stubborn"]);
}

#[tokio::test(start_paused = true)]
async fn services_end_after_the_work() {
    let supervisor = Supervisor::new();
    let phases = supervisor.phases().clone();
    supervisor.spawn("piece", OnError::Stop, piece(Duration::from_secs(30), phases.clone()));
    supervisor.spawn_service::<Infallible>("admin", OnError::Stop, async move {
        phases.off.cancelled().await;
        sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    let start = Instant::now();
    let ended = supervisor.run(signals([0]), GRACE).await;
    assert_eq!((ended, start.elapsed().as_secs()), (Ended::Well, 31));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_lingers_is_not_waited_for_and_no_bad_end() {
    let supervisor = Supervisor::new();
    supervisor.spawn_service("admin", OnError::Stop, stubborn());
    let start = Instant::now();
    let ended = supervisor.run(signals([0]), GRACE).await;
    assert_eq!((ended, start.elapsed()), (Ended::Well, LINGER));
}

#[tokio::test(start_paused = true)]
async fn an_error_stops_the_process_only_if_told_so() {
    for (on_error, ended) in [(OnError::Stop, Ended::Badly), (OnError::Log, Ended::Well)] {
        let supervisor = Supervisor::new();
        supervisor.spawn("broken", on_error, async { Err(io::Error::other("disk full")) });
        assert_eq!(supervisor.run(signals([5]), GRACE).await, ended, "{on_error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_stops_the_process() {
    let supervisor = Supervisor::new();
    supervisor.spawn::<Infallible>("broken", OnError::Log, async { panic!("a bug") });
    let start = Instant::now();
    assert_eq!(supervisor.run(signals([3600]), GRACE).await, Ended::Badly);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_waits_for_nobody() {
    let supervisor = Supervisor::new();
    supervisor.spawn("stubborn", OnError::Stop, stubborn());
    let start = Instant::now();
    let ended = supervisor.run(signals([1, 1]), GRACE).await;
    assert_eq!((ended, start.elapsed().as_secs()), (Ended::Badly, 2));
}

#[tokio::test(start_paused = true)]
async fn it_is_not_ready_while_it_drains() {
    let supervisor = Supervisor::new();
    let (readiness, phases) = (supervisor.readiness().clone(), supervisor.phases().clone());
    assert!(readiness.is_ready());
    supervisor.spawn::<Infallible>("watcher", OnError::Stop, async move {
        phases.stop.cancelled().await;
        assert!(!readiness.is_ready());
        Ok(())
    });
    assert_eq!(supervisor.run(signals([1]), GRACE).await, Ended::Well);
}
