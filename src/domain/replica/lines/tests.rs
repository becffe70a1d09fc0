//! Lines, as the source writes them and as COPY takes them.

use super::*;
use crate::domain::replica::shape::Enumeration;

fn column(name: &str, kind: Kind) -> Column {
    Column { name: name.to_owned(), part: Part::Value, kind, required: false, default: None, comment: None }
}

fn one(scalar: Scalar) -> Kind {
    Kind::One(scalar)
}

fn shape(columns: Vec<Column>) -> Shape {
    let key = Column { part: Part::Key, required: true, ..column("id", one(Scalar::Bigint)) };
    Shape { columns: std::iter::once(key).chain(columns).collect(), comment: None }
}

fn manner(care: Care) -> Manner {
    Manner { care, ..Manner::default() }
}

/// Lines under a header, as they are written, and what was found out.
fn write(
    header: &str,
    lines: &[u8],
    shape: &Shape,
    of: Of,
    manner: &Manner,
) -> Result<(String, Tally), LineError> {
    let rules = Header::read(header.as_bytes(), shape, of, manner).unwrap();
    let (mut out, mut tally) = (Vec::new(), Tally::new(100));
    rules.lines(lines, &mut out, &mut tally)?;
    Ok((String::from_utf8(out).unwrap(), tally))
}

/// A snapshot's column `c`, field by field.
fn fields(fields: &[&str], kind: Kind, manner: &Manner) -> (Vec<String>, Tally) {
    let lines: Vec<_> = fields.iter().map(|field| format!("T\t1\t{field}\n")).collect();
    let lines = lines.concat();
    let shape = shape(vec![column("c", kind)]);
    let (out, tally) =
        write("meta.ts\tkey.id\tvalue.c", lines.as_bytes(), &shape, Of::Snapshot, manner).unwrap();
    let strip = |line: &str| line.strip_prefix("1\t").unwrap().to_owned();
    (out.split_terminator('\n').map(strip).collect(), tally)
}

fn both(given: &[&str], kind: &Kind, wanted: &[&str]) {
    for care in [Care::Trusting, Care::Strict] {
        let (out, tally) = fields(given, kind.clone(), &manner(care));
        assert_eq!(out, wanted, "{care:?}: {:?}", tally.misfits);
    }
}

fn states() -> Scalar {
    Scalar::Enum(Enumeration { name: "t__state".to_owned(), labels: vec!["a".to_owned(), "it's".to_owned()] })
}

#[test]
fn columns_are_named_in_the_order_of_the_header() {
    let shape = shape(vec![column("a", one(Scalar::Text)), column("b", one(Scalar::Text))]);
    let header = "value.b\tmeta.ts\tkey.id\tvalue.a\tmeta.new";
    let rules = Header::read(header.as_bytes(), &shape, Of::Snapshot, &Manner::default()).unwrap();
    assert_eq!(rules.columns(), ["b", "id", "a"]);
    let (out, _) = write(header, b"B\tT\t1\tA\tnew\n", &shape, Of::Snapshot, &Manner::default()).unwrap();
    assert_eq!(out, "B\t1\tA\n");
}

#[test]
fn a_header_that_does_not_fit_says_what_is_wrong() {
    let needed = Column { required: true, ..column("needed", one(Scalar::Text)) };
    let shape = shape(vec![needed, column("a", one(Scalar::Text))]);
    let read =
        |header: &str, of| Header::read(header.as_bytes(), &shape, of, &Manner::default()).unwrap_err();
    let all = "key.id\tvalue.needed";
    assert_eq!(
        read(&format!("{all}\tvalue.new"), Of::Snapshot),
        HeaderError::Unknown("value.new".to_owned())
    );
    assert_eq!(read(&format!("{all}\tkey.a"), Of::Snapshot), HeaderError::Unknown("key.a".to_owned()));
    assert_eq!(read(&format!("{all}\tid"), Of::Snapshot), HeaderError::Unknown("id".to_owned()));
    let long = read(&format!("{all}\tvalue.{}", "\u{7}x".repeat(1000)), Of::Snapshot).to_string();
    assert!(long.len() < 1000 && !long.contains('\u{7}'), "{long}");
    assert_eq!(read("value.needed", Of::Snapshot), HeaderError::Missing("key.id".to_owned()));
    assert_eq!(read("key.id", Of::Snapshot), HeaderError::Missing("value.needed".to_owned()));
    assert_eq!(read(&format!("{all}\tkey.id"), Of::Snapshot), HeaderError::Twice("key.id".to_owned()));
    assert_eq!(read(all, Of::Changes), HeaderError::Missing("meta.ts".to_owned()));
    assert_eq!(read(&format!("meta.ts\t{all}"), Of::Changes), HeaderError::Missing("meta.action".to_owned()));
    let missing = Header::read(all.as_bytes(), &shape, Of::Snapshot, &Manner::default()).unwrap();
    assert_eq!(missing.columns(), ["id", "needed"], "a column that the file lacks is not named");
}

