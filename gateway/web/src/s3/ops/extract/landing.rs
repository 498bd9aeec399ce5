//! Bodies of an archive on their way to the disk while the next ones come: [`LANDING_MAX`] small ones, and one larger one, which holds
//! more than its bytes would say.

use super::LANDING_MAX;
use tokio::task::{JoinError, JoinSet};

/// What ends with a `T` each. Dropping it gives them up.
pub(super) struct Landing<T> {
    pub(super) small: JoinSet<T>,
    pub(super) large: JoinSet<T>,
}

impl<T> Default for Landing<T> {
    fn default() -> Self {
        Self { small: JoinSet::new(), large: JoinSet::new() }
    }
}

impl<T: 'static> Landing<T> {
    /// One that has landed already.
    pub(super) fn landed(&mut self) -> Option<Result<T, JoinError>> {
        self.small.try_join_next().or_else(|| self.large.try_join_next())
    }

    /// One that had to land before the next small one; none when there is room.
    pub(super) async fn room_for_small(&mut self) -> Option<Result<T, JoinError>> {
        if self.small.len() < LANDING_MAX { None } else { self.small.join_next().await }
    }

    /// The one that had to land before the next large one begins.
    pub(super) async fn room_for_large(&mut self) -> Option<Result<T, JoinError>> {
        self.large.join_next().await
    }

    /// Any one; none when all have landed.
    pub(super) async fn next(&mut self) -> Option<Result<T, JoinError>> {
        match self.small.join_next().await {
            None => self.large.join_next().await,
            landed => landed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LANDING_MAX, Landing};
    use futures_util::poll;
    use std::pin::pin;
    use std::task::Poll;
    use tokio::sync::oneshot::channel;

    #[tokio::test]
    async fn a_large_body_lands_before_the_next_large_one_begins_and_small_ones_go_on() {
        let mut landing = Landing::default();
        assert!(landing.room_for_large().await.is_none());
        let (land, landed) = channel();
        landing.large.spawn(async move { landed.await.unwrap() });
        assert!(landing.room_for_small().await.is_none() && landing.landed().is_none());
        {
            let mut room = pin!(landing.room_for_large());
            assert!(poll!(&mut room).is_pending());
            land.send("large").unwrap();
            assert_eq!(room.await.unwrap().unwrap(), "large");
        }
        assert!(landing.room_for_large().await.is_none());
        let mut small = Vec::new();
        for _ in 0..LANDING_MAX {
            assert!(landing.room_for_small().await.is_none());
            let (land, landed) = channel();
            landing.small.spawn(async move { landed.await.unwrap() });
            small.push(land);
        }
        let mut room = Box::pin(landing.room_for_small());
        assert!(poll!(&mut room).is_pending());
        small.pop().unwrap().send("small").unwrap();
        assert!(matches!(room.await, Some(Ok("small"))));
        for land in small {
            land.send("small").unwrap();
        }
        for _ in 1..LANDING_MAX {
            assert!(matches!(landing.next().await, Some(Ok("small"))));
        }
        assert!(matches!(poll!(pin!(landing.next())), Poll::Ready(None)));
    }
}
