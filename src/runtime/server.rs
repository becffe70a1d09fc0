//! The listener: how many connections there may be, and how long each may take for what.
//!
//! Not [`axum::serve()`], which waits for every connection, however slow, and takes any number of them.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long the head of a request may take to come, the wait for the next one included.
pub const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a caller may leave what it is answered unread.
pub const READ_WITHIN: Duration = Duration::from_secs(10);
/// How long connections are waited for at the end.
pub const LINGER: Duration = Duration::from_secs(2);
/// Bytes of the head of a request.
const LONGEST_HEAD: usize = 32 * 1024;
/// Fields in the head of a request.
const MAX_HEADERS: usize = 64;

/// The address at the other end of a connection, among the extensions of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Serves at most so many connections at a time until `stop`; then answers what has been asked already,
/// and drops what is still open after [`LINGER`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    stop: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(max_connections));
    // They end when this future does: the set aborts them when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        // A client without a place waits before it is accepted, where it costs no file handle.
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (Ok(place), accepted) = accept => match accepted {
                Ok((stream, address)) => {
                    let served = connection(stream, Peer(address.ip()), router.clone(), stop.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                // Out of file handles, as a rule: connections that end will free some.
                Err(error) => {
                    crate::signals::process::accepts_nobody(&error);
                    sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Those that take longer are dropped with the set.
    let _have_all_ended = timeout(LINGER, ended).await;
    Ok(())
}

async fn connection(stream: TcpStream, peer: Peer, router: Router, stop: CancellationToken) {
    // An answer in two pieces would wait for an acknowledgement that comes 40 ms later.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MAX_HEADERS);
    let mut connection =
        std::pin::pin!(builder.serve_connection(TokioIo::new(Impatient::new(stream)), service));
    // How a connection ends is its caller's business.
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

/// A connection that breaks when its other end does not read.
struct Impatient<S> {
    stream: S,
    /// When the write under way has lasted too long.
    until: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl<S> Impatient<S> {
    fn new(stream: S) -> Self {
        Self { stream, until: Box::pin(sleep(READ_WITHIN)), is_waiting: false }
    }

    /// What a write came to, unless it has waited for too long.
    fn judge<T>(&mut self, context: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.is_waiting = false;
            return write;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.until.as_mut().reset(Instant::now() + READ_WITHIN);
        }
        ready!(self.until.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, write)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A server with so many places, and how it ended.
    async fn server(places: usize) -> (String, CancellationToken, JoinSet<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let big = "x".repeat(64 << 20);
        let router = Router::new().route("/", get(async || "hello")).route("/big", get(async move || big));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router, places, stop.clone()));
        (address, stop, tasks)
    }

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    async fn answer(address: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(GET).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Whether the other end closes within that time.
    async fn closes(stream: &mut TcpStream, within: Duration) -> bool {
        let mut rest = Vec::new();
        timeout(within, stream.read_to_end(&mut rest)).await.is_ok()
    }

    #[tokio::test]
    async fn half_a_head_holds_nothing_up_at_the_end() {
        let (address, stop, mut tasks) = server(4).await;
        let mut half = TcpStream::connect(&address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
        assert!(answer(&address).await.ends_with("hello"));
        stop.cancel();
        let ended = timeout(LINGER * 3, tasks.join_next()).await.expect("it ends by itself");
        ended.unwrap().unwrap().unwrap();
        assert!(closes(&mut half, LINGER).await);
    }

    #[tokio::test]
    async fn who_has_no_place_waits_for_one_and_slow_heads_give_theirs_up() {
        let (address, _stop, _tasks) = server(2).await;
        let mut slow = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(b"GET /").await.unwrap();
            slow.push(stream);
        }
        // Both places are taken, and no other client is answered before one is free.
        let third = answer(&address);
        tokio::pin!(third);
        assert!(timeout(HEAD_WITHIN / 4, third.as_mut()).await.is_err());
        let answered = timeout(HEAD_WITHIN * 2, third).await.expect("a slow one had to go");
        assert!(answered.ends_with("hello"), "{answered}");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_is_given_up() {
        let (address, _stop, _tasks) = server(1).await;
        let mut deaf = TcpStream::connect(&address).await.unwrap();
        deaf.write_all(b"GET /big HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let answered = timeout(READ_WITHIN * 3, answer(&address)).await.expect("the deaf one had to go");
        assert!(answered.ends_with("hello"), "{answered}");
    }
}
