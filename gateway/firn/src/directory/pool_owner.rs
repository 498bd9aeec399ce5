//! Whose a pool is: `owner.json` in the pool, and the same bytes as `pool.json` in the data directory.
//!
//! ```text
//!   pool    DIR/pool.json
//!   none    none       a new pool, or one from before marks: taken, unless DIR is new and the pool holds bodies
//!   there   the same   opened
//!   there   none       of this appliance (recovered, or a start that was cut short): taken over, with a new incarnation
//!   there   another    of this appliance: refused, another directory has taken it over since
//!   none    there      refused: the pool's disk is not there
//!   of another appliance: refused
//! ```
//!
//! A catalog recycles every segment that it has no row of. So a pool is opened only with the catalog that wrote to it last:
//! after a recovery the old directory can't be started on it any more. A copy of a data directory, mark included, can't be
//! told from the original; the lock on `owner.json` keeps two of them from running at once.
//!
//! Both files are one line of JSON, exactly as [`Owner::encode`] renders it (docs/formats/pool-owner.md):
//!
//! | field | meaning |
//! |---|---|
//! | `format` | `"firn pool"`, the magic |
//! | `version` | 1; a newer one is refused |
//! | `account_id`, `created_ms` | those of the appliance's `firn.json`, which a recovery brings back |
//! | `incarnation` | 32 lower-case hexadecimal digits, random: the data directory that took the pool |
//! | `crc32c` | of all bytes before `,"crc32c"`, 8 lower-case hexadecimal digits |
//!
//! The pool's file is written first. A crash between the two leaves the third line of the table, which the next start ends.

use super::line::Line;
use super::lock::Lock;
use super::marker::{Marker, read_marker};
use crate::exit::{Exit, Failure};
use crate::layout;
use crate::text::quote_sh;
use anyhow::Context;
use engine::clock::Timestamp;
use engine::entropy::Entropy;
use security::AccountId;
use serde::Deserialize;
use std::path::Path;

/// The file's name in the pool.
pub(super) const IN_POOL: &str = "owner.json";
/// Its name in the data directory.
const IN_DIR: &str = "pool.json";
const LINE: Line = Line {
    format: "firn pool",
    version: 1,
    mend: "put it back as it was: owner.json of the pool and pool.json of its data directory are the same",
};

/// Whether a directory has the mark of a pool.
pub(super) fn is_marked(dir: &Path) -> bool {
    LINE.is_at(&dir.join(IN_POOL))
}

/// A pool's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    account: AccountId,
    created: Timestamp,
    incarnation: u128,
}

#[derive(Deserialize)]
struct Fields {
    account_id: String,
    created_ms: i64,
    incarnation: String,
}

impl Owner {
    fn new(marker: &Marker, entropy: &dyn Entropy) -> Self {
        let mut incarnation = [0; 16];
        entropy.fill(&mut incarnation);
        let incarnation = u128::from_be_bytes(incarnation);
        Self { account: marker.account, created: marker.created, incarnation }
    }

    /// The data directory that took the pool.
    pub(super) const fn incarnation(&self) -> u128 {
        self.incarnation
    }

    /// The files' bytes.
    fn encode(&self) -> String {
        LINE.render(&format!(
            "\"account_id\":\"{}\",\"created_ms\":{},\"incarnation\":\"{:032x}\"",
            self.account,
            self.created.as_millis(),
            self.incarnation,
        ))
    }

    /// Reads a file's bytes; the path is for error texts.
    fn decode(bytes: &[u8], path: &Path) -> Result<Self, Failure> {
        let make = |fields: Fields| {
            Ok(Self {
                account: fields.account_id.parse().map_err(|_| "its account id is none")?,
                created: Timestamp::from_millis(fields.created_ms),
                incarnation: u128::from_str_radix(&fields.incarnation, 16)
                    .map_err(|_| "its incarnation is none")?,
            })
        };
        LINE.read(bytes, &path.display().to_string(), make, Self::encode)
    }

    fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        match engine::file::read_regular(path) {
            Ok(bytes) => Ok(Some(Self::decode(&bytes, path)?)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(anyhow::Error::from(error).context(format!("read {}", path.display()))),
        }
    }

    fn is_of(&self, marker: &Marker) -> bool {
        self.account == marker.account && self.created == marker.created
    }
}

