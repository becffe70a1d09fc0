//! Messages on the request queue.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::intake(bytes));
