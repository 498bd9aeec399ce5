//! SigV4 and aws-chunked against what other implementations put on the wire, and against what an attacker would.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing to unwrap has failed")]

mod botocore;
mod chunked;
mod corpus;
mod mutations;
mod refusals;
mod request;
mod signer;
