//! What the decisions of one request may cost together.

use super::evaluate::STEPS_MAX;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Steps of all decisions of one request: one whose keys are few asks less than sixteen times.
pub const REQUEST_STEPS_MAX: usize = 16 * STEPS_MAX;
/// Steps for each further key of a request that names many. A policy as long as a bucket's may be, of ordinary patterns, costs some 30,000
/// a decision, and a key is asked about up to four times: so none is denied for the number of its keys. It is half of what one decision may cost.
pub const KEY_STEPS: usize = 128 << 10;

/// Steps that are left to a request, whatever its decisions are about: each asks [`Context::spend`](super::Context::spend), and the
/// request's context passes that on to here. Once it is empty, whatever is dearer than a few steps is denied.
#[derive(Debug)]
pub struct Purse(AtomicUsize);

impl Default for Purse {
    fn default() -> Self {
        Self(AtomicUsize::new(REQUEST_STEPS_MAX))
    }
}

impl Purse {
    /// Takes steps; false where there are not more than that, and then none are left.
    pub fn spend(&self, steps: usize) -> bool {
        let left = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(steps)));
        left.unwrap_or_default() > steps
    }

    /// The request is about one more key.
    pub fn earn(&self) {
        let more = |left: usize| Some(left.saturating_add(KEY_STEPS));
        let _never = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

#[cfg(test)]
mod tests {
    use super::{KEY_STEPS, Purse, REQUEST_STEPS_MAX};

    #[test]
    fn a_purse_is_empty_once_and_earns_with_each_key() {
        let purse = Purse::default();
        assert!(purse.spend(REQUEST_STEPS_MAX - 1) && !purse.spend(1) && !purse.spend(1));
        purse.earn();
        assert!(purse.spend(KEY_STEPS - 1) && !purse.spend(KEY_STEPS));
    }
}
