#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| anylith_fuzz::settings::settings(data));
