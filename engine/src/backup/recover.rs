//! Rebuilding a lost system disk from a backup.
//!
//! ```text
//!   newest life with a base ─► its newest base that the key opens ─► verify every file ─► contiguous chunks ─► attachments, the
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
//! What an earlier key does not open is not recovered, and told. A file whose stanza is damaged looks like one of another key:
//! it is told apart by what the key opens behind it.

use super::manifest::{Attachment, ChunkName, Life, Manifest, Name};
use super::progress::contiguous;
use super::seal::sealed_to_another;
use super::target::Target;
use super::{RECOVERED, Recipient, RecoveryKey, staging};
use crate::blocking::blocking;
use crate::catalog::{self, RocksCatalog, Version};
use crate::clock::Timestamp;
use crate::{Error, Result, file};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

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

    /// Keeps it for the appliance at `root`.
    fn write(&self, root: &Path) -> Result<()> {
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
/// an appliance; it is written last. Of several keys each file takes the one that opens it. `base` is the version of the base to
/// take, where it is not to be the newest.
pub async fn recover(
    target: &dyn Target,
    (keys, base): (&[RecoveryKey], Option<Version>),
    root: &Path,
    marker: &str,
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
    let download = Download { target, keys, sealed: scratch.path().join("sealed") };

    let base = download.base(base).await?;

    let catalog = staging::Directory::fresh(catalog_at)?;
    fs::create_dir(catalog.path()).map_err(|error| Error::io("create", catalog.path(), error))?;
    download.files(&base, catalog.path()).await?;
    let Base { life, newest, beyond: newest_there, manifest, .. } = base;
    let at_ms = options.clock.now();
    let chunks = log_chunks(target, &life).await?;
    let reachable = contiguous(manifest.version, chunks.iter().copied());
    let path = catalog.path().to_owned();
    let opened = blocking(move || RocksCatalog::open(path, options)).await?;
    let mut reached = manifest.version;
    let mut behind = reachable.iter();
    let mut unopened = None;
    for chunk in behind.by_ref() {
        let name = life.log_name(chunk);
        let Some(log) = download.own_bytes(&name).await? else {
            unopened = Some(name);
            break;
        };
        reached = opened.apply_log(log.into()).await?;
    }
    // What is at the target without a gap, though other keys may open it: behind the base that was taken, or the newest one.
    let from_newest = contiguous(newest, chunks.iter().copied());
    let ends = reachable.iter().chain(&from_newest).map(|chunk| chunk.last);
    let through = ends.max().unwrap_or(reached).max(newest).max(reached);
    if newest > reached {
        unopened = unopened.or_else(|| Some(life.base_name(newest)));
    }
    if let Some(unopened) = unopened {
        let later = behind.chain(from_newest.iter().filter(|chunk| chunk.first > reached));
        download.refuse_damage(&unopened, later.map(|chunk| life.log_name(chunk))).await?;
    }
    blocking(move || {
        opened.close();
        Ok(())
    })
    .await?;
    let beyond = chunks.iter().filter(|chunk| chunk.last > through);
    // Where the log has an end before it, a newer base that was passed over held what nothing else does.
    let passed_over = newest_there.filter(|newest| *newest > through).map(|newest| newest + 1);
    let next = beyond.clone().map(|chunk| chunk.first).chain(passed_over).min();
    let recovered = Recovered {
        at_ms,
        base_version: manifest.version,
        base_taken_at_ms: manifest.taken_at_ms,
        version: reached,
        chunks_beyond_gap: beyond.count() as u64,
        missing: next.map(|first| (through + 1, first.saturating_sub(1))),
        other_key: (through > reached).then_some((reached + 1, through)),
        newer_base: (newest > reached).then_some(newest),
        loss_accepted: false,
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

async fn log_chunks(target: &dyn Target, life: &Life) -> Result<Vec<ChunkName>> {
    let names = target.list(&life.log_prefix()).await?;
    Ok(names
        .iter()
        .filter_map(|name| match Name::parse(name) {
            Some(Name::Log(_, chunk)) => Some(chunk),
            _ => None,
        })
        .collect())
}

/// Where a recovery begins.
struct Base {
    /// The newest life.
    life: Life,
    /// The version of its newest base, which the keys need not open; of the one that was asked for, if one was.
    newest: Version,
    /// The version of a newer base that was passed over, since another one was asked for.
    beyond: Option<Version>,
    /// Of its newest base that they open, or of the one that was asked for.
    manifest: Manifest,
    /// What that base is sealed to.
    recipient: Recipient,
    /// The version of the base before it.
    before: Option<Version>,
}

/// Fetches and opens sealed files, one at a time.
struct Download<'a> {
    target: &'a dyn Target,
    keys: &'a [RecoveryKey],
    sealed: std::path::PathBuf,
}

impl Download<'_> {
    /// `None`: it is sealed to another key. Else what it holds, and the key that opened it.
    async fn open_own(&self, name: &str) -> Result<Option<(impl Read + use<>, &RecoveryKey)>> {
        self.target.get(name, &self.sealed).await?;
        for key in self.keys {
            let file =
                fs::File::open(&self.sealed).map_err(|error| Error::io("open", &self.sealed, error))?;
            if let Some(opened) = key.open_own(name, io::BufReader::new(file))? {
                return Ok(Some((opened, key)));
            }
        }
        Ok(None)
    }

    async fn own_bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.own_bytes_and_key(name).await?.map(|(bytes, _)| bytes))
    }

    async fn own_bytes_and_key(&self, name: &str) -> Result<Option<(Vec<u8>, &RecoveryKey)>> {
        let Some((mut opened, key)) = self.open_own(name).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes).map_err(|error| damaged(name, &error))?;
        Ok(Some((bytes, key)))
    }

    /// Nobody seals to a former key again: where `unopened` is followed by a file that the keys open, it is damaged.
    async fn refuse_damage(&self, unopened: &str, later: impl Iterator<Item = String>) -> Result<()> {
        for name in later.filter(|name| name != unopened) {
            if self.open_own(&name).await?.is_some() {
                return Err(Error::Corrupt {
                    what: format!("backup file {unopened}"),
                    detail: format!("the recovery key does not open it, and opens {name} behind it"),
                });
            }
        }
        Ok(())
    }

    /// The base of version `asked` of the newest life, or the newest one that the keys open.
    async fn base(&self, asked: Option<Version>) -> Result<Base> {
        let names = self.target.list("lives/").await?;
        let mut bases: Vec<_> = names
            .iter()
            .filter_map(|name| match Name::parse(name) {
                Some(Name::Base(life, version)) => Some((life, version)),
                _ => None,
            })
            .collect();
        bases.sort_unstable();
        let none = || Error::NotFound { what: "complete backup in", id: self.target.describe() };
        let life = bases.last().map(|(life, _)| life.clone()).ok_or_else(none)?;
        let versions: Vec<Version> =
            bases.iter().filter(|(of, _)| *of == life).map(|(_, version)| *version).collect();
        let newest_there = versions.last().copied().ok_or_else(none)?;
        let newest = asked.unwrap_or(newest_there);
        if !versions.contains(&newest) {
            return Err(Error::Invalid(format!(
                "recover from base {newest}: {} has {}",
                self.target.describe(),
                versions.iter().map(Version::to_string).collect::<Vec<_>>().join(", ")
            )));
        }
        for version in versions.iter().rev().filter(|version| asked.is_none_or(|asked| asked == **version)) {
            let name = life.base_name(*version);
            let before = versions.iter().rev().find(|other| *other < version).copied();
            let opened =
                self.own_bytes_and_key(&name).await.map_err(|error| with_base_before(error, before))?;
            if let Some((manifest, key)) = opened {
                let manifest =
                    Manifest::decode(&name, &manifest).map_err(|error| with_base_before(error, before))?;
                let beyond = (newest_there > newest).then_some(newest_there);
                return Ok(Base { life, newest, beyond, manifest, recipient: key.recipient(), before });
            }
        }
        Err(sealed_to_another(&life.base_name(newest)))
    }

    /// All of a base's files, below `to`.
    async fn files(&self, base: &Base, to: &Path) -> Result<()> {
        for file in &base.manifest.files {
            let name = base.life.file_name(&base.recipient, &file.blake3);
            let fetched = self.file(&name, &to.join(&file.name), &file.blake3).await;
            fetched.map_err(|error| with_base_before(error, base.before))?;
        }
        Ok(())
    }

    async fn file(&self, name: &str, to: &Path, hash: &str) -> Result<()> {
        let (mut source, _) = self.open_own(name).await?.ok_or_else(|| sealed_to_another(name))?;
        let parent = to.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
        let mut output = fs::File::create_new(to).map_err(|error| Error::io("create", to, error))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = source.read(&mut buffer).map_err(|error| damaged(name, &error))?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            output.write_all(&buffer[..n]).map_err(|error| Error::io("write", to, error))?;
        }
        output.sync_all().map_err(|error| Error::io("sync", to, error))?;
        if hasher.finalize().to_hex().as_str() == hash {
            Ok(())
        } else {
            Err(Error::Corrupt {
                what: format!("backup file {name}"),
                detail: "its content has another hash".into(),
            })
        }
    }
}

/// What is wrong with a base, and what else there is.
fn with_base_before(error: Error, before: Option<Version>) -> Error {
    let Some(before) = before else { return error };
    let (what, detail) = match error {
        Error::Corrupt { what, detail } => (what, detail),
        Error::NotFound { what, id } => (format!("{what} {id}"), "it is not there".to_owned()),
        other => return other,
    };
    let next = format!(
        "{detail}; the base before it is there: --base {before} takes that one, and the log behind it"
    );
    Error::Corrupt { what, detail: next }
}

fn damaged(name: &str, error: &io::Error) -> Error {
    Error::Corrupt { what: format!("backup file {name}"), detail: error.to_string() }
}
