//! What must hold for any bytes at all, parser by parser. Breaking it is a panic, which is how a fuzzer
//! learns of it. `tests/house/fuzz_corpus.rs` of the project includes this file.

use std::borrow::Cow;

use copy_manager::{
    domain::{
        ids::DataId,
        jwt,
        location::{DataPath, Location},
        renaming::{RenameEntry, RenameSource, SourceRef, check_name, resolve},
        replica::{
            lines::{Care, Header, Manner, Of, Tally},
            shape::{self, Column, Enumeration, Scalar, Shape},
        },
        request::{Asked, Kind},
        share::{
            files::DataType,
            request::PackageRequest,
            rows::Row,
            templates::{Known, Template},
        },
    },
    events::{
        intake::{Incoming, Refusal, read_manifest, read_payload, read_request_within},
        jobs::read_job_events,
        lists::{Reader, Rows},
        share::asked,
    },
};

/// What a payload may have here; more would only make the fuzzer slow.
const MOST: usize = 1 << 16;
/// What is said of a mistake fits on a screen, whatever the mistake was.
const LONGEST: usize = 2000;

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn clear(said: &str) {
    assert!(!said.is_empty() && said.len() <= LONGEST, "not a clear word: {said:?}");
    assert!(!said.chars().any(char::is_control), "control characters in {said:?}");
}

/// Messages on the request queue give a request or a clear refusal, and a request that was taken is taken
/// again from what is stored of it.
pub fn intake(bytes: &[u8]) {
    match read_request_within(&text(bytes), MOST) {
        Ok(Incoming::Request(submission)) => {
            assert!(submission.event_id.as_ref().is_none_or(|id| (1..=512).contains(&id.len())));
            assert!(submission.token.as_ref().is_none_or(|token| !token.expose().is_empty()));
            if submission.payload_uri.is_none() {
                let again =
                    read_payload(submission.request.kind(), submission.payload.as_bytes(), usize::MAX);
                let again = again.unwrap_or_else(|reason| panic!("{reason}: {}", submission.payload));
                assert_eq!(again.canonical, submission.payload);
                // The order of a manifest is no part of what is compared.
                if submission.request.kind() != Kind::Batch {
                    assert_eq!(again.request, submission.request);
                }
            }
        }
        Ok(Incoming::Child(id)) => assert!(!id.as_str().is_empty()),
        Err(refusal @ Refusal::Malformed { .. }) => clear(&refusal.to_string()),
        Err(Refusal::UnknownKind { detail_type }) => assert!(detail_type.chars().count() <= 128),
    }
}

/// Messages on the job event queue give news or a clear refusal.
pub fn jobs(bytes: &[u8]) {
    match read_job_events(&text(bytes)) {
        Ok(events) => assert!(events.jobs.iter().all(|news| !news.job.as_str().is_empty())),
        Err(reason) => clear(&reason),
    }
}

/// URIs give a location that prints as it was written, or a clear refusal.
pub fn location(bytes: &[u8]) {
    let uri = text(bytes);
    match Location::parse(&uri) {
        Ok(location) => {
            let printed = location.to_string();
            assert_eq!(Location::parse(&printed).as_ref(), Ok(&location), "{uri}");
            // An object may have any key; what is made in a project may not.
            let is_plain = !printed.chars().any(char::is_control);
            assert!(is_plain || matches!(location, Location::S3 { .. }));
        }
        Err(error) => clear(&error.to_string()),
    }
}

/// Objects give a payload, which reads back as itself, or a clear refusal.
pub fn payload(bytes: &[u8]) {
    match read_payload(Kind::Copy, bytes, MOST) {
        Ok(payload) => {
            let again = read_payload(Kind::Copy, payload.canonical.as_bytes(), usize::MAX);
            assert_eq!(again.map(|again| again.canonical), Ok(payload.canonical));
        }
        Err(reason) => clear(&reason),
    }
}

/// Objects give a manifest, whose every source goes somewhere, or a clear refusal.
pub fn manifest(bytes: &[u8]) {
    match read_manifest(r#"{"manifestS3Uri":"s3://bkt/k"}"#, bytes, MOST) {
        Ok(payload) => {
            let again = read_payload(Kind::Batch, payload.canonical.as_bytes(), usize::MAX);
            assert_eq!(again.map(|again| again.canonical), Ok(payload.canonical));
            let Asked::Batch(batch) = payload.request else { panic!("not a batch") };
            let mut sources: Vec<usize> = batch.pieces(3).flat_map(|piece| piece.sources.to_vec()).collect();
            sources.sort_unstable();
            sources.dedup();
            assert_eq!(sources.len(), batch.sources.len());
            // `icav2://project` is its root.
            let is_folder = |uri: &str| uri.ends_with('/') || uri.matches('/').count() == 2;
            assert!(batch.destinations.iter().all(|to| is_folder(&to.uri) && !to.sources.is_empty()));
        }
        Err(reason) => clear(&reason),
    }
}

