//! Files of a job on their way into the replica: header, rules, lines, chunk by chunk.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use memchr::{memchr, memrchr};

use crate::{
    domain::replica::{
        lines::{Header, HeaderError, LineError, Manner, Of, Rules, Tally},
        shape::Shape,
    },
    ports::{
        Class, Error, Result,
        replica::{Findings, Part, Rejected},
        source::ByteStream,
    },
};

/// The longest line that is read, if nothing else is set: what fits into one jsonb text. The line is held
/// twice.
pub(crate) const LONGEST_LINE: usize = 256 << 20;
/// How many lines of a part may be put aside, if nothing else is set.
pub(crate) const MOST_REJECTED: u64 = 10_000;
/// The longest header. A table has at most 1,600 columns, whose names have at most 63 bytes each.
const LONGEST_HEADER: usize = 1 << 20;
/// Bytes of lines that are worked on at a time.
const CHUNK: usize = 64 << 10;
/// From this many bytes on, working on them is no matter of moments.
const SLOW: usize = 1 << 20;

const READ: &str = "read lines";

/// How files are read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// How their lines are taken.
    pub(crate) manner: Manner,
    /// The longest line, in bytes.
    pub(crate) longest_line: usize,
    /// How many lines of a part may be put aside; one more fails it.
    pub(crate) most_rejected: u64,
}

impl Default for Reading {
    fn default() -> Self {
        Self { manner: Manner::default(), longest_line: LONGEST_LINE, most_rejected: MOST_REJECTED }
    }
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlowError {
    /// Its header does not fit the shape: perhaps the schema has changed since it was read.
    #[error("part {part}: {error}")]
    Header {
        /// The number of the part.
        part: usize,
        /// What is wrong.
        error: HeaderError,
    },
    /// It did not come.
    #[error(transparent)]
    Port(#[from] Error),
}

/// A file on its way into a table of that shape. Its header is read here, its lines as they are asked for. A
/// file without a byte is a part without lines.
pub(crate) async fn part(
    number: usize,
    mut bytes: ByteStream,
    shape: &Shape,
    of: Of,
    reading: &Reading,
) -> Result<Part, FlowError> {
    let mut buffer = BytesMut::new();
    let mut ended = false;
    let end = loop {
        if let Some(end) = memchr(b'\n', &buffer) {
            break end;
        }
        if buffer.len() > LONGEST_HEADER {
            return Err(wrong(number, "the header has no end").into());
        }
        let Some(more) = bytes.next().await else {
            ended = true;
            break buffer.len();
        };
        buffer.extend_from_slice(&more?);
    };
    let header = buffer.split_to(end);
    if !buffer.is_empty() {
        drop(buffer.split_to(1));
    }
    let rules = if header.is_empty() && ended {
        Header::of_none(shape, of, &reading.manner)
    } else {
        Header::read(&header, shape, of, &reading.manner)
    };
    let rules = rules.map_err(|error| FlowError::Header { part: number, error })?;
    let findings = Arc::new(Mutex::new(Findings::default()));
    let columns = rules.columns().to_vec();
    let flow = Flow {
        number,
        bytes,
        ended,
        buffer,
        scanned: 0,
        longest_line: reading.longest_line,
        rules: Arc::new(rules),
        tally: Tally::new(reading.most_rejected),
        findings: Arc::clone(&findings),
    };
    let lines = stream::try_unfold(flow, Flow::next);
    Ok(Part { number, columns, lines: Box::pin(lines), findings })
}

fn wrong(part: usize, why: impl std::fmt::Display) -> Error {
    Error::new(Class::Invalid, READ, format!("part {part}: {why}"))
}

/// A file that is read.
struct Flow {
    number: usize,
    bytes: ByteStream,
    /// Whether there are no more bytes to come.
    ended: bool,
    buffer: BytesMut,
    /// No line ends in so many bytes of the buffer.
    scanned: usize,
    longest_line: usize,
    rules: Arc<Rules>,
    tally: Tally,
    findings: Arc<Mutex<Findings>>,
}

impl Flow {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            let lines = if let Some(end) = self.end_of_lines() {
                self.scanned = 0;
                self.buffer.split_to(end)
            } else if self.ended {
                if self.buffer.is_empty() {
                    self.told();
                    return Ok(None);
                }
                self.buffer.split()
            } else {
                self.scanned = self.buffer.len();
                if self.scanned > self.longest_line {
                    let line = self.tally.read + 1;
                    let most = self.longest_line;
                    self.told();
                    return Err(wrong(self.number, format!("line {line} is longer than {most} bytes")));
                }
                match self.bytes.next().await {
                    Some(more) => self.buffer.extend_from_slice(&more?),
                    None => self.ended = true,
                }
                continue;
            };
            let (mut flow, written) = self.work(lines).await?;
            let written = written.map_err(|error| wrong(flow.number, error));
            flow.note(written.as_ref().map_or(0, Bytes::len));
            if written.is_err() {
                flow.told();
            }
            let written = written?;
            if !written.is_empty() {
                return Ok(Some((written, flow)));
            }
            self = flow;
        }
    }

