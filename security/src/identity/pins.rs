//! Whom policies of resources and of trust name: users, roles and sessions of roles by their ARNs, which stand for who had that name when the
//! policy was set.
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

/// Whom a document names by ARN, and who that was when it was set: of a role's session the role.
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

    /// The ARN by which the document means this user or role; one that nobody has, where it means somebody else by theirs.
    pub(crate) fn meant<'a>(&'a self, arn: &'a str, id: EntityId) -> Cow<'a, str> {
        self.meant_by(arn, |pinned, of| of == id && session_of(pinned).is_none())
    }

    /// The same of a session of a role.
    pub(crate) fn meant_session<'a>(&'a self, arn: &'a str, role: EntityId) -> Cow<'a, str> {
        let name = session_of(arn).map(|(_, _, name)| name);
        let is = |pinned: &str| session_of(pinned).is_some_and(|(_, _, pinned)| Some(pinned) == name);
        self.meant_by(arn, |pinned, of| of == role && is(pinned))
    }

    fn meant_by<'a>(&'a self, arn: &'a str, is: impl Fn(&str, EntityId) -> bool) -> Cow<'a, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(arn);
        }
        if let Some((meant, _)) = self.0.iter().find(|(pinned, of)| is(pinned, *of)) {
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

/// Account, role and name of a role's session, by its ARN.
fn session_of(arn: &str) -> Option<(&str, &str, &str)> {
    let (account, resource) = arn.strip_prefix("arn:aws:sts::")?.split_once(':')?;
    let (role, name) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    Some((account, role, name))
}

/// Who an ARN means, as they are now: the user or role, of a session the role.
fn find<'w>(world: &'w World, arn: &str) -> Option<&'w Arc<Entity>> {
    if let Some((account, role, _)) = session_of(arn) {
        let picture = world.accounts.get(&account.parse().ok()?)?;
        return picture
            .named(Kind::Role, &role.to_ascii_lowercase())
            .filter(|entity| *entity.row.name == *role);
    }
    let (account, kind, lower) = named(arn)?;
    world.accounts.get(&account)?.named(kind, &lower).filter(|entity| *entity.arn == *arn)
}

/// How a pinned ARN is shown: with the name that its user or role has now, or the id of who is gone.
fn shown_as(arn: &str, id: EntityId, now: Option<&Entity>) -> String {
    match (session_of(arn), now) {
        (None, Some(entity)) => entity.arn.to_string(),
        (None, None) => id.to_string(),
        (Some((account, _, name)), Some(entity)) => {
            format!("arn:aws:sts::{account}:assumed-role/{}/{name}", entity.row.name)
        }
        (Some((_, _, name)), None) => format!("{id}:{name}"),
    }
}

/// A document with another name wherever it names principals; what stands in its conditions is compared as it stands.
fn renamed(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("Principal\"") {
        let (before, behind) = rest.split_at(at + "Principal\"".len());
        out.push_str(before);
        // A member's name is followed by its value; any other text is not.
        let length = if behind.trim_start().starts_with(':') { value_length(behind) } else { 0 };
        let (value, next) = behind.split_at(length);
        out.push_str(&value.replace(from, to));
        rest = next;
    }
    out.push_str(rest);
    out
}

/// Bytes up to the end of the first value of a valid document's rest.
fn value_length(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                quoted = !quoted;
                if !quoted && depth == 0 {
                    return at + 1;
                }
            }
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
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
            // Whom somebody lets in for a while is nobody that there is.
            if parsed.service() == "iam" || session_of(arn).is_some() {
                pins.push((arn.clone(), find(&world, arn).ok_or(place)?.row.id));
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
            let entity = picture.and_then(|picture| picture.entities.get(id));
            let now = shown_as(arn, *id, entity.map(|entity| &**entity));
            if now != **arn {
                text = renamed(&text, &format!("\"{arn}\""), &format!("\"{now}\""));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn a_name_is_another_where_principals_are_named_and_nowhere_else() {
        for (text, expected) in [
            (
                r#"{"Principal":{"AWS":["a","b"]},"Condition":{"X":{"k":"a"}}}"#,
                r#"{"Principal":{"AWS":["z","b"]},"Condition":{"X":{"k":"a"}}}"#,
            ),
            (
                r#"{"Sid":"a","NotPrincipal" : { "AWS" : "a" },"Action":"a"}"#,
                r#"{"Sid":"a","NotPrincipal" : { "AWS" : "z" },"Action":"a"}"#,
            ),
            (
                r#"{"Sid":"Principal","Action":"a","Principal":"a","Resource":"a"}"#,
                r#"{"Sid":"Principal","Action":"a","Principal":"z","Resource":"a"}"#,
            ),
            (
                r#"{"Principal":{"AWS":"\"}","Service":"a"},"Id":"a"}"#,
                r#"{"Principal":{"AWS":"\"}","Service":"z"},"Id":"a"}"#,
            ),
            (
                r#"[{"Principal":{"AWS":"a"}},{"Principal":{"AWS":"a"},"Resource":"a"}]"#,
                r#"[{"Principal":{"AWS":"z"}},{"Principal":{"AWS":"z"},"Resource":"a"}]"#,
            ),
            ("é", "é"),
        ] {
            assert_eq!(renamed(text, "\"a\"", "\"z\""), expected);
        }
    }
}
