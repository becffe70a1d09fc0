//! Bytes: GET into PUT, in bounded memory, over a [`wire::Wire`] seam.

mod checked;
pub mod http;
pub mod stream;
pub mod wire;
