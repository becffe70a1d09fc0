//! Files on their way out of gzip: all members, each with its checksum and length.

use std::io::Write as _;

use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;
use futures_util::{StreamExt as _, stream};
use tokio::task::coop;

use crate::ports::{Class, Error, Result, source::ByteStream};

/// Packed bytes that are unpacked at a time. A thousand times as many may come of them, which must not hold up
/// other work.
const STEP: usize = 8 << 10;
/// What usually comes of them.
const USUAL: usize = 64 << 10;

struct Unpacking {
    body: ByteStream,
    packed: Bytes,
    /// `None`: all is unpacked.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
}

/// The unpacked bytes of a file. One that is cut, has a wrong checksum, or goes on after its end, ends with an error.
pub(super) fn unpacked(body: ByteStream, operation: &'static str) -> ByteStream {
    let decoder = Some(MultiGzDecoder::new(Vec::with_capacity(USUAL)));
    let unpacking = Unpacking { body, packed: Bytes::new(), decoder };
    stream::try_unfold(unpacking, move |unpacking| step(unpacking, operation)).boxed()
}

async fn step(mut state: Unpacking, operation: &'static str) -> Result<Option<(Bytes, Unpacking)>> {
    loop {
        let Some(mut decoder) = state.decoder.take() else { return Ok(None) };
        if state.packed.is_empty() {
            let Some(chunk) = state.body.next().await else {
                let rest = decoder.finish().map_err(|_| broken(operation))?;
                return Ok((!rest.is_empty()).then(|| (Bytes::from(rest), state)));
            };
            state.packed = chunk?;
            state.decoder = Some(decoder);
            continue;
        }
        coop::consume_budget().await;
        let length = state.packed.len().min(STEP);
        let part = state.packed.get(..length).unwrap_or_default();
        decoder.write_all(part).map_err(|_| broken(operation))?;
        state.packed.advance(length);
        let out = std::mem::replace(decoder.get_mut(), Vec::with_capacity(USUAL));
        state.decoder = Some(decoder);
        if !out.is_empty() {
            return Ok(Some((Bytes::from(out), state)));
        }
    }
}

/// Another download may be whole.
fn broken(operation: &'static str) -> Error {
    let what = "the file is cut, damaged or no gzip: its checksum or length is wrong";
    Error::new(Class::Transient, operation, what)
}
