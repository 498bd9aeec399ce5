//! A group's payload: its commits' partitions, idempotency ids and writes. The byte table is in docs/formats/catalog.md.

use crate::catalog::{Commit, Family, Key, Table, Write};
use crate::id::{IdempotencyId, PartitionId};
use crate::{Error, Result};
use bytes::{Buf, Bytes};

/// A commit as the log holds it: what happened, without what was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Logged {
    /// Where.
    pub(in crate::catalog) partition: PartitionId,
    /// Its id, when it had one.
    pub(in crate::catalog) idempotency: Option<IdempotencyId>,
    /// What changed.
    pub(in crate::catalog) writes: Vec<Write>,
}

/// Appends a commit.
pub(in crate::catalog) fn push(out: &mut Vec<u8>, commit: &Commit) {
    out.extend_from_slice(commit.partition.as_bytes());
    match &commit.idempotency {
        Some(id) => {
            out.push(1);
            out.extend_from_slice(id.as_bytes());
        }
        None => out.push(0),
    }
    push_u32(out, commit.writes.len());
    for write in &commit.writes {
        let key = write.key();
        let kind = match write {
            Write::Put(..) => 1,
            Write::Delete(_) => 2,
            Write::Add(..) => 3,
        };
        out.extend_from_slice(&[kind, key.table.family.number(), key.table.tag]);
        push_u32(out, key.bytes.len());
        out.extend_from_slice(&key.bytes);
        match write {
            Write::Put(_, value) => {
                push_u32(out, value.len());
                out.extend_from_slice(value);
            }
            Write::Add(_, delta) => out.extend_from_slice(&delta.to_le_bytes()),
            Write::Delete(_) => {}
        }
    }
}

/// Lengths are within the catalog's limits, which are far below 4 GiB.
fn push_u32(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

/// All commits of a group, in order.
pub(in crate::catalog) fn decode(mut payload: Bytes) -> Result<Vec<Logged>> {
    let mut commits = Vec::new();
    while payload.has_remaining() {
        commits.push(commit(&mut payload).ok_or_else(|| Error::Corrupt {
            what: "commit log".into(),
            detail: "a verified group does not decode".into(),
        })?);
    }
    Ok(commits)
}

fn commit(bytes: &mut Bytes) -> Option<Logged> {
    let partition = PartitionId::from_bytes(fixed(bytes)?);
    let idempotency = match bytes.try_get_u8().ok()? {
        0 => None,
        1 => Some(IdempotencyId::from_bytes(fixed(bytes)?)),
        _ => return None,
    };
    let count = bytes.try_get_u32_le().ok()? as usize;
    // A write takes 7 bytes at least: a hostile count reserves no memory.
    let mut writes = Vec::with_capacity(count.min(bytes.remaining() / 7));
    for _ in 0..count {
        writes.push(write(bytes)?);
    }
    Some(Logged { partition, idempotency, writes })
}

fn write(bytes: &mut Bytes) -> Option<Write> {
    let [kind, family, tag] = fixed(bytes)?;
    let table = Table { family: Family::of_number(family)?, tag };
    let key = Key { table, bytes: sized(bytes)? };
    Some(match kind {
        1 => Write::Put(key, sized(bytes)?),
        2 => Write::Delete(key),
        3 => Write::Add(key, bytes.try_get_i64_le().ok()?),
        _ => return None,
    })
}

fn fixed<const N: usize>(bytes: &mut Bytes) -> Option<[u8; N]> {
    let head = *bytes.first_chunk()?;
    bytes.advance(N);
    Some(head)
}

fn sized(bytes: &mut Bytes) -> Option<Bytes> {
    let len = bytes.try_get_u32_le().ok()? as usize;
    (len <= bytes.len()).then(|| bytes.split_to(len))
}
