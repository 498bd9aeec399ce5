//! Any bytes as a request head: never a panic, and never a signature out of nowhere.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::signature(data));
