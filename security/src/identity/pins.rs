//! Whom policies of resources and of trust name: users and roles by their ARNs, which stand for who had that name when the policy was set.
//!
//! ```text
//!   document ─► ARNs ─► who that is now ─► ids beside the text ─┐
//!   who asks: id, ARN ─────────────────────────────────────────┴─► the ARN by which the document means this one, or none
//! ```
//! A policy that names a user goes on naming it under another name, and nobody who gets its name later
//! (`reference_policies_elements_principal` of the IAM user guide). Where it is shown, it has the name that the user has now, or the id of who
//! is gone.

use super::id::EntityId;
use super::picture::{Entity, World};
use super::row::{get_pins, put_pins};
use super::{Identities, Kind, name};
use crate::policy::{Named, Party, Place, Policy};
use crate::{AccountId, Arn};
use engine::catalog::record::{RecordReader, RecordWriter};
use std::borrow::Cow;
use std::sync::Arc;

/// Whom a document names by ARN, and who that was when it was set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(pub(super) Vec<(Box<str>, EntityId)>);

/// [`Pins::NONE`], for who refers to it.
static NOBODY: Pins = Pins::NONE;

impl Pins {
    /// None.
    pub const NONE: Self = Self(Vec::new());

    /// None, to refer to.
    pub fn nobody() -> &'static Self {
        &NOBODY
    }

    /// Whether it names nobody so.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that they take in memory, about.
    pub fn heap_bytes(&self) -> usize {
        self.0.iter().map(|(arn, _)| size_of::<(Box<str>, EntityId)>() + arn.len()).sum()
    }

    /// Writes them as a part of a record: their count, and ARN and id of each.
    pub fn write(&self, out: &mut RecordWriter) {
        put_pins(out, &self.0);
    }

    /// Reads them.
    pub fn read(fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        get_pins(fields).map(Self)
    }

    /// The ARN by which the document means this one; one that nobody has, where it means somebody else by theirs.
    pub(crate) fn meant<'a>(&'a self, arn: &'a str, id: EntityId) -> Cow<'a, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(arn);
        }
        if let Some((meant, _)) = self.0.iter().find(|(_, pinned)| *pinned == id) {
            return Cow::Borrowed(meant);
        }
        // No name has a percent sign.
        if self.0.iter().any(|(pinned, _)| **pinned == *arn) {
            format!("{arn}%").into()
        } else {
            Cow::Borrowed(arn)
        }
    }
}

/// The user or role that an ARN is of.
fn named(arn: &str) -> Option<(AccountId, Kind, String)> {
    let kind = [Kind::User, Kind::Role].into_iter().find(|kind| name::split_arn(arn, *kind).is_ok())?;
    let (account, _, name) = name::split_arn(arn, kind).ok()?;
    Some((account?, kind, name.to_ascii_lowercase()))
}

fn find<'w>(world: &'w World, arn: &str) -> Option<&'w Arc<Entity>> {
    let (account, kind, lower) = named(arn)?;
    world.accounts.get(&account)?.named(kind, &lower).filter(|entity| *entity.arn == *arn)
}

/// The role of a session's ARN.
fn has_role(world: &World, arn: &Arn) -> bool {
    let session = arn.resource().strip_prefix("assumed-role/").and_then(|rest| rest.split_once('/'));
    let picture = arn.account().and_then(|account| world.accounts.get(&account));
    let role = |(role, _): (&str, &str)| picture?.named(Kind::Role, &role.to_ascii_lowercase());
    session.and_then(role).is_some()
}

impl Identities {
    /// Everybody whom a document names by ARN, as they are now; the place of one who is not there.
    pub fn pins(&self, policy: &Policy) -> Result<Pins, Place> {
        let world = self.world.load();
        let mut pins = Vec::new();
        for Named { place, what } in policy.parties() {
            let Party::Arn { arn, .. } = what else { continue };
            if pins.iter().any(|(known, _): &(Box<str>, EntityId)| known == arn) {
                continue;
            }
            let parsed: Arn = arn.parse().map_err(|_| place.clone())?;
            if parsed.service() == "iam" {
                pins.push((arn.clone(), find(&world, arn).ok_or(place)?.row.id));
            } else if parsed.resource().starts_with("assumed-role/") && !has_role(&world, &parsed) {
                return Err(place);
            }
        }
        Ok(Pins(pins))
    }

    /// A document as it is shown: with the name that somebody has now, or the id of who is gone.
    pub fn shown(&self, text: &str, pins: &Pins) -> String {
        let world = self.world.load();
        let mut text = text.to_owned();
        for (arn, id) in &pins.0 {
            let account = arn.parse::<Arn>().ok().and_then(|arn| arn.account());
            let picture = account.and_then(|account| world.accounts.get(&account));
            let now = picture.and_then(|picture| picture.entities.get(id)).map(|entity| &*entity.arn);
            if now != Some(&**arn) {
                let now = now.map_or_else(|| id.to_string(), str::to_owned);
                text = text.replace(&format!("\"{arn}\""), &format!("\"{now}\""));
            }
        }
        text
    }
}
