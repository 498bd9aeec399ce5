//! Parity over whole packs: `k` of them on as many media, `m` of parity on as many others, and any `k` of all give back the rest.
//!
//! ```text
//!   pack 1   ████████████████            zeros beyond the end of the shorter ones
//!   pack 2   ██████████████████████
//!   …           │
//!   parity 1 ▒▒▒┴▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒    bytes at one place of all packs make one stripe
//! ```
//! Packs stay as they are, so each medium is readable alone. A parity pack says whose packs it protects and how long they are, twice, and
//! has a CRC32C for each of its cells, twice as well. The byte table is in docs/formats/pack.md.
//!
//! # Invariants
//! Packs that are given to [`protect_packs`] and [`restore`] are whole, or say by an error what they have lost: `pack::Checked` does, and knows which pack it
//! is. Parity packs are checked here, cell by cell.
//!
//! # Limits
//! [`PACKS_MAX`] packs, [`PARITY_PACKS_MAX`] of parity, 1 TiB each. Memory: some 4 slices of 64 KiB for each pack of the set.

use super::{CELL_BYTES, Stripe, crc32c, protect};
use crate::source::{ReadAt, WriteAt};
use engine::{Error, Result};
use std::ops::Range;

/// Packs of a set, parity apart.
pub const PACKS_MAX: usize = 128;
/// Parity packs of a set.
pub const PARITY_PACKS_MAX: usize = 32;

const MAGIC: &[u8; 8] = b"FIRNPAR\n";
const VERSION: u32 = 1;
const CRC_AT: usize = CELL_BYTES - 4;
const MEMBERS_AT: usize = 64;
const MEMBER_BYTES: usize = 24;
/// Checksums of a cell of the table at the end.
const CRCS_A_CELL: usize = CRC_AT / 4;
/// Bytes that are worked on at once.
const SLICE: usize = 64 << 10;
const BYTES_MAX: u64 = 1 << 40;

/// A pack of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: [u8; 16],
    /// Its length in bytes.
    pub bytes: u64,
}

/// Which packs belong together, and which of the parity packs one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Random: packs of two sets are never mixed.
    pub id: [u8; 16],
    /// The packs, in their order.
    pub members: Vec<Member>,
    /// How many parity packs there are.
    pub parity: usize,
}

impl Set {
    fn check(&self) -> Result<()> {
        let lengths = self.members.iter().all(|member| (1..=BYTES_MAX).contains(&member.bytes));
        let sizes =
            (1..=PACKS_MAX).contains(&self.members.len()) && (1..=PARITY_PACKS_MAX).contains(&self.parity);
        if sizes && lengths {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "protect {} packs by {}: 1 to {PACKS_MAX} by 1 to {PARITY_PACKS_MAX} are possible, each of 1 byte to 1 TiB",
            self.members.len(),
            self.parity
        )))
    }

    /// Cells of the body of each parity pack: as many as the longest pack has.
    fn body_cells(&self) -> u64 {
        let longest = self.members.iter().map(|member| member.bytes).max().unwrap_or(0);
        longest.div_ceil(CELL_BYTES as u64)
    }

    /// Bytes of each parity pack.
    pub fn parity_bytes(&self) -> u64 {
        let body = self.body_cells();
        (2 + body + 2 * self.table_cells()) * CELL_BYTES as u64
    }

    /// Cells of one of the two tables of checksums.
    fn table_cells(&self) -> u64 {
        self.body_cells().div_ceil(CRCS_A_CELL as u64)
    }

    fn encode(&self, number: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(CELL_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        for count in [self.members.len(), self.parity, number] {
            out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
        }
        out.resize(24, 0);
        out.extend_from_slice(&self.id);
        out.resize(MEMBERS_AT, 0);
        for member in &self.members {
            out.extend_from_slice(&member.id);
            out.extend_from_slice(&member.bytes.to_le_bytes());
        }
        out.resize(CRC_AT, 0);
        out.extend_from_slice(&crc32c(&out).to_le_bytes());
        out
    }

    fn decode(cell: &[u8]) -> Result<(Self, usize)> {
        let corrupt = |detail: &str| Error::Corrupt { what: "parity pack".into(), detail: detail.into() };
        if cell.len() != CELL_BYTES || !cell.starts_with(MAGIC) {
            return Err(corrupt("it does not begin as one"));
        }
        if crc32c(&cell[..CRC_AT]).to_le_bytes() != cell[CRC_AT..] {
            return Err(corrupt("checksum does not match"));
        }
        let version = u32::from_le_bytes(take(cell, 8));
        if version > VERSION {
            return Err(Error::Newer { what: "parity pack".into(), found: version, supported: VERSION });
        }
        let count = |at: usize| usize::from(u16::from_le_bytes(take(cell, at)));
        let (packs, parity, number) = (count(12), count(14), count(16));
        if version == 0 || packs > PACKS_MAX || number >= parity {
            return Err(corrupt("impossible version or counts"));
        }
        let member = |place: usize| {
            let at = MEMBERS_AT + place * MEMBER_BYTES;
            Member { id: take(cell, at), bytes: u64::from_le_bytes(take(cell, at + 16)) }
        };
        let set = Self { id: take(cell, 24), members: (0..packs).map(member).collect(), parity };
        set.check().map_err(|_| corrupt("impossible counts or lengths"))?;
        Ok((set, number))
    }
}

