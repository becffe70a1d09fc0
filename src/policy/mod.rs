//! How we try: how fast ([`pace`]) and how often ([`retry`]).
//!
//! One layer retries, and it is this one: what it gives up on goes to the engine, whose next look
//! is the retry that lasts.

pub mod pace;
pub mod retry;
