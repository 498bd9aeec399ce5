//! The zones that a store has ever had: their numbers, which rows of blobs use, and their names.
//!
//! A zone gets the next number when its name is seen for the first time, and keeps it. A store that names no zones has none
//! of these rows: it is the first zone, and when zones are named, the one named first is it.

use super::row::ZONES;
use super::{LOCAL_ZONE, fixed};
use crate::catalog::record::{Record, RecordReader, RecordWriter};
use crate::catalog::{Catalog, Check, Commit, Key, Scan, Write};
use crate::id::PartitionId;
use crate::pool::ZoneId;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Most zones a store knows.
const ZONES_MAX: usize = 256;

/// What the row of a zone says. Fields: name (`text`), state (`u8`: 0 in use, 1 draining).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ZoneRow {
    pub(crate) name: String,
    pub(crate) draining: bool,
}

impl Record for ZoneRow {
    const NAME: &'static str = "zone row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.text(&self.name).u8(self.draining.into());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let name = fields.text()?.to_owned();
        match fields.u8()? {
            state @ (0 | 1) => Ok(Self { name, draining: state == 1 }),
            _ => Err(fields.corrupt("impossible state")),
        }
    }
}

fn key(zone: ZoneId) -> Key {
    ZONES.key(zone.to_bytes().to_vec())
}

/// The rows, those of new names included; durable when this returns.
pub(super) async fn load(catalog: &dyn Catalog, names: &[&str]) -> Result<BTreeMap<ZoneId, ZoneRow>> {
    let snapshot = catalog.snapshot(PartitionId::ROOT).await?;
    let mut rows = BTreeMap::new();
    for (key, value) in snapshot.scan(Scan::prefix(ZONES, &[], ZONES_MAX + 1)).await?.rows {
        rows.insert(ZoneId::from_bytes(fixed(&key, "zone row")?), ZoneRow::from_bytes(&value)?);
    }
    let mut new = Vec::new();
    for &name in names {
        if rows.values().any(|row| row.name == name) {
            continue;
        }
        let after = rows.last_key_value().map(|(last, _)| last.next());
        let id = after.unwrap_or(Some(ZoneId::FIRST)).filter(|_| rows.len() < ZONES_MAX);
        let Some(id) = id else {
            return Err(Error::Invalid(format!(
                "name zone {name}: a store has at most {ZONES_MAX} in its life"
            )));
        };
        let row = ZoneRow { name: name.to_owned(), draining: false };
        new.push((id, row.clone()));
        rows.insert(id, row);
    }
    let unnamed = names == [LOCAL_ZONE] && rows.len() == 1;
    if new.is_empty() || unnamed {
        return Ok(rows);
    }
    let commit = Commit {
        checks: new.iter().map(|(id, _)| Check::Absent(key(*id))).collect(),
        writes: new.iter().map(|(id, row)| Write::Put(key(*id), row.to_bytes())).collect(),
        ..Commit::new(PartitionId::ROOT, snapshot.read_version())
    };
    catalog.commit(commit).await?;
    Ok(rows)
}

/// Says durably whether a zone is draining.
pub(super) async fn set_draining(catalog: &dyn Catalog, zone: ZoneId, draining: bool) -> Result<()> {
    let snapshot = catalog.snapshot(PartitionId::ROOT).await?;
    let Some(value) = snapshot.get(key(zone)).await? else {
        return Err(Error::Invalid("drain the only zone: name a second one first".to_owned()));
    };
    let row = ZoneRow { draining, ..ZoneRow::from_bytes(&value)? };
    let commit = Commit {
        checks: vec![Check::Unchanged(key(zone))],
        writes: vec![Write::Put(key(zone), row.to_bytes())],
        ..Commit::new(PartitionId::ROOT, snapshot.read_version())
    };
    catalog.commit(commit).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::{ZoneRow, load};
    use crate::Error;
    use crate::catalog::MemoryCatalog;
    use crate::catalog::record::Record;

    #[test]
    fn golden_zone_row() {
        let row = ZoneRow { name: "shelf".to_owned(), draining: true };
        assert_eq!(*row.to_bytes(), *b"\x01\x05shelf\x01");
        assert_eq!(ZoneRow::from_bytes(b"\x01\x05shelf\x01").unwrap(), row);
        for bad in [&b"\x01\x05shelf\x02"[..], b"\x01\x05shelf", b"\x01\x06shelf\x01", b"\x01\x05shelf\x01\0"]
        {
            ZoneRow::from_bytes(bad).unwrap_err();
        }
        assert!(matches!(ZoneRow::from_bytes(b"\x02").unwrap_err(), Error::Newer { found: 2, .. }));
    }

    #[tokio::test]
    async fn numbers_stay_with_names_and_are_never_given_twice() {
        let catalog = MemoryCatalog::default();
        let numbers = async |names: &[&str]| -> Vec<(u8, String)> {
            let rows = load(&catalog, names).await.unwrap();
            rows.into_iter().map(|(id, row)| (id.to_bytes()[1], row.name)).collect()
        };
        let named =
            |pairs: &[(u8, &str)]| pairs.iter().map(|(n, name)| (*n, (*name).to_owned())).collect::<Vec<_>>();
        assert_eq!(numbers(&["local"]).await, named(&[(0, "local")]), "which leaves no row");
        assert_eq!(numbers(&["a", "b"]).await, named(&[(0, "a"), (1, "b")]));
        assert_eq!(numbers(&["c", "b"]).await, named(&[(0, "a"), (1, "b"), (2, "c")]));
        assert_eq!(numbers(&["b", "a"]).await, named(&[(0, "a"), (1, "b"), (2, "c")]));
    }
}
