//! The simulator on a socket.
//!
//! Not [`axum::serve()`]: a connection must be closable without an answer.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Duration, sleep},
};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "canvas")]
use super::dap::DapSimulator;
use super::{Simulator, api::Closed, in_process};

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer, as asked for through /sim/faults")]
struct Hangup;

/// Serves HTTP/1.1 until stopped; then all connections are cut.
pub async fn serve(listener: TcpListener, simulator: Arc<Simulator>, stop: CancellationToken) {
    let router = simulator.router();
    accept(listener, stop, move |request| in_process::call(router.clone(), request)).await;
}

/// Serves the buckets as S3, in the same way.
pub async fn serve_s3(listener: TcpListener, simulator: Arc<Simulator>, stop: CancellationToken) {
    let door = simulator.s3_service();
    let answer = move |request| {
        let door = door.clone();
        async move { door.call(request).await }
    };
    accept(listener, stop, answer).await;
}

/// Serves a simulated Data Access Platform in the same way.
#[cfg(feature = "canvas")]
pub async fn serve_dap(listener: TcpListener, simulator: Arc<DapSimulator>, stop: CancellationToken) {
    let router = simulator.router();
    accept(listener, stop, move |request| in_process::call(router.clone(), request)).await;
}

async fn accept<A, F>(listener: TcpListener, stop: CancellationToken, answer: A)
where
    A: Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // They end when this future does: the set aborts them when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // An answer in two pieces would wait for an acknowledgement that comes 40 ms later.
                    drop(stream.set_nodelay(true));
                    connections.spawn(connection(stream, answer.clone()));
                }
                // Out of file handles, as a rule: closing connections will free some.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "simulator accepts no connection");
                    sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

async fn connection<A, F>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Body>) -> F,
    F: Future<Output = Response<Body>>,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answered = answer(request.map(Body::new));
        async move {
            let response = answered.await;
            if response.extensions().get::<Closed>().is_some() { Err(Hangup) } else { Ok(response) }
        }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(error = &error as &dyn std::error::Error, "simulator connection ended");
    }
}
