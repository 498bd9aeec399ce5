//! What has to be undone before the process may end: an interruption waits for it, and not longer than that takes.
//!
//! Whoever holds something that its drop takes away (a download's temporary file) holds a [`Pending`] as well. Tasks that
//! are aborted are dropped by the runtime a little later; a process that ended at once would leave their files behind.

use std::convert::Infallible;
use tokio::sync::mpsc;

/// As long as one of these lives, something is still to be undone.
#[derive(Clone, Debug)]
pub(crate) struct Pending(#[expect(dead_code, reason = "it is held, never used")] mpsc::Sender<Infallible>);

/// Waits until nothing is pending.
#[derive(Debug)]
pub(crate) struct Settled(mpsc::Receiver<Infallible>);

/// The two ends.
pub(crate) fn pair() -> (Pending, Settled) {
    let (sender, receiver) = mpsc::channel(1);
    (Pending(sender), Settled(receiver))
}

impl Settled {
    /// Returns when the last [`Pending`] is gone.
    pub(crate) async fn wait(mut self) {
        // Nothing is ever sent: this ends when all senders are gone.
        let _none = self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use super::pair;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn it_waits_for_the_last_of_them() {
        let (pending, settled) = pair();
        let another = pending.clone();
        let mut wait = Box::pin(settled.wait());
        drop(pending);
        assert!((&mut wait).now_or_never().is_none());
        drop(another);
        wait.await;
    }
}
