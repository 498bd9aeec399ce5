//! Who may start: a pure judgement of what the data directory and the zones say of their membership.
//!
//! | the data directory says | a zone says | a start |
//! |---|---|---|
//! | nothing | nothing | goes on; it never had a copy |
//! | nothing | anything | is read-only until the loss is accepted: the zone may know more |
//! | alone | nothing, or something older of the same directory or of a forebear | goes on; a copy is made in the background |
//! | both, or alone and about to give the zone an epoch | the same epoch | goes on with both, from the longer log |
//! | both | nothing, or something older | is read-only until the loss is accepted: a lone one of two |
//! | made from a zone | nothing, or what it was made from | the same; then it goes on with that zone, if it is there |
//! | older than a zone says, or another history | | is refused |
//!
//! Only the data directory goes on by itself; a zone goes on by being made into a data directory, which draws a `home` of its
//! own and takes the zone over, or records that it is alone, before it takes a commit. So a zone with another home than the one
//! that starts has a history that this one does not know, unless that of a forebear.

use super::Place;
use super::membership::{Membership, Role};
use crate::{Error, Result};

/// What a zone said.
#[derive(Clone, Debug)]
pub(super) enum Says {
    /// That it has no copy; so does a directory that is not there.
    Nothing,
    /// This.
    Membership(Membership),
    /// What nobody can read; why.
    Unreadable(String),
}

impl Says {
    pub(super) const fn membership(&self) -> Option<&Membership> {
        match self {
            Self::Membership(membership) => Some(membership),
            Self::Nothing | Self::Unreadable(_) => None,
        }
    }
}

/// A zone, and what it said.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) place: Place,
    pub(super) says: Says,
}

/// What a start may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take commits. A copy, if one is wanted, is made anew.
    Go,
    /// Take commits once the zone with this index and the data directory hold the same.
    Attach(usize),
    /// Take commits after it has said, durably, that the data directory goes on alone.
    Accept,
    /// Serve reads; why no more.
    ReadOnly(String),
}

/// Judges a start.
pub(super) fn judge(home: Option<&Membership>, seen: &[Seen], accept_loss: bool) -> Result<Verdict> {
    let Some(home) = home else { return Ok(without_record(seen, accept_loss)) };
    for one in seen {
        if let Some(theirs) = one.says.membership() {
            knows(home, theirs).map_err(|why| forked(&one.place, why))?;
        }
    }
    let partner =
        seen.iter().position(|one| one.says.membership().is_some_and(|theirs| home.shares_with(theirs)));
    Ok(match (home.role, partner) {
        (Role::Alone | Role::Both, Some(partner)) => Verdict::Attach(partner),
        (Role::Alone, None) => Verdict::Go,
        // The loss was accepted by whoever began to take the zone over.
        (Role::Lone, Some(partner)) if accept_loss || home.next.is_some() => Verdict::Attach(partner),
        (Role::Both | Role::Lone, _) if accept_loss => Verdict::Accept,
        (Role::Both, None) => {
            let unreadable = seen.iter().find_map(|one| match &one.says {
                Says::Unreadable(why) if one.place.zone == home.zone => Some(why),
                _ => None,
            });
            let how = unreadable.map_or_else(
                || "is not there, or is older".to_owned(),
                |why| format!("can't be read ({why})"),
            );
            Verdict::ReadOnly(format!(
                "zone {} has a copy of the catalog (epoch {}), which {how}: it may have gone on without this directory; bring it \
                 back and restart, or start once with --accept-loss, which gives up what only the zone knows",
                home.zone, home.epoch
            ))
        }
        (Role::Lone, _) => Verdict::ReadOnly(format!(
            "this directory was made from the copy of the catalog in zone {} (epoch {}): the lost directory may have gone on \
             without the zone; bring it back instead, or start once with --accept-loss, which gives up what only it knows",
            home.zone, home.epoch
        )),
    })
}

/// One that never had a copy, or was recovered from a backup.
fn without_record(seen: &[Seen], accept_loss: bool) -> Verdict {
    let copy = seen.iter().find_map(|one| Some((&one.place, one.says.membership()?)));
    match copy {
        None => Verdict::Go,
        Some(_) if accept_loss => Verdict::Accept,
        Some((place, theirs)) => Verdict::ReadOnly(format!(
            "zone {} has a copy of the catalog (epoch {}), and this directory knows of none: the copy may be newer; make the \
             directory from the zone, or start once with --accept-loss, which gives up what only the zone knows",
            place.zone, theirs.epoch
        )),
    }
}

/// Whether a data directory knows all that a zone's membership stands for, or shares it.
pub(super) fn knows(home: &Membership, theirs: &Membership) -> Result<(), String> {
    if home.shares_with(theirs) || home.forebear(theirs).is_some() {
        return Ok(());
    }
    if theirs.home != home.home {
        return Err(format!(
            "it is at epoch {} of another directory, which went on without this one, at epoch {}",
            theirs.epoch, home.epoch
        ));
    }
    if theirs.epoch > home.epoch {
        return Err(format!("it is at epoch {}, this directory at epoch {}", theirs.epoch, home.epoch));
    }
    Ok(())
}

/// The refusal of a data directory that is not the newest.
pub(super) fn forked(place: &Place, why: impl Into<String>) -> Error {
    Error::Forked { zone: place.zone.clone(), why: why.into() }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
