//! Makes a pack of parts that lie in others, in a thread of its own.
//!
//! ```text
//!   part in an old pack ─► opened under its subkey ─► its hash ─► new pack, sealed anew: under the subkey that it has for itself, or a new group's
//! ```
//! # Invariants
//! - A part keeps its archive, its beginning, its length and the subkey that it has for itself: what ends it ends it in both packs. The key of each frame
//!   is made with the pack's id and a salt, so that nothing is sealed twice under one (docs/adr/0027).
//! - No part is begun and left: where one can't be read, or does not fit, the pack is given up, and made again without it. So a pack holds no
//!   bytes of what is not in its index, and names no subkey of what is not.

use super::Result;
use super::build::{self, Built, Keys, Part};
use super::rows::{ArchiveRow, PlaceRow};
use crate::pack::{ArchiveId, Head, KeyFor, KeyId, Open, Options, Pack, PackId, Reader, Session, Subkeys};
use crate::tree_hash::{TreeHash, TreeHasher};
use engine::Error;
use engine::codec::DataKey;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where these packs are made, in the directory of those that the packer makes.
pub(super) fn making(directory: &Path) -> PathBuf {
    directory.join("compacted")
}

/// A pack that is read from.
pub(super) struct Source {
    pub(super) pack: PackId,
    pub(super) reader: Reader,
}

/// A part that is to move.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    /// Which source it lies in, and which entry of its index it is.
    pub(super) source: usize,
    pub(super) entry: usize,
    pub(super) archive: ArchiveId,
    pub(super) from: u64,
    pub(super) place: PlaceRow,
    pub(super) row: ArchiveRow,
    /// Bytes of data that it takes.
    pub(super) stored: u64,
}

impl Moving {
    /// Data that a pack needs to have room for this part, tags and what it keeps free included.
    pub(super) const fn room(&self) -> u64 {
        self.stored + (self.stored >> 10) + (256 << 10)
    }
}

/// What came of it.
pub(super) enum Rewritten {
    /// A pack of the parts that found room, which need not be all.
    Built(Box<Built>),
    /// That part can't be read: without it, again.
    Unreadable(usize, Error),
    /// That part found no room though it was thought to: without it, again.
    Unfit(usize),
}

/// New subkeys for groups, and for a part that has one for itself, that one.
struct Kept {
    keys: Arc<Keys>,
    own: Mutex<Option<KeyId>>,
}

impl Subkeys for Kept {
    fn fresh(&self, pack: PackId, purpose: KeyFor) -> engine::Result<(KeyId, DataKey)> {
        match (purpose, *self.own.lock()) {
            (KeyFor::Archive(archive), Some(id)) => {
                let erased = || Error::NotFound { what: "subkey", id: format!("{id} of {archive}") };
                Ok((id, self.keys.find(id)?.ok_or_else(erased)?))
            }
            _ => self.keys.fresh(pack, purpose),
        }
    }

    fn find(&self, id: KeyId) -> engine::Result<Option<DataKey>> {
        self.keys.find(id)
    }

    /// New ones have no rows before their pack counts, and those of parts are theirs.
    fn abandon(&self, _pack: PackId) -> engine::Result<()> {
        Ok(())
    }
}

