//! A data directory that has been used and whose catalog is not there: its disk is not mounted, as a rule.
//!
//! A catalog that is made anew has no row of what lies in the pools, and would free it all; it would go on in the backup of the one that
//! was there. What the catalog itself leaves as marks of how far it was (`catalog-seen`) the engine looks at when it opens it; here is what
//! directories from before these marks have.

use super::{pool_dir, pool_owner};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::layout::{CATALOG, MARKER};
use crate::text::quote_sh;
use std::path::{Path, PathBuf};

/// Which life of the backup's target a directory writes, and the bases that it wrote.
const BACKED_UP: [&str; 2] = ["backup/life", "backup/bases.json"];

/// Refuses a directory without a catalog that had one. Changes nothing.
pub(super) fn refuse_without_catalog(dir: &Path, config: &Config) -> anyhow::Result<()> {
    let catalog = dir.join(CATALOG);
    if !dir.join(MARKER).try_exists()? || !engine::catalog::is_unused(&catalog)? {
        return Ok(());
    }
    let pools: Vec<PathBuf> = config.zones.iter().flat_map(|zone| zone.directories.iter().cloned()).collect();
    let pools = if pools.is_empty() { vec![pool_dir(dir, config)] } else { pools };
    let mut says = None;
    for pool in pools {
        if pool_owner::holds_bodies(&pool)? {
            says = Some(format!("bodies lie in {}", pool.display()));
            break;
        }
    }
    for name in BACKED_UP {
        if says.is_none() && dir.join(name).try_exists()? {
            says = Some(format!("{name} is there"));
        }
    }
    let Some(says) = says else { return Ok(()) };
    let (here, shown) = (dir.display(), catalog.display());
    Err(Failure::new(
        Exit::NotFound,
        format!("start {here}: {shown} is empty or not there, and it had a catalog, for {says}: an empty one would free them all"),
    )
    .hint(format!(
        "is its disk mounted? put the catalog back (ls {}); where it is lost, recover into another directory: firn recover; a new \
         appliance wants a directory and a pool of its own",
        quote_sh(&shown.to_string())
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use super::refuse_without_catalog;
    use crate::config::{self, Overrides};
    use crate::directory::world::{World, refused, said};
    use crate::exit::Exit;
    use std::fs;

    #[test]
    fn a_directory_that_was_used_is_not_started_without_its_catalog() {
        let world = World::new();
        let (dir, config) = (world.path("one"), config::load(None, &Overrides::default()).unwrap());
        let check = || said(refuse_without_catalog(&dir, &config));
        let there = |name: &str| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        // As a first start leaves it that was cut short.
        check().unwrap();
        fs::remove_dir(dir.join("catalog")).unwrap();
        check().unwrap();
        for (mark, kind) in [("backup/life", "is there"), ("pools/local/00.seg", "bodies lie in")] {
            there(mark);
            let is_refused = |says| refused(check(), Exit::NotFound, says, "firn recover");
            is_refused(kind);
            fs::create_dir(dir.join("catalog")).unwrap();
            is_refused(kind);
            for left in ["catalog/reserve", "catalog/lost+found"] {
                there(left);
                is_refused(kind);
            }
            there("catalog/format");
            check().unwrap();
            fs::remove_dir_all(dir.join("catalog")).unwrap();
        }
    }
}
