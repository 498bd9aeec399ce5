//! What places outside of the catalog have seen of it: how far it was, so that one that is older, in part or as a whole, is known.
//!
//! ```text
//!   start, rotation, once a minute ─► DIR/catalog-seen, and one in each pool's directory: owner, log file, its stamp, version
//!   opening ─► what is found is less than what was seen? ─► refused, before anything is changed
//! ```
//!
//! A log does not say which of its files is the newest, and an empty directory not that it was none. Whoever opens an older catalog
//! beside newer pools frees what the newer one had written; so the pools say how new it was.
//!
//! # Format of `catalog-seen`, 8 KiB: two slots of 64 bytes, at 0 and at 4096, written by turns
//!
//! | offset | length | field | meaning (integers little-endian) |
//! |---|---|---|---|
//! | 0 | 8 | magic | `firnseen` |
//! | 8 | 4 | version | 1 |
//! | 12 | 4 | zero | |
//! | 16 | 16 | owner | of the data directory that wrote it (its incarnation, big-endian): another one's says nothing |
//! | 32 | 8 | log | the number of the newest log file |
//! | 40 | 8 | stamp | of its frames |
//! | 48 | 8 | version | durable by then |
//! | 56 | 4 | zero | |
//! | 60 | 4 | checksum | CRC-32C of bytes 0–59 |
//!
//! # Invariants
//! - What is written down was durable before: a crash never makes a catalog look older than it may be.
//! - A mark that can't be written costs what it would have told, and nothing else: commits go on. One that does not verify says nothing.
//!
//! A crash leaves the slot that was not written. Pools' marks are written by a thread of their own, so that a disk that hangs holds no
//! commit up.

use super::Version;
use super::log::files::LogFile;
use super::log::frame::{Stamp, crc32c};
use crate::vital::Vital;
use crate::{Error, Result, file};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The file's name.
const SEEN: &str = "catalog-seen";
/// How long commits go on before it is written down how far they are.
const NOTED_EVERY: Duration = Duration::from_mins(1);
const MAGIC: &[u8; 8] = b"firnseen";
const VERSION: u32 = 1;
const SLOT: usize = 64;
const SLOT_EVERY: u64 = 4096;
const CHECKED: usize = SLOT - 4;

/// Who writes down how far a catalog is, and where.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Of whose catalog it is: marks of others are passed over.
    pub owner: u128,
    /// Directories; the first one lies beside the catalog.
    pub places: Vec<PathBuf>,
    /// A catalog that is older than what was seen is opened all the same.
    pub accepts_less: bool,
}

/// How far a catalog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The number of its newest log file.
    pub(super) log: u64,
    /// Of its frames.
    pub(super) stamp: Stamp,
    /// Durable.
    pub(super) version: Version,
}

fn encode(owner: u128, mark: Mark) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(&owner.to_be_bytes());
    bytes[32..40].copy_from_slice(&mark.log.to_le_bytes());
    bytes[40..48].copy_from_slice(&mark.stamp.to_bytes());
    bytes[48..56].copy_from_slice(&mark.version.to_le_bytes());
    let crc = crc32c(&bytes[..CHECKED]);
    bytes[CHECKED..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// `None` for what does not verify. A newer form is refused by name.
fn decode(bytes: &[u8], what: &Path) -> Result<Option<(u128, Mark)>> {
    let Some(slot) = bytes.first_chunk::<SLOT>() else { return Ok(None) };
    let checksum = u32::from_le_bytes(field(slot, CHECKED));
    if &slot[..8] != MAGIC || crc32c(&slot[..CHECKED]) != checksum {
        return Ok(None);
    }
    let found = u32::from_le_bytes(field(slot, 8));
    if found != VERSION {
        return Err(Error::Newer { what: what.display().to_string(), found, supported: VERSION });
    }
    let number = |at| u64::from_le_bytes(field(slot, at));
    let mark = Mark { log: number(32), stamp: Stamp::from_bytes(field(slot, 40)), version: number(48) };
    Ok(Some((u128::from_be_bytes(field(slot, 16)), mark)))
}

fn field<const N: usize>(slot: &[u8; SLOT], at: usize) -> [u8; N] {
    slot[at..].first_chunk().copied().unwrap_or([0; N])
}

/// The two slots of a place's file.
fn slots(path: &Path) -> Result<[Option<(u128, Mark)>; 2]> {
    let bytes = match file::read_regular(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok([None, None]);
        }
        read => read.map_err(|error| Error::io("read", path, error))?,
    };
    let second = usize::try_from(SLOT_EVERY).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    Ok([decode(&bytes, path)?, decode(second, path)?])
}

