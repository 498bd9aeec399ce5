//! Any bytes as an aws-chunked body: never a panic, never more than declared, the same however it is split.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::chunked(data));
