//! Copies between buckets, beside `rclone` and `s5cmd`.
//!
//! One run of each tool is not counted: it makes the simulator hash what it serves. After each run every object must
//! be at its destination.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::{
    figures::{Book, Row, middle, scale},
    s3_tools::{Cost, Load, OURS, Tool, ours, rclone, run, s5cmd},
    stage::{Events, Stage},
    support::{calls, exchange, now, processor, shown},
};

pub(crate) const NAME: &str = "s3";

const RUNS: usize = 5;
/// The size of the parts of large objects.
const PART: u64 = 8 << 20;
/// How fast one request copies in the last comparison: what AWS's guidance names, the lower end.
const RATE: &str = "85000000/s";
/// Any key opens the simulated buckets.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request";

pub(crate) fn measure(book: &mut Book) {
    let all = Load::all();
    let series = |load: Load| {
        let key = format!("{}/{{n}}", load.folder);
        json!({"key": key, "size": load.size, "count": load.count, "parts": load.size.div_ceil(PART)})
    };
    let world =
        json!({"projects": [], "buckets": [{"name": "src", "objects": all.map(series)}, {"name": "dest"}]});
    bound(book, &world);
    compare(book, &world, &["--latency", "10ms"], &all, "10 ms a call");
    let paced = ["--latency", "10ms", "--s3-copy-rate", RATE];
    compare(book, &world, &paced, &all[1..2], "10 ms and n/(85 MB/s) a call of n bytes");
}

/// What the simulator itself can do bounds all that follows.
fn bound(book: &mut Book, world: &Value) {
    let stage = Stage::set(world, &[], &[], Events::None);
    let (s3, count) = (&*stage.s3, Load::all()[0].count);
    let head =
        |n: usize| format!("HEAD /src/small/{:06} HTTP/1.1\r\nHost: {s3}\r\n{SIGNED}\r\n\r\n", n % count);
    let copy = |n: usize| {
        let from = format!("x-amz-copy-source: src/small/{:06}", n % count);
        format!(
            "PUT /dest/rate/{n} HTTP/1.1\r\nHost: {s3}\r\n{SIGNED}\r\n{from}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    calls_a_second(s3, head);
    let (heads, copies) = (calls_a_second(s3, head), calls_a_second(s3, copy));
    for (what, rate) in [("HEAD", heads), ("CopyObject", copies)] {
        book.row(Row::one(format!("what the simulator answers: {what}, no latency"), "calls/s", rate));
    }
}

/// Calls a second on 8 connections.
fn calls_a_second(s3: &str, request: impl Fn(usize) -> String + Sync) -> f64 {
    const CONNECTIONS: usize = 8;
    const EACH: usize = 2500;
    let began = now();
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let request = &request;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(s3).unwrap();
                stream.set_nodelay(true).unwrap();
                for n in 0..EACH {
                    keep_alive(&mut stream, &request(connection * EACH + n));
                }
            });
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let calls = (CONNECTIONS * EACH) as f64;
    calls / began.elapsed().as_secs_f64()
}

/// Sends a request and reads its answer to the end of its header; HEAD and copies have short bodies.
fn keep_alive(connection: &mut TcpStream, request: &str) {
    connection.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = connection.read(&mut chunk).unwrap();
        assert!(read > 0, "the simulator hung up");
        answer.extend_from_slice(chunk.get(..read).unwrap());
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 20"), "{text}");
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if request.starts_with("HEAD") || body.len() >= length.unwrap_or(0_usize) {
            return;
        }
    }
}

/// Each tool copies each load, in turns.
fn compare(book: &mut Book, world: &Value, options: &[&str], loads: &[Load], how: &str) {
    let stage = Stage::set(world, options, &[], Events::None);
    for load in loads {
        let put = format!("PUT /src/{}.csv HTTP/1.1\r\n{SIGNED}", load.folder);
        assert_eq!(exchange(&stage.s3, &put, &load.list()).0, 200);
    }
    let others = [("rclone", rclone(stage.folder.path(), &stage.s3)), ("s5cmd", s5cmd(&stage.s3))];
    let missing: Vec<_> = others.iter().filter(|(_, tool)| tool.is_none()).map(|(name, _)| *name).collect();
    let mut tools: Vec<_> = std::iter::once(ours(&stage.address))
        .chain(others.into_iter().filter_map(|(_, tool)| tool))
        .collect();
    let runs = if scale() < 1.0 { 2 } else { RUNS };
    for run in 0..=runs {
        for tool in &mut tools {
            for load in loads {
                let cost = cost(&stage, tool, *load, run);
                if run > 0 {
                    tool.costs.entry(load.folder).or_default().push(cost);
                }
            }
        }
    }
    for load in loads {
        write_down(book, &tools, *load, how, &missing);
    }
}

