//! What a strict reader of lines lets through, the database takes: values by chance, most of them nearly right.

use std::pin::pin;

use bytes::Bytes;
use copy_manager::domain::replica::{
    lines::{Care, Header, Manner, Of, Tally},
    shape::{Column, Enumeration, Kind, Part as Side, Scalar, Shape},
};
use futures_util::SinkExt as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    postgres::Database,
    world::{key, on_each},
};

/// Values of each kind.
const TRIES: u64 = 3000;
/// What values are changed with.
const PIECES: [&str; 36] = [
    "0", "1", "9", "-", "+", ".", "e", "E", ":", " ", "T", "Z", "/", "\\\\", "\\t", "\\n", "\\N", "\\.",
    "\\x41", "\"", "{", "}", "[", "]", ",", "a", "f", "null", "NaN", "inf", "\\0", "\\u0000", "é",
    "\u{feff}", "00000", "99999",
];

/// A kind, and values that it has.
fn kinds() -> Vec<(Kind, Vec<&'static str>)> {
    let state =
        Enumeration { name: "courses__state".to_owned(), labels: vec!["open".into(), "shut, or so".into()] };
    let one = |scalar, values: &[&'static str]| (Kind::One(scalar), values.to_vec());
    let list = |scalar, values: &[&'static str]| (Kind::List(scalar), values.to_vec());
    let texts = ["", "a", "abc", "\\\\N", "x\\ty", "__cd2_oversized_truncated__", "ünïcödé", "\\N"];
    vec![
        one(Scalar::Smallint, &["0", "-32768", "32767", "32768"]),
        one(Scalar::Integer, &["0", "2147483647", "-2147483649", "007"]),
        one(Scalar::Bigint, &["1", "9223372036854775807", "9223372036854775808"]),
        one(Scalar::Real, &["1.5", "3.4e38", "1e39", "1e-46", "NaN", "Infinity"]),
        one(Scalar::Double, &["1.5", "1.7e308", "1e309", "4.9e-324", "-0", "NaN"]),
        one(Scalar::Numeric { precision: 5, scale: 2 }, &["999.99", "1000", "0.001", "-1.234", "1e2"]),
        one(Scalar::Boolean, &["true", "false", "t", "yes"]),
        one(Scalar::Text, &texts),
        one(Scalar::Varchar(3), &texts),
        one(Scalar::Char(3), &texts),
        one(
            Scalar::Timestamp,
            &[
                "2024-02-29T01:02:03.456789Z",
                "2024-01-01T00:00:00+05:30",
                "0000-01-01T00:00:00Z",
                "99999-12-31T23:59:60Z",
            ],
        ),
        one(Scalar::Date, &["2024-02-29", "2023-02-29", "-0001-01-01", "10000-01-01"]),
        one(Scalar::Time, &["23:59:59.999999", "24:00:00", "1:2", "12:60:00"]),
        one(Scalar::Uuid, &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"]),
        one(Scalar::Inet, &["10.0.0.1", "10.0.0.1/8", "::1", "fe80::1%eth0", "256.1.1.1", "1.2.3"]),
        one(Scalar::Jsonb, &["{}", "{\"a\": [1, null]}", "\"\\\\u0000\"", "1e400", "\"\\\\ud800\"", "[1, ]"]),
        one(Scalar::JsonOrText, &["five", "5", "\"5\"", "{\"a\""]),
        one(Scalar::Enum(state), &["open", "shut, or so", "ajar"]),
        list(Scalar::Text, &["[]", "[\"a\", null, \"\\\\\\\\\"]", "[[\"a\"]]", "[\"{\"]", "null"]),
        list(Scalar::Bigint, &["[1, 2]", "[9223372036854775808]", "[1.0]", "[\"1\"]"]),
        list(Scalar::Timestamp, &["[\"2024-01-01T00:00:00Z\"]", "[\"never\"]"]),
    ]
}

/// A value, with some of it changed.
fn drawn(dice: &mut StdRng, values: &[&str]) -> String {
    let mut below = |end: usize| usize::try_from(dice.next_u64() % end.max(1) as u64).unwrap();
    let mut chars: Vec<String> = values[below(values.len())].chars().map(String::from).collect();
    for _ in 0..below(4) {
        let at = below(chars.len() + 1);
        match below(3) {
            0 => chars.insert(at, PIECES[below(PIECES.len())].to_owned()),
            1 if at < chars.len() => drop(chars.remove(at)),
            _ if at < chars.len() => PIECES[below(PIECES.len())].clone_into(&mut chars[at]),
            _ => {}
        }
    }
    chars.concat()
}

/// Whether the database takes lines; what it says where it does not.
async fn taken(database: &Database, lines: &[Vec<u8>]) -> Result<(), String> {
    let sink = database.client.copy_in::<_, Bytes>("COPY tried FROM STDIN").await.unwrap();
    let mut sink = pin!(sink);
    sink.send(Bytes::from(lines.concat())).await.unwrap();
    sink.finish()
        .await
        .map(drop)
        .map_err(|error| error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string))
}

#[tokio::test]
async fn what_is_let_through_is_taken() {
    on_each(|database| async move {
        let labels =
            "CREATE SCHEMA canvas; CREATE TYPE canvas.courses__state AS ENUM ('open', 'shut, or so')";
        database.client.batch_execute(labels).await.unwrap();
        for (number, (kind, values)) in kinds().into_iter().enumerate() {
            let column = Column {
                name: "v".into(),
                part: Side::Value,
                kind,
                required: false,
                default: None,
                comment: None,
            };
            let made = match column.kind.scalar() {
                Scalar::Enum(_) => "canvas.courses__state".to_owned(),
                _ => column.kind.to_string(),
            };
            let table = format!("DROP TABLE IF EXISTS tried; CREATE TABLE tried (id bigint, v {made})");
            database.client.batch_execute(&table).await.unwrap();
            let shape = Shape { columns: vec![key("id", Scalar::Bigint), column], comment: None };
            let manner = Manner { care: Care::Strict, ..Manner::default() };
            let rules = Header::read(b"key.id\tvalue.v", &shape, Of::Snapshot, &manner).unwrap();
            let mut dice = StdRng::seed_from_u64(number as u64);
            let mut through = Vec::new();
            for n in 0..TRIES {
                let line = format!("{n}\t{}", drawn(&mut dice, &values));
                let (mut out, mut tally) = (Vec::new(), Tally::new(1));
                rules.line(line.as_bytes(), &mut out, &mut tally).unwrap();
                through.extend((!out.is_empty()).then_some((line, out)));
            }
            assert!(through.len() > 300, "{made}: of {TRIES} only {} are let through", through.len());
            let lines: Vec<_> = through.iter().map(|(_, out)| out.clone()).collect();
            if taken(&database, &lines).await.is_err() {
                for (line, out) in through {
                    let refused = taken(&database, std::slice::from_ref(&out)).await;
                    assert_eq!(
                        refused,
                        Ok(()),
                        "{made}: {line:?} is let through as {:?}",
                        String::from_utf8_lossy(&out)
                    );
                }
            }
        }
    })
    .await;
}
