//! Rows that go with a blob: what whoever wrote it keeps about it in the same partition, such as an index of what it holds.
//!
//! ```text
//!   the commit that names the blob ─► its own rows · companions/<blob>: which those are
//!   the collector's commit that ends it ─► blob row, companions row and those rows gone, counters changed
//! ```
//!
//! # Invariants
//! - Companions go in the commit in which their blob goes, never before: who reads one finds the blob's row at the same version.
//! - A row that came to speak of another blob meanwhile stays.
//!
//! # Limits
//! One row of the catalog (64 KiB) names them: some 1,600 with keys of 32 bytes.

use super::row::{COMPANIONS, companions_key};
use crate::catalog::record::{Record, RecordReader, RecordWriter};
use crate::catalog::{Check, Family, Key, Snapshot, Table, Write};
use crate::id::BlobId;
use crate::{Error, Result};
use bytes::Bytes;

/// Something that changes when a blob goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Companion {
    /// A row is deleted.
    Row(Key),
    /// A row is deleted if it still speaks of the blob: its value has the blob's id behind its first byte.
    Naming(Key),
    /// A counter changes by this.
    Count(Key, i64),
}

/// Names what goes with a blob, in the commit that writes its row.
pub fn accompany(blob: BlobId, companions: Vec<Companion>) -> Write {
    Write::Put(companions_key(blob), Companions(companions).to_bytes())
}

/// What ending a blob has to do about its companions.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    pub(super) checks: Vec<Check>,
    pub(super) writes: Vec<Write>,
}

/// Decides about a blob's companions, from the row that names them.
pub(super) async fn farewell(snapshot: &dyn Snapshot, blob: BlobId, row: Option<Bytes>) -> Result<Farewell> {
    let Some(row) = row else { return Ok(Farewell::default()) };
    let Companions(companions) = Companions::from_bytes(&row)?;
    let mut farewell = Farewell { checks: Vec::new(), writes: vec![Write::Delete(companions_key(blob))] };
    let mut naming = Vec::new();
    for companion in companions {
        match companion {
            Companion::Row(key) => farewell.writes.push(Write::Delete(key)),
            Companion::Count(key, by) => farewell.writes.push(Write::Add(key, by)),
            Companion::Naming(key) => naming.push(key),
        }
    }
    let rows = snapshot.multi_get(naming.clone()).await?;
    let speaks = |row: &Bytes| row.get(1..).is_some_and(|rest| rest.starts_with(blob.as_bytes()));
    for (key, _) in naming.into_iter().zip(rows).filter(|(_, row)| row.as_ref().is_some_and(speaks)) {
        farewell.checks.push(Check::Unchanged(key.clone()));
        farewell.writes.push(Write::Delete(key));
    }
    Ok(farewell)
}

/// The row that names them.
#[derive(Debug, PartialEq, Eq)]
struct Companions(Vec<Companion>);

impl Record for Companions {
    const NAME: &'static str = "companions of a blob";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.count(self.0.len());
        for companion in &self.0 {
            let (kind, key) = match companion {
                Companion::Row(key) => (1, key),
                Companion::Naming(key) => (2, key),
                Companion::Count(key, _) => (3, key),
            };
            out.u8(kind).u8(key.table.family.number()).u8(key.table.tag).bytes(&key.bytes);
            if let Companion::Count(_, by) = companion {
                out.i64(*by);
            }
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let count = fields.count()?;
        let mut companions = Vec::new();
        for _ in 0..count {
            let kind = fields.u8()?;
            let family =
                Family::of_number(fields.u8()?).ok_or_else(|| fields.corrupt("an unknown family"))?;
            let table = Table { family, tag: fields.u8()? };
            if table == COMPANIONS {
                return Err(fields.corrupt("companions of companions"));
            }
            let key = table.key(Bytes::copy_from_slice(fields.bytes()?));
            companions.push(match kind {
                1 => Companion::Row(key),
                2 => Companion::Naming(key),
                3 => Companion::Count(key, fields.i64()?),
                other => return Err(unknown(fields, other)),
            });
        }
        Ok(Self(companions))
    }
}

fn unknown(fields: &RecordReader<'_>, kind: u8) -> Error {
    fields.corrupt(format!("a companion of kind {kind}"))
}

#[cfg(test)]
mod tests {
    use super::super::release;
    use super::super::tests::{HOME, World, owned};
    use super::{Companion, Companions, accompany};
    use crate::Error;
    use crate::catalog::record::Record;
    use crate::catalog::{Family, Table, Write};
    use crate::id::BlobId;
    use bytes::Bytes;

    const ROWS: Table = Table { family: Family::Record, tag: 0x01 };
    const COUNTS: Table = Table { family: Family::Counter, tag: 0x01 };

