//! A tar archive as it comes, one entry after the other.
//!
//! ```text
//!   push ─► block ─┬─ x g L K ─► kept for the entry that follows ─► block
//!                  ├─ an entry ─► Entry · Data … · EntryEnd ─► padding ─► block
//!                  └─ zeros ─► nothing but zeros from here on
//! ```
//!
//! # Invariants
//! - Every byte of the archive is a header's, an entry's, or padding: what is not is an error that ends the reading. So is what
//!   readers of tar disagree about: sizes said twice and differently, names said twice, a size where there can be no body, data
//!   behind the end.
//! - What is wrong with one entry alone ([`Kind::Refused`], [`Kind::Skipped`]) leaves the rest readable.
//!
//! # Limits
//! [`EXTENSION_MAX`] bytes of each extended header, one of each kind an entry, in memory; of bodies nothing.

use super::header::{BLOCK, Header};
use super::pax;
use bytes::{Buf, Bytes};
use std::fmt;

/// Bytes of one extended header or long name.
const EXTENSION_MAX: u64 = 64 << 10;

/// What is wrong with an archive as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArchiveError {
    /// The entry at which it was found, from 1.
    pub(crate) entry: u64,
    /// What is there.
    pub(crate) what: &'static str,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read the archive at entry {}: it has {}", self.entry, self.what)
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes.
    File,
    /// A name alone.
    Directory,
    /// Nothing that an object store has, and no content is lost by leaving it out. Why.
    Skipped(&'static str),
    /// Content that would be lost or wrong. Why.
    Refused(&'static str),
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Which one, from 1; extended headers don't count.
    pub(crate) number: u64,
    /// Its name, as the archive has it.
    pub(crate) name: Vec<u8>,
    /// What it is.
    pub(crate) kind: Kind,
    /// Bytes of data that follow.
    pub(crate) size: u64,
    /// When it was last changed: seconds since the epoch, maybe with a fraction. `None` where nothing or 0 is said.
    pub(crate) modified: Option<String>,
    /// Records of its extended header whose names begin with `minio.`.
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Nothing, before more is pushed.
    NeedMore,
    /// An entry begins.
    Entry(Entry),
    /// Bytes of it.
    Data(Bytes),
    /// It is whole.
    EntryEnd,
}

/// What is kept for the entry that follows.
#[derive(Default)]
struct Kept {
    long_name: Option<Vec<u8>>,
    long_link: bool,
    records: Option<Vec<(String, Vec<u8>)>>,
}

impl Kept {
    const fn is_empty(&self) -> bool {
        self.long_name.is_none() && !self.long_link && self.records.is_none()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A header is to come.
    Header,
    /// What an extended header of this type says.
    Extension {
        kind: u8,
        left: u64,
        padding: u64,
    },
    /// A block of a sparse file's map; then its data.
    Map {
        size: u64,
    },
    /// Bytes of an entry.
    Data {
        left: u64,
        padding: u64,
    },
    Padding {
        left: u64,
    },
    /// Zeros alone.
    End,
}

/// Reads an archive.
pub(crate) struct Scanner {
    input: Bytes,
    gathered: Vec<u8>,
    kept: Kept,
    state: State,
    entries: u64,
}

type Result<T> = std::result::Result<T, ArchiveError>;

impl Scanner {
    pub(crate) fn new() -> Self {
        let (input, gathered, kept) = (Bytes::new(), Vec::new(), Kept::default());
        Self { input, gathered, kept, state: State::Header, entries: 0 }
    }

    /// Gives it the next bytes; all of those before must be taken.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        debug_assert!(self.input.is_empty(), "bytes that nobody looked at");
        self.input = bytes;
    }

    /// The archive ends here: that must be behind an entry, or where it says so itself.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.state {
            State::End => Ok(()),
            // Some writers leave the end out.
            State::Header if self.gathered.is_empty() && self.kept.is_empty() => Ok(()),
            _ => Err(self.error("no end: it was cut off")),
        }
    }

    /// Whether it says itself where it ends. An archive that was cut behind an entry does not, nor does what some writers make.
    pub(crate) fn has_end(&self) -> bool {
        self.state == State::End
    }

    /// What comes next.
    pub(crate) fn event(&mut self) -> Result<Event> {
        loop {
            match self.state {
                State::Header => {
                    let Some(block) = self.block() else { return Ok(Event::NeedMore) };
                    if let Some(entry) = self.header(&block)? {
                        return Ok(Event::Entry(entry));
                    }
                }
                State::Map { size } => {
                    let Some(block) = self.block() else { return Ok(Event::NeedMore) };
                    if block[504] == 0 {
                        self.state = data(size);
                    }
                }
                State::Extension { kind, left, padding } => {
                    let got = self.take(left);
                    self.gathered.extend_from_slice(&got);
                    let left = left - got.len() as u64;
                    self.state = State::Extension { kind, left, padding };
                    if left > 0 {
                        return Ok(Event::NeedMore);
                    }
                    let content = std::mem::take(&mut self.gathered);
                    self.extension(kind, &content)?;
                    self.state = State::Padding { left: padding };
                }
                State::Data { left: 0, padding } => {
                    self.state = State::Padding { left: padding };
                    return Ok(Event::EntryEnd);
                }
                State::Data { left, padding } => {
                    let got = self.take(left);
                    if got.is_empty() {
                        return Ok(Event::NeedMore);
                    }
                    self.state = State::Data { left: left - got.len() as u64, padding };
                    return Ok(Event::Data(got));
                }
                State::Padding { left } => {
                    let got = self.take(left).len() as u64;
                    self.state =
                        if got == left { State::Header } else { State::Padding { left: left - got } };
                    if got < left {
                        return Ok(Event::NeedMore);
                    }
                }
                State::End => {
                    if self.input.iter().any(|byte| *byte != 0) {
                        return Err(
                            self.error("data behind its end: archives that were joined are sent one by one")
                        );
                    }
                    self.input.clear();
                    return Ok(Event::NeedMore);
                }
            }
        }
    }

    fn error(&self, what: &'static str) -> ArchiveError {
        ArchiveError { entry: self.entries + 1, what }
    }

    /// Up to so many bytes of what is there.
    fn take(&mut self, most: u64) -> Bytes {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.input.len());
        self.input.split_to(most)
    }

    /// A whole block, once it is there.
    fn block(&mut self) -> Option<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        if self.gathered.is_empty() && self.input.len() >= BLOCK {
            self.input.copy_to_slice(&mut block);
            return Some(block);
        }
        let got = self.take((BLOCK - self.gathered.len()) as u64);
        self.gathered.extend_from_slice(&got);
        if self.gathered.len() < BLOCK {
            return None;
        }
        block.copy_from_slice(&self.gathered);
        self.gathered.clear();
        Some(block)
    }

    /// Takes a header. `None`: it only says something of the entry that follows, or that there is none.
    fn header(&mut self, block: &[u8; BLOCK]) -> Result<Option<Entry>> {
        if block.iter().all(|byte| *byte == 0) {
            if !self.kept.is_empty() {
                return Err(self.error("an extended header without an entry"));
            }
            self.state = State::End;
            return Ok(None);
        }
        let header =
            Header::parse(block).ok_or_else(|| self.error("a header whose checksum does not fit"))?;
        if header.is_ambiguous() {
            return Err(self.error("a header that readers understand differently"));
        }
        let size = header.size().ok_or_else(|| self.error("a size that can't be read"))?;
        if matches!(header.kind(), b'x' | b'g' | b'L' | b'K') {
            self.begin_extension(header.kind(), size)?;
            return Ok(None);
        }
        let entry = self.entry(&header, size)?;
        self.entries = entry.number;
        let maps = header.kind() == b'S' && header.has_more_map();
        self.state = if maps { State::Map { size: entry.size } } else { data(entry.size) };
        Ok(Some(entry))
    }

    fn begin_extension(&mut self, kind: u8, size: u64) -> Result<()> {
        let twice = match kind {
            b'x' => self.kept.records.is_some(),
            b'L' => self.kept.long_name.is_some(),
            b'K' => self.kept.long_link,
            _ => !self.kept.is_empty(),
        };
        if twice {
            return Err(self.error("two extended headers of one kind for an entry"));
        }
        if size > EXTENSION_MAX {
            return Err(self.error("an extended header of more than 64 KiB"));
        }
        self.state = State::Extension { kind, left: size, padding: padding(size) };
        Ok(())
    }

    fn extension(&mut self, kind: u8, content: &[u8]) -> Result<()> {
        match kind {
            b'L' => {
                let name = content.strip_suffix(b"\0").unwrap_or(content);
                if name.is_empty() || name.contains(&0) {
                    return Err(self.error("a long name that is none"));
                }
                self.kept.long_name = Some(name.to_vec());
            }
            b'K' => self.kept.long_link = true,
            b'x' => {
                let records = pax::records(content).map_err(|what| self.error(what))?;
                self.kept.records = Some(records);
            }
            _ => {
                let records = pax::records(content).map_err(|what| self.error(what))?;
                // Of the whole archive: times and owners may be said for all, names, sizes and contents may not.
                let of_one = |name: &str| {
                    matches!(name, "path" | "size" | "linkpath")
                        || ["minio.", "GNU.sparse."].iter().any(|start| name.starts_with(start))
                };
                if records.iter().any(|(name, _)| of_one(name)) {
                    return Err(self.error("a global header that names or sizes an entry"));
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header<'_>, size: u64) -> Result<Entry> {
        let kept = std::mem::take(&mut self.kept);
        let records = kept.records.unwrap_or_default();
        let said =
            |wanted: &str| records.iter().find(|(name, _)| name == wanted).map(|(_, value)| &value[..]);
        if said("size").is_some_and(|text| decimal(text) != Some(size)) {
            return Err(self.error("a size that its two headers disagree about"));
        }
        let name = match (said("path"), kept.long_name) {
            (Some(_), Some(_)) => return Err(self.error("a name that two extended headers say")),
            (Some(path), None) => path.to_vec(),
            (None, Some(long)) => long,
            (None, None) => header.name(),
        };
        let is_sparse = records.iter().any(|(name, _)| name.starts_with("GNU.sparse."));
        let kind = self.kind(header.kind(), is_sparse, &name, size)?;
        let modified = match said("mtime") {
            Some(text) => Some(time(text).ok_or_else(|| self.error("a time that can't be read"))?),
            None => header.modified().map(|seconds| seconds.to_string()),
        };
        let attributes = records.iter().filter(|(name, _)| name.starts_with("minio.")).cloned().collect();
        Ok(Entry {
            number: self.entries + 1,
            name,
            kind,
            size,
            modified: modified.filter(|text| text != "0"),
            attributes,
        })
    }

    fn kind(&self, letter: u8, is_sparse: bool, name: &[u8], size: u64) -> Result<Kind> {
        let kind = match letter {
            b'0' | 0 | b'7' if name.ends_with(b"/") => Kind::Directory,
            b'S' => return Ok(Kind::Refused(SPARSE)),
            _ if is_sparse => return Ok(Kind::Refused(SPARSE)),
            b'0' | 0 | b'7' => return Ok(Kind::File),
            // A list of names, for incremental restores.
            b'D' => return Ok(Kind::Skipped("a list of a directory's files")),
            b'1' => Kind::Refused("a hard link has no content of its own: tar --hard-dereference stores it"),
            b'2' => Kind::Skipped("a symbolic link: tar -h stores what it leads to"),
            b'3' | b'4' => Kind::Skipped("a device"),
            b'5' => Kind::Directory,
            b'6' => Kind::Skipped("a pipe"),
            b'V' => Kind::Skipped("the archive's label"),
            b'M' => return Err(self.error("the rest of a file that began in another volume")),
            _ => return Err(self.error("an entry of a type that is not known")),
        };
        // Whether data follows one of these is where readers part.
        if size > 0 { Err(self.error("a size where there can be no data")) } else { Ok(kind) }
    }
}

const SPARSE: &str = "a sparse file: tar without --sparse stores it whole";

/// Zeros between `size` bytes and the next block.
const fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

const fn data(size: u64) -> State {
    State::Data { left: size, padding: padding(size) }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Seconds, maybe negative, maybe with a fraction of at most 9 digits.
fn time(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    (digits(whole, 18) && digits(fraction, 30)).then(|| text.chars().take(30).collect())
}
