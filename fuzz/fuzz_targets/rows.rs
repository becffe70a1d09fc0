//! Tables of files, as requests bring them and catalogues hold them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::rows(bytes));
