//! The names of a job's files, packed: a folder's document holds those of every job under way, and
//! has to fit one item.

use std::{
    io::{Read as _, Write as _},
    ops::Deref,
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Fewer names stay as readable as they are.
const FEW: usize = 20;

/// What a document of ours cannot hold, packed or not: a text that claims more is not one of ours.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What begins the text of names that have lines of their own.
const IN_JSON: &str = "json:";

/// Names in the order of their job. Stored as a list when they are few, else as one text: zlib, in
/// base64, of the names a line each, or of their list in JSON where one of them holds the end of a line.
/// Each form is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    names: Arc<Vec<String>>,
    packed: OnceLock<Arc<str>>,
}

impl Names {
    /// About how many bytes of the document they take.
    pub(super) fn bytes(&self) -> usize {
        if self.names.len() < FEW {
            return self.names.iter().map(|name| 2 * name.len() + 3).sum();
        }
        self.packed().len()
    }

    fn packed(&self) -> &str {
        self.packed.get_or_init(|| pack(&self.names).into())
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self { names: Arc::new(names.into_iter().collect()), packed: OnceLock::new() }
    }
}

impl Deref for Names {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.names
    }
}

impl<'a> IntoIterator for &'a Names {
    type Item = &'a String;
    type IntoIter = std::slice::Iter<'a, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.names.iter()
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for Names {}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.names.len() < FEW {
            self.names.serialize(serializer)
        } else {
            serializer.serialize_str(self.packed())
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            List(Vec<String>),
            Packed(String),
        }
        match Form::deserialize(deserializer)? {
            Form::List(names) => Ok(names.into_iter().collect()),
            Form::Packed(text) => {
                let names =
                    unpack(&text).map_err(|error| D::Error::custom(format!("packed names: {error}")))?;
                Ok(Self { names: Arc::new(names), packed: OnceLock::from(Arc::from(text)) })
            }
        }
    }
}

fn pack(names: &[String]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let in_lines = !names.iter().any(|name| name.contains('\n'));
    let joined = if in_lines { names.join("\n") } else { serde_json::to_string(names).unwrap_or_default() };
    // Writing to memory does not fail.
    let packed = encoder.write_all(joined.as_bytes()).and_then(|()| encoder.finish());
    let packed = BASE64_STANDARD_NO_PAD.encode(packed.unwrap_or_default());
    if in_lines { packed } else { format!("{IN_JSON}{packed}") }
}

fn unpack(text: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let (in_lines, text) = text.strip_prefix(IN_JSON).map_or((true, text), |text| (false, text));
    let packed = BASE64_STANDARD_NO_PAD.decode(text)?;
    let mut joined = String::new();
    ZlibDecoder::new(packed.as_slice()).take(MOST_BYTES).read_to_string(&mut joined)?;
    if !in_lines {
        return Ok(serde_json::from_str(&joined)?);
    }
    Ok(joined.split('\n').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Names {
        (0..count).map(|n| format!("LPRJ240012_S{}_L00{}_R1_001.fastq.gz", n / 8, n % 8)).collect()
    }

    #[test]
    fn names_survive_either_form() {
        for count in [0, 1, FEW - 1, FEW, 1000] {
            let text = serde_json::to_string(&names(count)).unwrap();
            assert_eq!(text.starts_with('['), count < FEW);
            assert_eq!(serde_json::from_str::<Names>(&text).unwrap(), names(count), "{count}");
        }
    }

    #[test]
    fn names_with_the_end_of_a_line_in_them_survive() {
        let odd: Names = names(100).iter().map(|name| format!("{name}\nIcon\r")).collect();
        let text = serde_json::to_string(&odd).unwrap();
        assert_eq!(serde_json::from_str::<Names>(&text).unwrap(), odd);
    }

    #[test]
    fn a_list_of_many_is_read_as_older_versions_wrote_it() {
        let list = serde_json::to_string(&names(100).to_vec()).unwrap();
        assert_eq!(serde_json::from_str::<Names>(&list).unwrap(), names(100));
    }

    #[test]
    fn what_is_not_packed_names_is_refused() {
        for text in ["\"\"", "\"###\"", "\"aaaa\"", "7"] {
            assert!(serde_json::from_str::<Names>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_thousand_names_take_a_tenth() {
        let names = names(1000);
        let raw: usize = names.iter().map(|name| name.len() + 3).sum();
        assert!(names.bytes() * 5 < raw, "{} of {raw}", names.bytes());
    }
}
