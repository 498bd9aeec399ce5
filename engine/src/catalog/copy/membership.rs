//! Who holds the catalog, as each place that holds it says: the data directory in `catalog/membership`, a zone in
//! `catalog/membership` of its first directory.
//!
//! ```text
//!   alone ─ intend ─► alone, next ── the zone: both ─► both ─ intend ─► both, next ── the zone: both ─► both (the next process)
//!     ▲                   │                             │
//!     └────── alone ──────┴─────────────────────────────┘           zone's both ─ lone ─► a directory made from the zone
//! ```
//! Little-endian:
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `firnmemb` |
//! | 8 | 4 | version | 1; a newer one is refused |
//! | 12 | 1 | role | 1 the data directory alone, 2 it and the zone, 3 made from the zone, and not accepted yet |
//! | 13 | 8 | epoch | grows with every change of the membership, and with every process that takes the zone up |
//! | 21 | 16 | id | random, of this epoch |
//! | 37 | 16 | home | random, of the data directory that wrote it |
//! | 53 | 8 | next epoch | of a data directory: the one that it is about to give the zone; 0 for none |
//! | 61 | 16 | next id | and its id |
//! | 77 | 8 | copy | the zone's directory that counts: the epoch in which that copy was begun |
//! | 85 | 1 | length | of the zone's name |
//! | 86 | n | zone | its name, UTF-8; empty where there is none |
//! | 86 + n | 1 | forebears | how many follow, at most 8 |
//! | 87 + n | 32 each | forebear | home (16), last epoch (8) and version (8) of a directory in whose place this one came |
//! | … | 4 | checksum | CRC-32C of all bytes before it |
//!
//! It is replaced whole ([`crate::file`]): after a crash it is the old or the new one.
//!
//! # Invariants
//! - An epoch's number is given once: a data directory records the next one, durably, before the zone has it.
//! - All that is committed under one id was put in order by one process after the other, each going on from the longer of both
//!   logs: what one place holds under an id is the beginning of what the other holds under it, or the other way round.

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
/// Up to the zone's name.
const FIXED: usize = 86;
const FOREBEAR: usize = 32;
const FOREBEARS_MAX: usize = 8;
const CHECKSUM: usize = 4;
/// Longer ones are not written by anybody.
const BYTES_MAX: u64 = 4096;

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
pub(super) enum Role {
    /// The data directory alone; it said so before it went on.
    Alone,
    /// The data directory and the zone, both, before every reply.
    Both,
    /// A data directory that was made from the zone. Whether the lost one went on alone nobody knows.
    Lone,
}

/// An epoch, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) epoch: u64,
    pub(super) id: Token,
}

/// A directory in whose place another one came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forebear {
    pub(super) home: Token,
    /// What it said up to this epoch is known.
    pub(super) epoch: u64,
    /// And what it committed up to here.
    pub(super) version: Version,
}

/// One membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Membership {
    pub(super) role: Role,
    pub(super) epoch: u64,
    pub(super) id: Token,
    pub(super) home: Token,
    pub(super) next: Option<Next>,
    pub(super) copy: u64,
    pub(super) zone: String,
    pub(super) forebears: Vec<Forebear>,
}

