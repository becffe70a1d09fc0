//! Lines of tables on their way into a replica, as a source of tables sends them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::lines(bytes));