/// Secrets give one word or none; any word may be asked when it ends.
pub fn jwt(bytes: &[u8]) {
    let secret = text(bytes);
    if let Some(token) = jwt::token_in(&secret) {
        assert!(!token.is_empty() && token.chars().all(|c| c.is_ascii_graphic()));
        let _ends = jwt::expiry(&token);
    }
    let _ends = jwt::expiry(&secret);
}

/// Renaming maps, as lines of `source=name` over files with the names of the sources: no two files get
/// one name, or the map is refused.
pub fn renaming(bytes: &[u8]) {
    let map = text(bytes);
    let lines: Vec<_> = map.lines().take(64).filter_map(|line| line.split_once('=')).collect();
    let folder = DataPath::parse("/in/").unwrap_or_else(|error| panic!("{error}"));
    let uri = |name: &str| format!("icav2://p/run/{name}");
    let mut sources: Vec<SourceRef> = Vec::new();
    for (from, _) in &lines {
        if check_name(from).is_ok() && !sources.iter().any(|source| source.name == **from) {
            sources.push(SourceRef {
                uri: uri(from),
                data_id: DataId::new(format!("fil.{}", sources.len())),
                destination_folder: folder.clone(),
                name: (*from).to_owned(),
            });
        }
    }
    let entries: Vec<_> = lines
        .iter()
        .filter(|(_, to)| check_name(to).is_ok())
        .map(|(from, to)| RenameEntry { source: RenameSource::Uri(uri(from)), name: (*to).to_owned() })
        .collect();
    if let Ok(renames) = resolve(&entries, &sources) {
        let mut names: Vec<_> =
            sources.iter().map(|source| renames.name_of(&source.data_id).unwrap_or(&source.name)).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before, "two files of one name from {map:?}");
    }
}

/// The first line is a template of addresses, or refused in clear words; the others are keys. What is read of a key
/// lies in it, is read again where it is known, and the key begins as what would be listed does.
pub fn templates(bytes: &[u8]) {
    let lines = text(bytes);
    let mut lines = lines.lines();
    let template = match Template::parse(lines.next().unwrap_or_default()) {
        Ok(template) => template,
        Err(said) => return assert!(!said.is_empty() && !said.chars().any(char::is_control), "{said:?}"),
    };
    for key in lines.take(16).filter(|key| key.len() <= 256) {
        let Some(row) = template.read(key, &Known::default()) else { continue };
        assert_eq!(row.key(), key);
        let set = |value: &str| Some([value.to_owned()].into());
        let known = Known {
            // Of analyses one of several; of reads its own.
            libraries: match template.data_type() {
                DataType::Fastq => set(&row.library_id).filter(|_| !row.library_id.is_empty()),
                DataType::SecondaryAnalysis => row.libraries().next().and_then(set),
            },
            instrument_runs: set(&row.instrument_run_id).filter(|_| !row.instrument_run_id.is_empty()),
            portal_runs: set(&row.portal_run_id).filter(|_| !row.portal_run_id.is_empty()),
        };
        for value in [&row.instrument_run_id, &row.portal_run_id, &row.workflow_name, &row.workflow_version] {
            assert!(key.contains(value.as_str()) && !value.contains('/'), "{value} of {key}");
        }
        assert!(template.read(key, &known).is_some(), "{key} by {template}, where {known:?}");
        let prefixes = template.prefixes(&known, 64);
        assert!(prefixes.iter().any(|prefix| key.starts_with(prefix)), "{key} is none of {prefixes:?}");
    }
}

/// Tables of files, in whatever pieces they come: the same rows, or the same refusal.
pub fn rows(bytes: &[u8]) {
    let read = |size: usize| {
        let mut reader = Reader::<Rows>::of("s3://bkt/table.csv").at_most(1 << 20);
        let mut rows: Vec<Row> = Vec::new();
        for piece in bytes.chunks(size) {
            reader.push(piece, &mut rows).map_err(|failure| failure.message)?;
        }
        reader.finish(&mut rows).map_err(|failure| failure.message)?;
        Ok::<_, String>(rows)
    };
    let whole = read(usize::MAX);
    assert_eq!(whole, read(7));
    match whole {
        Ok(rows) => {
            let has_address = |row: &Row| row.uri.starts_with("s3://") || row.uri.starts_with("icav2://");
            assert!(rows.iter().all(|row| has_address(row) && !row.key().is_empty()));
        }
        Err(said) => assert!(!said.is_empty()),
    }
}

