#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pulsetrail_probers_fuzz::pattern(bytes));
