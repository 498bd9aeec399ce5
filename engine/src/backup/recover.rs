//! Rebuilding a lost system disk from a backup.
//!
//! ```text
//!   newest life with a base ─► its newest base that the key opens ─► verify every file ─► contiguous chunks ─► opened with its keys ─► attachments, the
//!                                                                                                             marker last
//! ```
//!
//! The directory is not an appliance until the marker is there, so a crash leaves something that `recover` can be started
//! over on, and that a server refuses: until then `recovering` lies in it, and without that a catalog is somebody's, whom no
//! recovery touches. Bodies are not touched: they are in the pools.
//!
//! A base that is damaged is refused, and the one before it named, if there is one: whoever then asks for that gets it and all the
//! log behind it, which is kept for that.
//!
//! What a life holds is never mixed with what another one holds: [`super::download`].
//!
//! What an earlier key does not open is not recovered, and told. A file whose stanza is damaged looks like one of another key:
//! it is told apart by what the key opens behind it.

use super::download::{Download, Walked};
use super::manifest::Attachment;
use super::target::Target;
use super::{RECOVERED, RecoveryKey, staging};
use crate::blocking::blocking;
use crate::catalog::{self, RocksCatalog, Version};
use crate::clock::Timestamp;
use crate::small_files::Opens;
use crate::{Error, Result, file};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

/// Lies in a directory for as long as a recovery has not ended there.
const SCRATCH: &str = "recovering";

/// What a recovery brought back, kept as `recovered.json` in the data directory: whatever depends on state that the lost
/// commits may have changed (locks above all) consults it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// When.
    pub at_ms: Timestamp,
    /// The base.
    pub base_version: Version,
    /// When the base was taken.
    pub base_taken_at_ms: Timestamp,
    /// The newest commit brought back. Everything after it is lost: all that was acknowledged later than its shipping.
    pub version: Version,
    /// Chunks that were there but could not be used, because one before them is missing.
    pub chunks_beyond_gap: u64,
    /// The versions, first and last, of which the target has no chunk though it has later ones.
    #[serde(default)]
    pub missing: Option<(Version, Version)>,
    /// The versions, first and last, that are at the target and sealed to another recovery key.
    #[serde(default)]
    pub other_key: Option<(Version, Version)>,
    /// The newest base, where it is sealed to another recovery key and newer than what was brought back: that key alone opens
    /// more. Without one, what is named in `other_key` takes both keys.
    #[serde(default)]
    pub newer_base: Option<Version>,
    /// Somebody started the appliance without the versions of `other_key`, and said so.
    #[serde(default)]
    pub loss_accepted: bool,
    /// The life of the backup that it is from; absent in what older ones left.
    #[serde(default)]
    pub life: Option<String>,
    /// Other lives that have a base at the target, newest first.
    #[serde(default)]
    pub other_lives: Vec<String>,
    /// Files at the target that do not belong where they are, and were passed over.
    #[serde(default)]
    pub foreign: Vec<String>,
}

impl Recovered {
    /// What the recovery of the appliance at `root` brought back; `None` where it was never recovered.
    pub fn read(root: &Path) -> Result<Option<Self>> {
        let path = root.join(RECOVERED);
        let json = match file::read_regular(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            json => json.map_err(|error| Error::io("read", &path, error))?,
        };
        let corrupt = |error: serde_json::Error| Error::Corrupt {
            what: path.display().to_string(),
            detail: error.to_string(),
        };
        serde_json::from_slice(&json).map(Some).map_err(corrupt)
    }

    /// What a zone's copy of the catalog gave a new data directory. The lost one may have gone on alone, and what it changed then is not known.
    pub const fn of_zone(at_ms: Timestamp, base_version: Version, version: Version) -> Self {
        Self {
            at_ms,
            base_version,
            base_taken_at_ms: at_ms,
            version,
            chunks_beyond_gap: 0,
            missing: None,
            other_key: None,
            newer_base: None,
            loss_accepted: false,
            life: None,
            other_lives: Vec::new(),
            foreign: Vec::new(),
        }
    }

    /// Keeps it for the appliance at `root`.
    pub fn write(&self, root: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| Error::Invalid(error.to_string()))?;
        file::replace(&root.join(RECOVERED), &json)
    }

    /// Writes down that the versions of `other_key` are given up: no later start asks again.
    pub fn accept_loss(&mut self, root: &Path) -> Result<()> {
        self.loss_accepted = true;
        self.write(root)
    }
}

