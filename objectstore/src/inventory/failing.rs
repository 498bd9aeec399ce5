//! Which reports can't be made, as people are told of them.

use super::Inventories;
use crate::{BucketName, ObjectStore};
use engine::clock::Timestamp;

/// Which reports of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// All of them: its configurations can't be read.
    Unreadable,
    /// Those that fail beyond what each account may have wait on their own.
    Together,
    /// That of the configuration of this id.
    One(String),
}

/// Reports that can't be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryFailure {
    /// The bucket that they are of.
    pub bucket: BucketName,
    /// Which.
    pub whose: Whose,
    /// Since when.
    pub since: Timestamp,
    /// Why: a lowercase fragment. Of several that of the last one that was tried.
    pub error: String,
}

impl InventoryFailure {
    /// The id of the configuration, where it is one.
    pub fn id(&self) -> Option<&str> {
        match &self.whose {
            Whose::One(id) => Some(id),
            Whose::Unreadable | Whose::Together => None,
        }
    }
}

impl Inventories {
    /// Keeps in mind that reports can't be made. Answers whether that is new.
    pub(super) fn fails(&self, failure: &InventoryFailure) -> bool {
        let mut failing = self.failing.lock();
        let name = (failure.bucket.clone(), failure.whose.clone());
        if let Some(known) = failing.get_mut(&name) {
            known.error.clone_from(&failure.error);
            return false;
        }
        failing.insert(name, failure.clone());
        true
    }

    /// A report is made, or wanted no more.
    pub(super) fn well(&self, bucket: &BucketName, id: &str) {
        self.failing.lock().remove(&(bucket.unbound(), Whose::One(id.to_owned())));
    }

    /// Forgets what failed of a bucket, but for these.
    pub(super) fn keep(&self, bucket: &BucketName, stays: impl Fn(&Whose) -> bool) {
        self.failing.lock().retain(|(of, whose), _| of != bucket || stays(whose));
    }
}

impl ObjectStore {
    /// Reports that can't be made now.
    pub fn failing_inventories(&self) -> Vec<InventoryFailure> {
        self.inventories.failing.lock().values().cloned().collect()
    }
}
