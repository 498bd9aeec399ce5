//! Disk work of asynchronous code, on the runtime's threads that may block.

use crate::{Error, Result};

/// Runs `work` where blocking is allowed. [`Error::Closed`] when the runtime ends first, or `work` panics.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)?
}
