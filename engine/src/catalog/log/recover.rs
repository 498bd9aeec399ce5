//! Reading the log at open, to replay what the rows lack. What the backup reads is in [`super::since`].

use super::files::LogFile;
use super::frame::{self, ALIGN, FILE_HEAD, FILE_HEADER, FileHeader, Frame, Kind};
use crate::catalog::Version;
use crate::{Error, Result};
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::Path;

/// The log's files in order. None for a directory that holds none.
pub(in crate::catalog) fn find(dir: &Path) -> Result<VecDeque<LogFile>> {
    let mut found = VecDeque::new();
    for entry in std::fs::read_dir(dir).map_err(|e| Error::io("list", dir, e))? {
        let path = entry.map_err(|e| Error::io("list", dir, e))?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let head = read(&path, FILE_HEAD as u64)?;
        let (header, stamp) = FileHeader::decode(&head, &path.display().to_string())?;
        if path.file_stem().is_none_or(|stem| stem != format!("{:016x}", header.log).as_str()) {
            return Err(corrupt(&path, "its name is not that of its header"));
        }
        found.push_back(LogFile { header, stamp, path });
    }
    found.make_contiguous().sort_by_key(|file| file.header.log);
    Ok(found)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    file.take(limit).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}

fn corrupt(path: &Path, detail: impl Into<String>) -> Error {
    Error::Corrupt { what: format!("commit log {}", path.display()), detail: detail.into() }
}

/// Hands every group after version `applied` to `replay`, in order, and answers the version that is reached. What is
/// missing although it had been synced is an error.
pub(in crate::catalog) fn replay(
    files: &VecDeque<LogFile>,
    file_bytes: u64,
    applied: Version,
    mut replay: impl FnMut(&Frame, Bytes) -> Result<()>,
) -> Result<Version> {
    let mut reached = applied;
    if let Some(first) = files.front()
        && first.header.start > applied
    {
        return Err(corrupt(
            &first.path,
            format!("versions {applied} to {} are missing", first.header.start),
        ));
    }
    for (index, file) in files.iter().enumerate() {
        let until = files.get(index + 1).map(|next| next.header.start);
        if until.is_some_and(|until| until <= applied) {
            continue;
        }
        let bytes = Bytes::from(read(&file.path, u64::MAX)?);
        if bytes.len() as u64 != file_bytes {
            return Err(corrupt(&file.path, format!("{} bytes instead of {file_bytes}", bytes.len())));
        }
        reached = replay_file(file, &bytes, until, reached, &mut replay)?;
        if let Some(until) = until.filter(|until| *until > reached) {
            return Err(corrupt(&file.path, format!("ends at version {reached}, {until} was synced")));
        }
    }
    Ok(reached)
}

fn replay_file(
    file: &LogFile,
    bytes: &Bytes,
    until: Option<Version>,
    mut reached: Version,
    replay: &mut impl FnMut(&Frame, Bytes) -> Result<()>,
) -> Result<Version> {
    let mut offset = FILE_HEADER;
    while until.is_none_or(|until| reached < until) {
        let Some((frame, payload, total)) = next(file, bytes, offset)? else {
            // The rows may hold what this frame held; whatever continues them does so without it.
            match resume(file, bytes, offset, reached)? {
                Some(continued) => offset = continued,
                None => break,
            }
            continue;
        };
        if frame.prior > reached {
            break;
        }
        if frame.kind == Kind::Group && frame.last > reached {
            if frame.prior != reached {
                return Err(corrupt(&file.path, format!("a group overlaps version {reached}")));
            }
            replay(&frame, bytes.slice_ref(payload))?;
            reached = frame.last;
        }
        offset += total;
    }
    if until.is_none() {
        prove_torn(file, bytes, offset, reached)?;
    }
    Ok(reached)
}

fn next<'a>(file: &LogFile, bytes: &'a Bytes, offset: usize) -> Result<Option<(Frame, &'a [u8], usize)>> {
    frame::parse_own(bytes.get(offset..).unwrap_or_default(), file.stamp)
}

/// The first whole frame behind `offset` that starts at `reached` exactly or before it.
fn resume(file: &LogFile, bytes: &Bytes, offset: usize, reached: Version) -> Result<Option<usize>> {
    let mut at = offset + ALIGN;
    while at < bytes.len() {
        match next(file, bytes, at)? {
            Some((frame, ..)) if frame.prior <= reached && frame.last > reached => return Ok(Some(at)),
            Some((.., total)) => at += total,
            None => at += ALIGN,
        }
    }
    Ok(None)
}

/// A tail may be dropped only if nothing behind it says that it had been synced.
fn prove_torn(file: &LogFile, bytes: &Bytes, offset: usize, reached: Version) -> Result<()> {
    let mut at = offset;
    while at < bytes.len() {
        match next(file, bytes, at)? {
            Some((frame, ..)) if frame.synced > reached => {
                let detail = format!("verifies up to version {reached}, {} was synced", frame.synced);
                return Err(corrupt(&file.path, detail));
            }
            Some((.., total)) => at += total,
            None => at += ALIGN,
        }
    }
    Ok(())
}