    #[test]
    fn golden_companions() {
        let companions = Companions(vec![
            Companion::Row(ROWS.key(&b"a"[..])),
            Companion::Naming(ROWS.key(&b"bc"[..])),
            Companion::Count(COUNTS.key(&b"d"[..]), -2),
        ]);
        let golden =
            b"\x01\x03\x01\x01\x01\x01a\x02\x01\x01\x02bc\x03\x05\x01\x01d\xfe\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(&companions.to_bytes()[..], golden);
        assert_eq!(Companions::from_bytes(golden).unwrap(), companions);
        for cut in 0..golden.len() {
            Companions::from_bytes(&golden[..cut]).unwrap_err();
        }
        for (at, value) in [(2, 0), (2, 4), (3, 0), (3, 6), (4, 0xB6)] {
            let mut wrong = golden.to_vec();
            wrong[at] = value;
            Companions::from_bytes(&wrong).unwrap_err();
        }
        let mut newer = golden.to_vec();
        newer[0] = 2;
        assert!(matches!(Companions::from_bytes(&newer), Err(Error::Newer { .. })));
    }

    fn about(blob: BlobId) -> Bytes {
        [&[1], &blob.as_bytes()[..], b"rest"].concat().into()
    }

    /// What the rows `own`, `mine` and `other` hold, and the counter.
    async fn rows(world: &World) -> Vec<bool> {
        let keys = [ROWS.key(&b"own"[..]), ROWS.key(&b"mine"[..]), ROWS.key(&b"other"[..])];
        let snapshot = world.catalog.snapshot(HOME).await.unwrap();
        let found = snapshot.multi_get(keys.to_vec()).await.unwrap();
        found.iter().map(Option::is_some).collect()
    }

    #[tokio::test]
    async fn companions_go_with_their_blob_and_what_speaks_of_another_one_stays() {
        let world = World::new(80).await;
        let sealed = world.seal(&world.bytes(5_000)).await.unwrap();
        let other = BlobId::from_bytes([7; 16]);
        let mut writes = sealed.writes(&owned("one"));
        let count = COUNTS.key(&b"count"[..]);
        writes.extend([
            Write::Put(ROWS.key(&b"own"[..]), Bytes::from_static(b"x")),
            Write::Put(ROWS.key(&b"mine"[..]), about(sealed.id)),
            Write::Put(ROWS.key(&b"other"[..]), about(sealed.id)),
            Write::Add(count.clone(), 5),
        ]);
        let companions = vec![
            Companion::Row(ROWS.key(&b"own"[..])),
            Companion::Naming(ROWS.key(&b"mine"[..])),
            Companion::Naming(ROWS.key(&b"other"[..])),
            Companion::Naming(ROWS.key(&b"never there"[..])),
            Companion::Count(count.clone(), -5),
        ];
        writes.push(accompany(sealed.id, companions));
        world.commit(writes).await.unwrap();
        let blob = sealed.id;
        drop(sealed);
        world.commit(vec![Write::Put(ROWS.key(&b"other"[..]), about(other))]).await.unwrap();
        world.settle().await;
        assert_eq!(rows(&world).await, [true, true, true], "while it has a reference");
        world.commit(release(blob, &owned("one"))).await.unwrap();
        world.settle().await;
        assert_eq!(rows(&world).await, [false, false, true]);
        let snapshot = world.catalog.snapshot(HOME).await.unwrap();
        let left = snapshot.get(count).await.unwrap().map_or(0, |raw| raw[0]);
        assert_eq!(left, 0);
        assert!(snapshot.get(super::companions_key(blob)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn many_companions_go_in_commits_of_bounded_size() {
        let world = World::new(81).await;
        let mut blobs = Vec::new();
        for n in 0..40_u64 {
            let sealed = world.seal(&world.bytes(5_000)).await.unwrap();
            let keys = (0..600_u64).map(|m| ROWS.key([n.to_be_bytes(), m.to_be_bytes()].concat()));
            let keys: Vec<_> = keys.collect();
            let mut writes = sealed.writes(&owned("one"));
            writes.extend(keys.iter().map(|key| Write::Put(key.clone(), about(sealed.id))));
            writes.push(accompany(sealed.id, keys.into_iter().map(Companion::Naming).collect()));
            world.commit(writes).await.unwrap();
            blobs.push(sealed.id);
        }
        let releases = blobs.iter().flat_map(|blob| release(*blob, &owned("one"))).collect();
        world.commit(releases).await.unwrap();
        world.settle().await;
        let snapshot = world.catalog.snapshot(HOME).await.unwrap();
        let left = snapshot.scan(crate::catalog::Scan::prefix(ROWS, b"", 10)).await.unwrap();
        assert!(left.rows.is_empty(), "{} rows are left", left.rows.len());
    }
}
