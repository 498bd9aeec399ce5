//! Who may start: a pure judgement of what the data directory and the zones say of their membership.
//!
//! | the data directory says | a zone says | a start |
//! |---|---|---|
//! | nothing, or alone | nothing, or something older of the same directory | goes on; a copy is made in the background |
//! | both | the same | goes on with both |
//! | both | nothing, or something older | is read-only until the loss is accepted: a lone one of two |
//! | made from a zone | anything that does not refuse it | is read-only until the loss is accepted |
//! | older than a zone says, or another history | | is refused |
//!
//! Only the data directory goes on by itself; a zone goes on by being made into a data directory, which draws a `home` of its
//! own. So a zone with another home than the one that starts has a history that this one does not know, unless this one was
//! made from exactly that zone, or takes its place by a recovery from the backup.

use super::Place;
use super::membership::{Members, Membership};
use crate::{Error, Result};

/// What a zone said.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) place: Place,
    pub(super) membership: Option<Membership>,
}

/// What a start may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take commits. A copy, if one is wanted, is made anew.
    Go,
    /// Take commits once the zone with this index has what the data directory has.
    Attach(usize),
    /// Take commits after it has said, durably, that the data directory goes on alone.
    Accept,
    /// Serve reads; why no more.
    ReadOnly(String),
}

/// Judges a start. `supersedes`: the data directory was recovered from a backup and takes the place of what the zones say.
pub(super) fn judge(
    home: Option<&Membership>,
    seen: &[Seen],
    (accept_loss, supersedes): (bool, bool),
) -> Result<Verdict> {
    for one in seen {
        if let Some(theirs) = &one.membership
            && let Err(why) = knows(home, theirs, supersedes)
        {
            return Err(forked(&one.place, &why));
        }
    }
    let Some(home) = home else { return Ok(Verdict::Go) };
    match home.members {
        Members::Alone => Ok(Verdict::Go),
        Members::Both => {
            let same = |one: &Seen| one.membership.as_ref().is_some_and(|theirs| theirs.id == home.id);
            match seen.iter().position(same) {
                Some(index) => Ok(Verdict::Attach(index)),
                None if accept_loss => Ok(Verdict::Accept),
                None => Ok(Verdict::ReadOnly(format!(
                    "zone {} has a copy of the catalog too (epoch {}) and is not there: it may have gone on without this \
                     directory; bring it back and restart, or start once with --accept-loss, which gives up what only the \
                     zone knows",
                    home.zone, home.epoch
                ))),
            }
        }
        Members::Lone if accept_loss => Ok(Verdict::Accept),
        Members::Lone => Ok(Verdict::ReadOnly(format!(
            "this directory was made from the copy of the catalog in zone {} (epoch {}): the lost directory may have gone on \
             without the zone; bring it back instead, or start once with --accept-loss, which gives up what only it knows",
            home.zone, home.epoch
        ))),
    }
}

/// Whether the data directory knows all that a zone's membership stands for.
pub(super) fn knows(home: Option<&Membership>, theirs: &Membership, supersedes: bool) -> Result<(), String> {
    let Some(home) = home else {
        return if supersedes {
            Ok(())
        } else {
            Err(format!("it is at epoch {}, and this directory knows of no copy", theirs.epoch))
        };
    };
    if theirs.home != home.home {
        return if theirs.id == home.prior {
            Ok(())
        } else {
            Err(format!(
                "it is at epoch {} of another directory, which went on without this one, at epoch {}",
                theirs.epoch, home.epoch
            ))
        };
    }
    // A join of this directory's own that was cut short before its own record.
    let unfinished = theirs.prior == home.id;
    if theirs.epoch > home.epoch && !unfinished {
        return Err(format!("it is at epoch {}, this directory at epoch {}", theirs.epoch, home.epoch));
    }
    Ok(())
}

