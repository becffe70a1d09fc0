//! Bytes: GET into PUT, in bounded memory, over a [`wire::Wire`] seam.

pub mod wire;