impl Membership {
    /// The first one of a data directory, which was alone all the time and takes the place of what `superseded` say.
    pub(super) fn first<'s>(superseded: impl Iterator<Item = &'s Self>, entropy: &dyn Entropy) -> Self {
        let mut first = Self {
            role: Role::Alone,
            epoch: 1,
            id: Token::random(entropy),
            home: Token::random(entropy),
            next: None,
            copy: 0,
            zone: String::new(),
            forebears: Vec::new(),
        };
        for old in superseded {
            first.epoch = first.epoch.max(old.epoch + 1);
            first.follow(Forebear { home: old.home, epoch: old.epoch, version: Version::MAX });
        }
        first
    }

    fn follow(&mut self, forebear: Forebear) {
        self.forebears.retain(|known| known.home != forebear.home);
        if self.forebears.len() == FOREBEARS_MAX {
            self.forebears.remove(0);
        }
        self.forebears.push(forebear);
    }

    /// The highest number that it stands for, given to a zone or not.
    fn highest(&self) -> u64 {
        self.epoch.max(self.next.map_or(0, |next| next.epoch))
    }

    /// The data directory alone, after this one.
    pub(super) fn alone(&self, entropy: &dyn Entropy) -> Self {
        let (epoch, id) = (self.highest() + 1, Token::random(entropy));
        Self { role: Role::Alone, epoch, id, next: None, copy: 0, zone: String::new(), ..self.clone() }
    }

    /// The same, about to give a zone the next epoch. `theirs` is what that zone says now.
    pub(super) fn intend(&self, theirs: Option<&Self>, entropy: &dyn Entropy) -> Self {
        let epoch = self.highest().max(theirs.map_or(0, |theirs| theirs.epoch)) + 1;
        Self { next: Some(Next { epoch, id: Token::random(entropy) }), ..self.clone() }
    }

    /// The same of a data directory that holds what a zone that says `theirs` holds: what it meant to give that zone is given.
    pub(super) fn take_up(&self, theirs: &Self, entropy: &dyn Entropy) -> Self {
        let given = self.next.is_some_and(|next| next.id == theirs.id);
        let held = if given { self.both(&theirs.zone, theirs.copy) } else { None };
        held.as_ref().unwrap_or(self).intend(Some(theirs), entropy)
    }

    /// The data directory and a zone, in the epoch that was recorded as the next one. `copy` is the zone's directory that counts.
    pub(super) fn both(&self, zone: &str, copy: u64) -> Option<Self> {
        let Next { epoch, id } = self.next?;
        Some(Self { role: Role::Both, epoch, id, next: None, copy, zone: zone.to_owned(), ..self.clone() })
    }

    /// That of a data directory which is made from the zone that has this one, and holds it up to a version.
    pub(super) fn lone(&self, version: Version, entropy: &dyn Entropy) -> Self {
        let mut lone = Self { role: Role::Lone, home: Token::random(entropy), next: None, ..self.clone() };
        lone.follow(Forebear { home: self.home, epoch: self.epoch, version });
        lone
    }

    /// Does a zone that says `theirs` hold what this data directory holds, or one of them the beginning of it?
    pub(super) fn shares_with(&self, theirs: &Self) -> bool {
        let held = self.role != Role::Alone && theirs.id == self.id;
        held || self.next.is_some_and(|next| next.id == theirs.id)
    }

    /// The forebear that said `theirs`, if that is known.
    pub(super) fn forebear(&self, theirs: &Self) -> Option<&Forebear> {
        self.forebears.iter().find(|known| known.home == theirs.home && theirs.epoch <= known.epoch)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Names of zones have at most 32 characters.
        let zone = &self.zone.as_bytes()[..self.zone.len().min(usize::from(u8::MAX))];
        let next = self.next.unwrap_or(Next { epoch: 0, id: Token::default() });
        let mut bytes =
            Vec::with_capacity(FIXED + zone.len() + 1 + FOREBEAR * self.forebears.len() + CHECKSUM);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.push(match self.role {
            Role::Alone => 1,
            Role::Both => 2,
            Role::Lone => 3,
        });
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&self.home.0);
        bytes.extend_from_slice(&next.epoch.to_le_bytes());
        bytes.extend_from_slice(&next.id.0);
        bytes.extend_from_slice(&self.copy.to_le_bytes());
        bytes.push(u8::try_from(zone.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(zone);
        bytes.push(u8::try_from(self.forebears.len()).unwrap_or(u8::MAX));
        for forebear in &self.forebears {
            bytes.extend_from_slice(&forebear.home.0);
            bytes.extend_from_slice(&forebear.epoch.to_le_bytes());
            bytes.extend_from_slice(&forebear.version.to_le_bytes());
        }
        let crc = crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        let corrupt = |detail: &str| Error::Corrupt { what: what.into(), detail: detail.into() };
        let (body, crc) =
            bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| corrupt("shorter than its checksum"))?;
        if body.len() <= FIXED || body[..8] != *MAGIC || crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(corrupt("it does not verify"));
        }
        let found = body[8..].first_chunk().copied().map_or(0, u32::from_le_bytes);
        if found > FORMAT {
            return Err(Error::Newer { what: what.into(), found, supported: FORMAT });
        }
        let role = match body[12] {
            1 => Role::Alone,
            2 => Role::Both,
            3 => Role::Lone,
            _ => return Err(corrupt("its role is none")),
        };
        let (zone, rest) = body[FIXED..]
            .split_at_checked(usize::from(body[FIXED - 1]))
            .ok_or_else(|| corrupt("its zone's name has another length"))?;
        let zone = std::str::from_utf8(zone).map_err(|_| corrupt("its zone's name is not UTF-8"))?;
        let (count, rest) = rest.split_first().ok_or_else(|| corrupt("it ends too early"))?;
        if usize::from(*count) > FOREBEARS_MAX || rest.len() != usize::from(*count) * FOREBEAR {
            return Err(corrupt("its forebears have another length"));
        }
        let forebears = rest.chunks_exact(FOREBEAR).map(|one| Forebear {
            home: token(one, 0),
            epoch: number(one, 16),
            version: number(one, 24),
        });
        let next = Next { epoch: number(body, 53), id: token(body, 61) };
        Ok(Self {
            role,
            epoch: number(body, 13),
            id: token(body, 21),
            home: token(body, 37),
            next: Some(next).filter(|next| next.epoch > 0),
            copy: number(body, 77),
            zone: zone.to_owned(),
            forebears: forebears.collect(),
        })
    }

    /// The one that a directory holds, if it holds one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>> {
        use std::io::Read as _;
        let path = dir.join(NAME);
        let mut bytes = Vec::new();
        let read = file::open_regular(&path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => Self::decode(&bytes, &path.display().to_string()).map(Some),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    /// Puts it in the place of the one that a directory holds; durable when this returns.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        file::replace(&dir.join(NAME), &self.encode())
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u64::from_le_bytes)
}