    /// Behind the last line feed of the first [`CHUNK`], else behind the first of all. What is escaped ends
    /// no line.
    fn end_of_lines(&self) -> Option<usize> {
        let buffer = &self.buffer[..];
        let bare = |end: &usize| !buffer.get(..*end).is_some_and(is_escaping);
        let mut chunk = buffer.get(..CHUNK).unwrap_or(buffer);
        while let Some(end) = memrchr(b'\n', chunk).filter(|end| *end >= self.scanned) {
            if bare(&end) {
                return Some(end + 1);
            }
            chunk = chunk.get(..end).unwrap_or_default();
        }
        let from = self.scanned.max(CHUNK.min(buffer.len()));
        let rest = buffer.get(from..).unwrap_or_default();
        memchr::memchr_iter(b'\n', rest).map(|end| from + end).find(bare).map(|end| end + 1)
    }

    /// Works on some lines; on many bytes elsewhere, since others wait here.
    async fn work(mut self, lines: BytesMut) -> Result<(Self, Result<Bytes, LineError>)> {
        let (rules, slow) = (Arc::clone(&self.rules), lines.len() >= SLOW);
        let mut tally = std::mem::replace(&mut self.tally, Tally::new(0));
        let work = move || {
            let mut out = Vec::with_capacity(lines.len() + lines.len() / 8);
            let written = rules.lines(&lines, &mut out, &mut tally).map(|()| Bytes::from(out));
            (tally, written)
        };
        let (tally, written) = if slow {
            let broken = || Error::new(Class::Transient, READ, "the work broke off");
            tokio::task::spawn_blocking(work).await.map_err(|failed| broken().caused_by(failed))?
        } else {
            work()
        };
        self.tally = tally;
        Ok((self, written))
    }

    /// Takes over what was found out about the lines so far.
    fn note(&mut self, written: usize) {
        let rejected = self.tally.misfits.drain(..).map(|misfit| Rejected {
            key: misfit.key,
            line: misfit.line,
            reason: misfit.reason,
        });
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.rejected.extend(rejected);
        findings.lines = self.tally.written;
        findings.bytes += u64::try_from(written).unwrap_or(u64::MAX);
    }

    /// Takes over what was mended.
    fn told(&self) {
        let columns = self.rules.columns();
        let mended = self.tally.mended().map(|(column, mending, count)| {
            let name = columns.get(column).cloned().unwrap_or_default();
            (name, mending.words().to_owned(), count)
        });
        let mended = mended.collect();
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).mended = mended;
    }
}

