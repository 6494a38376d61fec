#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| pulsetrail_probers_fuzz::url_intake(text));
