//! How full the queues are: asked now and then, for the metrics and for whoever looks at the page.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    ports::{
        Ports,
        queue::{Depth, Queue},
    },
    signals,
};

/// Between two looks: queues that are asked cost calls, and the numbers are estimates on AWS.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What was last seen of each queue.
#[derive(Debug, Default)]
pub(super) struct Depths(Mutex<Vec<(&'static str, Option<Depth>)>>);

impl Depths {
    /// A few words for each queue that was looked at.
    pub(super) fn told(&self) -> Vec<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|(queue, depth)| words(queue, depth.as_ref())).collect()
    }

    fn note(&self, queue: &'static str, depth: Option<Depth>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.iter_mut().find(|(of, _)| *of == queue) {
            Some((_, noted)) => *noted = depth,
            None => seen.push((queue, depth)),
        }
    }
}

fn words(queue: &str, depth: Option<&Depth>) -> String {
    let Some(Depth { waiting, in_flight, dead_letters }) = depth else {
        return format!("{queue} queue: depth not known");
    };
    let dead = match dead_letters {
        None => "dead letters not known".to_owned(),
        Some(1) => "1 dead letter".to_owned(),
        Some(many) => format!("{many} dead letters"),
    };
    format!("{queue} queue: {waiting} waiting, {in_flight} in flight, {dead}")
}

/// The queues of a daemon, by what they are called there.
pub(super) fn queues(ports: &Ports) -> Vec<(&'static str, Arc<dyn Queue>)> {
    let job_events = ports.job_events.clone().map(|queue| ("job events", queue));
    std::iter::once(("requests", ports.requests.clone())).chain(job_events).collect()
}

/// Looks at the queues again and again until `off`.
pub(super) async fn look_at_queues(
    queues: Vec<(&'static str, Arc<dyn Queue>)>,
    depths: Arc<Depths>,
    off: CancellationToken,
) -> Result<(), Infallible> {
    let mut troubled: Vec<&str> = Vec::new();
    loop {
        let look = async {
            for (name, queue) in &queues {
                let seen = queue.depth().await;
                match &seen {
                    Ok(Depth { waiting, in_flight, dead_letters }) => {
                        signals::queue::depth(name, *waiting, *in_flight, *dead_letters);
                        troubled.retain(|queue| queue != name);
                    }
                    // Once each time that it begins: without the right to ask it never ends.
                    Err(error) if !troubled.contains(name) => {
                        signals::queue::depth_unknown(name, error);
                        troubled.push(name);
                    }
                    Err(_) => {}
                }
                depths.note(name, seen.ok());
            }
            sleep(LOOK_EVERY).await;
        };
        tokio::select! {
            biased;
            () = off.cancelled() => return Ok(()),
            () = look => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::ports::{Class, Error, Result, queue::Message};

    /// A queue that has its depth asked, and tells a different one each time.
    #[derive(Debug, Default)]
    struct Asked(Mutex<u64>);

    #[async_trait]
    impl Queue for Asked {
        async fn receive(&self) -> Result<Vec<Message>> {
            std::future::pending().await
        }

        async fn delete(&self, _: &[String]) -> Result<Vec<String>> {
            Ok(Vec::new())
        }

        async fn release(&self, _: &[String]) -> Result<()> {
            Ok(())
        }

        async fn depth(&self) -> Result<Depth> {
            let mut times = self.0.lock().unwrap();
            *times += 1;
            if *times == 2 {
                return Err(Error::new(Class::Forbidden, "GetQueueAttributes", "no"));
            }
            Ok(Depth { waiting: *times, in_flight: 0, dead_letters: (*times > 2).then_some(1) })
        }

        fn max_receives(&self) -> Option<u32> {
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn queues_are_asked_every_half_minute_however_often_the_page_is_looked_at() {
        let (queue, depths, off) =
            (Arc::new(Asked::default()), Arc::new(Depths::default()), CancellationToken::new());
        assert_eq!(depths.told(), [""; 0]);
        let looks = look_at_queues(vec![("requests", queue.clone())], depths.clone(), off.clone());
        let watch = async {
            sleep(Duration::from_millis(100)).await;
            for (asked, told) in [
                (1, "requests queue: 1 waiting, 0 in flight, dead letters not known"),
                (2, "requests queue: depth not known"),
                (3, "requests queue: 3 waiting, 0 in flight, 1 dead letter"),
            ] {
                for _ in 0..3 {
                    sleep(Duration::from_secs(9)).await;
                    assert_eq!((depths.told(), *queue.0.lock().unwrap()), (vec![told.to_owned()], asked));
                }
                sleep(Duration::from_secs(3)).await;
            }
            off.cancel();
        };
        assert!(tokio::join!(looks, watch).0.is_ok());
    }
}
