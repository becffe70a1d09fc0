//! Secrets and the tokens in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::jwt(bytes));
