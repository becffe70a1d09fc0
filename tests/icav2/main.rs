//! The ICAv2 client and the streams against scripted seams, on a paused clock; two tests at the end
//! go over real sockets.
#![expect(clippy::unwrap_used, reason = "test helpers")]
#![expect(clippy::unnecessary_wraps, reason = "answers are made as the seam gives them")]

mod answers;
mod calls;
mod gathered;
mod network;
mod parts;
mod script;
mod storage;
mod streams;
mod tokens;
