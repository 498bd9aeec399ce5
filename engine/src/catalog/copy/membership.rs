//! Who holds the catalog, as each place that holds it says: the data directory in `catalog/membership`, a zone in
//! `catalog/membership` of its first directory.
//!
//! Little-endian:
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `firnmemb` |
//! | 8 | 4 | version | 1; a newer one is refused |
//! | 12 | 8 | epoch | grows with every change of the membership |
//! | 20 | 16 | id | random, of this epoch |
//! | 36 | 16 | prior | the id of the membership that it follows; zeros for the first |
//! | 52 | 16 | home | random, of the data directory that wrote it |
//! | 68 | 8 | reached | of a lone one: the version that its catalog was made with; else 0 |
//! | 76 | 1 | members | 1 the data directory alone, 2 it and the zone, 3 made from the zone, and not accepted yet |
//! | 77 | 1 | length | of the zone's name |
//! | 78 | n | zone | its name, UTF-8; empty where there is none |
//! | 78 + n | 4 | checksum | CRC-32C of all bytes before it |
//!
//! It is replaced whole ([`crate::file`]): after a crash it is the old or the new one.

use crate::catalog::Version;
use crate::catalog::log::frame::crc32c;
use crate::entropy::Entropy;
use crate::{Error, Result, file};
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// The file's name, in the data directory's catalog and in a zone's.
pub(super) const NAME: &str = "membership";

const MAGIC: &[u8; 8] = b"firnmemb";
const FORMAT: u32 = 1;
const FIXED: usize = 78;
const CHECKSUM: usize = 4;

/// A random name of an epoch, or of a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Token([u8; 16]);

impl Token {
    fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Who holds the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Members {
    /// The data directory alone; it said so before it went on.
    Alone,
    /// The data directory and the zone, both, before every reply.
    Both,
    /// A data directory that was made from the zone. Whether the lost one went on alone nobody knows.
    Lone,
}

/// One membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) epoch: u64,
    pub(super) id: Token,
    pub(super) prior: Token,
    pub(super) home: Token,
    pub(super) reached: Version,
    pub(super) members: Members,
    pub(super) zone: String,
}

impl Membership {
    /// The first one of a data directory, which was alone all the time. It follows what it takes the place of.
    pub(super) fn first(superseded: Option<&Self>, entropy: &dyn Entropy) -> Self {
        Self {
            epoch: superseded.map_or(0, |old| old.epoch) + 1,
            id: Token::random(entropy),
            prior: superseded.map_or_else(Token::default, |old| old.id),
            home: Token::random(entropy),
            reached: 0,
            members: Members::Alone,
            zone: String::new(),
        }
    }

    /// The data directory alone, after this one.
    pub(super) fn alone(&self, entropy: &dyn Entropy) -> Self {
        // What was made from a zone's copy goes on knowing which one that was until it has another.
        let prior = if self.members == Members::Lone { self.prior } else { self.id };
        let (epoch, id) = (self.epoch + 1, Token::random(entropy));
        Self { epoch, id, prior, reached: 0, members: Members::Alone, zone: String::new(), ..self.clone() }
    }

    /// The data directory and a zone, after this one, with a number that neither had.
    pub(super) fn both(&self, zone: &str, epoch: u64, entropy: &dyn Entropy) -> Self {
        let (id, zone) = (Token::random(entropy), zone.to_owned());
        Self { epoch, id, prior: self.id, members: Members::Both, zone, ..self.clone() }
    }

    /// That of a data directory which was made from the zone that has this one.
    pub(super) fn lone(&self, reached: Version, entropy: &dyn Entropy) -> Self {
        let (id, home) = (Token::random(entropy), Token::random(entropy));
        Self { id, prior: self.id, home, reached, members: Members::Lone, ..self.clone() }
    }

