//! The platform's job events, as unreliable as they may be: lost, told twice, told late.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::post};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

/// Takes events and passes some of them on.
#[derive(Debug)]
pub(crate) struct Gossip {
    pub(crate) url: String,
    teller: Arc<Teller>,
    _server: JoinSet<()>,
}

#[derive(Debug)]
struct Teller {
    to: OnceLock<(aws_sdk_sqs::Client, String)>,
    dice: Mutex<StdRng>,
}

async fn hear(State(teller): State<Arc<Teller>>, Json(event): Json<Value>) {
    let times = match teller.dice.lock().unwrap().random_range(0..10) {
        0 | 1 => 0,
        2 | 3 => 2,
        _ => 1,
    };
    for _ in 0..times {
        teller.tell(&event).await;
        if times > 1 {
            sleep(Duration::from_millis(300)).await;
        }
    }
}

impl Teller {
    async fn tell(&self, event: &Value) {
        let Some((sqs, queue)) = self.to.get() else { return };
        sqs.send_message().queue_url(queue).message_body(event.to_string()).send().await.ok();
    }
}

impl Gossip {
    pub(crate) async fn listen(seed: u64) -> Self {
        let teller = Arc::new(Teller { to: OnceLock::new(), dice: Mutex::new(StdRng::seed_from_u64(seed)) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(hear)).with_state(Arc::clone(&teller));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, teller, _server: server }
    }

    /// From now on they are passed on to that queue.
    pub(crate) fn tell(&self, sqs: &aws_sdk_sqs::Client, queue: &str) {
        self.teller.to.set((sqs.clone(), queue.to_owned())).unwrap();
    }
}
