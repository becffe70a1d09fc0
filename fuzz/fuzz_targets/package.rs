//! Bodies of `POST /api/v1/package`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::package(bytes));