/// What a parity pack belongs to, and which one it is. Reads its head, or where that is damaged its last cell.
pub fn identify(parity: &dyn ReadAt) -> Result<(Set, usize)> {
    let mut cell = vec![0; CELL_BYTES];
    let mut at = |place: u64| {
        parity.read_at(place, &mut cell).map_err(|error| Error::io("read", "parity pack", error))?;
        Set::decode(&cell)
    };
    let first = at(0);
    match first {
        Err(Error::Corrupt { .. } | Error::Io { .. }) => {
            let len = parity.byte_len().map_err(|error| Error::io("read", "parity pack", error))?;
            len.checked_sub(CELL_BYTES as u64).map_or(first, at)
        }
        decided => decided,
    }
}

/// Writes the parity packs of a set: `packs` are its members, in their order. Durable when this returns.
pub fn protect_packs(set: &Set, packs: &[&dyn ReadAt], parity: &mut [&mut dyn WriteAt]) -> Result<()> {
    set.check()?;
    if packs.len() != set.members.len() || parity.len() != set.parity {
        return Err(Error::Invalid("protect packs: as many must be given as the set has".into()));
    }
    let failed = |error| Error::io("write", "parity pack", error);
    let mut tables = vec![Vec::new(); parity.len()];
    each_slice(set, |at, length| {
        let mut slices = Vec::with_capacity(packs.len());
        for (pack, member) in packs.iter().zip(&set.members) {
            slices.push(load(*pack, member.bytes, at, length)?);
        }
        let made = protect(slices.iter().map(Vec::as_slice), code_parity(set), length).unwrap_or_default();
        for ((bytes, out), table) in made.iter().zip(parity.iter_mut()).zip(&mut tables) {
            out.write_at(body_at(at), bytes).map_err(failed)?;
            table.extend(bytes.chunks_exact(CELL_BYTES).flat_map(|cell| crc32c(cell).to_le_bytes()));
        }
        Ok(())
    })?;
    for (number, (out, table)) in parity.iter_mut().zip(tables).enumerate() {
        let mut at = body_at(set.body_cells() * CELL_BYTES as u64);
        for crcs in table.chunks(CRC_AT).chain(table.chunks(CRC_AT)) {
            let mut cell = crcs.to_vec();
            cell.resize(CRC_AT, 0);
            cell.extend_from_slice(&crc32c(&cell).to_le_bytes());
            out.write_at(at, &cell).map_err(failed)?;
            at += CELL_BYTES as u64;
        }
        let head = set.encode(number);
        out.write_at(at, &head).and_then(|()| out.write_at(0, &head)).map_err(failed)?;
        out.sync().map_err(failed)?;
    }
    Ok(())
}

