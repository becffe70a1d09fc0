//! The signals by which the operating system asks us to stop.

use std::{io, task::Poll};

use futures_util::{Stream, stream};
use tokio::signal::unix::{SignalKind, signal};

/// The names of SIGTERM and SIGINT as they arrive. From here on neither ends the process by itself.
pub fn stop_signals() -> io::Result<impl Stream<Item = &'static str> + Unpin + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(stream::poll_fn(move |context| {
        if let Poll::Ready(Some(())) = terminate.poll_recv(context) {
            return Poll::Ready(Some("SIGTERM"));
        }
        interrupt.poll_recv(context).map(|received| received.map(|()| "SIGINT"))
    }))
}
