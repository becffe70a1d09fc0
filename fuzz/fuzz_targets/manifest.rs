//! Objects named by `manifestS3Uri`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::manifest(bytes));
