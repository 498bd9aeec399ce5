//! Request documents: never a panic, never work beyond the size of the input.
#![no_main]

libfuzzer_sys::fuzz_target!(|document: &[u8]| {
    let _accepted = web::reads_xml(document);
});
