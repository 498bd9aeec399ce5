//! Whether the catalog's rows can be read.
//!
//! Asked of the disk at most once in [`FRESH`], whoever asks how often, waited for no longer than [`PATIENCE`], and never by two at once.

use engine::Result;
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::id::PartitionId;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// So long what was found out about rows holds.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// A row that was not read by then can't be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether rows can be read.
#[derive(Default)]
pub(super) struct Readable(Mutex<Looked>);

#[derive(Default)]
struct Looked {
    /// When they were read last, in boot time, and what that came to.
    last: Option<(Duration, Option<String>)>,
    /// A read that is not back yet: a disk that hangs gets no second one.
    under_way: Option<JoinHandle<Result<()>>>,
}

impl Readable {
    /// Why they can't be read, if they can't.
    pub(super) async fn refused(
        &self,
        clock: &dyn Clock,
        read: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Option<String> {
        let mut looked = self.0.lock().await;
        if let Some((at, refused)) = &looked.last
            && clock.boottime().saturating_sub(*at) < FRESH
        {
            return refused.clone();
        }
        // Kept there while it is waited for: whoever asked may go away.
        let under_way = looked.under_way.get_or_insert_with(|| tokio::task::spawn_blocking(read));
        let refused = tokio::select! {
            biased;
            outcome = &mut *under_way => {
                looked.under_way = None;
                match outcome {
                    Ok(outcome) => outcome.err().map(|error| error.to_string()),
                    Err(error) => Some(error.to_string()),
                }
            }
            () = clock.sleep(PATIENCE) => Some(format!("no row was read within {} s", PATIENCE.as_secs())),
        };
        looked.last = Some((clock.boottime(), refused.clone()));
        refused
    }
}

/// Anywhere, so that what is read is seldom in memory; where that fails, at the root, which every request needs: one damaged place is not all of
/// the catalog.
pub(super) fn anywhere_or_at_the_root(
    read: impl Fn(PartitionId) -> Result<()>,
    entropy: &dyn Entropy,
) -> Result<()> {
    let mut anywhere = [0; 8];
    entropy.fill_id(&mut anywhere);
    read(PartitionId::from_bytes(anywhere)).or_else(|_| read(PartitionId::ROOT))
}

#[cfg(test)]
mod tests {
    use super::{FRESH, PATIENCE, Readable, anywhere_or_at_the_root};
    use engine::Error;
    use engine::clock::{ManualClock, Timestamp};
    use engine::entropy::SeededEntropy;
    use engine::id::PartitionId;
    use std::sync::Arc;

    #[test]
    fn one_damaged_place_is_not_all_of_the_catalog() {
        let entropy = SeededEntropy::new(1);
        let read = |damaged: fn(PartitionId) -> bool| {
            anywhere_or_at_the_root(|at| if damaged(at) { Err(Error::Closed) } else { Ok(()) }, &entropy)
        };
        assert!(read(|_| false).is_ok() && read(|at| at != PartitionId::ROOT).is_ok());
        assert!(read(|at| at == PartitionId::ROOT).is_ok(), "it was not asked for");
        assert!(read(|_| true).is_err());
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_told_in_time_and_asked_once() {
        let (clock, rows) = (Arc::new(ManualClock::new(Timestamp::from_millis(0))), Readable::default());
        let (answers, waits) = std::sync::mpsc::channel::<()>();
        let mut refused = Box::pin(rows.refused(&*clock, move || waits.recv().map_err(|_| Error::Closed)));
        assert!(futures_util::poll!(&mut refused).is_pending());
        // Who asked goes away.
        drop(refused);
        let again = || -> engine::Result<()> { panic!("a second read of a disk that hangs") };
        let mut refused = Box::pin(rows.refused(&*clock, again));
        assert!(futures_util::poll!(&mut refused).is_pending());
        clock.advance(PATIENCE);
        assert_eq!(refused.await.unwrap(), "no row was read within 5 s");
        clock.advance(FRESH);
        answers.send(()).unwrap();
        assert_eq!(rows.refused(&*clock, again).await, None, "it came back");
        assert_eq!(rows.refused(&*clock, again).await, None, "a moment ago");
        clock.advance(FRESH);
        assert_eq!(rows.refused(&*clock, || Err(Error::Closed)).await, Some(Error::Closed.to_string()));
    }
}
