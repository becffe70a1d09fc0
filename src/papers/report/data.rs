//! The rows as data in the page: blocks of JSON, each of which stands alone.
//!
//! `{"t": [texts], "r": [rows]}`. A row begins with its path, as the number of UTF-16 units that it shares with the
//! path before, and the rest. Texts that repeat are numbers into `t`, or of runs; what is 0 at the end is left out.
//!
//! | block | row |
//! | --- | --- |
//! | `fastq` | shared, rest, bytes, library, sequencing run, lane (-1: none), flags |
//! | `files` | shared, rest, bytes, number of the run, flags |
//!
//! Flags: the place of the storage class, 8 if it is archived, 16 if it is new, 32 if it has changed.

use std::{collections::HashMap, mem};

use super::{
    Mark,
    text::{push_json, push_json_list},
};
use crate::domain::share::files::PackagedFile;

/// Rows in a block, and the bytes after which one is closed early.
const ROWS: usize = 1000;
const BYTES: usize = 128 * 1024;

/// The block that is being filled.
#[derive(Debug, Default)]
pub(super) struct Block {
    rows: String,
    count: usize,
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
    before: String,
    text_bytes: usize,
}

impl Block {
    /// A row of the section Fastq.
    pub(super) fn fastq(&mut self, file: &PackagedFile, mark: Mark) {
        self.path(&file.path);
        let library = self.number(&file.library_id);
        let run = self.number(&file.instrument_run_id);
        let lane = file.lane.map_or("-1".to_owned(), |lane| lane.to_string());
        for number in [file.size.to_string(), library.to_string(), run.to_string(), lane] {
            self.cell(&number);
        }
        self.end(file, mark);
    }

    /// A row of the section Secondary Files.
    pub(super) fn secondary(&mut self, file: &PackagedFile, run: usize, mark: Mark) {
        self.path(&file.path);
        self.cell(&file.size.to_string());
        self.cell(&run.to_string());
        self.end(file, mark);
    }

    /// Whether it ought to be written out.
    pub(super) const fn is_full(&self) -> bool {
        self.count >= ROWS || self.rows.len() + self.text_bytes >= BYTES
    }

    /// The bytes that are kept.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.rows.len() + self.text_bytes
    }

    /// Writes it out, if there is anything in it, and begins the next.
    pub(super) fn close(&mut self, name: &str, out: &mut Vec<u8>) {
        let block = mem::take(self);
        if block.count == 0 {
            return;
        }
        let mut text = String::with_capacity(block.rows.len() + block.text_bytes + 80);
        text.push_str("{\"t\":");
        push_json_list(&mut text, &block.texts);
        text.push_str(",\"r\":[");
        text.push_str(&block.rows);
        text.push_str("]}");
        script(name, &text, out);
    }

    fn path(&mut self, path: &str) {
        if self.count > 0 {
            self.rows.push(',');
        }
        let (shared, rest) = shared(&self.before, path);
        self.rows.push('[');
        self.rows.push_str(&shared.to_string());
        self.rows.push(',');
        push_json(&mut self.rows, rest);
        path.clone_into(&mut self.before);
    }

    fn cell(&mut self, number: &str) {
        self.rows.push(',');
        self.rows.push_str(number);
    }

    fn end(&mut self, file: &PackagedFile, mark: Mark) {
        let mark = match mark {
            Mark::Same => 0,
            Mark::New => 16,
            Mark::Changed => 32,
        };
        let flags = file.storage_class as usize + if file.archived { 8 } else { 0 } + mark;
        if flags > 0 {
            self.cell(&flags.to_string());
        }
        self.rows.push(']');
        self.count += 1;
    }

    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len();
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        self.text_bytes += text.len();
        number
    }
}

/// Writes a block of data; `json` must not have a `<`.
pub(super) fn script(name: &str, json: &str, out: &mut Vec<u8>) {
    for part in ["<script type=\"application/json\" data-rows=\"", name, "\">", json, "</script>\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// How many UTF-16 units the two begin with in common, and what is left of the second.
fn shared<'a>(before: &str, text: &'a str) -> (usize, &'a str) {
    let (mut units, mut bytes) = (0, 0);
    for (a, b) in before.chars().zip(text.chars()) {
        if a != b {
            break;
        }
        units += a.len_utf16();
        bytes += a.len_utf8();
    }
    (units, text.get(bytes..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{domain::share::files::StorageClass, papers::report::tests::fastq};

    #[test]
    fn paths_are_told_from_the_one_before() {
        assert_eq!(shared("", "a/b"), (0, "a/b"));
        assert_eq!(shared("a/𝄞x", "a/𝄞y"), (4, "y"));
        assert_eq!(shared("a/é", "a/è"), (2, "è"));
        assert_eq!(shared("a", "a"), (1, ""));
    }

    #[test]
    fn a_block_stands_alone_and_is_small() {
        let mut block = Block::default();
        let mut file = fastq("L1", 1);
        block.fastq(&file, Mark::Same);
        file.path = file.path.replace("_R1_", "_R2_");
        file.storage_class = StorageClass::DeepArchive;
        file.archived = true;
        file.lane = None;
        block.fastq(&file, Mark::New);
        let mut out = Vec::new();
        block.close("fastq", &mut out);
        let text = String::from_utf8(out).unwrap();
        let json = text
            .strip_prefix("<script type=\"application/json\" data-rows=\"fastq\">")
            .and_then(|text| text.strip_suffix("</script>\n"))
            .unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(json).unwrap(),
            json!({ "t": ["L1", "run-1"], "r": [
                [0, "fastq/run-1/Lane_1/L1/L1_S1_L001_R1_001.fastq.gz", 1_610_612_736, 0, 1, 1, 1],
                [34, "2_001.fastq.gz", 1_610_612_736, 0, 1, -1, 29],
            ] })
        );
        let mut nothing = Vec::new();
        block.close("fastq", &mut nothing);
        assert_eq!(nothing, b"");
    }
}
