//! Rows that can't be read for a while, in a catalog that is sound.

use engine::BoxFuture;
use engine::catalog::{Key, Page, Scan, Snapshot, Table, Version};
use parking_lot::Mutex;
use std::sync::Arc;

/// Which reads fail.
struct Tear {
    table: Table,
    /// Keys that begin with this.
    prefix: Vec<u8>,
    /// How many reads from now on.
    left: usize,
}

/// Has reads of rows fail.
#[derive(Clone, Default)]
pub(crate) struct Torn(Arc<Mutex<Option<Tear>>>);

impl Torn {
    /// The next `times` reads of rows whose keys begin so find something that was never written.
    pub(crate) fn tear(&self, table: Table, prefix: &[u8], times: usize) {
        *self.0.lock() = Some(Tear { table, prefix: prefix.to_vec(), left: times });
    }

    /// All can be read. Answers how many more reads would have failed.
    pub(crate) fn mend(&self) -> usize {
        self.0.lock().take().map_or(0, |tear| tear.left)
    }

    /// The same rows, unless they are torn.
    pub(crate) fn over(&self, rows: Arc<dyn Snapshot>) -> Arc<dyn Snapshot> {
        Arc::new(View { rows, torn: self.clone() })
    }

    fn check(&self, key: &Key) -> engine::Result<()> {
        let mut torn = self.0.lock();
        let hit = |tear: &&mut Tear| {
            tear.left > 0 && tear.table == key.table && key.bytes.starts_with(&tear.prefix)
        };
        match torn.as_mut().filter(hit) {
            Some(tear) => {
                tear.left -= 1;
                Err(engine::Error::Corrupt { what: "row".into(), detail: "torn on purpose".into() })
            }
            None => Ok(()),
        }
    }
}

struct View {
    rows: Arc<dyn Snapshot>,
    torn: Torn,
}

impl Snapshot for View {
    fn read_version(&self) -> Version {
        self.rows.read_version()
    }

    fn get(&self, key: Key) -> BoxFuture<'_, engine::Result<Option<bytes::Bytes>>> {
        Box::pin(async move {
            self.torn.check(&key)?;
            self.rows.get(key).await
        })
    }

    fn multi_get(&self, keys: Vec<Key>) -> BoxFuture<'_, engine::Result<Vec<Option<bytes::Bytes>>>> {
        Box::pin(async move {
            keys.iter().try_for_each(|key| self.torn.check(key))?;
            self.rows.multi_get(keys).await
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, engine::Result<Page>> {
        self.rows.scan(scan)
    }
}
