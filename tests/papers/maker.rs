//! Makes what a check asks for, over a socket: one request a connection, in JSON, and the paper as its answer.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    thread,
};

use copy_manager::papers::{
    delivery::{ro_crate, sums},
    script::{Head, Row, Script},
};
use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Asked {
    what: String,
    name: String,
    id: String,
    expires: Timestamp,
    rows: Vec<Given>,
}

#[derive(Deserialize)]
struct Given {
    path: String,
    size: u64,
    url: String,
    md5: Option<String>,
    sha256: Option<String>,
}

/// Listens on a port from now on. What cannot be made gets no answer.
pub(crate) fn listen() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap()));
        }
    });
    port
}

fn answer(mut stream: TcpStream) {
    let mut asked = Vec::new();
    stream.read_to_end(&mut asked).unwrap();
    stream.write_all(make(&serde_json::from_slice(&asked).unwrap()).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
}

fn make(asked: &Asked) -> String {
    match asked.what.as_str() {
        "script" => script(asked),
        "ro-crate" => ro_crate(asked),
        what => {
            let mut text = String::new();
            for row in &asked.rows {
                let sum = if what == "md5sum" { &row.md5 } else { &row.sha256 };
                sums::push_line(&mut text, sum.as_deref().unwrap(), &row.path);
            }
            text
        }
    }
}

fn script(asked: &Asked) -> String {
    let mut script = Script::new(&Head {
        name: &asked.name,
        id: &asked.id,
        expires: asked.expires,
        files: asked.rows.len() as u64,
        bytes: asked.rows.iter().map(|row| row.size).sum(),
    });
    let mut text = String::new();
    for row in &asked.rows {
        let (md5, sha256) = (row.md5.as_deref(), row.sha256.as_deref());
        script.take(&Row { path: &row.path, size: row.size, url: &row.url, md5, sha256 }).unwrap();
        text.push_str(&script.drain());
    }
    text + &script.finish().unwrap()
}

fn ro_crate(asked: &Asked) -> String {
    let mut parts = ro_crate::Parts::new(&ro_crate::Head {
        name: &asked.name,
        id: &asked.id,
        date: asked.expires,
        description: "A data package.",
        license: "Ask the sender.",
    });
    for row in &asked.rows {
        parts.take(&row.path);
    }
    let mut files = parts.files();
    for row in &asked.rows {
        let (md5, sha256) = (row.md5.as_deref(), row.sha256.as_deref());
        files.take(&ro_crate::File { path: &row.path, size: row.size, md5, sha256 }).unwrap();
    }
    files.finish()
}
