//! Commits whose outcome is not known.

use super::super::KeyState;
use super::{Bench, code, root};
use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Snapshot, Version};
use engine::id::PartitionId;
use engine::{BoxFuture, Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Once it is asked to, takes a commit without saying so, and refuses each that comes after it, as a catalog does whose rows fail.
#[derive(Default)]
struct Failing {
    rows: MemoryCatalog,
    fails: AtomicBool,
    has_failed: AtomicBool,
}

impl Catalog for Failing {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
        Box::pin(async move {
            if !self.fails.load(Ordering::SeqCst) {
                return self.rows.commit(commit).await;
            }
            if self.has_failed.swap(true, Ordering::SeqCst) {
                return Err(Error::Fenced { reason: "the rows fail".to_owned() });
            }
            self.rows.commit(commit).await?;
            Err(Error::Unknown { reason: "a lost answer".to_owned() })
        })
    }
}

#[tokio::test]
async fn a_change_that_may_have_passed_is_not_told_as_refused() {
    let failing = Arc::new(Failing::default());
    let bench = Bench::over(failing.clone()).await;
    let key = bench.key(None).await;
    failing.fails.store(true, Ordering::SeqCst);
    assert_eq!(code(bench.kms.disable_key(&root(), &key).await), "DependencyTimeoutException");
    assert_eq!(bench.kms.describe_key(&root(), &key).await.unwrap().state, KeyState::Disabled);
    // Of what nobody took, that is known.
    assert_eq!(code(bench.kms.enable_key(&root(), &key).await), "KMSInternalException");
}
