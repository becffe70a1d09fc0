//! Lists, in whatever pieces they come.

use proptest::prelude::*;

use super::*;
use crate::domain::instruction::Instruction;

fn read(key: &str, list: &[u8], piece: usize) -> Result<Vec<Instruction>, Failure> {
    let (mut reader, mut rows) = (ListReader::of(key), Vec::new());
    for piece in list.chunks(piece.max(1)) {
        reader.push(piece, &mut rows)?;
    }
    reader.finish(&mut rows)?;
    Ok(rows)
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

fn object(bucket: &str, key: &str) -> Instruction {
    Instruction { bucket: bucket.into(), key: key.into(), ..Instruction::default() }
}

const CSV: &str =
    "\u{feff}bucket,key\nbkt,a/b.bam\r\n\"bkt\",\"with, comma\"\nbkt,\"say \"\"x\"\" é+%\"\n\nbk2,/a//b";

#[test]
fn a_csv_says_the_same_in_any_pieces() {
    let expected = vec![
        object("bkt", "a/b.bam"),
        object("bkt", "with, comma"),
        object("bkt", "say \"x\" é+%"),
        object("bk2", "/a//b"),
    ];
    for piece in [1, 2, 3, 7, 1000] {
        assert_eq!(read("x.csv", CSV.as_bytes(), piece).unwrap(), expected);
        assert_eq!(read("x.CSV.gz", &gzip(CSV.as_bytes()), piece).unwrap(), expected);
        // Packed without saying so.
        assert_eq!(read("x.csv", &gzip(CSV.as_bytes()), piece).unwrap(), expected);
    }
    assert_eq!(read("x.csv", b"", 1).unwrap(), []);
}

#[test]
fn json_lines_say_the_same_in_any_pieces() {
    let lines = r#"{"sourceBucket":"bkt","sourceKey":"p/*","destinationRelativeFolderKey":"./sub/","other":1}

{"sourceBucket":"bkt","sourceKey":"p/k","sourceRootFolderKey":"p/","sourceNoSignRequest":true,"sums":null}"#;
    let expected = vec![
        Instruction { relative: Some("sub/".into()), ..object("bkt", "p/*") },
        Instruction { root: Some("p/".into()), unsigned: true, ..object("bkt", "p/k") },
    ];
    for piece in [1, 5, 1000] {
        assert_eq!(read("x.jsonl", lines.as_bytes(), piece).unwrap(), expected);
        assert_eq!(read("x.jsonl.gz", &gzip(lines.as_bytes()), piece).unwrap(), expected);
    }
}

#[test]
fn a_broken_line_is_named() {
    let long = format!("bkt,{}\n", "x".repeat(LONGEST_LINE + 1));
    let cases: [(&str, &[u8], &str); 21] = [
        ("x.csv", b"bkt,k\nbkt\n", "line 2 of the list has one column"),
        ("x.csv", b"bkt,k,z\n", "line 1 of the list has more than the two columns"),
        ("x.csv", b"bkt,\xff\n", "line 1 of the list is not UTF-8"),
        ("x.csv", long.as_bytes(), "line 1 of the list is too long"),
        ("x.csv", b"bkt,../k\n", "line 1 of the list: sourceKey cannot contain '..'"),
        ("x.csv", b"bkt,k\n,k\n", "line 2 of the list: sourceBucket must be specified as a string"),
        ("x.csv", b"bkt,k\n\n\n\nbkt\n", "line 5 of the list has one column"),
        ("x.csv", b"bkt,\"k\nk\"\nbkt\n", "line 3 of the list has one column"),
        ("x.csv", b"bkt,k\r\n\r\nbkt\r\n", "line 3 of the list has one column"),
        ("x.csv", b"bkt,k\r\rbkt\r", "line 3 of the list has one column"),
        ("x.csv", b"bkt,\"k\r\nk\r\n\"\r\nbkt\r\n", "line 4 of the list has one column"),
        ("x.csv", b"bkt,k\n\nbkt,\"k\nbkt,l\nbkt,m", "line 3 of the list has a quote that is never closed"),
        ("x.csv", b"bkt,k\nbkt,l\"m\"\n", "line 2 of the list has a quote inside a field without quotes"),
        ("x.csv", b"bkt,k\nbkt,\"l\"m\n", "line 2 of the list has text behind a quoted field"),
        ("x.csv", b"bkt,k\n\n{}", "line 3 of the list has one column"),
        (
            "x.csv",
            b"bkt,k\nmy bucket,k\n",
            "line 2 of the list: sourceBucket is no name of a bucket: a bucket's name",
        ),
        (
            "x.jsonl",
            br#"{"sourceBucket":"arn:aws:s3:us-east-1:111122223333:accesspoint/x","sourceKey":"k"}"#,
            "line 1 of the list: sourceBucket is no name of a bucket: it is an ARN",
        ),
        ("x.csv", b"\x1f\x8bnot", "the list is broken: it does not unpack"),
        ("x.jsonl", b"{}\n", "line 1 of the list: sourceBucket must be specified as a string"),
        ("x.jsonl", b"\n[]\n", "line 2 of the list is no JSON object"),
        ("x.jsonl", b"{", "line 1 of the list is not JSON"),
    ];
    for (key, list, expected) in cases {
        let failure = read(key, list, 3).unwrap_err();
        assert!(failure.message.starts_with(expected), "{}", failure.message);
    }
}

#[test]
fn a_quote_swallows_no_more_than_a_key() {
    let list = format!("bkt,k\nbkt,\"open\n{}", "bkt,k\n".repeat(10_000));
    let failure = read("x.csv", list.as_bytes(), 1000).unwrap_err();
    assert!(
        failure.message.starts_with("line 2 of the list has a quote that is not closed"),
        "{}",
        failure.message
    );
}

#[test]
fn a_list_is_not_read_beyond_what_it_may_have() {
    let bomb = gzip(&vec![b'\n'; 1 << 20]);
    for (most, fine) in [(1 << 20, true), ((1 << 20) - 1, false)] {
        let (mut reader, mut rows) = (ListReader::of("x.csv").at_most(most), Vec::new());
        let read = reader.push(&bomb, &mut rows).and_then(|()| reader.finish(&mut rows));
        assert_eq!(read.is_ok(), fine);
    }
}

#[test]
fn a_bomb_is_taken_in_sips() {
    let bomb = gzip(&vec![b' '; 50 << 20]);
    assert!(read("x.jsonl", &bomb, bomb.len()).unwrap_err().message.contains("too long"));
}

proptest! {
    #[test]
    fn any_bytes_give_lines_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50) {
        for key in ["x.csv", "x.jsonl"] {
            let one = read(key, &bytes, piece);
            let other = read(key, &bytes, 1000);
            prop_assert_eq!(one.is_ok(), other.is_ok());
            if let (Ok(one), Ok(other)) = (one, other) {
                prop_assert_eq!(one, other);
            }
        }
    }

    #[test]
    fn what_is_written_as_csv_is_read_back(keys in proptest::collection::vec("[a-z/ ,\"+%é]{1,20}", 1..20)) {
        let quoted = |key: &String| format!("bkt,\"{}\"\n", key.replace('"', "\"\""));
        let list: String = keys.iter().map(quoted).collect();
        let rows = read("x.csv", list.as_bytes(), 3).unwrap();
        prop_assert_eq!(rows, keys.iter().map(|key| object("bkt", key)).collect::<Vec<_>>());
    }
}
