//! Walks the frames of a segment and reads whole records, verified by their checksums.

use super::frame::{FRAME_ALIGN, FRAME_BYTES, Frame, record_len};
use super::header::HEADER_BYTES;
use super::place::{RecordAt, describe};
use super::segment::Segment;
use crate::fault::Point;
use crate::id::BlobId;
use crate::{Error, Result};
use std::os::unix::fs::FileExt;

/// Bytes read at once while looking for frames.
const WINDOW_BYTES: usize = 256 << 10;

/// Bytes that are read at once around those that can't be.
const PAGE_BYTES: u64 = 4096;
/// Reads that may fail before a walk gives its segment up: a disk may try each for many seconds.
const BAD_READS_MAX: usize = 32;

/// A walk through a segment, resumable.
pub(crate) struct FrameWalk {
    position: u64,
    /// Reads that failed.
    bad_reads: usize,
    /// A read failed that went up to here: what is before is read page by page.
    careful_until: u64,
}

impl FrameWalk {
    /// From the first frame on.
    pub(crate) const fn new() -> Self {
        Self { position: HEADER_BYTES as u64, bad_reads: 0, careful_until: 0 }
    }

    /// It went past bytes that could not be read: there may have been frames.
    pub(crate) const fn has_skipped(&self) -> bool {
        self.bad_reads > 0
    }

    /// The next frames of this segment's own generation, until they hold `budget` bytes; none at the end of the file.
    /// Where no frame is (padding, what a crash tore, a flipped bit) the walk goes on at the next possible place, and where a page
    /// can't be read behind that; an error says that there are too many of those.
    pub(crate) fn next(&mut self, segment: &Segment, budget: u64) -> Result<Vec<(u64, Frame)>> {
        let mut frames = Vec::new();
        let mut window = Vec::new();
        let mut window_at = 0_u64;
        let mut taken = 0;
        while taken < budget {
            let have = (window_at + window.len() as u64).saturating_sub(self.position);
            if self.position < window_at || have < FRAME_BYTES as u64 {
                window = self.window(segment)?;
                window_at = self.position;
                if window.len() < FRAME_BYTES {
                    break;
                }
            }
            let at = usize::try_from(self.position - window_at).unwrap_or(usize::MAX);
            if !Frame::may_start(&window[at..]) {
                self.position += FRAME_ALIGN as u64;
                continue;
            }
            match Frame::decode(&window[at..], "record") {
                Ok(frame) if frame.generation == segment.id => {
                    frames.push((self.position, frame));
                    let len = record_len(frame.payload_len as usize) as u64;
                    taken += len;
                    self.position += len;
                }
                Err(newer @ Error::Newer { .. }) => return Err(newer),
                _ => self.position += FRAME_ALIGN as u64,
            }
        }
        Ok(frames)
    }

    /// Bytes from the position on, which goes past pages that can't be read; too few for a frame at the end of the file.
    fn window(&mut self, segment: &Segment) -> Result<Vec<u8>> {
        loop {
            let page_end = (self.position / PAGE_BYTES + 1) * PAGE_BYTES;
            let careful = self.position < self.careful_until;
            // A frame may begin in a page and end in the next.
            let to_page_end = usize::try_from(page_end - self.position).unwrap_or(WINDOW_BYTES);
            let len = if careful { to_page_end.max(FRAME_BYTES) } else { WINDOW_BYTES };
            let error = match read_up_to(segment, self.position, len) {
                Err(error @ Error::Io { .. }) => error,
                outcome => return outcome,
            };
            self.bad_reads += 1;
            if self.bad_reads > BAD_READS_MAX {
                return Err(error);
            }
            if careful {
                tracing::error!(%error, at = self.position, "a walk passes a page that can't be read");
                self.position = page_end;
            } else {
                self.careful_until = self.position + WINDOW_BYTES as u64;
            }
        }
    }
}

fn read_up_to(segment: &Segment, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        let wanted = offset + filled as u64..offset + len as u64;
        let read = segment
            .faults
            .check_read(Point::SegmentRead, &segment.path, wanted.clone())
            .and_then(|()| segment.file.read_at(&mut bytes[filled..], wanted.start));
        match read {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::io("read segment", &segment.path, source)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Reads a record and verifies it without any key. The bytes keep room for a frame in front, as a draft has it.
pub(crate) fn read_record(segment: &Segment, blob: BlobId, at: &RecordAt) -> Result<(Frame, Vec<u8>)> {
    let what = || describe(blob, at.segment, at.offset.into());
    let corrupt = |detail: &str| Error::Corrupt { what: what(), detail: detail.to_owned() };
    let len = FRAME_BYTES + at.payload_len as usize;
    let bytes = read_up_to(segment, at.offset.into(), len)?;
    if bytes.len() < len {
        return Err(corrupt("the segment file ends early"));
    }
    let frame = Frame::decode(&bytes, &what())?;
    if frame.generation != at.segment || frame.blob != blob || frame.payload_len != at.payload_len {
        return Err(corrupt("the frame is another record's"));
    }
    if !frame.sum.matches(&bytes[FRAME_BYTES..]) {
        return Err(corrupt("the payload is not what its checksum says"));
    }
    Ok((frame, bytes))
}
