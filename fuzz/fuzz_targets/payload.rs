//! Objects named by `payloadS3Uri`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::payload(bytes));
