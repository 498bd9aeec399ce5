//! Bytes of an archive, wherever they lie: as pieces, or at places in packs.

use super::build::{self, Keys, Others, Rows};
use super::rows::{PackRow, PieceRow, PlaceRow};
use super::scrub::{PackHealth, look_over};
use super::secrets::Spot;
use super::{Result, Vault, Vaults, tables};
use crate::pack::{ArchiveId, PackId, Reader, Session};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot, Table, key_after};
use engine::{Error, ErrorKind};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bytes that come.
pub type Output = BoxStream<'static, Result<Bytes>>;

/// Pieces of bytes that a pack's thread is ahead.
const AHEAD: usize = 8;

/// Bytes of an archive in one pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) archive: ArchiveId,
    /// Where they begin in the archive.
    pub(super) from: u64,
    pub(super) place: PlaceRow,
    pub(super) pack: PackRow,
}

impl Vaults {
    /// The piece that has a byte, if one has.
    async fn find_piece(
        &self,
        snapshot: &dyn Snapshot,
        table: Table,
        of: [u8; 16],
        at: u64,
    ) -> Result<Option<(u64, PieceRow)>> {
        let Some((offset, raw)) = before(snapshot, table, of, at).await? else { return Ok(None) };
        let row = PieceRow::from_bytes(&raw)?;
        Ok((offset.saturating_add(row.length) > at).then_some((offset, row)))
    }

    /// The place that has a byte, if one has.
    pub(super) async fn find_place(
        &self,
        snapshot: &dyn Snapshot,
        archive: ArchiveId,
        at: u64,
    ) -> Result<Option<Placed>> {
        let found = before(snapshot, tables::PLACES, *archive.as_bytes(), at).await?;
        let Some((from, raw)) = found else { return Ok(None) };
        let place = PlaceRow::from_bytes(&raw)?;
        if from.saturating_add(place.length) <= at {
            return Ok(None);
        }
        let pack = snapshot.get(tables::of_pack(tables::PACKS, place.pack)).await?;
        let pack = pack.ok_or_else(|| build::no_pack(place.pack))?;
        Ok(Some(Placed { archive, from, place, pack: PackRow::from_bytes(&pack)? }))
    }

    /// Reads on from a byte to the end of its piece.
    pub(super) async fn piece_at(&self, vault: &Vault, archive: ArchiveId, at: u64) -> Result<Output> {
        let of = *archive.as_bytes();
        let snapshot = self.at(vault.home).await?;
        let found = self.find_piece(&*snapshot, tables::PIECES, of, at).await?;
        let (offset, row) = found.ok_or_else(|| lost(archive, at))?;
        self.read_piece(vault, (tables::PIECES, of, offset), &row, at - offset..row.length)
    }

    pub(super) fn read_piece(
        &self,
        vault: &Vault,
        (table, of, offset): (Table, [u8; 16], u64),
        row: &PieceRow,
        range: Range<u64>,
    ) -> Result<Output> {
        let spot = Spot { of, offset };
        let key = vault.secrets.open_blob(table.tag, spot, row.blob, &row.sealed)?;
        let reader = self.blobs.read(vault.home, row.blob, &key, range);
        Ok(reader.map(|item| item.map_err(super::Error::from)).boxed())
    }

    /// Reads on from a byte, at the most to `end`, from wherever it is: a piece before a place.
    pub(super) async fn read_on(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        archive: ArchiveId,
        (at, end): (u64, u64),
    ) -> Result<Output> {
        let of = *archive.as_bytes();
        let snapshot = self.at(vault.home).await?;
        if let Some((offset, row)) = self.find_piece(&*snapshot, tables::PIECES, of, at).await? {
            let range = at - offset..row.length.min(end - offset);
            return self.read_piece(vault, (tables::PIECES, of, offset), &row, range);
        }
        let found = self.find_place(&*snapshot, archive, at).await?;
        let found = found.ok_or_else(|| lost(archive, at))?;
        let to = end.min(found.from + found.place.length);
        Ok(self.read_place(vault, found, at - found.from..to - found.from))
    }

    /// Reads a range of what lies in a pack; a pack that is damaged is mended first, once, and what moved to another pack meanwhile is read on
    /// there. Blocking work is in a thread of its own.
    pub(super) fn read_place(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        placed: Placed,
        range: Range<u64>,
    ) -> Output {
        let rows = Rows::of(self, vault);
        let (sender, receiver) = mpsc::channel::<Result<Bytes>>(AHEAD);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read_whole(&rows, placed, range, &sender) {
                // Whoever is gone needs no answer.
                let _ = sender.blocking_send(Err(error.into()));
            }
        });
        let next = |mut receiver: mpsc::Receiver<Result<Bytes>>| async move {
            receiver.recv().await.map(|item| (item, receiver))
        };
        stream::unfold(receiver, next).boxed()
    }
}