/// Bodies that ask for a package give a request, which reads back from what is stored of it, or say what is wrong.
pub fn package(bytes: &[u8]) {
    let Ok(body) = serde_json::from_slice(bytes) else { return };
    match asked::package(&body, false) {
        Ok((name, request)) => {
            assert!(name.starts_with(|letter: char| letter.is_ascii_alphabetic()));
            assert!(!request.data_type_list.is_empty());
            let stored = serde_json::to_string(&request).unwrap_or_else(|error| panic!("{error}"));
            let again: PackageRequest =
                serde_json::from_str(&stored).unwrap_or_else(|error| panic!("{error}: {stored}"));
            assert_eq!(again, request);
        }
        Err(wrong) => assert!(!wrong.is_empty()),
    }
}

/// A table with a column of every type, whose name is that of its number.
fn every_type(list: fn(Scalar) -> shape::Kind) -> Shape {
    let labels = ["active", "it's"].map(str::to_owned).to_vec();
    let kinds = [
        Scalar::Bigint,
        Scalar::Smallint,
        Scalar::Integer,
        Scalar::Real,
        Scalar::Double,
        Scalar::Numeric { precision: 6, scale: 2 },
        Scalar::Boolean,
        Scalar::Text,
        Scalar::Varchar(30),
        Scalar::Char(3),
        Scalar::Timestamp,
        Scalar::Date,
        Scalar::Time,
        Scalar::Uuid,
        Scalar::Inet,
        Scalar::Jsonb,
        Scalar::JsonOrText,
        Scalar::Enum(Enumeration { name: "t__state".to_owned(), labels }),
    ];
    let column = |(number, scalar)| Column {
        name: format!("c{number}"),
        part: if number == 0 { shape::Part::Key } else { shape::Part::Value },
        kind: if number == 0 { shape::Kind::One(scalar) } else { list(scalar) },
        required: number == 0,
        default: None,
        comment: None,
    };
    Shape { columns: kinds.into_iter().enumerate().map(column).collect(), comment: None }
}

/// Lines of tables, with the header that they bring: as many lines come out as are said to, each with as many fields
/// as there are columns, and nothing in them that ends COPY's data. What was held to its types is text, and is held to
/// them again without a change.
pub fn lines(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (header, lines) = bytes.split_at(end);
    let lines = lines.get(1..).unwrap_or_default();
    for list in [shape::Kind::One, shape::Kind::List] {
        let shape = every_type(list);
        for (of, care) in [
            (Of::Snapshot, Care::Trusting),
            (Of::Snapshot, Care::Strict),
            (Of::Changes, Care::Trusting),
            (Of::Changes, Care::Strict),
        ] {
            let manner = Manner { care, ..Manner::default() };
            let rules = match Header::read(header, &shape, of, &manner) {
                Ok(rules) => rules,
                Err(wrong) => {
                    clear(&wrong.to_string());
                    continue;
                }
            };
            let (mut out, mut tally) = (Vec::new(), Tally::new(100));
            if let Err(wrong) = rules.lines(lines, &mut out, &mut tally) {
                clear(&wrong.to_string());
                continue;
            }
            for misfit in &tally.misfits {
                clear(&misfit.reason);
                assert!(
                    serde_json::from_str::<serde_json::Value>(&misfit.key).is_ok_and(|key| key.is_object())
                );
            }
            if care == Care::Trusting {
                continue;
            }
            let text = std::str::from_utf8(&out).unwrap_or_else(|error| panic!("{error}"));
            assert!(!text.contains(['\0', '\r']) && !text.replace("\\\\", "").contains("\\."), "{text:?}");
            let leading = if of == Of::Changes { "meta.ts\tmeta.action\t" } else { "" };
            let fields = rules.columns().len() + leading.matches('\t').count();
            let written: Vec<_> = text.split_terminator('\n').collect();
            assert_eq!(u64::try_from(written.len()), Ok(tally.written));
            assert!(written.iter().all(|line| line.split('\t').count() == fields), "{text:?}");
            if matches!(list(Scalar::Text), shape::Kind::List(_)) {
                continue;
            }
            let part =
                |name: &String| if name == "c0" { "key.c0".to_owned() } else { format!("value.{name}") };
            let names: Vec<_> = rules.columns().iter().map(part).collect();
            let again =
                Header::read(format!("{leading}{}", names.join("\t")).as_bytes(), &shape, of, &manner);
            let again = again.unwrap_or_else(|error| panic!("{error}"));
            let mut same = Vec::new();
            again.lines(&out, &mut same, &mut tally).unwrap_or_else(|error| panic!("{error}: {text:?}"));
            assert_eq!(String::from_utf8_lossy(&same), text);
        }
    }
}
