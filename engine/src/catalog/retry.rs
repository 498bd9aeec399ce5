//! The bounded retry of optimistic work.

use crate::{ErrorKind, Result};
use std::future::Future;

/// How often [`retry`] tries at the most. 64 writers that race for one row need 64 rounds in the worst order.
pub const RETRY_ATTEMPTS_MAX: u32 = 128;

/// Runs `attempt` (numbered from 0) until it answers anything but a conflict; each attempt takes its own snapshot. Gives up
/// with the last conflict after [`RETRY_ATTEMPTS_MAX`]. Lets other tasks run in between.
pub async fn retry<T, F, Fut>(mut attempt: F) -> Result<T>
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let mut number = 0;
    loop {
        match attempt(number).await {
            Err(error) if error.kind() == ErrorKind::Conflict && number + 1 < RETRY_ATTEMPTS_MAX => {
                number += 1;
                tokio::task::yield_now().await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RETRY_ATTEMPTS_MAX, retry};
    use crate::{Error, ErrorKind};

    #[tokio::test]
    async fn retries_conflicts_until_they_pass_or_the_bound_is_met() {
        let after_three = retry(|number| async move {
            if number < 3 { Err(Error::Conflict { check: 0 }) } else { Ok(number) }
        });
        assert_eq!(after_three.await.unwrap(), 3);
        let mut attempts = 0;
        let never = retry(|_| {
            attempts += 1;
            async { Err::<(), _>(Error::TooOld { read: 1 }) }
        });
        assert_eq!(never.await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(attempts, RETRY_ATTEMPTS_MAX);
        let mut attempts = 0;
        let other = retry(|_| {
            attempts += 1;
            async { Err::<(), _>(Error::Closed) }
        });
        assert!(matches!(other.await, Err(Error::Closed)));
        assert_eq!(attempts, 1);
    }
}
