//! Bytes: GET into PUT, or ranges into parts, in bounded memory. Presigned URLs are read and written
//! over a [`wire::Wire`] seam, S3 over its port.

mod checked;
pub mod http;
mod multipart;
mod object;
pub mod reports;
pub mod settings;
pub mod stream;
pub mod wire;
