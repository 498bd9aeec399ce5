//! Rows that can't be read: each is told of, and a record stands where it held one.

use super::event::Event;
use super::render::{Caller, Rendered};
use super::row::{EventRow, Place};
use crate::AccountId;
use aws_lc_rs::digest;
use engine::catalog::record::Record as _;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeSet;

/// Rows that are remembered.
const REMEMBERED: usize = 1_000;
/// What stands where a record can't be read.
pub(super) const DAMAGED: &str = "AuditRecordDamaged";

/// Rows that could not be read since the start: what they are, and their keys.
#[derive(Debug, Default)]
pub(super) struct Damaged(Mutex<BTreeSet<String>>);

impl Damaged {
    /// Notes one.
    pub(super) fn note(&self, what: &str, key: &[u8]) {
        let shown = format!("{what} {}", hex::encode(key.get(..64).unwrap_or(key)));
        let mut known = self.0.lock();
        if known.len() < REMEMBERED && known.insert(shown.clone()) {
            tracing::error!(row = shown, "failed to read a row of the audit trail: it is passed by");
        }
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().iter().cloned().collect()
    }
}

/// Whether what was read is not what was written, and never will be.
pub(super) fn is_damage(error: &crate::Error) -> bool {
    matches!(error, crate::Error::Corrupt { .. } | crate::Error::Engine(engine::Error::Corrupt { .. }))
}

impl super::Audit {
    /// The record of a row, or one in its place that says that it can't be read: always the same.
    pub(super) fn event_row(&self, account: AccountId, (key, value): (&[u8], &[u8])) -> EventRow {
        if let Ok(row) = EventRow::from_bytes(value) {
            return row;
        }
        self.damaged.note("record", key);
        let at = Place::of_key(key).unwrap_or(Place::FIRST).time();
        let said = json!({ "reason": "the record that stood here can not be read" });
        let event = Rendered::new(Event::of_itself(account, at, DAMAGED, said), &self.parts.region);
        let hash = digest::digest(&digest::SHA256, key);
        let id = hash.as_ref().first_chunk().copied().unwrap_or_default();
        // What was counted of it is not known: it is in no count of strangers.
        EventRow { at, caller: Caller(1), record: event.record(id) }
    }
}
