//! Listings: a range scan that rolls keys up at a delimiter and skips what it rolled up by seeking.
//!
//! # Limits
//! A page has at most 1,000 entries and common prefixes; each costs at most one batch of rows (1,024), so a page
//! examines a bounded number of rows whatever lies below its prefixes. Dead versions are in another table.

mod objects;
mod scan;
mod versions;

pub(crate) use scan::{Next, Order, RollUp, bound, bound_end, common_prefix};
