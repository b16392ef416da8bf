#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auralink::testing::credentials(data));
