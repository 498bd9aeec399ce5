//! What must hold of any bytes that are read as an archive.

use crate::ingest::archive::{ArchiveError, Entry, Event, Kind, Scanner};
use crate::ingest::key_of;
use bytes::Bytes;

type Read = (Vec<(Entry, Vec<u8>)>, Result<(), ArchiveError>);

/// Reads it in pieces of `step` bytes.
fn read(input: &[u8], step: usize) -> Read {
    let (mut scanner, mut entries) = (Scanner::new(), Vec::new());
    for piece in input.chunks(step) {
        scanner.push(Bytes::copy_from_slice(piece));
        loop {
            match scanner.event() {
                Err(error) => return (entries, Err(error)),
                Ok(Event::NeedMore) => break,
                Ok(Event::Entry(entry)) => entries.push((entry, Vec::new())),
                Ok(Event::Data(data)) => {
                    assert!(!data.is_empty(), "no data is no event");
                    entries.last_mut().expect("data without an entry").1.extend_from_slice(&data);
                }
                Ok(Event::EntryEnd) => {
                    let (entry, body) = entries.last().expect("an end without an entry");
                    assert_eq!(entry.size, body.len() as u64, "a body of another size");
                }
            }
        }
    }
    let end = scanner.finish();
    (entries, end)
}

/// Never a panic, never a key outside of the prefix, never other entries because the bytes came in other pieces.
pub(crate) fn check(input: &[u8]) {
    let whole = read(input, input.len().max(1));
    let step = usize::from(input.first().copied().unwrap_or(1)).max(1);
    assert!(whole == read(input, step), "read in pieces of {step}");
    let (entries, _) = whole;
    let mut bytes = 0;
    for (at, (entry, body)) in (1..).zip(&entries) {
        assert_eq!(entry.number, at, "entries are counted");
        bytes += 512 + body.len();
        let directory = entry.kind == Kind::Directory;
        if let Ok(Some(key)) = key_of(&entry.name, "p/", directory) {
            let below = key.strip_prefix("p/").expect("a key outside of the prefix");
            let name = if directory {
                below.strip_suffix('/').expect("a directory without its slash")
            } else {
                below
            };
            assert!(key.len() <= 1024 && !key.contains('\0'), "{key:?}");
            assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")), "{key:?}");
        }
        if matches!(entry.kind, Kind::Directory) {
            assert_eq!(entry.size, 0, "a directory with a body");
        }
    }
    assert!(bytes <= input.len(), "more entries than there is archive");
}
