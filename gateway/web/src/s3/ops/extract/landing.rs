//! Bodies of an archive on their way to the disk while the next ones come: [`LANDING_MAX`] small ones, and one larger one, which holds
//! more than its bytes would say.

use super::LANDING_MAX;
use tokio::task::{JoinError, JoinSet};

/// What ends with a `T` each. Dropping it gives them up.
pub(super) struct Landing<T> {
    small: JoinSet<T>,
    large: JoinSet<T>,
}

/// That no large one is on its way: there is no spawning one without. One is there until then, for it begins with this in hand.
pub(super) struct RoomForLarge(());

impl<T> Default for Landing<T> {
    fn default() -> Self {
        Self { small: JoinSet::new(), large: JoinSet::new() }
    }
}

impl<T: Send + 'static> Landing<T> {
    /// A small one on its way.
    pub(super) fn spawn_small(&mut self, lands: impl Future<Output = T> + Send + 'static) {
        self.small.spawn(lands);
    }

    /// A large one on its way.
    pub(super) fn spawn_large(
        &mut self,
        RoomForLarge(()): RoomForLarge,
        lands: impl Future<Output = T> + Send + 'static,
    ) {
        self.large.spawn(lands);
    }

    /// One that has landed already.
    pub(super) fn landed(&mut self) -> Option<Result<T, JoinError>> {
        self.small.try_join_next().or_else(|| self.large.try_join_next())
    }

    /// One that had to land before the next small one; none when there is room.
    pub(super) async fn room_for_small(&mut self) -> Option<Result<T, JoinError>> {
        if self.small.len() < LANDING_MAX { None } else { self.small.join_next().await }
    }

    /// Room for the next large one; or the one that had to land before it begins.
    pub(super) async fn room_for_large(&mut self) -> Result<RoomForLarge, Result<T, JoinError>> {
        match self.large.join_next().await {
            None => Ok(RoomForLarge(())),
            Some(landed) => Err(landed),
        }
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
        let Ok(room) = landing.room_for_large().await else { panic!("there is none") };
        let (land, landed) = channel();
        landing.spawn_large(room, async move { landed.await.unwrap() });
        assert!(landing.room_for_small().await.is_none() && landing.landed().is_none());
        {
            let mut room = pin!(landing.room_for_large());
            assert!(poll!(&mut room).is_pending());
            land.send("large").unwrap();
            assert!(matches!(room.await, Err(Ok("large"))));
        }
        assert!(landing.room_for_large().await.is_ok());
        let mut small = Vec::new();
        for _ in 0..LANDING_MAX {
            assert!(landing.room_for_small().await.is_none());
            let (land, landed) = channel();
            landing.spawn_small(async move { landed.await.unwrap() });
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
