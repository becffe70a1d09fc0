//! What went by: AWS calls by name, and what became of each task token.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

/// Calls that reached AWS, though their answers may have been lost.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Record>);

#[derive(Debug, Default)]
struct Record {
    calls: BTreeMap<String, u64>,
    tokens: HashMap<String, Life>,
}

#[derive(Debug)]
struct Life {
    heard: Instant,
    answered: bool,
    /// Between two heartbeats, or the last one and the answer.
    longest: Duration,
}

/// One connection's requests.
#[derive(Debug, Default)]
pub(crate) struct Stream(Vec<u8>);

impl Stream {
    /// Those bytes have been passed on.
    pub(crate) fn passed(&mut self, bytes: &[u8], seen: &Seen) {
        self.0.extend_from_slice(bytes);
        while let Some((target, body)) = self.request() {
            seen.note(&target, &body);
        }
    }

    /// Takes the first request, once all of it is there.
    fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let end = self.0.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.0[..end]).into_owned();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            values.next().map(|(_, value)| value.trim().to_owned())
        };
        let length: usize = header("content-length").map_or(0, |value| value.parse().unwrap());
        let body = self.0.get(end..end + length)?.to_vec();
        self.0.drain(..end + length);
        Some((header("x-amz-target").unwrap_or_default(), body))
    }
}

impl Seen {
    fn note(&self, target: &str, body: &[u8]) {
        let name = target.rsplit('.').next().unwrap_or_default();
        if name.is_empty() {
            return;
        }
        let mut record = self.0.lock().unwrap();
        *record.calls.entry(name.to_owned()).or_default() += 1;
        if !name.starts_with("SendTask") {
            return;
        }
        let body: Value = serde_json::from_slice(body).unwrap();
        let now = Instant::now();
        let life = record.tokens.entry(body["taskToken"].as_str().unwrap().to_owned()).or_insert(Life {
            heard: now,
            answered: false,
            longest: Duration::ZERO,
        });
        if !life.answered {
            life.longest = life.longest.max(now - life.heard);
            life.heard = now;
        }
        life.answered |= name != "SendTaskHeartbeat";
    }

    /// The longest that a token was without a heartbeat, from its first one to its answer.
    pub(crate) fn longest_silence(&self) -> Duration {
        let record = self.0.lock().unwrap();
        record.tokens.values().map(|life| life.longest).max().unwrap_or_default()
    }

    /// Calls by name.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap().calls.clone()
    }
}