/// Refuses a pool that a start would damage. Changes nothing, so that a recovery still finds what it needs.
pub(crate) fn refuse_pool_of_another(dir: &Path, pool: &Path) -> anyhow::Result<()> {
    let theirs = Owner::load(&pool.join(IN_POOL))?;
    if !dir.join(layout::MARKER).try_exists()? {
        return if theirs.is_some() || holds_bodies(pool)? {
            Err(of_a_lost_one(pool).into())
        } else {
            Ok(())
        };
    }
    let ours = Owner::load(&dir.join(IN_DIR))?;
    let (shown, here) = (pool.display(), dir.display());
    match (theirs, ours) {
        (Some(theirs), _) if !theirs.is_of(&read_marker(dir)?) => Err(Failure::new(
            Exit::Conflict,
            format!(
                "start {here} on the pool {shown}: it belongs to the appliance of account {}, which would lose its bodies",
                theirs.account
            ),
        )
        .hint("name this appliance's own pool as pool.directory (firn config check FILE says which it is)")
        .into()),
        (Some(theirs), Some(ours)) if theirs != ours => Err(Failure::new(
            Exit::Conflict,
            format!("start {here} on the pool {shown}: another directory of this appliance took it over"),
        )
        .hint("start the directory that was recovered last; this one does not know what was stored since")
        .into()),
        (None, Some(_)) => Err(Failure::new(
            Exit::NotFound,
            format!("start {here} on the pool {shown}: it has no {IN_POOL}, and the one that bodies lie in has"),
        )
        .hint(format!(
            "mount the pool's disk, or let pool.directory, or the first [[zone]], name the place where the pool is now. Only a new \
             appliance can put its pool elsewhere: start that in another directory than {here}; or move bodies by zones (firn zone add)"
        ))
        .into()),
        (None, None) if !dir.join(layout::CATALOG).try_exists()? && holds_bodies(pool)? => {
            Err(of_a_lost_one(pool).into())
        }
        _ => Ok(()),
    }
}

/// Refuses to make a configured pool where its disk is not: what is above it has to be there.
pub(crate) fn refuse_unmounted(pool: &Path) -> Result<(), Failure> {
    let Some(above) = pool.parent().filter(|above| !above.is_dir()) else { return Ok(()) };
    let text = format!("make the pool {}: {} is no directory", pool.display(), above.display());
    let hint = "mount its disk and make the directory, or let pool.directory name another place";
    Err(Failure::new(Exit::NotFound, text).hint(hint))
}

/// Takes the pool for as long as the lock lives.
pub(crate) fn claim(dir: &Path, pool: &Path, marker: &Marker, entropy: &dyn Entropy) -> anyhow::Result<Lock> {
    std::fs::create_dir_all(pool).with_context(|| format!("create {}", pool.display()))?;
    let (in_pool, in_dir) = (pool.join(IN_POOL), dir.join(IN_DIR));
    if !in_dir.try_exists()? {
        let owner = Owner::new(marker, entropy);
        // Whoever runs on it has locked the file that would be replaced.
        let _nobody = Lock::hold_if_there(&in_pool)?;
        engine::file::replace(&in_pool, owner.encode().as_bytes())?;
        engine::file::replace(&in_dir, owner.encode().as_bytes())?;
    }
    Ok(Lock::hold(&in_pool)?)
}

/// Gives a data directory whose first zone has left the configuration an incarnation, unless it has one.
pub(crate) fn claim_none(dir: &Path, marker: &Marker, entropy: &dyn Entropy) -> anyhow::Result<()> {
    let in_dir = dir.join(IN_DIR);
    if !in_dir.try_exists()? {
        engine::file::replace(&in_dir, Owner::new(marker, entropy).encode().as_bytes())?;
    }
    Ok(())
}

/// Nothing is there. A file in a directory's place is for whoever opens the directory to refuse.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The mark of the data directory in `dir`, if it has taken a pool.
pub(super) fn own(dir: &Path) -> anyhow::Result<Option<Owner>> {
    Owner::load(&dir.join(IN_DIR))
}

/// Which data directory the one in `dir` is, by the mark that it has since it took a pool.
pub(crate) fn incarnation(dir: &Path) -> anyhow::Result<Option<u128>> {
    Ok(own(dir)?.map(|owner| owner.incarnation()))
}

/// Whether the pool of the data directory in `dir` is missed: the directory took one, and `pool` has no mark.
pub(crate) fn is_missed(dir: &Path, pool: &Path) -> anyhow::Result<bool> {
    Ok(own(dir)?.is_some() && Owner::load(&pool.join(IN_POOL))?.is_none())
}

/// Marks an empty directory as the pool of the data directory in `dir`, in the place of one that was lost.
pub(super) fn replace(dir: &Path, pool: &Path) -> anyhow::Result<()> {
    let Some(owner) = own(dir)? else { return Ok(()) };
    std::fs::create_dir_all(pool).with_context(|| format!("create {}", pool.display()))?;
    Ok(engine::file::replace(&pool.join(IN_POOL), owner.encode().as_bytes())?)
}

pub(super) fn holds_bodies(pool: &Path) -> anyhow::Result<bool> {
    let entries = match std::fs::read_dir(pool) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(false),
        Err(error) => return Err(anyhow::Error::from(error).context(format!("read {}", pool.display()))),
    };
    for entry in entries {
        if entry?.path().extension().is_some_and(|extension| extension == "seg") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A new appliance knows none of the bodies in a pool and would recycle them all: those of one that is to be recovered,
/// above all.
fn of_a_lost_one(pool: &Path) -> Failure {
    let shown = pool.display();
    // Where a zone keeps its copy of the catalog.
    let how = if pool.join(layout::CATALOG).is_dir() {
        format!("firn recover DIR --from-zone {}", quote_sh(&shown.to_string()))
    } else {
        "firn recover".to_owned()
    };
    Failure::new(
        Exit::Conflict,
        format!("start a new appliance on the pool {shown}: it holds the bodies of another"),
    )
    .hint(format!(
        "bring that one back first ({how}), or name an empty directory as pool.directory: ls {}",
        quote_sh(&shown.to_string())
    ))
}

#[cfg(test)]
#[path = "pool_owner_tests.rs"]
mod tests;
