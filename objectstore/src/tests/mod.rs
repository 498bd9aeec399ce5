//! Tests of the store as a whole, one file per area.

mod basics;
mod copy;
mod multipart;
mod versions;