/// Makes a pack of what of these parts finds room, which must not be none. Blocks.
pub(super) fn rewrite(
    keys: &Arc<Keys>,
    capacity: u64,
    (sources, moving): (&[Source], &[Moving]),
) -> Result<Rewritten> {
    let (vaults, vault) = (&keys.rows.vaults, &keys.rows.vault);
    let directory = making(&vaults.making);
    let kept = Arc::new(Kept { keys: Arc::clone(keys), own: Mutex::default() });
    crate::pack::sweep(&directory, &HashSet::new(), &*kept)?;
    let options = Options { capacity, ..Options::new(vault.id) };
    let mut pack = Pack::begin(&directory, options, Arc::clone(&kept) as _, Arc::clone(&vaults.entropy))?;
    let mut session = Session::new(&**keys, &())?;
    let mut parts = Vec::new();
    for (number, part) in moving.iter().enumerate() {
        if pack.archives() > 0 && pack.data_bytes() + part.room() > capacity {
            continue;
        }
        *kept.own.lock() = part.place.own_key;
        match copy(&mut pack, &mut session, &sources[part.source].reader, part)? {
            Copied::Whole(part) => parts.push(part),
            // It was not begun.
            Copied::Full if !parts.is_empty() => break,
            Copied::Full | Copied::Short => {
                pack.discard()?;
                return Ok(Rewritten::Unfit(number));
            }
            Copied::Unreadable(error) => {
                pack.discard()?;
                return Ok(Rewritten::Unreadable(number, error));
            }
        }
    }
    let built = build::seal(&keys.rows, pack, parts)?;
    let is_same = |part: &Moving| {
        let here = built.parts.iter().find(|here| (here.archive, here.from) == (part.archive, part.from));
        here.is_none_or(|here| built.own_key(here) == part.place.own_key)
    };
    if !moving.iter().all(is_same) {
        engine::file::remove(&built.path)?;
        return Err(
            Error::Invalid(format!("move parts to pack {}: their subkeys are others", built.pack)).into()
        );
    }
    Ok(Rewritten::Built(Box::new(built)))
}

enum Copied {
    Whole(Part),
    Full,
    Short,
    Unreadable(Error),
}

/// Reads a part from where it lies into the new pack. An error is the new pack's.
fn copy(pack: &mut Pack<Open>, session: &mut Session<'_>, reader: &Reader, part: &Moving) -> Result<Copied> {
    let entry = &reader.index().archives[part.entry];
    let about = match session.about(reader, entry) {
        Ok(about) => about,
        Err(error) => return Ok(Copied::Unreadable(error)),
    };
    let whole = about.tree_hash.map(TreeHash::from_bytes);
    if about.length != part.place.length || (entry.last && whole != Some(part.row.tree_hash)) {
        return Ok(Copied::Unreadable(wrong(reader, part, "its index and the vault say two things of it")));
    }
    let head = Head {
        archive: part.archive,
        created: about.created,
        description: about.description.clone(),
        note: about.note.clone(),
        offset: part.from,
        outside: false,
        lead: 0,
    };
    let Some(mut deposit) = pack.deposit(head)? else { return Ok(Copied::Full) };
    let (mut tree, mut short, mut failed) = (TreeHasher::new(), false, None);
    let read = session.read(reader, entry, 0..about.length, &mut |bytes| {
        tree.update(bytes);
        match deposit.write(bytes) {
            Ok(taken) if taken == bytes.len() => Ok(()),
            Ok(_) => {
                short = true;
                Err(Error::Closed)
            }
            Err(error) => {
                failed = Some(error);
                Err(Error::Closed)
            }
        }
    });
    match (read, failed) {
        (_, Some(error)) => return Err(error.into()),
        (Err(_), None) if short => return Ok(Copied::Short),
        (Err(error), None) => return Ok(Copied::Unreadable(error)),
        (Ok(()), None) => {}
    }
    let hash = tree.finish();
    if *hash.as_bytes() != about.part_hash {
        return Ok(Copied::Unreadable(wrong(reader, part, "its hash is another one")));
    }
    let (from, to) = (part.from, part.from + about.length);
    let last = entry.last;
    if !last {
        if deposit.suspend(about.part_hash)? != to {
            return Ok(Copied::Short);
        }
    } else if from == 0 {
        deposit.finish(about.part_hash)?;
    } else {
        deposit.finish_part(about.part_hash, *part.row.tree_hash.as_bytes())?;
    }
    Ok(Copied::Whole(Part { archive: part.archive, from, to, last, hash }))
}

fn wrong(reader: &Reader, part: &Moving, detail: &str) -> Error {
    Error::Corrupt {
        what: format!("{} from byte {} on, in pack {}", part.archive, part.from, reader.layout().pack()),
        detail: detail.to_owned(),
    }
}
