//! A stretch of network that can be made bad: a TCP proxy before one service.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use crate::traffic::{Seen, Stream};

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They pass.
    Pass,
    /// Connections are closed as soon as they are made, and those that are there at once.
    Refuse,
    /// Nothing moves, either way. What was held back passes afterwards, when nobody expects it.
    Stall,
    /// Requests pass; of each answer only so many bytes, then the connection is closed.
    Cut(usize),
}

#[derive(Debug, Clone, Copy)]
struct Weather {
    mode: Mode,
    /// How often all connections have been severed.
    cuts: u64,
}

/// One service's proxy, until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    weather: watch::Sender<Weather>,
    _listener: JoinSet<()>,
}

impl Proxy {
    /// A proxy before that `host:port`, which tells of the requests that pass.
    pub(crate) async fn before(name: &'static str, upstream: &str, seen: &Arc<Seen>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (weather, watching) = watch::channel(Weather { mode: Mode::Pass, cuts: 0 });
        let (upstream, seen) = (upstream.to_owned(), Arc::clone(seen));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => {
                        connections.spawn(connection(client, upstream.clone(), watching.clone(), Arc::clone(&seen)));
                    }
                    Some(_) = connections.join_next(), if !connections.is_empty() => {}
                }
            }
        });
        Self { name, url, weather, _listener: tasks }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.weather.send_modify(|weather| weather.mode = mode);
    }

    /// Severs every connection there is; new ones are fine.
    pub(crate) fn sever(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }
}

async fn connection(client: TcpStream, upstream: String, weather: watch::Receiver<Weather>, seen: Arc<Seen>) {
    let mut severed = weather.clone();
    let born = severed.borrow().cuts;
    let both_ways = async {
        let Ok(server) = TcpStream::connect(&upstream).await else { return };
        for end in [&client, &server] {
            end.set_nodelay(true).ok();
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = requests(from_client, to_server, weather.clone(), &seen) => {}
            () = answers(from_server, to_client, weather) => {}
        }
    };
    tokio::select! {
        () = both_ways => {}
        _ = severed.wait_for(|now| now.cuts != born || now.mode == Mode::Refuse) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    seen: &Seen,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut stream = Stream::default();
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        if weather.wait_for(|now| now.mode != Mode::Stall).await.is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
        stream.passed(&buffer[..length], seen);
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let Ok(mode) = weather.wait_for(|now| now.mode != Mode::Stall).await.map(|now| now.mode) else {
            return;
        };
        let passes = if let Mode::Cut(after) = mode { length.min(after) } else { length };
        if to.write_all(&buffer[..passes]).await.is_err() || matches!(mode, Mode::Cut(_)) {
            return;
        }
    }
}
