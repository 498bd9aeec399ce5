//! A commit whose outcome is asked for until it is known.

use super::{Catalog, Commit, Version};
use crate::id::IdempotencyId;
use crate::{Error, ErrorKind, Result};

/// How often [`commit_known`] asks again at the most.
pub const UNKNOWN_RETRIES_MAX: u32 = 3;

/// Commits under an id that no commit had before, and asks again under the same one while the outcome is not known, at most
/// [`UNKNOWN_RETRIES_MAX`] times. A commit of which it was open once whether it passed is never said to be refused because asking again
/// was: that is [`Error::Unknown`] still. Whoever is told `Conflict`, `TooOld` or `OverLimit` was judged, and not found to have passed.
pub async fn commit_known(catalog: &dyn Catalog, id: IdempotencyId, commit: Commit) -> Result<Version> {
    let mut commit = Commit { idempotency: Some(id), id_is_fresh: true, ..commit };
    let (mut retries, mut open) = (0..UNKNOWN_RETRIES_MAX, None);
    loop {
        match catalog.commit(commit.clone()).await {
            Err(Error::Unknown { reason }) if retries.next().is_some() => {
                commit.id_is_fresh = false;
                open = Some(reason);
            }
            Err(error) if error.kind() == ErrorKind::Conflict => return Err(error),
            Err(error @ Error::Unknown { .. }) => return Err(error),
            Err(error) => {
                return Err(match open {
                    Some(reason) => Error::Unknown { reason: format!("{reason}; asked again: {error}") },
                    None => error,
                });
            }
            passed => return passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{UNKNOWN_RETRIES_MAX, commit_known};
    use crate::catalog::{Catalog, Commit, Limits, Snapshot, Version};
    use crate::id::{IdempotencyId, PartitionId};
    use crate::{BoxFuture, Error, Result};
    use parking_lot::Mutex;
    use std::collections::VecDeque;
    use std::sync::Arc;

    /// Answers what it was told to, and notes what it was asked.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<VecDeque<Result<Version>>>,
        asked: Mutex<Vec<(Option<IdempotencyId>, bool)>>,
    }

    impl Catalog for Scripted {
        fn limits(&self) -> Limits {
            Limits::STANDARD
        }

        fn snapshot(&self, _: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
            Box::pin(std::future::ready(Err(Error::Closed)))
        }

        fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
            self.asked.lock().push((commit.idempotency, commit.id_is_fresh));
            let answer = self.answers.lock().pop_front().unwrap();
            Box::pin(std::future::ready(answer))
        }
    }

    fn unknown() -> Result<Version> {
        Err(Error::Unknown { reason: "a lost answer".to_owned() })
    }

    async fn told(answers: impl IntoIterator<Item = Result<Version>>) -> (Result<Version>, usize) {
        let catalog = Scripted { answers: Mutex::new(answers.into_iter().collect()), ..Scripted::default() };
        let id = IdempotencyId::from_bytes([7; 16]);
        let outcome = commit_known(&catalog, id, Commit::new(PartitionId::ROOT, 0)).await;
        let asked = catalog.asked.lock();
        let fresh: Vec<bool> = asked.iter().map(|(_, fresh)| *fresh).collect();
        assert!(asked.iter().all(|(under, _)| *under == Some(id)));
        assert!(fresh[0] && fresh[1..].iter().all(|fresh| !fresh), "{fresh:?}");
        assert!(catalog.answers.lock().is_empty(), "it stopped early");
        (outcome, asked.len())
    }

    #[tokio::test]
    async fn what_is_not_known_is_asked_for_again_and_not_for_ever() {
        assert!(matches!(told([Ok(3)]).await, (Ok(3), 1)));
        assert!(matches!(told([unknown(), unknown(), unknown(), Ok(3)]).await, (Ok(3), 4)));
        let most = UNKNOWN_RETRIES_MAX as usize + 1;
        let (outcome, asked) = told((0..most).map(|_| unknown())).await;
        assert!(matches!(outcome, Err(Error::Unknown { .. })), "{outcome:?}");
        assert_eq!(asked, most);
    }

    #[tokio::test]
    async fn what_may_have_passed_is_refused_only_by_who_judged_it() {
        // At once it is what it is.
        let fenced = || Error::Fenced { reason: "the rows fail".to_owned() };
        assert!(matches!(told([Err(fenced())]).await.0, Err(Error::Fenced { .. })));
        for refusal in [fenced(), Error::Closed, Error::Full { place: "here".to_owned(), wanted: 1 }] {
            let said = refusal.to_string();
            let (outcome, _) = told([unknown(), Err(refusal)]).await;
            let Err(Error::Unknown { reason }) = outcome else { panic!("{said}: {outcome:?}") };
            assert!(reason.contains("a lost answer") && reason.contains(&said), "{reason}");
        }
        for judged in [Error::Conflict { check: 0 }, Error::TooOld { read: 1 }, Error::OverLimit { check: 0 }]
        {
            let said = judged.to_string();
            let (outcome, _) = told([unknown(), Err(judged)]).await;
            assert_eq!(outcome.unwrap_err().to_string(), said);
        }
    }
}