/// Which of two marks tells more.
const fn rank(mark: &Mark) -> (u64, Version) {
    (mark.log, mark.version)
}

/// The newest mark of this owner in a place.
fn newest_in(place: &Path, owner: u128) -> Result<Option<Mark>> {
    let own = slots(&place.join(SEEN))?.into_iter().flatten().filter(|(of, _)| *of == owner);
    Ok(own.map(|(_, mark)| mark).max_by_key(rank))
}

/// Writes the slot that tells less.
fn write(place: &Path, owner: u128, mark: Mark) -> Result<()> {
    let path = place.join(SEEN);
    let told = slots(&path)?.map(|slot| slot.filter(|(of, _)| *of == owner).map(|(_, mark)| rank(&mark)));
    let slot = if told[0] <= told[1] { 0 } else { SLOT_EVERY };
    let is_new = !path.try_exists().map_err(|error| Error::io("look for", &path, error))?;
    let open = file::open_or_make(&path).map_err(|error| Error::io("open", &path, error))?;
    open.write_all_at(&encode(owner, mark), slot).map_err(|error| Error::io("write", &path, error))?;
    open.sync_data().map_err(|error| Error::io("sync", &path, error))?;
    if is_new { file::sync_dir(place) } else { Ok(()) }
}

fn write_or_warn(place: &Path, owner: u128, mark: Mark) {
    if let Err(error) = write(place, owner, mark) {
        tracing::warn!(%error, place = %place.display(), "how far the catalog is can't be written down here now");
    }
}

