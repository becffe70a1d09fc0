//! A body that is checked while it passes.
//!
//! The newest chunk is always held back: the last one leaves only when length and MD5 are known to be
//! right, otherwise the body ends with an error and the PUT it feeds is never complete. So two chunks
//! are in memory at a time, whatever the size of the file. Where S3 checks the MD5 itself, it is left to it:
//! hashing takes four times as much processor as all the rest.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use md5::{Digest as _, Md5};
use tokio::time::Instant;

use super::wire::{Body, GET};
use crate::ports::{Class, Error};

/// What the bytes must be.
#[derive(Debug, Clone)]
pub(super) struct Promise {
    pub(super) size: u64,
    pub(super) md5: Option<MustBe>,
    /// Whether the source announced this size too, so that a lack of bytes is a broken connection.
    pub(super) announced: bool,
}

/// What the MD5 (hex) must be.
#[derive(Debug, Clone)]
pub(super) enum MustBe {
    /// This; it is checked here.
    Here(String),
    /// This; whoever stores the bytes refuses others.
    There(String),
}

/// The state that a body shares with the task that watches it.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    moved: Instant,
    fault: Option<Error>,
    /// The MD5 of all bytes, as it was seen here or as another checks it, once they have passed.
    passed: Option<String>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { moved: Instant::now(), fault: None, passed: None })))
    }

    /// When bytes last moved.
    pub(super) fn moved(&self) -> Instant {
        self.state().moved
    }

    /// Why the body ended before its time.
    pub(super) fn take_fault(&self) -> Option<Error> {
        self.state().fault.take()
    }

    /// Whether every byte was let through.
    pub(super) fn has_passed(&self) -> bool {
        self.state().passed.is_some()
    }

    /// The MD5 (hex) of what was let through, all of it.
    pub(super) fn md5(&self) -> Option<String> {
        self.state().passed.clone()
    }

    pub(super) fn touch(&self) {
        self.state().moved = Instant::now();
    }

    fn pass(&self, md5: String) {
        let mut state = self.state();
        state.moved = Instant::now();
        state.passed = Some(md5);
    }

    /// Keeps the reason and returns what ends the body.
    fn fail(&self, fault: Error) -> io::Error {
        let text = fault.message.clone();
        self.state().fault = Some(fault);
        io::Error::other(text)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Checked {
    source: Body,
    promise: Promise,
    progress: Progress,
    hash: Option<Md5>,
    seen: u64,
    held: Option<Bytes>,
}

/// The source's body, ending well only if it is what was promised.
pub(super) fn checked(source: Body, promise: Promise, progress: Progress) -> Body {
    let hash = (!matches!(promise.md5, Some(MustBe::There(_)))).then(Md5::new);
    let state = Checked { source, promise, progress, hash, seen: 0, held: None };
    stream::try_unfold(state, |mut state| async move {
        let chunk = state.next().await?;
        Ok(chunk.map(|chunk| (chunk, state)))
    })
    .boxed()
}

impl Checked {
    /// The next chunk to let through.
    async fn next(&mut self) -> Result<Option<Bytes>, io::Error> {
        if self.progress.has_passed() {
            return Ok(None);
        }
        while let Some(chunk) = self.source.next().await {
            let chunk = chunk.map_err(|error| self.progress.fail(broken(error)))?;
            self.progress.touch();
            if chunk.is_empty() {
                continue;
            }
            self.seen += chunk.len() as u64;
            if self.seen > self.promise.size {
                return Err(self.progress.fail(self.wrong_length("or more")));
            }
            if let Some(hash) = &mut self.hash {
                hash.update(&chunk);
            }
            if let Some(before) = self.held.replace(chunk) {
                return Ok(Some(before));
            }
        }
        let md5 = self.check().map_err(|fault| self.progress.fail(fault))?;
        self.progress.pass(md5);
        Ok(self.held.take())
    }

    /// The MD5 of the bytes, if they are what they must be.
    fn check(&mut self) -> Result<String, Error> {
        if self.seen < self.promise.size && self.promise.announced {
            let message = format!("the source ended after {} of {} bytes", self.seen, self.promise.size);
            return Err(Error::new(Class::Transient, GET, message));
        }
        if self.seen != self.promise.size {
            return Err(self.wrong_length("in all"));
        }
        let seen = hex::encode(self.hash.take().unwrap_or_default().finalize());
        match &self.promise.md5 {
            Some(MustBe::There(md5)) => Ok(md5.clone()),
            Some(MustBe::Here(expected)) if !expected.eq_ignore_ascii_case(&seen) => {
                let message = format!("expected MD5 {expected}, read {seen}");
                Err(Error::new(Class::Invalid, GET, message))
            }
            _ => Ok(seen),
        }
    }

    fn wrong_length(&self, how: &str) -> Error {
        let message = format!("expected {} bytes, read {} {how}", self.promise.size, self.seen);
        Error::new(Class::Invalid, GET, message)
    }
}

fn broken(error: io::Error) -> Error {
    Error::new(Class::Transient, GET, "the source broke off").caused_by(error)
}
