//! What a recovery takes from a target: which base of which life, and which chunks of log behind it.
//!
//! Whoever may only add files there can add copies under other names, and files that are none. A file says inside what it was sealed
//! for ([`super::seal`]); one that has another name does not belong there, is passed over and named. Files from before names are taken
//! where nothing speaks against them: no other life has named ones, and the base that they lie behind has none either.

use super::manifest::{ChunkName, Life, Manifest, Name};
use super::progress::contiguous;
use super::seal::{Opened, sealed_to_another};
use super::target::Target;
use super::{Recipient, RecoveryKey};
use crate::catalog::{RocksCatalog, Version};
use crate::{Error, Result};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Other lives that a refusal names.
const LIVES_NAMED: usize = 5;

/// Where a recovery begins.
pub(super) struct Base {
    /// The newest life, or the one that was asked for.
    pub(super) life: Life,
    /// Other lives that have a base, newest first.
    pub(super) others: Vec<String>,
    /// The version of its newest base, which the keys need not open; of the one that was asked for, if one was.
    pub(super) newest: Version,
    /// The version of a newer base that was passed over, since another one was asked for.
    pub(super) beyond: Option<Version>,
    /// Of its newest base that they open, or of the one that was asked for.
    pub(super) manifest: Manifest,
    /// What that base is sealed to.
    recipient: Recipient,
    /// It says what it was sealed for, and so do all that lie behind it.
    is_named: bool,
    /// The version of the base before it.
    before: Option<Version>,
}

/// What a file at the target turned out to be.
enum Found<T> {
    /// What it holds, and whether it has its name inside.
    Ours(T, bool),
    /// Sealed to another key.
    OtherKey,
    /// Sealed for another name.
    Foreign,
}

impl<T> Found<T> {
    fn map<U>(self, map: impl FnOnce(T) -> Result<U>) -> Result<Found<U>> {
        Ok(match self {
            Self::Ours(content, named) => Found::Ours(map(content)?, named),
            Self::OtherKey => Found::OtherKey,
            Self::Foreign => Found::Foreign,
        })
    }
}

/// How far the log brought a base.
pub(super) struct Walked {
    /// The newest commit that was applied.
    pub(super) reached: Version,
    /// What is at the target without a gap, though other keys may open it.
    pub(super) through: Version,
    /// Chunks behind a gap.
    pub(super) beyond: u64,
    /// The first version of what lies behind a gap.
    pub(super) next: Option<Version>,
}

/// Fetches and opens sealed files, one at a time.
pub(super) struct Download<'a> {
    target: &'a dyn Target,
    keys: &'a [RecoveryKey],
    sealed: PathBuf,
    /// Names of files that do not belong where they are.
    pub(super) foreign: Vec<String>,
}

impl<'a> Download<'a> {
    /// `sealed` is where what is fetched lies until it is opened.
    pub(super) const fn new(target: &'a dyn Target, keys: &'a [RecoveryKey], sealed: PathBuf) -> Self {
        Self { target, keys, sealed, foreign: Vec::new() }
    }

