//! Reading the log for the backup: the groups that are synced, from a place on.
//!
//! ```text
//!   header │ frame │ frame │ frame │ frame │ zeros
//!                          ▲ place         ▲ synced
//! ```
//! A reader keeps its place, so that what it has read is not read again. Without one (the first time in a process, or when the
//! reader went on elsewhere) a file is walked from its start. Frames are read in pieces of [`PIECE_BYTES`]; each is proven by
//! its CRC, and one that is not there although it was synced is damage.

use super::files::LogFile;
use super::frame::{self, FILE_HEADER, Frame, Kind};
use crate::catalog::Version;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;

/// Bytes read at once; more for a frame that is larger.
const PIECE_BYTES: usize = 256 << 10;

/// Where a reader of the log stands: behind a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    version: Version,
    /// The log file and the offset in it where the next frame begins, once a group was read.
    behind: Option<(u64, u64)>,
}

impl LogPlace {
    /// Behind the group that ends with `version`, wherever it lies.
    pub const fn after(version: Version) -> Self {
        Self { version, behind: None }
    }

    /// The last version before it.
    pub const fn version(&self) -> Version {
        self.version
    }
}

/// Whole frames of the groups after `since`, up to `synced` and about `bytes_max`, and the place behind them. `None` when the
/// log no longer holds them.
pub(in crate::catalog) fn read(
    files: &VecDeque<LogFile>,
    since: LogPlace,
    synced: Version,
    bytes_max: usize,
) -> Result<Option<(Vec<u8>, LogPlace)>> {
    if files.front().is_none_or(|first| first.header.start > since.version) {
        return Ok(None);
    }
    let (mut out, mut place) = (Vec::new(), since);
    for (index, file) in files.iter().enumerate() {
        let until = files.get(index + 1).map_or(Version::MAX, |next| next.header.start);
        if until <= place.version || place.version >= synced || out.len() >= bytes_max {
            continue;
        }
        let mut frames = Frames::open(file, place)?;
        while place.version < synced.min(until) && out.len() < bytes_max {
            let Some((frame, bytes)) = frames.next()? else {
                let detail = format!("verifies up to version {}, {synced} was synced", place.version);
                return Err(Error::Corrupt { what: format!("commit log {}", file.path.display()), detail });
            };
            if frame.kind == Kind::Group && frame.last > place.version {
                if frame.prior != place.version {
                    let since = since.version;
                    return Err(Error::Invalid(format!(
                        "read the commit log from version {since}: no group starts there"
                    )));
                }
                out.extend_from_slice(&frames.held[bytes]);
                place =
                    LogPlace { version: frame.last, behind: Some((file.header.log, frames.next_offset())) };
            }
        }
    }
    Ok(Some((out, place)))
}

/// The frames of one file, from an offset on.
struct Frames<'f> {
    file: &'f LogFile,
    source: File,
    /// Where `held` begins in the file.
    offset: u64,
    held: Vec<u8>,
    /// Where the next frame begins in `held`.
    next: usize,
}

impl<'f> Frames<'f> {
    fn open(file: &'f LogFile, place: LogPlace) -> Result<Self> {
        let behind = place.behind.filter(|(log, _)| *log == file.header.log);
        let offset = behind.map_or(FILE_HEADER as u64, |(_, offset)| offset);
        let mut source = File::open(&file.path).map_err(|e| Error::io("open", &file.path, e))?;
        source.seek(SeekFrom::Start(offset)).map_err(|e| Error::io("read", &file.path, e))?;
        Ok(Self { file, source, offset, held: Vec::new(), next: 0 })
    }

    /// The next frame, and where its bytes are held; `None` where none of this file's own verifies.
    fn next(&mut self) -> Result<Option<(Frame, Range<usize>)>> {
        loop {
            if let Some((frame, _, total)) = frame::parse_own(&self.held[self.next..], self.file.stamp)? {
                let start = self.next;
                self.next += total;
                return Ok(Some((frame, start..self.next)));
            }
            if self.read_piece()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Lets go of the frames that were walked over, and reads as much again as is left, or a piece.
    fn read_piece(&mut self) -> Result<usize> {
        self.offset = self.next_offset();
        self.held.drain(..self.next);
        self.next = 0;
        let piece = self.held.len().max(PIECE_BYTES) as u64;
        let read = (&self.source).take(piece).read_to_end(&mut self.held);
        read.map_err(|e| Error::io("read", &self.file.path, e))
    }

    const fn next_offset(&self) -> u64 {
        self.offset + self.next as u64
    }
}