/// The refusal of a data directory that is not the newest.
pub(super) fn forked(place: &Place, why: &str) -> Error {
    Error::Forked { zone: place.zone.clone(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Members, Membership, Place, Seen, Verdict, judge};
    use crate::Error;
    use crate::entropy::SeededEntropy;

    fn share(before: &Membership, entropy: &SeededEntropy) -> Membership {
        before.both("b", before.epoch + 1, entropy)
    }

    fn seen(membership: Option<&Membership>) -> Seen {
        let place = Place { zone: "b".to_owned(), dir: "/mnt/b/catalog".into() };
        Seen { place, membership: membership.cloned() }
    }

    fn verdict(home: Option<&Membership>, zone: Option<&Membership>, accept: bool) -> Option<Verdict> {
        match judge(home, &[seen(zone)], (accept, false)) {
            Ok(verdict) => Some(verdict),
            Err(Error::Forked { .. }) => None,
            Err(other) => panic!("{other}"),
        }
    }

    fn is_read_only(verdict: Option<Verdict>, says: &str) {
        let Some(Verdict::ReadOnly(why)) = verdict else { panic!("{verdict:?}") };
        assert!(why.contains(says) && why.contains("--accept-loss"), "{why}");
    }

    #[test]
    fn only_who_may_know_everything_starts_unasked() {
        let entropy = SeededEntropy::new(1);
        let first = Membership::first(None, &entropy);
        let both = share(&first, &entropy);
        let alone = both.alone(&entropy);
        let again = share(&alone, &entropy);
        assert_eq!((first.epoch, both.epoch, alone.epoch, again.epoch), (1, 2, 3, 4));
        // One store from its start on.
        assert_eq!(verdict(None, None, false), Some(Verdict::Go));
        assert_eq!(verdict(Some(&first), None, false), Some(Verdict::Go));
        assert_eq!(verdict(Some(&both), Some(&both), false), Some(Verdict::Attach(0)));
        // Going alone was recorded: it goes on, whatever older state the zone comes back with.
        for zone in [None, Some(&both)] {
            assert_eq!(verdict(Some(&alone), zone, false), Some(Verdict::Go));
        }
        // A join that was cut short between the two records.
        assert_eq!(verdict(Some(&first), Some(&both), false), Some(Verdict::Go));
        assert_eq!(verdict(Some(&alone), Some(&again), false), Some(Verdict::Go));
        // A lone one of two.
        for zone in [None, Some(&first)] {
            is_read_only(verdict(Some(&both), zone, false), "epoch 2");
            assert_eq!(verdict(Some(&both), zone, true), Some(Verdict::Accept));
        }
        // An old state of the directory, and one that knows of no copy, are refused, accepted loss or not.
        for accept in [false, true] {
            assert_eq!(verdict(Some(&both), Some(&again), accept), None);
            assert_eq!(verdict(Some(&first), Some(&again), accept), None);
            assert_eq!(verdict(None, Some(&both), accept), None);
        }
        // But a recovery from the backup takes the place of all of them.
        assert_eq!(judge(None, &[seen(Some(&both))], (false, true)).unwrap(), Verdict::Go);
        let recovered = Membership::first(Some(&both), &entropy);
        assert_eq!(verdict(Some(&recovered), Some(&both), false), Some(Verdict::Go));
    }

    #[test]
    fn two_that_parted_and_come_back_in_the_wrong_order_are_told_apart() {
        let entropy = SeededEntropy::new(2);
        let both = share(&Membership::first(None, &entropy), &entropy);
        // The directory goes on alone; then the zone is made into another one.
        let old = both.alone(&entropy);
        let lone = both.lone(9, &entropy);
        assert_eq!((lone.members, lone.epoch, lone.reached), (Members::Lone, 2, 9));
        is_read_only(verdict(Some(&lone), Some(&both), false), "epoch 2");
        assert_eq!(verdict(Some(&lone), Some(&both), true), Some(Verdict::Accept));
        let new = lone.alone(&entropy);
        assert_eq!(verdict(Some(&new), Some(&both), false), Some(Verdict::Go), "before its own first record");
        let joined = share(&new, &entropy);
        assert_eq!(verdict(Some(&new), Some(&joined), false), Some(Verdict::Go), "cut short");
        assert_eq!(verdict(Some(&joined), Some(&joined), false), Some(Verdict::Attach(0)));
        // The first one returns, whichever of its states it is in, and is refused however often it had changed alone.
        let long_alone = share(&old, &entropy).alone(&entropy).alone(&entropy);
        for returns in [&both, &old, &long_alone] {
            for accept in [false, true] {
                assert_eq!(verdict(Some(returns), Some(&joined), accept), None);
            }
        }
        // So is a second directory that was made from the zone.
        let second = both.lone(9, &entropy);
        assert_eq!(verdict(Some(&second), Some(&joined), true), None);
        // And the new one, should the first have taken the zone back.
        let taken_back = share(&old, &entropy);
        assert_eq!(verdict(Some(&new), Some(&taken_back), true), None);
    }
}
