//! Where a bench is told: the caller's side of the answers of a daemon, and of the events of a simulator.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::post;

/// What was posted, and when it had come in whole.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    /// Whether it was forwarded: an event of the simulator, not an answer of the daemon.
    pub(crate) is_event: bool,
    pub(crate) body: Value,
}

/// Takes whatever is posted to it: `/outcomes` it keeps, `/events` it also passes on.
pub(crate) struct Desk {
    address: String,
    heard: Mutex<Receiver<Heard>>,
}

impl Desk {
    /// Opens; events are passed on to the daemon at that address.
    pub(crate) fn open(daemon: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ((told, heard), (on, passed)) = (mpsc::channel(), mpsc::channel::<Value>());
        let daemon = daemon.to_owned();
        thread::spawn(move || {
            for event in passed {
                post(&daemon, "/v1/events", &event);
            }
        });
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (connection, told, on) = (connection.unwrap(), told.clone(), on.clone());
                thread::spawn(move || listen(connection, &told, &on));
            }
        });
        Self { address, heard: Mutex::new(heard) }
    }

    /// The URL of one of its two places.
    pub(crate) fn url(&self, place: &str) -> String {
        format!("http://{}/{place}", self.address)
    }

    /// The next that was posted, if it comes by then.
    pub(crate) fn next(&self, until: Instant) -> Option<Heard> {
        let left = until.saturating_duration_since(now());
        self.heard.lock().unwrap().recv_timeout(left.max(Duration::from_millis(1))).ok()
    }

    /// The next answer to a task token, if it comes by then.
    pub(crate) fn answer(&self, until: Instant) -> Option<Heard> {
        loop {
            let heard = self.next(until)?;
            if heard.body.get("taskToken").is_some() {
                return Some(heard);
            }
        }
    }
}

/// Wall time, which is what is measured.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Takes one request after the other until the other side hangs up.
fn listen(connection: TcpStream, told: &Sender<Heard>, on: &Sender<Value>) -> Option<()> {
    connection.set_nodelay(true).ok()?;
    let mut writing = connection.try_clone().ok()?;
    let mut reading = BufReader::new(connection);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reading.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if first.is_empty() {
                first.clone_from(&line);
            }
            let line = line.trim_end().to_lowercase();
            if let Some(said) = line.strip_prefix("content-length:") {
                length = said.trim().parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reading.read_exact(&mut body).ok()?;
        let (at, body) = (now(), serde_json::from_slice::<Value>(&body).ok()?);
        let is_event = first.contains("/events");
        if is_event {
            on.send(body.clone()).ok()?;
        }
        // Nobody may be listening any more.
        drop(told.send(Heard { at, is_event, body }));
        writing
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            .ok()?;
    }
}