/// Removes what a recovery that was cut off behind its last step left at `root`. In an appliance that runs it would say that
/// its catalog is a recovery's and may be written over.
pub fn remove_leavings(root: &Path) -> Result<()> {
    drop(staging::Directory::fresh(root.join(SCRATCH))?);
    Ok(())
}

/// Rebuilds a data directory at `root`, which must not hold an appliance. `marker` names the attachment that makes a directory
/// an appliance; it is written last. Nothing is made of a base that can't be opened with its small files. Of several keys each file takes the one that opens it. `base` is the version of the base to
/// take, where it is not to be the newest, and `life` the name of the life that it is of, where that is not to be the newest either.
pub async fn recover(
    target: &dyn Target,
    (keys, base, life): (&[RecoveryKey], Option<Version>, Option<&str>),
    root: &Path,
    (marker, opens): (&str, Option<&Opens>),
    options: catalog::Options,
) -> Result<Recovered> {
    if root.join(marker).exists() {
        return Err(Error::Invalid(format!(
            "recover into {}: an appliance is there already",
            root.display()
        )));
    }
    let (catalog_at, scratch_at) = (root.join("catalog"), root.join(SCRATCH));
    refuse_catalog_of_another(&catalog_at, &scratch_at, marker)?;
    make_private(root)?;
    let scratch = staging::Directory::fresh(scratch_at)?;
    fs::create_dir(scratch.path()).map_err(|error| Error::io("create", scratch.path(), error))?;
    let mut download = Download::new(target, keys, scratch.path().join("sealed"));

    let base = download.base(base, life).await?;

    let catalog = staging::Directory::fresh(catalog_at)?;
    fs::create_dir(catalog.path()).map_err(|error| Error::io("create", catalog.path(), error))?;
    download.files(&base, catalog.path()).await?;
    let at_ms = options.clock.now();
    let path = catalog.path().to_owned();
    let opened = blocking(move || RocksCatalog::open(path, options)).await?;
    let walked = download.walk(&base, &opened).await?;
    let manifest = base.manifest;
    let opens = opens.map(|opens| {
        let files = manifest.attachments.iter().map(|file| (file.name.clone(), file.hex.clone()));
        (Arc::clone(opens), files.collect::<Vec<_>>())
    });
    blocking(move || {
        let done = opens.map_or(Ok(()), |(opens, files)| opens(&opened, &files));
        opened.close();
        done
    })
    .await?;
    let Walked { reached, through, beyond, next } = walked;
    let recovered = Recovered {
        at_ms,
        base_version: manifest.version,
        base_taken_at_ms: manifest.taken_at_ms,
        version: reached,
        chunks_beyond_gap: beyond,
        missing: next.map(|first| (through + 1, first.saturating_sub(1))),
        other_key: (through > reached).then_some((reached + 1, through)),
        newer_base: (base.newest > reached).then_some(base.newest),
        loss_accepted: false,
        life: Some(base.life.name().to_owned()),
        other_lives: base.others,
        foreign: download.foreign,
    };
    recovered.write(root)?;
    let (last, others): (Vec<&Attachment>, _) =
        manifest.attachments.iter().partition(|file| file.name == marker);
    others.into_iter().try_for_each(|attachment| attach(root, attachment))?;
    catalog.keep();
    if let Err(error) = last.into_iter().try_for_each(|attachment| attach(root, attachment)) {
        // It may begin again.
        scratch.keep();
        return Err(error);
    }
    Ok(recovered)
}

/// Keys lie in it. One that is there stays as its owner made it.
fn make_private(root: &Path) -> Result<()> {
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
    made.map_err(|error| Error::io("create", root, error))
}

/// A catalog without a marker is what a recovery left that was cut off, or somebody's last one.
fn refuse_catalog_of_another(catalog: &Path, scratch: &Path, marker: &str) -> Result<()> {
    let look = |path: &Path| path.try_exists().map_err(|error| Error::io("look for", path, error));
    if !look(catalog)? || look(scratch)? {
        return Ok(());
    }
    let shown = catalog.display();
    Err(Error::Invalid(format!(
        "recover over {shown}: it is a catalog whose {marker} is gone, and would be lost; recover into another directory, or move \
         it away first"
    )))
}

fn attach(root: &Path, attachment: &Attachment) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    use std::os::unix::fs::PermissionsExt;
    let path = root.join(&attachment.name);
    if let Some(dir) = path.parent().filter(|dir| *dir != root) {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| Error::io("create", dir, error))?;
    }
    file::replace(&path, &attachment.hex)?;
    let mode = fs::Permissions::from_mode(attachment.mode & 0o700);
    fs::set_permissions(&path, mode).map_err(|error| Error::io("set the mode of", path, error))
}
