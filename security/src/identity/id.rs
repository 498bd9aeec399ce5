//! Unique ids: what stays the same when a name changes, and differs when a name is used again.

use super::Kind;
use crate::{Error, Result};
use engine::catalog::record::RecordReader;
use engine::entropy::Entropy;
use std::fmt;
use std::str::FromStr;

/// `AIDA` and 17 more characters: 85 random bits. What it begins with says what it is of
/// (`reference_identifiers` of the IAM user guide).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId([u8; Self::LEN]);

impl EntityId {
    pub(crate) const LEN: usize = 21;
    /// What stands for the root of an account: no id.
    pub(crate) const ROOT: Self = Self([0; Self::LEN]);

    pub(super) fn random(kind: Kind, entropy: &dyn Entropy) -> Self {
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut id = [0; Self::LEN];
        entropy.fill_id(&mut id);
        for byte in &mut id {
            *byte = BASE32[usize::from(*byte & 31)];
        }
        id[..4].copy_from_slice(kind.prefix());
        Self(id)
    }

    pub(super) fn from_bytes(bytes: [u8; Self::LEN]) -> Result<Self> {
        let id = Self(bytes);
        if id == Self::ROOT || bytes.iter().all(u8::is_ascii_alphanumeric) {
            return Ok(id);
        }
        Err(Error::Parse { what: "unique id", detail: "it has more than letters and digits".to_owned() })
    }

    pub(super) fn read(fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let bytes = fields.fixed()?;
        Self::from_bytes(bytes).map_err(|_| fields.corrupt("a unique id of other characters"))
    }

    /// What it is of.
    pub(super) fn kind(self) -> Option<Kind> {
        let all = [Kind::User, Kind::Group, Kind::Role, Kind::Policy];
        all.into_iter().find(|kind| self.0.starts_with(kind.prefix()))
    }

    pub(super) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl Kind {
    const fn prefix(self) -> &'static [u8; 4] {
        match self {
            Self::User => b"AIDA",
            Self::Group => b"AGPA",
            Self::Role => b"AROA",
            Self::Policy => b"ANPA",
        }
    }

    pub(super) const fn of_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::User,
            2 => Self::Group,
            3 => Self::Role,
            4 => Self::Policy,
            _ => return None,
        })
    }

    /// `user`
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
            Self::Policy => "policy",
        }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ROOT { f.write_str("root") } else { write!(f, "{self}") }
    }
}

impl FromStr for EntityId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bytes = text.as_bytes().try_into().map_err(|_| Error::Parse {
            what: "unique id",
            detail: format!("{} characters, not {}", text.len(), Self::LEN),
        })?;
        Self::from_bytes(bytes)
    }
}
