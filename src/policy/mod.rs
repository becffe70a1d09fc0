//! How we try: how fast ([`pace`]), how much at a time ([`limit`]) and how often ([`retry`]).
//!
//! One layer retries, and it is this one: what it gives up on goes to the engine, whose next look
//! is the retry that lasts.

pub mod limit;
pub mod pace;
pub mod retry;
