//! The sending side of aws-chunked: frames for data that the caller sends itself.

use super::{Chain, TRAILER_SIGNATURE};
use crate::sigv4::{ChunkSeed, sha256_hex};
use bytes::Bytes;

/// Makes the frames around a body's chunks. Send [`head`](Self::head), the data, [`Encoder::AFTER_DATA`]; and when all is
/// sent, [`finish`](Self::finish).
#[derive(Debug)]
pub struct Encoder {
    chain: Option<Chain>,
    trailer: bool,
}

impl Encoder {
    /// What follows each chunk's data.
    pub const AFTER_DATA: &'static [u8] = b"\r\n";

    /// Signs every chunk, and the trailers if the seed was made for them.
    pub fn signed(seed: ChunkSeed) -> Self {
        Self { trailer: seed.trailer, chain: Some(Chain::new(seed)) }
    }

    /// Signs nothing; trailers may follow.
    pub fn unsigned() -> Self {
        Self { chain: None, trailer: true }
    }

    /// What precedes a chunk of data, which must not be empty: an empty chunk ends the body.
    pub fn head(&mut self, data: &[u8]) -> Bytes {
        debug_assert!(!data.is_empty(), "an empty chunk would end the body");
        self.head_of(data).into()
    }

    /// What ends the body: the empty chunk and the trailers (lower-case names; none unless the encoder was made for them).
    pub fn finish(mut self, trailers: &[(&str, &str)]) -> Bytes {
        let mut out = self.head_of(b"");
        if self.trailer {
            let mut sorted = trailers.to_vec();
            sorted.sort_unstable();
            let mut canonical = String::new();
            for (name, value) in sorted {
                canonical.extend([name, ":", value, "\n"]);
                out.extend([name, ":", value, "\r\n"]);
            }
            if let Some(chain) = &mut self.chain {
                let signature = chain.trailers(canonical.as_bytes());
                out.extend([TRAILER_SIGNATURE, ":", signature.as_str(), "\r\n"]);
            }
        }
        out.push_str("\r\n");
        out.into()
    }

    fn head_of(&mut self, data: &[u8]) -> String {
        match &mut self.chain {
            None => format!("{:x}\r\n", data.len()),
            Some(chain) => {
                let signature = chain.chunk(&sha256_hex(data));
                format!("{:x};chunk-signature={}\r\n", data.len(), signature.as_str())
            }
        }
    }

    /// The `Content-Length` of a body of `data_bytes` in chunks of `chunk_bytes` (the last one shorter), with these
    /// trailers, each given by the lengths of its name and value.
    pub fn encoded_length(&self, data_bytes: u64, chunk_bytes: u64, trailers: &[(usize, usize)]) -> u64 {
        let signature = if self.chain.is_some() { ";chunk-signature=".len() as u64 + 64 } else { 0 };
        let head = |size: u64| format!("{size:x}").len() as u64 + signature + 2;
        let chunk_bytes = chunk_bytes.max(1);
        let (whole, rest) = (data_bytes / chunk_bytes, data_bytes % chunk_bytes);
        let mut total = whole * (head(chunk_bytes) + chunk_bytes + 2);
        if rest > 0 {
            total += head(rest) + rest + 2;
        }
        total += head(0) + 2;
        if self.trailer {
            total += trailers.iter().map(|(name, value)| (name + value + 3) as u64).sum::<u64>();
            if self.chain.is_some() {
                total += TRAILER_SIGNATURE.len() as u64 + 1 + 64 + 2;
            }
        }
        total
    }
}