    /// `None`: it is sealed to another key. Else what it holds, and the key that opened it.
    async fn open(&self, name: &str) -> Result<Option<(Opened<impl Read + use<>>, &'a RecoveryKey)>> {
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

    async fn bytes(&self, name: &str) -> Result<Found<(Vec<u8>, &'a RecoveryKey)>> {
        let Some((Opened { mut plain, named }, key)) = self.open(name).await? else {
            return Ok(Found::OtherKey);
        };
        if named.as_ref().is_some_and(|named| named != name) {
            return Ok(Found::Foreign);
        }
        let mut bytes = Vec::new();
        plain.read_to_end(&mut bytes).map_err(|error| damaged(name, &error))?;
        Ok(Found::Ours((bytes, key), named.is_some()))
    }

    async fn manifest(&self, life: &Life, version: Version) -> Result<Found<(Manifest, &'a RecoveryKey)>> {
        let name = life.base_name(version);
        let found = self.bytes(&name).await?;
        let found = found.map(|(bytes, key)| Ok((Manifest::decode(&name, &bytes)?, key)))?;
        Ok(match found {
            Found::Ours((manifest, _), _) if manifest.version != version => Found::Foreign,
            found => found,
        })
    }

    /// Nobody seals to a former key again: where `unopened` is followed by a file that the keys open, it is damaged.
    async fn refuse_damage(&self, unopened: &str, later: impl Iterator<Item = String>) -> Result<()> {
        for name in later.filter(|name| name != unopened) {
            if let Found::Ours(..) = self.bytes(&name).await? {
                return Err(Error::Corrupt {
                    what: format!("backup file {unopened}"),
                    detail: format!("the recovery key does not open it, and opens {name} behind it"),
                });
            }
        }
        Ok(())
    }

    /// The base of version `asked`, or the newest one that the keys open, of the life that is asked for, or the newest one.
    pub(super) async fn base(&mut self, asked: Option<Version>, life: Option<&str>) -> Result<Base> {
        let mut lives: BTreeMap<Life, Vec<Version>> = BTreeMap::new();
        for name in self.target.list("lives/").await? {
            if let Some(Name::Base(life, version)) = Name::parse(&name) {
                lives.entry(life).or_default().push(version);
            }
        }
        if let Some(life) = life
            && !lives.keys().any(|there| there.name() == life)
        {
            let there: Vec<&str> = lives.keys().rev().take(LIVES_NAMED).map(Life::name).collect();
            let (target, there) = (self.target.describe(), there.join(", "));
            return Err(Error::Invalid(format!("recover life {life}: {target} has {there}")));
        }
        for (of, versions) in lives.iter().rev().filter(|(of, _)| life.is_none_or(|life| of.name() == life)) {
            let others: Vec<String> =
                lives.keys().rev().filter(|other| *other != of).map(|life| life.name().to_owned()).collect();
            let found =
                self.base_of(of, versions, asked).await.map_err(|error| with_lives(error, &others))?;
            let Some(mut base) = found else { continue };
            if !base.is_named
                && life.is_none()
                && let Some(named) = self.life_with_names(&lives, of).await?
            {
                let (of, named) = (of.name(), named.name());
                return Err(Error::Invalid(format!(
                    "recover life {of}: its base does not say what it was sealed for, as that of life {named} does; it may be a copy of \
                     an older one that somebody put there: --life {named} takes the other one, --life {of} this one all the same"
                )));
            }
            base.others = others;
            return Ok(base);
        }
        Err(Error::NotFound { what: "complete backup in", id: self.target.describe() })
    }

    /// A life besides `not` whose newest base has its name inside.
    async fn life_with_names<'l>(
        &self,
        lives: &'l BTreeMap<Life, Vec<Version>>,
        not: &Life,
    ) -> Result<Option<&'l Life>> {
        for (life, versions) in lives.iter().rev().filter(|(life, _)| *life != not) {
            let newest = versions.iter().max().copied().unwrap_or(0);
            if let Ok(Found::Ours(_, true)) = self.manifest(life, newest).await {
                return Ok(Some(life));
            }
        }
        Ok(None)
    }

    /// The same of one life; `None` where none of its bases belongs there.
    async fn base_of(
        &mut self,
        life: &Life,
        versions: &[Version],
        asked: Option<Version>,
    ) -> Result<Option<Base>> {
        let mut sorted = versions.to_vec();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let foreign = self.foreign.len();
        let mut newest_there = None;
        for (at, &version) in sorted.iter().enumerate() {
            if asked.is_some_and(|asked| asked > version) {
                break;
            }
            let before = sorted.get(at + 1).copied();
            let is_wanted = asked.is_none_or(|asked| asked == version);
            let found = match self.manifest(life, version).await {
                Ok(Found::Foreign) => {
                    self.foreign.push(life.base_name(version));
                    continue;
                }
                Err(error) if is_wanted => return Err(with_base_before(error, before)),
                Err(_) => Found::OtherKey,
                Ok(found) => found,
            };
            let newest_there = *newest_there.get_or_insert(version);
            if let Found::Ours((manifest, key), is_named) = found
                && is_wanted
            {
                let newest = asked.unwrap_or(newest_there);
                let beyond = (newest_there > newest).then_some(newest_there);
                let (life, recipient, others) = (life.clone(), key.recipient(), Vec::new());
                return Ok(Some(Base {
                    life,
                    others,
                    newest,
                    beyond,
                    manifest,
                    recipient,
                    is_named,
                    before,
                }));
            }
        }
        match (newest_there, asked) {
            (None, _) if self.foreign.len() > foreign => Ok(None),
            (_, Some(asked)) if !sorted.contains(&asked) => {
                let there: Vec<String> = sorted.iter().rev().map(Version::to_string).collect();
                let target = self.target.describe();
                Err(Error::Invalid(format!("recover from base {asked}: {target} has {}", there.join(", "))))
            }
            (newest, asked) => Err(sealed_to_another(&life.base_name(asked.or(newest).unwrap_or(0)))),
        }
    }

    /// Applies the chunks behind a base, as far as they go and the keys open them. What does not belong there is passed over, and so
    /// is what can't be opened where something else has the same versions.
    pub(super) async fn walk(&mut self, base: &Base, catalog: &RocksCatalog) -> Result<Walked> {
        let mut chunks = self.chunks(&base.life).await?;
        let mut reached = base.manifest.version;
        let mut line = VecDeque::from(contiguous(reached, chunks.iter().copied()));
        let mut unopened = None;
        while let Some(chunk) = line.pop_front() {
            let name = base.life.log_name(&chunk);
            let others = chunks.iter().copied().filter(|other| *other != chunk);
            let applied = match self.bytes(&name).await {
                Ok(Found::Ours((log, _), named)) if named || !base.is_named => {
                    let applied = catalog.apply_log(log.into()).await;
                    reached = applied.as_ref().map_or(reached, |applied| *applied);
                    applied.map(|applied| applied == chunk.last)
                }
                Ok(Found::OtherKey) if contiguous(reached, others.clone()).is_empty() => {
                    unopened = Some(name);
                    line.push_front(chunk);
                    break;
                }
                Ok(_) => Ok(false),
                Err(error) => Err(error),
            };
            match applied {
                Ok(true) => continue,
                Err(error @ Error::Corrupt { .. }) => {
                    if contiguous(reached, others).is_empty() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
                Ok(false) => {}
            }
            self.foreign.push(name);
            chunks.retain(|other| *other != chunk);
            line = contiguous(reached, chunks.iter().copied()).into();
        }
        self.leave_out_foreign(base, reached, &mut chunks).await?;
        let from_newest = contiguous(base.newest, chunks.iter().copied());
        let ends = line.iter().chain(&from_newest).map(|chunk| chunk.last);
        let through = ends.max().unwrap_or(reached).max(base.newest).max(reached);
        if base.newest > reached {
            unopened = unopened.or_else(|| Some(base.life.base_name(base.newest)));
        }
        if let Some(unopened) = unopened {
            let later = line.iter().chain(from_newest.iter().filter(|chunk| chunk.first > reached));
            self.refuse_damage(&unopened, later.map(|chunk| base.life.log_name(chunk))).await?;
        }
        let beyond = chunks.iter().filter(|chunk| chunk.last > through);
        // Where the log has an end before it, a newer base that was passed over held what nothing else does.
        let passed_over = base.beyond.filter(|newest| *newest > through).map(|newest| newest + 1);
        let next = beyond.clone().map(|chunk| chunk.first).chain(passed_over).min();
        Ok(Walked { reached, through, beyond: beyond.count() as u64, next })
    }

    /// Takes those off that no key is needed to know of: what lies behind a gap counts as lost, and a copy is none of it.
    async fn leave_out_foreign(
        &mut self,
        base: &Base,
        reached: Version,
        chunks: &mut Vec<ChunkName>,
    ) -> Result<()> {
        let mut kept = Vec::new();
        for chunk in chunks.drain(..) {
            let name = base.life.log_name(&chunk);
            if chunk.last > reached
                && let Ok(Found::Foreign) = self.bytes(&name).await
            {
                self.foreign.push(name);
            } else {
                kept.push(chunk);
            }
        }
        *chunks = kept;
        Ok(())
    }

    async fn chunks(&self, life: &Life) -> Result<Vec<ChunkName>> {
        let names = self.target.list(&life.log_prefix()).await?;
        let chunk = |name: &String| match Name::parse(name) {
            Some(Name::Log(_, chunk)) => Some(chunk),
            _ => None,
        };
        Ok(names.iter().filter_map(chunk).collect())
    }

    /// All of a base's files, below `to`.
    pub(super) async fn files(&self, base: &Base, to: &Path) -> Result<()> {
        for file in &base.manifest.files {
            let name = base.life.file_name(&base.recipient, &file.blake3);
            let fetched = self.file(&name, &to.join(&file.name), &file.blake3).await;
            fetched.map_err(|error| with_base_before(error, base.before))?;
        }
        Ok(())
    }

    async fn file(&self, name: &str, to: &Path, hash: &str) -> Result<()> {
        let (Opened { mut plain, .. }, _) = self.open(name).await?.ok_or_else(|| sealed_to_another(name))?;
        let parent = to.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
        let mut output = fs::File::create_new(to).map_err(|error| Error::io("create", to, error))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = plain.read(&mut buffer).map_err(|error| damaged(name, &error))?;
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

/// What is wrong with the newest life, and which others there are.
fn with_lives(error: Error, others: &[String]) -> Error {
    let next = |text: String| match others {
        [] => text,
        [newest, ..] => format!(
            "{text}; where that is none of the appliance's own, other lives of the backup are there: {} (--life {newest} takes that one)",
            others[..others.len().min(LIVES_NAMED)].join(", ")
        ),
    };
    match error {
        Error::Corrupt { what, detail } => Error::Corrupt { what, detail: next(detail) },
        Error::Invalid(text) => Error::Invalid(next(text)),
        other => other,
    }
}

fn damaged(name: &str, error: &io::Error) -> Error {
    Error::Corrupt { what: format!("backup file {name}"), detail: error.to_string() }
}
