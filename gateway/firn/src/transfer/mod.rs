//! Moving bytes between directories, buckets and streams.
//!
//! ```text
//!   source list ─┐
//!                ├─► plan (merge-join by name) ─► jobs ─► runner: N at once ─► report
//!   target list ─┘                                          │
//!                                upload · download · copy · remove, each with its own verification
//! ```
//!
//! Both lists come in the order of their names' bytes and are joined as they come, so that memory does not grow with
//! their length. A job that fails is listed and the others go on.
//!
//! Limits: `jobs` requests under way at once (default 8), each holding at most two parts in memory.
//!
//! An interruption at any point leaves whole objects and whole files only: an upload in parts goes on where it stopped
//! when the same command runs again, a download's temporary file is removed. An endpoint that is gone ends the whole
//! transfer (`outage`), not one job after the other.

mod copy;
mod download;
mod entry;
mod local;
mod noted;
mod outage;
mod plan;
mod progress;
mod remote;
mod report;
mod run;
mod single;
mod taken;
mod temporary;
mod upload;

pub(crate) use download::{into_special, is_special};
pub(crate) use entry::Entry;
pub(crate) use local::{led_to, other_name_of_an_appliances};
pub(crate) use outage::Outage;
pub(crate) use plan::{Compare, Job, Place, Spot, SyncPlan};
pub(crate) use report::{SHOWN_MAX, TransferReport, show_first};
pub(crate) use run::{Runner, Settings};
pub(crate) use single::{one, stream_in, stream_out};
pub(crate) use temporary::Temporary;

/// Where a stream of things found, or a failure to find one, comes from.
pub(crate) type Stream<T> = tokio::sync::mpsc::Receiver<T>;

/// Things found ahead of their use.
pub(crate) const AHEAD: usize = 1024;