#[test]
fn changes_begin_with_time_and_action_wherever_these_stand() {
    let shape = shape(vec![column("c", one(Scalar::Text))]);
    for care in [Care::Trusting, Care::Strict] {
        let header = "key.id\tmeta.action\tvalue.c\tmeta.ts";
        let lines = b"1\tU\tx\t2024-03-05T00:00:00Z\n2\tD\tleft over\t2024-03-05T02:00:00+01:00\n";
        let (out, _) = write(header, lines, &shape, Of::Changes, &manner(care)).unwrap();
        let wanted = "2024-03-05T00:00:00Z\tU\t1\tx\n2024-03-05 01:00:00\tD\t2\t\\N\n";
        assert_eq!(out, wanted, "{care:?}: a deletion has its key only");
        let usual = "meta.ts\tmeta.action\tkey.id\tvalue.c";
        let (out, _) =
            write(usual, b"2024-03-05T00:00:00Z\tU\t1\tx", &shape, Of::Changes, &manner(care)).unwrap();
        assert_eq!(out, "2024-03-05T00:00:00Z\tU\t1\tx\n", "a line feed at the end may be missing");
        let wrong = write(usual, b"2024-03-05T00:00:00Z\tX\t1\tx\n", &shape, Of::Changes, &manner(care));
        assert_eq!(wrong.unwrap_err(), LineError::Action { line: 1 });
    }
}

#[test]
fn a_line_with_another_number_of_fields_is_named() {
    let shape = shape(vec![column("c", one(Scalar::Text))]);
    for care in [Care::Trusting, Care::Strict] {
        for (lines, found) in [("1\ta\n2\n", 1), ("1\ta\n2\tb\tc\n", 3), ("1\ta\n\n", 1)] {
            let said = write("key.id\tvalue.c", lines.as_bytes(), &shape, Of::Snapshot, &manner(care));
            assert_eq!(said.unwrap_err(), LineError::Fields { line: 2, found, wanted: 2 });
        }
    }
}

#[test]
fn carriage_returns_before_line_feeds_are_no_data() {
    let shape = shape(vec![column("c", one(Scalar::Text))]);
    for care in [Care::Trusting, Care::Strict] {
        let (out, _) =
            write("key.id\tvalue.c\r", b"1\ta\r\n2\t\r\n3\t\\r\r\n", &shape, Of::Snapshot, &manner(care))
                .unwrap();
        assert_eq!(out, "1\ta\n2\t\n3\t\\r\n");
        let (out, _) =
            write("key.id\tvalue.c\tmeta.ts", b"1\ta\r\tT\n", &shape, Of::Snapshot, &manner(care)).unwrap();
        assert_eq!(out, "1\ta\\r\n", "one that is left before our line feed is data");
    }
}

#[test]
fn what_ends_the_data_of_copy_or_begins_a_number_for_it_is_read_as_the_source_means_it() {
    both(
        &["\\.", "a\\.b", "\\\\.", "x\\0123", "\\\\0123"],
        &one(Scalar::Text),
        &[".", "a.b", "\\\\.", "x123", "\\\\0123"],
    );
    let shape = shape(vec![column("c", one(Scalar::Text))]);
    for care in [Care::Trusting, Care::Strict] {
        let (out, _) = write("key.id\tvalue.c", b"1\ta\\", &shape, Of::Snapshot, &manner(care)).unwrap();
        assert_eq!(out, "1\ta\n", "a backslash at the very end would escape the line feed");
    }
}

