//! What the operating system asks of us, and we of it: the signals that end the process, and the limit
//! of files and sockets.

use std::{io, task::Poll};

use futures_util::{Stream, stream};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::signals::process;

/// The names of SIGTERM, SIGINT and SIGHUP as they arrive. From here on none of them ends the process by
/// itself.
pub fn stop_signals() -> io::Result<impl Stream<Item = &'static str> + Unpin + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(stream::poll_fn(move |context| {
        if let Poll::Ready(Some(())) = terminate.poll_recv(context) {
            return Poll::Ready(Some("SIGTERM"));
        }
        if let Poll::Ready(Some(())) = hang_up.poll_recv(context) {
            return Poll::Ready(Some("SIGHUP"));
        }
        interrupt.poll_recv(context).map(|received| received.map(|()| "SIGINT"))
    }))
}

/// Allows this process as many files and sockets as it may allow itself.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            return process::file_limit_stays(&error);
        }
    }
    process::file_limit(limit.current.unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_files_can_be_allowed_than_are() {
        let hard = getrlimit(Resource::Nofile).maximum;
        let mut low = getrlimit(Resource::Nofile);
        low.current = Some(hard.map_or(256, |hard| hard.min(256)));
        setrlimit(Resource::Nofile, low).unwrap();
        raise_file_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }
}