/// Whether nothing of a catalog is in its directory: it is not there, or empty but for what any of them may have.
pub fn is_unused(dir: &Path) -> Result<bool> {
    const NO_CATALOG: [&str; 3] = ["reserve", "format.new", "lost+found"];
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        entries => entries.map_err(|error| Error::io("list", dir, error))?,
    };
    for entry in entries {
        let name = entry.map_err(|error| Error::io("list", dir, error))?.file_name();
        if !name.to_str().is_some_and(|name| NO_CATALOG.contains(&name)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What was seen of a catalog when it is opened.
pub(super) struct Witness {
    seen: Option<Seen>,
    /// The most that was seen, and where.
    most: Option<(PathBuf, Mark)>,
    /// Less was found, and accepted.
    pub(super) went_back: bool,
}

impl Witness {
    /// Asks every place that is there. One that can't be read says nothing.
    pub(super) fn ask(seen: Option<Seen>) -> Result<Self> {
        let mut most: Option<(PathBuf, Mark)> = None;
        for (place, owner) in seen.iter().flat_map(|seen| seen.places.iter().map(|place| (place, seen.owner)))
        {
            let found = match newest_in(place, owner) {
                Err(error @ Error::Io { .. }) => {
                    tracing::warn!(%error, "what was seen of the catalog can't be read here");
                    None
                }
                found => found?,
            };
            if let Some(mark) = found
                && most.as_ref().is_none_or(|(_, most)| rank(most) < rank(&mark))
            {
                most = Some((place.join(SEEN), mark));
            }
        }
        Ok(Self { seen, most, went_back: false })
    }

    fn refuse(&mut self, dir: &Path, found: &str) -> Result<()> {
        let Some((place, mark)) = &self.most else { return Ok(()) };
        let (what, place) = (format!("catalog {}", dir.display()), place.display());
        let Mark { log, version, .. } = mark;
        if self.seen.as_ref().is_some_and(|seen| seen.accepts_less) {
            tracing::warn!(
                %what,
                "{found}, though {place} has seen log file {log:016x} and version {version}: the loss is accepted"
            );
            self.went_back = true;
            return Ok(());
        }
        Err(Error::Corrupt {
            what,
            detail: format!(
                "{found}, though {place} has seen log file {log:016x} and version {version}: starting would free bodies that only the \
                 newer one names. Nothing was changed: put back what is missing (is its disk mounted? is it an older copy?), or recover \
                 into another directory (firn recover); firn server DIR --accept-loss goes on with what is there, and gives the rest up \
                 for good"
            ),
        })
    }

    /// Before anything is made: a catalog that was seen is there. Nobody can accept that it is not.
    pub(super) fn check_there(&mut self, dir: &Path) -> Result<()> {
        if self.most.is_none() || !is_unused(dir)? {
            return Ok(());
        }
        if let Some(seen) = &mut self.seen {
            seen.accepts_less = false;
        }
        self.refuse(dir, "nothing is there")
    }

    /// The newest log file that was seen, or a later one, is there.
    pub(super) fn check_files(&mut self, dir: &Path, files: &VecDeque<LogFile>) -> Result<()> {
        let Some((_, mark)) = self.most else { return Ok(()) };
        let newest = files.back().map_or(0, |file| file.header.log);
        if newest < mark.log {
            return self.refuse(dir, &format!("its newest log file is {newest:016x}"));
        }
        if files.iter().any(|file| file.header.log == mark.log && file.stamp != mark.stamp) {
            return self.refuse(dir, &format!("its log file {:016x} is another one", mark.log));
        }
        Ok(())
    }

    /// It reaches as far as was seen.
    pub(super) fn check_version(&mut self, dir: &Path, version: Version) -> Result<()> {
        match self.most {
            Some((_, mark)) if version < mark.version && !self.went_back => {
                self.refuse(dir, &format!("it ends at version {version}"))
            }
            _ => Ok(()),
        }
    }

    /// Writes down, everywhere, how far a catalog is that was opened, before its first commit.
    pub(super) fn begin(self, mark: Mark) -> Result<Notes> {
        let Some(Seen { owner, mut places, .. }) = self.seen else { return Ok(Notes::default()) };
        for place in &places {
            // What was given up is not seen any more.
            if self.went_back
                && let Err(error) = file::remove(&place.join(SEEN))
            {
                tracing::warn!(%error, "what was seen of the catalog that is given up stays here: the next start asks again");
            }
            write_or_warn(place, owner, mark);
        }
        let further = places.split_off(1.min(places.len()));
        let mut notes = Notes { owner, first: places.pop(), last: Some(mark), ..Notes::default() };
        if !further.is_empty() {
            notes.further = Some(Further::start(owner, further)?);
        }
        Ok(notes)
    }
}

/// Writes down how far the catalog is, while it is open.
#[derive(Default)]
pub(super) struct Notes {
    owner: u128,
    first: Option<PathBuf>,
    further: Option<Further>,
    /// What was written last, and when.
    last: Option<Mark>,
    at: Duration,
}

impl Notes {
    /// Writes it down: beside the catalog before this returns, in the pools soon.
    pub(super) fn note(&mut self, mark: Mark, now: Duration) {
        self.at = now;
        if self.last.replace(mark) == Some(mark) {
            return;
        }
        if let Some(place) = &self.first {
            write_or_warn(place, self.owner, mark);
        }
        if let Some(further) = &self.further {
            further.tell(mark);
        }
    }

    /// The same, when it is time to.
    pub(super) fn note_when_due(&mut self, mark: Mark, now: Duration) {
        if self.first.is_some() && now.saturating_sub(self.at) >= NOTED_EVERY {
            self.note(mark, now);
        }
    }
}

/// What is to be written, and whether that is all.
type Told = (Option<Mark>, bool);

/// The thread that writes into the pools.
struct Further {
    shared: Arc<(Mutex<Told>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Further {
    fn start(owner: u128, places: Vec<PathBuf>) -> Result<Self> {
        let shared = Arc::new((Mutex::new((None, false)), Condvar::new()));
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("catalog-seen".into()).spawn(move || {
            let _vital = Vital::guard();
            let (state, changed) = &*its;
            loop {
                let mut told = state.lock();
                while told.0.is_none() && !told.1 {
                    changed.wait(&mut told);
                }
                let Some(mark) = told.0.take() else { return };
                drop(told);
                for place in &places {
                    write_or_warn(place, owner, mark);
                }
            }
        });
        let thread = thread.map_err(|e| Error::io("start the thread that writes", SEEN, e))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    fn tell(&self, mark: Mark) {
        self.shared.0.lock().0 = Some(mark);
        self.shared.1.notify_all();
    }
}

impl Drop for Further {
    fn drop(&mut self) {
        self.shared.0.lock().1 = true;
        self.shared.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes {SEEN} had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, SEEN, SLOT, Stamp, decode, encode, newest_in, write};
    use crate::Error;
    use std::path::Path;

    const OWNER: u128 = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;
    const MARK: Mark = Mark { log: 3, stamp: Stamp::of_number(0x0102_0304_0506_0708), version: 258 };
    const GOLDEN: &[u8; SLOT] =
        b"firnseen\x01\0\0\0\0\0\0\0\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\
        \x03\0\0\0\0\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01\x02\x01\0\0\0\0\0\0\0\0\0\0\x6e\x6b\xf4\x7e";

    #[test]
    fn golden_marks_and_their_flipped_bytes() {
        assert_eq!(encode(OWNER, MARK), *GOLDEN);
        let here = Path::new("seen");
        assert_eq!(decode(GOLDEN, here).unwrap(), Some((OWNER, MARK)));
        for at in 0..SLOT {
            let mut bad = *GOLDEN;
            bad[at] ^= 0x10;
            assert_eq!(decode(&bad, here).unwrap(), None, "byte {at}");
            assert_eq!(decode(&GOLDEN[..at], here).unwrap(), None);
        }
        let mut newer = *GOLDEN;
        newer[8] = 2;
        let crc = super::crc32c(&newer[..super::CHECKED]);
        newer[super::CHECKED..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(decode(&newer, here), Err(Error::Newer { found: 2, supported: 1, .. })));
    }

    #[test]
    fn slots_are_written_by_turns_and_a_torn_one_leaves_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let of = |version| Mark { version, ..MARK };
        assert_eq!(newest_in(dir.path(), OWNER).unwrap(), None);
        for version in 1..6 {
            write(dir.path(), OWNER, of(version)).unwrap();
            assert_eq!(newest_in(dir.path(), OWNER).unwrap(), Some(of(version)));
        }
        assert_eq!(newest_in(dir.path(), OWNER + 1).unwrap(), None, "it is another one's");
        let path = dir.path().join(SEEN);
        let mut bytes = std::fs::read(&path).unwrap();
        let newest = [0, 4096].into_iter().find(|at| bytes[at + 48] == 5).unwrap();
        bytes[newest + 50] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(newest_in(dir.path(), OWNER).unwrap(), Some(of(4)));
        write(dir.path(), OWNER + 1, of(1)).unwrap();
        write(dir.path(), OWNER + 1, of(2)).unwrap();
        assert_eq!(
            newest_in(dir.path(), OWNER + 1).unwrap(),
            Some(of(2)),
            "what another one wrote is in nobody's way"
        );
    }
}
