//! Documents of any size in items that hold 400 KB (DynamoDB).
//!
//! A small document stands in its attribute as it is, where people can read it. A larger one is
//! gzipped, in an attribute of that name with `_gz`: that costs less to write, too. A document that does not
//! fit even so is cut into parts, which are items of their own, and the attribute with `_parts` names them.
//!
//! Parts are put before the item that names them, so no document is ever there in part; their key
//! comes from owner and content, so putting them again changes nothing. An owner that dies between
//! the two leaves parts that no item names. Nothing looks for those, or for the parts of documents of settled
//! requests: they expire by themselves, long after any request has ended.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::spawn_blocking;

use super::{concurrent::join_unordered, core::Core, records};
use crate::{
    domain::ids::digest,
    ports::{
        Class, Error, Result,
        store::{Action, Change, EXPIRE_AT, Item, Key, Value, Write},
    },
};

/// Bytes of a document that is kept as it is.
const PLAIN: usize = 32 * 1024;

/// Characters of a packed document, or of one part of it, in one item. The other attributes of an item have
/// the rest of its 400 KB.
const PIECE: usize = 350_000;

/// From this many bytes on, packing is no longer a matter of moments.
const SLOW: usize = 256 * 1024;

/// Bytes that a document may have when it is unpacked.
const LARGEST: u64 = 1 << 30;

/// How long the items that a root needs are kept beyond `service.keep`: longer than any request takes.
const LIFE: Duration = Duration::from_hours(60 * 24);

/// Parts written at a time.
const WIDTH: usize = 8;

/// The attribute of a part.
const PART: &str = "part";

fn packed(name: &str) -> String {
    format!("{name}_gz")
}

fn parted(name: &str) -> String {
    format!("{name}_parts")
}

/// The changes that take a document out of its item.
pub(crate) fn removal(name: &str) -> [Change; 3] {
    [name.to_owned(), packed(name), parted(name)].map(Change::Remove)
}

impl Core {
    /// When an item that a root needs until it settles may expire, where no record knows of it any more;
    /// seconds since 1970.
    pub(crate) fn outlives_a_root(&self) -> i64 {
        records::after(self.ports.clock.now(), self.settings.service.keep.saturating_add(LIFE)) / 1000
    }

    /// The item with a document, of whatever size.
    pub(crate) async fn with_document<T: Serialize + Sync>(
        &self,
        item: Item,
        name: &str,
        document: &T,
    ) -> Result<Item> {
        let text = records::text(document)?;
        let (name, value) = self.attribute(&item.key, name, text).await?;
        Ok(item.with(&name, value))
    }

    /// The change that gives an item a document that it does not have yet.
    pub(crate) async fn set_document<T: Serialize + Sync>(
        &self,
        owner: &Key,
        name: &str,
        document: &T,
    ) -> Result<Change> {
        let text = records::text(document)?;
        let (name, value) = self.attribute(owner, name, text).await?;
        Ok(Change::Set(name, value))
    }

    /// The attribute that a document becomes, its parts written where it has some.
    pub(crate) async fn attribute(&self, owner: &Key, name: &str, text: String) -> Result<(String, Value)> {
        if text.len() <= PLAIN {
            return Ok((name.to_owned(), Value::Text(text)));
        }
        let content = digest(&[&owner.id, &owner.id_type, name, &text]);
        let packed_text = spawn_blocking_if_large(text.len(), move || pack(&text)).await?;
        let text =
            packed_text.map_err(|error| Error::new(Class::Invalid, "pack record", error.to_string()))?;
        if text.len() <= PIECE {
            return Ok((packed(name), Value::Text(text)));
        }
        let id = format!("part.{content}");
        let expire_at = self.outlives_a_root();
        // Base64 is ASCII: it can be cut anywhere.
        let pieces: Vec<_> = text.as_bytes().chunks(PIECE).map(String::from_utf8_lossy).collect();
        let puts = (0_usize..).zip(&pieces).map(|(n, piece)| {
            let item = Item::new(Key::new(&id, format!("PART#{n:06}")))
                .with(PART, piece.as_ref())
                .with(EXPIRE_AT, expire_at);
            // It is put over the part that is there: that is the same, and lives on.
            let put = Write { key: item.key, action: Action::Put(item.attributes), conditions: Vec::new() };
            self.ports.store.write(put)
        });
        for put in join_unordered(WIDTH, puts).await {
            put?;
        }
        Ok((parted(name), Value::Text(format!("{id} {}", pieces.len()))))
    }

    /// The changes that give an item a document, whatever it had of that name before.
    pub(crate) async fn replace_document<T: Serialize + Sync>(
        &self,
        owner: &Key,
        name: &str,
        document: &T,
    ) -> Result<Vec<Change>> {
        let set = self.set_document(owner, name, document).await?;
        let others = removal(name).into_iter().filter(|other| other.name() != set.name());
        let others: Vec<_> = others.collect();
        Ok([set].into_iter().chain(others).collect())
    }

    /// Reads a document; absent is the default.
    pub(crate) async fn document_or_default<T: DeserializeOwned + Default>(
        &self,
        item: &Item,
        name: &str,
    ) -> Result<T> {
        let has = |name: &str| item.attributes.contains_key(name);
        if has(name) || has(&packed(name)) || has(&parted(name)) {
            return self.read_document(item, name).await;
        }
        Ok(T::default())
    }

    /// Reads a document that must be there.
    pub(crate) async fn read_document<T: DeserializeOwned>(&self, item: &Item, name: &str) -> Result<T> {
        let wrong =
            || Error::new(Class::Invalid, "read record", format!("`{name}` of {} is broken", item.key));
        let text = if let Some(text) = item.text(&packed(name)) {
            text.to_owned()
        } else if let Some(parts) = item.text(&parted(name)) {
            let (id, count) = parts.split_once(' ').ok_or_else(wrong)?;
            let count: usize = count.parse().map_err(|_| wrong())?;
            let found = self.ports.store.query(id, "PART#").await?;
            if found.len() != count {
                return Err(wrong());
            }
            found.iter().filter_map(|part| part.text(PART)).collect()
        } else {
            return records::required(item, name);
        };
        let json = spawn_blocking_if_large(text.len(), move || unpack(&text)).await?;
        let json = json.map_err(|error| wrong().caused_by(error))?;
        serde_json::from_slice(&json).map_err(|error| wrong().caused_by(error))
    }
}

/// Does work that takes its time where it holds up no other task.
pub(crate) async fn spawn_blocking_if_large<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if bytes < SLOW {
        return Ok(work());
    }
    let broke =
        |error| Error::new(Class::Transient, "work spawn_blocking_if_large", "was given up").caused_by(error);
    spawn_blocking(work).await.map_err(broke)
}

fn pack(text: &str) -> std::io::Result<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    Ok(BASE64_STANDARD.encode(encoder.finish()?))
}

fn unpack(text: &str) -> std::io::Result<Vec<u8>> {
    let packed = BASE64_STANDARD.decode(text).map_err(std::io::Error::other)?;
    let mut json = Vec::new();
    GzDecoder::new(packed.as_slice()).take(LARGEST).read_to_end(&mut json)?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for text in [String::new(), "äöü".repeat(100_000)] {
            assert_eq!(unpack(&pack(&text).unwrap()).unwrap(), text.as_bytes());
        }
        assert!(unpack("no base64").is_err());
        assert!(unpack(&BASE64_STANDARD.encode("no gzip")).is_err());
    }
}
