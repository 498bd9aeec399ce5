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

    /// The first that it names: who that is, and of a session its name.
    pub(crate) fn first(&self) -> Option<(EntityId, Option<&str>)> {
        let (arn, id) = self.0.first()?;
        Some((*id, session_of(arn).map(|(_, _, name)| name)))
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

/// A valid document with other names where it names principals by ARN; what stands anywhere else is compared as it stands. Each string
/// is looked at once, as it was set, however it is written.
fn renamed(text: &str, new: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    // How deep it is inside, each with the member it is at; a list has none.
    let mut inside: Vec<Option<String>> = Vec::new();
    let (mut names_member, mut from, mut at) = (false, 0, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        let end = if *byte == b'"' { string_end(text, at) } else { at + 1 };
        match byte {
            b'"' => {
                let known =
                    || text.get(at..end).and_then(|quoted| serde_json::from_str::<String>(quoted).ok());
                if names_member {
                    *inside.last_mut().unwrap_or(&mut None) = known();
                } else if is_principal(&inside)
                    && let Some(new) = known().and_then(|known| new(&known))
                {
                    out.push_str(&text[from..at]);
                    out.push_str(&serde_json::Value::from(new).to_string());
                    from = end;
                }
            }
            b'{' => inside.push(Some(String::new())),
            b'[' => inside.push(None),
            b'}' | b']' => drop(inside.pop()),
            _ => {}
        }
        // Blanks lie between.
        if !byte.is_ascii_whitespace() {
            names_member = match byte {
                b'{' => true,
                b',' => inside.last().is_some_and(Option::is_some),
                _ => false,
            };
        }
        at = end;
    }
    out.push_str(&text[from..]);
    out
}

/// Whether it is in the names of a statement's principals that are users, roles and sessions.
fn is_principal(inside: &[Option<String>]) -> bool {
    let mut members = inside.iter().flatten().map(String::as_str);
    let (statement, principal, kind) = (members.next(), members.next(), members.next());
    statement == Some("Statement")
        && matches!(principal, Some("Principal" | "NotPrincipal"))
        && kind == Some("AWS")
        && members.next().is_none()
}

/// Where the string that begins at a quotation mark ends.
fn string_end(text: &str, begin: usize) -> usize {
    let mut escaped = false;
    for (at, byte) in (begin + 1..).zip(text.as_bytes().get(begin + 1..).unwrap_or_default()) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
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
        renamed(text, |named| {
            let (arn, id) = pins.0.iter().find(|(arn, _)| **arn == *named)?;
            let account = arn.parse::<Arn>().ok().and_then(|arn| arn.account());
            let picture = account.and_then(|account| world.accounts.get(&account));
            let entity = picture.and_then(|picture| picture.entities.get(id));
            Some(shown_as(arn, *id, entity.map(|entity| &**entity))).filter(|now| *now != **arn)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn a_name_is_another_where_principals_are_named_and_nowhere_else() {
        for (text, expected) in [
            (
                r#"{"Statement":{"Principal":{"AWS":["a","b"]},"Condition":{"X":{"k":"a"}}}}"#,
                r#"{"Statement":{"Principal":{"AWS":["z","a"]},"Condition":{"X":{"k":"a"}}}}"#,
            ),
            (
                r#"{"Statement":[{"Sid":"a","NotPrincipal" : { "AWS" : "a" },"Action":"a"}]}"#,
                r#"{"Statement":[{"Sid":"a","NotPrincipal" : { "AWS" : "z" },"Action":"a"}]}"#,
            ),
            (
                r#"{"Statement":{"Condition":{"StringEquals":{"aws:Principal":"a","Principal":{"AWS":"a"}}},"Resource":"a"}}"#,
                r#"{"Statement":{"Condition":{"StringEquals":{"aws:Principal":"a","Principal":{"AWS":"a"}}},"Resource":"a"}}"#,
            ),
            (
                r#"{"Id":"Principal","Statement":{"Princip\u0061l":{"AWS":["\u0061","\/c"],"Service":"a"},"Sid":"\"}"}}"#,
                r#"{"Id":"Principal","Statement":{"Princip\u0061l":{"AWS":["z","d\"\\"],"Service":"a"},"Sid":"\"}"}}"#,
            ),
            (
                "{\"Statement\": [\n {\"Principal\":{\"AWS\":\"a\"}} , {\"Action\":\"é\",\"Principal\":{\"AWS\":\"b\"},\"Resource\":\"a\"}]}",
                "{\"Statement\": [\n {\"Principal\":{\"AWS\":\"z\"}} , {\"Action\":\"é\",\"Principal\":{\"AWS\":\"a\"},\"Resource\":\"a\"}]}",
            ),
            (
                r#"{"Statement":{"Principal":"*"},"Principal":{"AWS":"a"}}"#,
                r#"{"Statement":{"Principal":"*"},"Principal":{"AWS":"a"}}"#,
            ),
            ("é", "é"),
            ("\"\\", "\"\\"),
            ("}]{,\"a", "}]{,\"a"),
        ] {
            // Names that went round: each is told once.
            let new = |known: &str| match known {
                "a" => Some("z".to_owned()),
                "b" => Some("a".to_owned()),
                "/c" => Some("d\"\\".to_owned()),
                _ => None,
            };
            assert_eq!(renamed(text, new), expected);
        }
    }
}
