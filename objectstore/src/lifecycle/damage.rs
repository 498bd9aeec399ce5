//! Rules that can't be read: writes go on, nothing is judged, and people are told, until they are set again.
//!
//! What is written meanwhile is in no index. So whoever finds the damage begins the bucket's walk anew: should the rules be readable one
//! day without having been set, all that is there is looked through. Rules that are set begin a walk of their own.

use super::Lifecycles;
use super::walk::Walk;
use crate::change::Change;
use crate::store::View;
use crate::{BucketName, Error, ErrorKind, ObjectStore, Result};
use engine::clock::Timestamp;

/// Lifecycle rules that can't be read, and so act on nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleDamage {
    /// The bucket that they are of.
    pub bucket: BucketName,
    /// Since when this process knows.
    pub since: Timestamp,
    /// Why: a lowercase fragment.
    pub error: String,
}

impl Lifecycles {
    /// A bucket's rules can be read, or are gone.
    pub(super) fn well(&self, bucket: &BucketName) {
        self.damaged.lock().remove(&bucket.unbound());
    }

    /// Whether it is told that a bucket's can't.
    pub(super) fn is_told(&self, bucket: &BucketName) -> bool {
        self.damaged.lock().contains_key(&bucket.unbound())
    }
}

impl ObjectStore {
    /// Buckets whose rules can't be read, as far as the worker has come by.
    pub fn damaged_lifecycles(&self) -> Vec<LifecycleDamage> {
        self.lifecycles.damaged.lock().values().cloned().collect()
    }

    /// Keeps in mind that a bucket's rules can't be read, where that is why `error` came.
    pub(super) async fn tell_damage(&self, name: &BucketName, view: &View, error: &Error) -> Result<()> {
        if error.kind() != ErrorKind::Corrupt || self.lifecycles.is_told(name) {
            return Ok(());
        }
        let begin = Change::writes([Walk::begin(self.clock.now())]).configured().freeing();
        if !self.try_commit(begin.of(view)).await? {
            // Somebody changed the bucket: its next turn looks again.
            return Ok(());
        }
        tracing::error!(bucket = %name, %error, "lifecycle rules can't be read: they act on nothing until they are set again");
        let (bucket, since) = (name.unbound(), self.clock.now());
        let damage = LifecycleDamage { bucket: bucket.clone(), since, error: error.to_string() };
        self.lifecycles.damaged.lock().insert(bucket, damage);
        Ok(())
    }
}