/// Copies a load with a tool, and sees that it has arrived.
fn cost(stage: &Stage, tool: &Tool<'_>, load: Load, number: usize) -> Cost {
    let to = format!("{}-{number}/{}", tool.name, load.folder);
    let is_ours = tool.name == OURS;
    let used = || {
        let daemon = if is_ours { processor(&stage.daemon.id().to_string(), false) } else { 0.0 };
        [processor("self", true) + daemon, processor(&stage.simulator.id().to_string(), false)]
    };
    // Its memory is that of this run.
    stage.daemon.forget_peak();
    let (before, [own, simulator]) = (calls(&stage.controls), used());
    let (seconds, mut most) = run(&mut (tool.command)(load, &to), &stage.folder.path().join("errors"));
    let [own_after, simulator_after] = used();
    if is_ours {
        most = stage.daemon.peak();
    }
    let mut calls = calls(&stage.controls);
    calls.retain(|name, count| {
        *count -= before.get(name).unwrap_or(&0);
        *count > 0
    });
    check(&stage.controls, tool, load, &to);
    let (own, simulator) = (own_after - own, simulator_after - simulator);
    Cost { seconds, own, simulator, memory: most, calls }
}

/// Size and `ETag` of the objects below a prefix, by the names they have there.
fn objects(controls: &str, bucket: &str, prefix: &str) -> BTreeMap<String, (Value, Value)> {
    let found = shown(controls, &format!("objects?bucket={bucket}&prefix={prefix}"));
    let object = |found: &Value| {
        let name = found["key"].as_str().unwrap().strip_prefix(prefix).unwrap().to_owned();
        (name, (found["size"].clone(), found["etag"].clone()))
    };
    found.as_array().unwrap().iter().map(object).collect()
}

/// Sees that each object has arrived. Who copies an object of parts with one call makes another tag.
fn check(controls: &str, tool: &Tool<'_>, load: Load, to: &str) {
    let (from, there) = (format!("{}/", load.folder), format!("{to}/"));
    let (source, made) = (objects(controls, "src", &from), objects(controls, "dest", &there));
    for key in load.keys() {
        let (size, tag) = &source[&key];
        let (made_size, made_tag) = made.get(&key).unwrap_or_else(|| panic!("{}: no {to}/{key}", tool.name));
        assert_eq!(size, made_size, "{}: {to}/{key}", tool.name);
        if load.size < PART || tool.name == OURS {
            assert_eq!(tag, made_tag, "{}: {to}/{key}", tool.name);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
fn write_down(book: &mut Book, tools: &[Tool<'_>], load: Load, how: &str, missing: &[&str]) {
    let Load { folder, count, size } = load;
    let from_list = if folder == "many" { " from a list" } else { "" };
    let size = if size < PART { format!("{} KiB", size >> 10) } else { format!("{} MiB", size >> 20) };
    let name = format!("{count} × {size}{from_list}, {how}");
    let of = |tool: &Tool<'_>, value: &dyn Fn(&Cost) -> f64| {
        tool.costs.get(folder).into_iter().flatten().map(value).collect::<Vec<_>>()
    };
    let seconds = |tool: &Tool<'_>| middle(&of(tool, &|cost| cost.seconds));
    let each = |cost: &Cost| cost.calls.values().sum::<u64>() as f64 / count as f64;
    let others = tools.iter().filter(|tool| tool.name != OURS);
    let better = others.clone().min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
    let aim = match (folder, how.contains("MB/s")) {
        ("small", _) => Some(1.2),
        ("large", true) => Some(1.5),
        _ => None,
    };
    for tool in tools.iter().filter(|tool| tool.name == OURS) {
        let row = Row::median(format!("{name}: time"), "s", &of(tool, &|cost| cost.seconds));
        book.row(match better {
            Some(better) => row.peer(better.name, Some(seconds(better))),
            None => row,
        });
        let beside = format!("{name}: times as fast as the better of the others");
        let row = match better {
            Some(better) => {
                let ratios = of(tool, &|cost| seconds(better) / cost.seconds);
                Row::median(beside, "×", &ratios)
            }
            None => Row::none(beside, "×", "**neither rclone nor s5cmd is there to compare with**"),
        };
        let row = if aim.is_some() { row.at_least(aim.unwrap_or_default()) } else { row };
        let lacking = format!("**without {}, which is not installed**", missing.join(" and "));
        book.row(if missing.len() == 1 { row.note(lacking) } else { row });
        book.row(Row::median(format!("{name}: calls of S3"), "an object", &of(tool, &each)));
        let note = format!("the simulator beside it {:.2}", middle(&of(tool, &|cost| cost.simulator)));
        book.row(Row::median(format!("{name}: processor"), "s", &of(tool, &|cost| cost.own)).note(note));
        book.row(Row::median(format!("{name}: the most memory"), "MiB", &of(tool, &|cost| cost.memory)));
    }
    for tool in others {
        let typical = |value: &dyn Fn(&Cost) -> f64| middle(&of(tool, value));
        let note = format!(
            "{:.2} calls an object, {:.2} s of processor, {:.0} MiB",
            typical(&each),
            typical(&|cost| cost.own),
            typical(&|cost| cost.memory)
        );
        let row = Row::median(format!("{name}: time of {}", tool.name), "s", &of(tool, &|cost| cost.seconds));
        book.row(row.note(note));
    }
}