/// Gives back packs that were lost: where `packs` has none, and `lost` has somewhere to write to, in the set's order. What can't be read or
/// is damaged is left out, cell by cell; where fewer than `k` of all are good zeros are written, and these places are what this answers:
/// the packs' own parity may have them. Scrub what was restored, by its id. A parity pack of another set or place, and a pack of
/// another length, is refused before anything is written.
pub fn restore(
    set: &Set,
    packs: &[Option<&dyn ReadAt>],
    parity: &[Option<&dyn ReadAt>],
    lost: &mut [Option<&mut dyn WriteAt>],
) -> Result<Vec<Range<u64>>> {
    set.check()?;
    let count = set.members.len();
    if packs.len() != count || lost.len() != count || parity.len() != set.parity {
        return Err(Error::Invalid("restore packs: as many places must be given as the set has".into()));
    }
    let given = Given::check(set, packs, parity)?;
    let mut holes: Vec<Range<u64>> = Vec::new();
    each_slice(set, |at, length| {
        if let Some(found) = given.solve(at, length, false) {
            return put(set, lost, at, &found);
        }
        // Not all of it: what is left of each cell.
        for at in (at..at + length as u64).step_by(CELL_BYTES) {
            let found = given.solve(at, CELL_BYTES, false).or_else(|| given.solve(at, CELL_BYTES, true));
            if let Some(found) = found {
                put(set, lost, at, &found)?;
                continue;
            }
            let nothing: Vec<_> = (0_u32..).take(count).map(|place| (place, vec![0; CELL_BYTES])).collect();
            put(set, lost, at, &nothing)?;
            let end = at + CELL_BYTES as u64;
            match holes.last_mut() {
                Some(before) if before.end == at => before.end = end,
                _ => holes.push(at..end),
            }
        }
        Ok(())
    })?;
    let failed = |error| Error::io("write", "pack", error);
    lost.iter_mut().flatten().try_for_each(|target| target.sync().map_err(failed))?;
    Ok(holes)
}

/// The cells of a parity pack's body that are not what they were, or have no checksum that says what. Parity packs rot as packs do:
/// where there is any, make the set's parity anew.
pub fn scrub_parity(set: &Set, number: usize, parity: &dyn ReadAt) -> Result<Vec<u64>> {
    set.check()?;
    let given = identify(parity)?;
    if given != (set.clone(), number) {
        return Err(wrong_set(number));
    }
    let table = Table::read(set, parity);
    let mut bad = Vec::new();
    let mut bytes = vec![0; CELL_BYTES];
    for cell in 0..set.body_cells() {
        let at = cell * CELL_BYTES as u64;
        if parity.read_at(body_at(at), &mut bytes).is_err() || table.agrees(at, &bytes) != Some(true) {
            bad.push(cell);
        }
    }
    Ok(bad)
}

fn wrong_set(number: usize) -> Error {
    Error::Invalid(format!(
        "use parity pack {number} of a set: what was given is of another set, or another one of it"
    ))
}

/// What is left of a set.
struct Given<'a> {
    set: &'a Set,
    packs: &'a [Option<&'a dyn ReadAt>],
    parity: &'a [Option<&'a dyn ReadAt>],
    tables: Vec<Option<Table>>,
}

impl<'a> Given<'a> {
    /// Parity packs whose head and foot are lost are left out: nothing says what they are.
    fn check(
        set: &'a Set,
        packs: &'a [Option<&'a dyn ReadAt>],
        parity: &'a [Option<&'a dyn ReadAt>],
    ) -> Result<Self> {
        for (pack, member) in packs.iter().zip(&set.members) {
            let length = pack.and_then(|pack| pack.byte_len().ok());
            if let Some(length) = length.filter(|length| *length != member.bytes) {
                let wanted = member.bytes;
                return Err(Error::Invalid(format!(
                    "restore by a pack of {length} bytes: the set has one of {wanted} bytes there"
                )));
            }
        }
        let mut tables = Vec::new();
        for (number, pack) in parity.iter().enumerate() {
            let Some(pack) = pack else {
                tables.push(None);
                continue;
            };
            match identify(*pack) {
                Ok((found, place)) if (&found, place) == (set, number) => {
                    tables.push(Some(Table::read(set, *pack)));
                }
                Ok(_) => return Err(wrong_set(number)),
                Err(error @ Error::Newer { .. }) => return Err(error),
                Err(_) => tables.push(None),
            }
        }
        let (there, wanted) = (packs.iter().flatten().count() + tables.iter().flatten().count(), packs.len());
        if there < wanted {
            return Err(Error::Corrupt {
                what: "set of packs".into(),
                detail: format!("fewer than {wanted} of its packs and parity packs are there: {there}"),
            });
        }
        Ok(Self { set, packs, parity, tables })
    }

    /// What packs have at a place that they are not there for.
    /// Parity that no checksum speaks for, its table being damaged twice, is taken where `unsure` says so: whether it was right
    /// is for the packs' own checksums to say.
    fn solve(&self, at: u64, length: usize, unsure: bool) -> Option<Vec<(u32, Vec<u8>)>> {
        let depth = u32::try_from(self.set.members.len()).ok()?;
        let mut stripe = Stripe::new(depth, code_parity(self.set), length)?;
        for (place, (pack, member)) in (0..).zip(self.packs.iter().zip(&self.set.members)) {
            if let Some(Ok(bytes)) = pack.map(|pack| load(pack, member.bytes, at, length)) {
                stripe.add_data(place, &bytes);
            }
        }
        let mut bytes = vec![0; length];
        for (place, (pack, table)) in (0..).zip(self.parity.iter().zip(&self.tables)) {
            let (Some(pack), Some(table)) = (pack, table) else { continue };
            let read = pack.read_at(body_at(at), &mut bytes).is_ok();
            if read && table.agrees(at, &bytes).unwrap_or(unsure) {
                stripe.add_parity(place, &bytes);
            }
        }
        stripe.solve()
    }
}

