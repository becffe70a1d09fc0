//! Templates of addresses, and keys that are read by them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::templates(bytes));