/// The row of the last offset that is not behind `at`.
async fn before(
    snapshot: &dyn Snapshot,
    table: Table,
    of: [u8; 16],
    at: u64,
) -> Result<Option<(u64, Bytes)>> {
    let end = key_after(&tables::at_offset(table, &of, at).bytes);
    let scan = Scan { end, reverse: true, ..Scan::prefix(table, &of, 1) };
    let Some((key, raw)) = snapshot.scan(scan).await?.rows.into_iter().next() else { return Ok(None) };
    let (_, offset) = tables::read_offset(&key)?;
    Ok(Some((offset, raw)))
}

/// The error of bytes that are nowhere: of an archive that went meanwhile, or whose rows are damaged.
pub(super) fn lost(archive: ArchiveId, at: u64) -> super::Error {
    Error::NotFound { what: "bytes of archive", id: format!("{archive} from {at} on") }.into()
}

/// How often a reader follows what moves from pack to pack.
const MOVES_MAX: usize = 8;

fn read_whole(
    rows: &Rows,
    mut placed: Placed,
    mut range: Range<u64>,
    sender: &mpsc::Sender<Result<Bytes>>,
) -> engine::Result<()> {
    let (mut moves, mut mended) = (0, false);
    loop {
        let mut sent = 0;
        let outcome = read(rows, placed, range.clone(), &mut sent, sender);
        range.start += sent;
        let Err(error) = outcome else { return Ok(()) };
        if sender.is_closed() {
            return Err(error);
        }
        let now = rows.handle.block_on(place_now(rows, placed.archive, placed.from + range.start));
        if let Ok(Some(now)) = now
            && now.place.pack != placed.place.pack
            && now.from == placed.from
            && moves < MOVES_MAX
        {
            (moves, placed) = (moves + 1, now);
        } else if error.kind() == ErrorKind::Corrupt && !mended {
            mended = true;
            mend(rows, placed.place.pack)?;
        } else {
            return Err(error);
        }
    }
}

async fn place_now(rows: &Rows, archive: ArchiveId, at: u64) -> Result<Option<Placed>> {
    let snapshot = rows.vaults.at(rows.vault.home).await?;
    rows.vaults.find_place(&*snapshot, archive, at).await
}

fn read(
    rows: &Rows,
    placed: Placed,
    range: Range<u64>,
    sent: &mut u64,
    sender: &mpsc::Sender<Result<Bytes>>,
) -> engine::Result<()> {
    let (_, reader) = rows.open(placed.place.pack)?;
    let entry = reader.part(placed.archive, placed.from).ok_or_else(|| Error::Corrupt {
        what: format!("pack {}", placed.place.pack),
        detail: format!("{:?} is not in it", placed.archive),
    })?;
    let keys = Keys::of(rows.clone());
    let others = Others::of(rows.clone());
    Session::new(&keys, &others)?.read(&reader, entry, range, &mut |bytes| {
        *sent += bytes.len() as u64;
        sender.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(|_gone| Error::Closed)
    })
}

/// Repairs a pack where it lies, by its own parity. An error where that does not make it whole.
pub(super) fn mend(rows: &Rows, pack: PackId) -> engine::Result<()> {
    let found = look_over(rows, (pack, rows_pack(rows, pack)?), true)?;
    match found.health {
        PackHealth::Whole | PackHealth::Mended => Ok(()),
        _ => Err(Error::Corrupt { what: format!("pack {pack}"), detail: found.detail }),
    }
}

fn rows_pack(rows: &Rows, pack: PackId) -> engine::Result<PackRow> {
    let row = rows.handle.block_on(async {
        let snapshot = rows.vaults.catalog.snapshot(rows.vault.home).await?;
        snapshot.get(tables::of_pack(tables::PACKS, pack)).await
    })?;
    PackRow::from_bytes(&row.ok_or_else(|| build::no_pack(pack))?)
}

/// Whether what a scrub compared with is what the vault sealed.
pub(super) fn is_ours(rows: &Rows, path: &Path, pack: PackId, found: &crate::pack::Scrubbed) -> bool {
    let reader: engine::Result<Reader> = build::open_at(path, pack, &rows.vault);
    reader.is_ok_and(|reader| found.is_sealed_by(reader.tables()))
}
