//! Messages on the job event queue.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::jobs(bytes));