#[test]
fn lists_become_arrays() {
    let texts = Kind::List(Scalar::Text);
    both(
        &[r#"["p","q, {\\"r\\"}","","back\\\\slash"]"#, "[]", "\\N", r#"[null, "NULL", "a\\nb", 1, true]"#],
        &texts,
        &[r#"{"p","q, {\\"r\\"}","","back\\\\slash"}"#, "{}", "\\N", r#"{NULL,"NULL","a\nb","1","true"}"#],
    );
    both(&["[1, -2,null]"], &Kind::List(Scalar::Bigint), &[r#"{"1","-2",NULL}"#]);
    let times = Kind::List(Scalar::Timestamp);
    let given = r#"["2024-03-05T01:02:03Z","+12024-01-01T00:00:00Z","2024-03-05T01:02:03+01:00"]"#;
    let wanted = r#"{"2024-03-05T01:02:03Z","9999-12-31 23:59:59.999999","2024-03-05 00:02:03"}"#;
    both(&[given], &times, &[wanted]);
    both(&[OVERSIZED], &texts, &["{\"__cd2_oversized_truncated__\"}"]);
}

#[test]
fn a_list_that_is_none_is_put_aside_even_where_lines_are_trusted() {
    for care in [Care::Trusting, Care::Strict] {
        for given in ["{\"a\":1}", "[1", "text", "[1]]", ""] {
            let (out, tally) = fields(&[given, "[2]"], Kind::List(Scalar::Bigint), &manner(care));
            assert_eq!(out, [r#"{"2"}"#], "{given}");
            assert_eq!(tally.misfits[0].reason, "c: is no JSON");
        }
    }
}

#[test]
fn what_is_no_json_becomes_a_text_of_json() {
    both(
        &["five", "5", "true", r#"{"k": "v"}"#, "\\N", OVERSIZED, "say \"hi\"\\n", ""],
        &one(Scalar::JsonOrText),
        &[
            "\"five\"",
            "5",
            "true",
            r#"{"k": "v"}"#,
            "\\N",
            "\"__cd2_oversized_truncated__\"",
            r#""say \\"hi\\"\\n""#,
            "\"\"",
        ],
    );
    both(&[OVERSIZED, "{\"a\":1}"], &one(Scalar::Jsonb), &["\"__cd2_oversized_truncated__\"", "{\"a\":1}"]);
    both(&["{half", "[1] of 2"], &one(Scalar::JsonOrText), &["\"{half\"", "\"[1] of 2\""]);
    let (out, tally) = fields(&["{half"], one(Scalar::Jsonb), &manner(Care::Strict));
    assert_eq!(out, ["\"{half\""]);
    assert_eq!(tally.mended().collect::<Vec<_>>(), [(1, Mending::NoJson, 1)]);
}

#[test]
fn placeholders_are_counted_by_column() {
    let list = format!("[\"{OVERSIZED}\",\"b\"]");
    for care in [Care::Trusting, Care::Strict] {
        let (_, tally) = fields(&[OVERSIZED, "x", OVERSIZED], one(Scalar::Text), &manner(care));
        assert_eq!(tally.mended().collect::<Vec<_>>(), [(1, Mending::Oversized, 2)]);
        let (_, tally) = fields(&[&list], Kind::List(Scalar::Text), &manner(care));
        assert_eq!(tally.mended().collect::<Vec<_>>(), [(1, Mending::Oversized, 1)]);
    }
}

#[test]
fn far_dates_are_counted_and_near_ones_stay() {
    let given = ["+12024-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "\\N"];
    let wanted = ["9999-12-31 23:59:59.999999", given[1], given[2], "\\N"];
    both(&given, &one(Scalar::Timestamp), &wanted);
    for care in [Care::Trusting, Care::Strict] {
        let nulls = Manner { care, far_dates: FarDates::Null, ..Manner::default() };
        let (out, tally) = fields(&["-0001-01-01", "2024-03-05"], one(Scalar::Date), &nulls);
        assert_eq!(out, ["\\N", "2024-03-05"]);
        assert_eq!(tally.mended().collect::<Vec<_>>(), [(1, Mending::FarDate, 1)]);
    }
}

#[test]
fn values_that_fit_no_column_are_put_aside_with_key_line_and_reason() {
    for (given, kind, reason) in [
        ("40000", one(Scalar::Smallint), "c: is out of range"),
        ("1e400", one(Scalar::Double), "c: is out of range"),
        ("123.4", one(Scalar::Numeric { precision: 3, scale: 1 }), "c: is out of range"),
        ("maybe", one(Scalar::Boolean), "c: is neither true nor false"),
        ("four", one(Scalar::Varchar(3)), "c: is longer than 3 characters"),
        ("soon", one(Scalar::Timestamp), "c: is no time"),
        ("2023-02-29", one(Scalar::Date), "c: is no day"),
        ("25:00", one(Scalar::Time), "c: is no time of a day"),
        ("f81d", one(Scalar::Uuid), "c: is no UUID"),
        ("10.0.0", one(Scalar::Inet), "c: is no address"),
        ("c", one(states()), "c: `t__state` has no label `c`"),
        ("[1e400000]", one(Scalar::Jsonb), "c: has a number that is out of range"),
        ("[1,99999]", Kind::List(Scalar::Smallint), "c: is out of range"),
    ] {
        let (out, tally) = fields(&[given], kind, &manner(Care::Strict));
        assert_eq!(out, [""; 0], "{given}");
        let misfit = Misfit {
            key: r#"{"id":1}"#.to_owned(),
            line: format!("T\t1\t{given}"),
            reason: reason.to_owned(),
        };
        assert_eq!(tally.misfits, [misfit]);
    }
}

#[test]
fn a_null_where_none_may_be_is_put_aside_but_not_in_a_deletion() {
    let shape = shape(vec![Column { required: true, ..column("c", one(Scalar::Text)) }]);
    let header = "meta.ts\tmeta.action\tkey.id\tvalue.c";
    let lines = b"2024-03-05T00:00:00Z\tD\t1\t\\N\n2024-03-05T00:00:00Z\tU\t2\t\\N\n";
    let (out, tally) = write(header, lines, &shape, Of::Changes, &manner(Care::Strict)).unwrap();
    assert_eq!(out, "2024-03-05T00:00:00Z\tD\t1\t\\N\n");
    assert_eq!(
        (tally.misfits[0].key.as_str(), tally.misfits[0].reason.as_str()),
        (r#"{"id":2}"#, "c: is null, and must not be")
    );
}

#[test]
fn bytes_that_no_text_can_have_are_mended() {
    let shape = shape(vec![column("c", one(Scalar::Text)), column("j", one(Scalar::Jsonb))]);
    let lines = b"1\tcut \xc3( off\t{\"a\":\"x\\\\u0000y\"}\n2\tn\\0ul\0\traw\0\n";
    let (out, tally) =
        write("key.id\tvalue.c\tvalue.j", lines, &shape, Of::Snapshot, &manner(Care::Strict)).unwrap();
    assert_eq!(out, "1\tcut \u{FFFD}( off\t{\"a\":\"xy\"}\n2\tnul\t\"raw\"\n");
    let mended: Vec<_> = tally.mended().collect();
    let wanted = [
        (1, Mending::Nul, 1),
        (1, Mending::NoUtf8, 1),
        (2, Mending::Nul, 1),
        (2, Mending::JsonNul, 1),
        (2, Mending::NoJson, 1),
    ];
    assert_eq!(mended, wanted);
}

#[test]
fn treated_columns_never_arrive_not_even_among_what_is_put_aside() {
    let columns = ["left", "nulled", "hashed"].map(|name| column(name, one(Scalar::Text)));
    let mut columns = columns.to_vec();
    columns.push(column("small", one(Scalar::Smallint)));
    let shape = shape(columns);
    let header = "key.id\tvalue.left\tvalue.nulled\tvalue.hashed\tvalue.small";
    let treatments = [
        ("left", Treatment::Drop),
        ("nulled", Treatment::Null),
        ("hashed", Treatment::Hash(b"key".to_vec())),
    ];
    let treatments: BTreeMap<_, _> = treatments.map(|(name, it)| (name.to_owned(), it)).into();
    for care in [Care::Trusting, Care::Strict] {
        let manner = Manner { care, treatments: treatments.clone(), ..Manner::default() };
        let rules = Header::read(header.as_bytes(), &shape, Of::Snapshot, &manner).unwrap();
        assert_eq!(rules.columns(), ["id", "nulled", "hashed", "small"]);
        let lines =
            b"1\tsecret\tsecret\tThe quick brown fox jumps over the lazy dog\t1\n2\tsecret\tsecret\t\\N\t2\n";
        let (out, _) = write(header, lines, &shape, Of::Snapshot, &manner).unwrap();
        // A pair that is published in many places.
        let hash = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert_eq!(out, format!("1\t\\N\t{hash}\t1\n2\t\\N\t\\N\t2\n"));
        let (_, tally) =
            write(header, b"3\tsecret\tsecret\tsecret\t\\.\n", &shape, Of::Snapshot, &manner).unwrap();
        assert_eq!(tally.misfits[0].line, "3\t…\t…\t…\t\\.");
    }
    assert_eq!(format!("{:?}", Treatment::Hash(b"key".to_vec())), "Hash", "keys are not shown");
}

#[test]
fn a_key_is_known_again_and_not_told() {
    assert_eq!(fingerprint(b"key"), fingerprint(b"key"));
    assert_ne!(fingerprint(b"key"), fingerprint(b"kez"));
    assert_eq!(fingerprint(b"").len(), 8);
}