/// Whether the byte after these is escaped.
fn is_escaping(before: &[u8]) -> bool {
    before.last() == Some(&b'\\') && before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::replica::{
        lines::Care,
        shape::{Column, Kind, Part as Place, Scalar},
    };

    fn column(name: &str, part: Place, scalar: Scalar) -> Column {
        let required = part == Place::Key;
        let name = name.to_owned();
        Column { name, part, kind: Kind::One(scalar), required, default: None, comment: None }
    }

    fn shape() -> Shape {
        let columns =
            vec![column("id", Place::Key, Scalar::Bigint), column("text", Place::Value, Scalar::Text)];
        Shape { columns, comment: None }
    }

    fn pieces(bytes: &[u8], size: usize) -> ByteStream {
        let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Box::pin(stream::iter(pieces))
    }

    async fn read(
        bytes: &[u8],
        size: usize,
        reading: &Reading,
    ) -> Result<(Vec<u8>, Arc<Mutex<Findings>>), String> {
        let part = part(3, pieces(bytes, size), &shape(), Of::Snapshot, reading).await;
        let mut part = part.map_err(|error| error.to_string())?;
        let mut all = Vec::new();
        while let Some(chunk) = part.lines.next().await {
            let chunk = chunk.map_err(|error| error.to_string())?;
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK + LONGEST_HEADER);
            all.extend_from_slice(&chunk);
        }
        Ok((all, part.findings))
    }

    #[tokio::test]
    async fn a_file_without_a_byte_or_without_lines_has_none() {
        for bytes in
            ["", "meta.ts\tkey.id\tvalue.text", "meta.ts\tkey.id\tvalue.text\n", "key.id\tvalue.text\r\n"]
        {
            let (lines, findings) = read(bytes.as_bytes(), 5, &Reading::default()).await.unwrap();
            assert_eq!((lines.as_slice(), findings.lock().unwrap().lines), (&b""[..], 0), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_or_cut_ends_the_part_and_names_itself() {
        let reading = Reading { longest_line: 1000, ..Reading::default() };
        let long = format!("key.id\tvalue.text\n1\tshort\n2\t{}", "x".repeat(2000));
        let said = read(long.as_bytes(), 100, &reading).await.unwrap_err();
        assert_eq!(said, "read lines: part 3: line 2 is longer than 1000 bytes");
        let said = read(b"key.id\tvalue.text\n1\ta\n2", 4, &reading).await.unwrap_err();
        assert_eq!(said, "read lines: part 3: line 2 has 1 fields instead of 2");
        let said = read(&vec![b'h'; 3 << 20], 1 << 20, &reading).await.unwrap_err();
        assert_eq!(said, "read lines: part 3: the header has no end");
    }

    #[tokio::test]
    async fn a_line_of_megabytes_passes() {
        let text = "long \\n".repeat(600_000);
        let bytes = format!("key.id\tvalue.text\n1\t{text}\n2\tshort\n");
        let part = part(0, pieces(bytes.as_bytes(), 8000), &shape(), Of::Snapshot, &Reading::default())
            .await
            .unwrap();
        let chunks: Vec<_> = part.lines.map(Result::unwrap).collect().await;
        assert_eq!(chunks.concat(), bytes.as_bytes().split_at(18).1);
    }

    #[tokio::test]
    async fn findings_are_complete_when_the_lines_have_ended() {
        let reading = Reading {
            manner: Manner { care: Care::Strict, ..Manner::default() },
            most_rejected: 2,
            ..Reading::default()
        };
        let bytes = b"key.id\tvalue.text\n1\tnul\\0\nx\tno number\n3\t\\N\n";
        let (lines, findings) = read(bytes, 7, &reading).await.unwrap();
        assert_eq!(lines, b"1\tnul\n3\t\\N\n");
        let findings = std::mem::take(&mut *findings.lock().unwrap());
        assert_eq!((findings.lines, findings.bytes), (2, 11));
        assert_eq!(findings.mended, [("text".to_owned(), "NUL taken out".to_owned(), 1)]);
        let rejected = Rejected {
            key: r#"{"id":"x"}"#.to_owned(),
            line: "x\tno number".to_owned(),
            reason: "id: is no whole number".to_owned(),
        };
        assert_eq!(findings.rejected, [rejected]);
        let many = b"key.id\tvalue.text\nx\t1\nx\t2\nx\t3\n";
        let said = read(many, 7, &reading).await.unwrap_err();
        assert!(said.contains("more than 2 lines cannot be stored"), "{said}");
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_lines(
            lines in prop::collection::vec(("[0-9]{1,3}", r"([a-z]|\\n|\\\\|\\.|\\0|☃|\\\n){0,40}"), 0..30),
            size in 1_usize..200,
        ) {
            let lines: Vec<_> = lines.iter().map(|(id, text)| format!("{id}\t{text}\n")).collect();
            let bytes = format!("key.id\tvalue.text\n{}", lines.concat());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = |size| runtime.block_on(read(bytes.as_bytes(), size, &Reading::default()));
            let (whole, pieces) = (read(usize::MAX).unwrap().0, read(size).unwrap().0);
            prop_assert_eq!(whole, pieces);
        }
    }
}
