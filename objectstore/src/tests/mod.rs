//! Tests of the store as a whole, one file per area.

mod amend;
mod basics;
mod between;
mod copy;
mod crash;
pub(crate) mod dice;
mod full;
mod model;
mod multipart;
mod races;
mod versions;