    fn encode(&self) -> Vec<u8> {
        // Names of zones have at most 32 characters.
        let zone = &self.zone.as_bytes()[..self.zone.len().min(usize::from(u8::MAX))];
        let mut bytes = Vec::with_capacity(FIXED + zone.len() + CHECKSUM);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        for token in [self.id, self.prior, self.home] {
            bytes.extend_from_slice(&token.0);
        }
        bytes.extend_from_slice(&self.reached.to_le_bytes());
        bytes.push(match self.members {
            Members::Alone => 1,
            Members::Both => 2,
            Members::Lone => 3,
        });
        bytes.push(u8::try_from(zone.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(zone);
        let crc = crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        let corrupt = |detail: &str| Error::Corrupt { what: what.into(), detail: detail.into() };
        let (body, crc) =
            bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| corrupt("shorter than its checksum"))?;
        if body.len() < FIXED || body[..8] != *MAGIC || crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(corrupt("it does not verify"));
        }
        let number = |at: usize| body[at..].first_chunk().copied().map_or(0, u64::from_le_bytes);
        let token = |at: usize| Token(body[at..].first_chunk().copied().unwrap_or_default());
        let found = body[8..].first_chunk().copied().map_or(0, u32::from_le_bytes);
        if found > FORMAT {
            return Err(Error::Newer { what: what.into(), found, supported: FORMAT });
        }
        let members = match body[76] {
            1 => Members::Alone,
            2 => Members::Both,
            3 => Members::Lone,
            _ => return Err(corrupt("it has impossible members")),
        };
        let zone = &body[FIXED..];
        if zone.len() != usize::from(body[77]) {
            return Err(corrupt("its zone's name has another length"));
        }
        let zone = std::str::from_utf8(zone).map_err(|_| corrupt("its zone's name is not UTF-8"))?;
        Ok(Self {
            epoch: number(12),
            id: token(20),
            prior: token(36),
            home: token(52),
            reached: number(68),
            members,
            zone: zone.to_owned(),
        })
    }

    /// The one that a directory holds, if it holds one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(NAME);
        match std::fs::read(&path) {
            Ok(bytes) => Self::decode(&bytes, &path.display().to_string()).map(Some),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    /// Puts it in the place of the one that a directory holds; durable when this returns.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        file::replace(&dir.join(NAME), &self.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::{Members, Membership, Token};
    use crate::Error;
    use crate::catalog::log::frame::crc32c;

    fn golden() -> Membership {
        Membership {
            epoch: 0x0102,
            id: Token([0xA1; 16]),
            prior: Token([0xB2; 16]),
            home: Token([0xC3; 16]),
            reached: 0x0304,
            members: Members::Both,
            zone: "shelf-2".to_owned(),
        }
    }

    #[test]
    fn golden_membership_its_flipped_bytes_and_a_newer_one() {
        let bytes = golden().encode();
        let mut expected = b"firnmemb\x01\0\0\0\x02\x01\0\0\0\0\0\0".to_vec();
        for token in [0xA1, 0xB2, 0xC3] {
            expected.extend([token; 16]);
        }
        expected.extend(b"\x04\x03\0\0\0\0\0\0\x02\x07shelf-2");
        expected.extend(crc32c(&expected).to_le_bytes());
        assert_eq!(bytes, expected);
        assert_eq!(bytes[85..], *b"\x64\x55\x8e\x05", "golden");
        assert_eq!(Membership::decode(&bytes, "membership").unwrap(), golden());
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            assert!(matches!(Membership::decode(&bad, "it"), Err(Error::Corrupt { .. })), "byte {at}");
            assert!(matches!(Membership::decode(&bytes[..at], "it"), Err(Error::Corrupt { .. })), "{at}");
        }
        for (at, value) in [(8, 2), (76, 9), (77, 6)] {
            let mut bad = bytes.clone();
            bad[at] = value;
            let end = bad.len() - 4;
            let crc = crc32c(&bad[..end]);
            bad[end..].copy_from_slice(&crc.to_le_bytes());
            let refused = Membership::decode(&bad, "it").unwrap_err();
            assert_eq!(matches!(refused, Error::Newer { found: 2, .. }), at == 8, "{refused}");
        }
    }
}
