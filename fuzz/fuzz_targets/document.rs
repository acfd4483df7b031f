#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ms_acl_fuzz::document(bytes));
