//! The simulator, held to its contract: in process on a paused clock, against the `OpenAPI`
//! document, and by an independent client over a socket.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test helpers")]

mod bytes;
mod copy_out;
mod copying;
#[cfg(feature = "canvas")]
mod dap;
mod data;
mod document;
mod endpoints;
mod faults;
mod libica;
mod moves;
mod objects;
mod openapi;
mod s3;
mod shapes;
mod size;
mod socket;
mod strictness;
mod support;
mod updates;
