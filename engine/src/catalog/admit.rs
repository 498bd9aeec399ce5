//! What every implementation refuses before it looks at its state: broken limits and writes that don't fit their family.

use super::{Check, Commit, Family, Key, Limits, Write};
use crate::{Error, Result};

/// Refuses a commit that breaks `limits` or writes a row in a way its family does not allow; answers its size in bytes.
pub(super) fn admit(commit: &Commit, limits: &Limits) -> Result<usize> {
    let rows = commit.checks.len() + commit.writes.len();
    within("a commit of rows", rows, limits.commit_rows)?;
    let mut bytes = 0;
    for check in &commit.checks {
        bytes += admit_key(check.key(), limits)?;
        if let Check::AtMost(key, _) = check
            && key.table.family != Family::Counter
        {
            return Err(Error::Invalid("check a limit on a row that is not a counter".into()));
        }
    }
    for write in &commit.writes {
        bytes += admit_key(write.key(), limits)?;
        match write {
            Write::Put(key, _) if key.table.family == Family::Counter => {
                return Err(Error::Invalid("put a counter: counters are only added to or deleted".into()));
            }
            Write::Add(key, _) if key.table.family != Family::Counter => {
                return Err(Error::Invalid("add to a row that is not a counter".into()));
            }
            Write::Put(_, value) => {
                within("a value", value.len(), limits.value_bytes)?;
                bytes += value.len();
            }
            Write::Add(..) => bytes += size_of::<i64>(),
            Write::Delete(_) => {}
        }
    }
    within("a commit", bytes, limits.commit_bytes)?;
    Ok(bytes)
}

/// A read version that no snapshot can have shown is a caller's mistake, not a conflict.
pub(super) fn admit_read_version(commit: &Commit, newest: super::Version) -> Result<()> {
    if commit.read_version > newest {
        return Err(Error::Invalid(format!(
            "commit: read version {} is newer than the catalog's {newest}",
            commit.read_version
        )));
    }
    Ok(())
}

fn admit_key(key: &Key, limits: &Limits) -> Result<usize> {
    within("a key", key.bytes.len(), limits.key_bytes)?;
    Ok(key.bytes.len())
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<()> {
    if size > limit {
        return Err(Error::TooLarge { what, size: size as u64, limit: limit as u64 });
    }
    Ok(())
}
