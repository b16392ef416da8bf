#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auralink::testing::wire_to_plan(data));