fn token(bytes: &[u8], at: usize) -> Token {
    Token(bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{FOREBEARS_MAX, Forebear, Membership, Next, Role, Token};
    use crate::Error;
    use crate::catalog::log::frame::crc32c;
    use crate::entropy::SeededEntropy;

    fn golden() -> Membership {
        Membership {
            role: Role::Both,
            epoch: 0x0102,
            id: Token([0xA1; 16]),
            home: Token([0xC3; 16]),
            next: Some(Next { epoch: 0x0103, id: Token([0xB2; 16]) }),
            copy: 0x0101,
            zone: "shelf-2".to_owned(),
            forebears: vec![Forebear { home: Token([0xD4; 16]), epoch: 7, version: 0x0304 }],
        }
    }

    #[test]
    fn golden_bytes_their_flipped_bits_and_a_newer_one() {
        let mut bytes = b"firnmemb\x01\0\0\0\x02\x02\x01\0\0\0\0\0\0".to_vec();
        bytes.extend([0xA1; 16]);
        bytes.extend([0xC3; 16]);
        bytes.extend(b"\x03\x01\0\0\0\0\0\0");
        bytes.extend([0xB2; 16]);
        bytes.extend(b"\x01\x01\0\0\0\0\0\0\x07shelf-2\x01");
        bytes.extend([0xD4; 16]);
        bytes.extend(b"\x07\0\0\0\0\0\0\0\x04\x03\0\0\0\0\0\0");
        let crc = crc32c(&bytes);
        bytes.extend(crc.to_le_bytes());
        assert_eq!(crc, 0x159D_83F2, "golden");
        assert_eq!(golden().encode(), bytes);
        assert_eq!(Membership::decode(&bytes, "m").unwrap(), golden());
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            assert!(matches!(Membership::decode(&bad, "m"), Err(Error::Corrupt { .. })), "byte {at}");
            assert!(
                matches!(Membership::decode(&bytes[..at], "m"), Err(Error::Corrupt { .. })),
                "cut at {at}"
            );
        }
        let mut newer = bytes[..bytes.len() - 4].to_vec();
        newer[8] = 2;
        let crc = crc32c(&newer);
        newer.extend(crc.to_le_bytes());
        assert!(matches!(Membership::decode(&newer, "m"), Err(Error::Newer { found: 2, supported: 1, .. })));
    }

    #[test]
    fn hostile_lengths_with_a_right_checksum_are_refused() {
        let whole = golden().encode();
        let body = &whole[..whole.len() - 4];
        for (at, value) in [(12, 0), (12, 4), (85, 255), (85, 8), (93, 0), (93, 2), (93, 9), (93, 255)] {
            let mut bad = body.to_vec();
            bad[at] = value;
            let crc = crc32c(&bad);
            bad.extend(crc.to_le_bytes());
            assert!(matches!(Membership::decode(&bad, "m"), Err(Error::Corrupt { .. })), "{value} at {at}");
        }
    }

    #[test]
    fn no_epoch_is_given_twice_and_forebears_are_bounded() {
        let entropy = SeededEntropy::new(1);
        let mut home = Membership::first(std::iter::empty(), &entropy);
        let mut given = vec![home.epoch];
        for _ in 0..20 {
            // Given to a zone that never answered, then alone, then with the zone.
            home = home.intend(None, &entropy);
            given.push(home.next.unwrap().epoch);
            home = home.alone(&entropy);
            given.push(home.epoch);
            home = home.intend(None, &entropy);
            given.push(home.next.unwrap().epoch);
            let both = home.both("b", 3).unwrap();
            assert!(both.both("b", 3).is_none(), "what was not recorded is not given");
            home = both.lone(9, &entropy);
        }
        assert!(given.is_sorted() && given.windows(2).all(|pair| pair[0] < pair[1]), "{given:?}");
        assert_eq!(home.forebears.len(), FOREBEARS_MAX);
        assert_eq!(Membership::decode(&home.encode(), "m").unwrap(), home);
    }
}
