//! Any bytes as a form: never a panic, and the same however it is split.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::form(data));
