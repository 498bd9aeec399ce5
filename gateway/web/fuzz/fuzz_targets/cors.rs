//! CORS documents and the pages that ask: see `checks/cors.rs`.
#![no_main]

// Document and matching alone, so that the target builds without the door.
#[allow(dead_code, clippy::allow_attributes, reason = "the operations use the rest of it")]
#[path = "../../src/xml"]
mod xml {
    mod reader;
    mod writer;
    pub(crate) use reader::{Element, Malformed};
    pub(crate) use writer::XmlWriter;
}

#[path = "../../src/s3"]
mod s3 {
    pub(crate) mod cors {
        pub(crate) mod document;
        mod page;
        pub(crate) use page::Page;
    }
}

#[path = "../checks/cors.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    check::check(input);
});
