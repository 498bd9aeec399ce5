//! aws-chunked bodies, sans-IO: the framing that carries chunk signatures and trailing checksums.
//!
//! ```text
//!   HEX-SIZE[;chunk-signature=64 HEX]\r\n  data  \r\n     …  the last chunk has size 0
//!   [name:value\r\n …  [x-amz-trailer-signature:64 HEX\r\n]]  \r\n        AWS's documentation and minio-go end
//!                                                                      the values with \n …\n\r\n: taken too
//!
//!   push(bytes) ─► Data(bytes)* ─► End { trailers }        each chunk's SHA-256 and the signature before it sign it
//! ```
//!
//! # Invariants
//! - A chunk's data goes out before its signature is checked (a chunk may be larger than memory), its last piece after:
//!   an upload may be finished only after [`Event::End`], and a body is whole only then.
//! - The chunks add up to `x-amz-decoded-content-length`, never more, not even for a moment.
//! - Only trailers that `x-amz-trailer` declared are taken, each once, and all of them must come.
//!
//! # Limits
//! 1,024 bytes a chunk header, 16 KiB of trailers, 16 declared trailers, at least 8,192 bytes in each chunk but the last.
//! Besides those lines nothing is buffered; data is passed on as it comes, without a copy.

mod decoder;
mod encoder;
mod error;
#[cfg(test)]
mod tests;

pub use decoder::{Decoder, Event};
pub use encoder::Encoder;
pub use error::ChunkError;

use crate::sigv4::{ChunkSeed, Signature, sha256_hex};

/// Smallest chunk that may be followed by another, in bytes.
pub const MIN_CHUNK_BYTES: u64 = 8192;

pub(crate) const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// SHA-256 of nothing, as every chunk's string to sign holds it.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The chain of signatures through a body: each signs the one before.
#[derive(Clone, Debug)]
struct Chain {
    seed: ChunkSeed,
    previous: Signature,
}

impl Chain {
    fn new(seed: ChunkSeed) -> Self {
        Self { previous: seed.signature, seed }
    }

    /// The signature of the next chunk, by the hexadecimal SHA-256 of its data.
    fn chunk(&mut self, data_sha256: &str) -> Signature {
        self.step("AWS4-HMAC-SHA256-PAYLOAD", &[EMPTY_SHA256, data_sha256])
    }

    /// The signature of the trailers, given as `name:value\n` each.
    fn trailers(&mut self, canonical: &[u8]) -> Signature {
        self.step("AWS4-HMAC-SHA256-TRAILER", &[&sha256_hex(canonical)])
    }

    fn step(&mut self, algorithm: &str, hashes: &[&str]) -> Signature {
        let (date, scope) = (self.seed.date.as_str(), &self.seed.scope);
        let to_sign =
            format!("{algorithm}\n{date}\n{scope}\n{}\n{}", self.previous.as_str(), hashes.join("\n"));
        self.previous = self.seed.key.sign(to_sign.as_bytes());
        self.previous
    }
}