/// Writes what was found into the packs that are wanted.
fn put(set: &Set, lost: &mut [Option<&mut dyn WriteAt>], at: u64, found: &[(u32, Vec<u8>)]) -> Result<()> {
    for (place, bytes) in found {
        let (member, target) = (&set.members[*place as usize], &mut lost[*place as usize]);
        let end = usize::try_from(member.bytes.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        if let Some(target) = target
            && end > 0
        {
            target.write_at(at, &bytes[..end]).map_err(|error| Error::io("write", "pack", error))?;
        }
    }
    Ok(())
}

/// The checksums of a parity pack; none for cells whose part of the table is damaged in both of its copies.
struct Table(Vec<Option<u32>>);

impl Table {
    fn read(set: &Set, parity: &dyn ReadAt) -> Self {
        let (body, cells) = (set.body_cells(), set.table_cells());
        let length = parity.byte_len().unwrap_or(0);
        let mut found = Vec::new();
        let mut cell = vec![0; CELL_BYTES];
        for number in 0..cells {
            let at = body_at((body + number) * CELL_BYTES as u64);
            if at >= length {
                // Whatever the head says of its length: nothing is read, nor kept room for, behind the end.
                break;
            }
            let mut good = |at: u64| {
                parity.read_at(at, &mut cell).is_ok()
                    && crc32c(&cell[..CRC_AT]).to_le_bytes() == cell[CRC_AT..]
            };
            let good = good(at) || good(at + cells * CELL_BYTES as u64);
            let (crcs, _) = cell[..CRC_AT].as_chunks::<4>();
            found.extend(crcs.iter().map(|crc| good.then_some(u32::from_le_bytes(*crc))));
        }
        Self(found)
    }

    /// Whether these cells are what they were; `None` where no checksum says so of one of them, and none says otherwise.
    fn agrees(&self, at: u64, bytes: &[u8]) -> Option<bool> {
        let first = usize::try_from(at / CELL_BYTES as u64).unwrap_or(usize::MAX);
        let mut sure = true;
        for (place, cell) in bytes.chunks_exact(CELL_BYTES).enumerate() {
            match self.0.get(first.saturating_add(place)) {
                Some(Some(crc)) if *crc != crc32c(cell) => return Some(false),
                Some(Some(_)) => {}
                Some(None) | None => sure = false,
            }
        }
        sure.then_some(true)
    }
}

fn each_slice(set: &Set, mut each: impl FnMut(u64, usize) -> Result<()>) -> Result<()> {
    let total = set.body_cells() * CELL_BYTES as u64;
    let mut at = 0;
    while at < total {
        let length = usize::try_from(total - at).unwrap_or(SLICE).min(SLICE);
        each(at, length)?;
        at += length as u64;
    }
    Ok(())
}

/// Bytes of a pack, zeros beyond its end.
fn load(pack: &dyn ReadAt, bytes: u64, at: u64, length: usize) -> Result<Vec<u8>> {
    let mut out = vec![0; length];
    let there = usize::try_from(bytes.saturating_sub(at)).unwrap_or(usize::MAX).min(length);
    if there > 0 {
        pack.read_at(at, &mut out[..there]).map_err(|error| Error::io("read", "pack", error))?;
    }
    Ok(out)
}

/// Where the body of a parity pack has what belongs to this place of the packs.
const fn body_at(at: u64) -> u64 {
    CELL_BYTES as u64 + at
}

fn code_parity(set: &Set) -> u32 {
    u32::try_from(set.parity).unwrap_or(u32::MAX)
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(found) = bytes.get(at..at + N) {
        out.copy_from_slice(found);
    }
    out
}
