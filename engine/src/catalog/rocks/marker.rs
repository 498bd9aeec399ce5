//! The format marker: what this directory is, and what a reader must know of to open it.
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `firncatl` |
//! | 8 | 4 | version | the [`Layout`]'s number, little-endian |
//! | 12 | 4 | checksum | CRC-32C of bytes 0–11, little-endian |

use crate::catalog::Layout;
use crate::catalog::log::frame::crc32c;
use crate::{Error, Result, file};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"firncatl";
const NAME: &str = "format";

fn encode(version: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let crc = crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], what: &str) -> Result<Layout> {
    let version = match bytes {
        [head @ .., a, b, c, d]
            if head.len() == 12 && crc32c(head) == u32::from_le_bytes([*a, *b, *c, *d]) =>
        {
            head.strip_prefix(MAGIC).and_then(|rest| rest.try_into().ok()).map(u32::from_le_bytes)
        }
        _ => None,
    };
    let Some(found) = version else {
        return Err(Error::Corrupt { what: what.into(), detail: "its format marker does not verify".into() });
    };
    let supported = Layout::NEWEST.number().into();
    Layout::of_number(found).ok_or_else(|| Error::Newer { what: what.into(), found, supported })
}

/// The marker of a directory.
pub(super) struct Marker {
    dir: PathBuf,
    /// What it says at least: others may have raised it meanwhile.
    layout: Layout,
}

impl Marker {
    /// Refuses a directory that is newer or not a catalog; marks one that is new.
    pub(super) fn check_or_create(dir: &Path) -> Result<Self> {
        let what = format!("catalog {}", dir.display());
        let (dir, path) = (dir.to_path_buf(), dir.join(NAME));
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Self { dir, layout: decode(&bytes, &what)? }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if dir.join("rows").exists() {
                    let detail = "it has rows but no format marker".into();
                    return Err(Error::Corrupt { what, detail });
                }
                file::replace(&path, &encode(Layout::FIRST.number().into()))?;
                Ok(Self { dir, layout: Layout::FIRST })
            }
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    /// Says that readers must know of this layout; durable when this returns. It never says less than it said.
    pub(super) fn raise(&mut self, layout: Layout) -> Result<()> {
        if layout > self.layout {
            self.layout = raise(&self.dir, layout)?;
        }
        Ok(())
    }
}

/// Raises the marker of a directory to this layout, unless it says more by now, and answers what it says; durable when this returns. The
/// one way to do so, for whoever needs a layout: it goes by the file, one at a time, so that nobody lowers what another has raised.
pub(super) fn raise(dir: &Path, layout: Layout) -> Result<Layout> {
    let alone = File::open(dir).map_err(|error| Error::io("open", dir, error))?;
    // Let go when it is closed.
    alone.lock().map_err(|error| Error::io("lock", dir, error))?;
    let path = dir.join(NAME);
    let bytes = std::fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
    let stands = decode(&bytes, &format!("catalog {}", dir.display()))?;
    if stands < layout {
        file::replace(&path, &encode(layout.number().into()))?;
    }
    Ok(stands.max(layout))
}

/// Marks a copy of a catalog's rows as the catalog is marked by now, durably.
pub(super) fn copy(catalog: &Path, to: &Path) -> Result<()> {
    let from = catalog.join(NAME);
    let bytes = std::fs::read(&from).map_err(|error| Error::io("read", from, error))?;
    file::replace(&to.join(NAME), &bytes)
}

#[cfg(test)]
mod tests {
    use super::{Layout, Marker, decode, encode};
    use crate::Error;

    #[test]
    fn golden_markers_their_flipped_bytes_and_a_newer_one() {
        for (layout, golden) in [
            (Layout::FIRST, *b"firncatl\x01\0\0\0\x95\x31\xc9\x6a"),
            (Layout::POLICIES, *b"firncatl\x02\0\0\0\xac\xb8\xeb\x08"),
            (Layout::IDENTITIES, *b"firncatl\x04\0\0\0\xde\xaa\xae\xcc"),
            (Layout::LIFECYCLES, *b"firncatl\x05\0\0\0\x66\x00\xeb\x11"),
            (Layout::KEYS, *b"firncatl\x07\0\0\0\xe7\x23\x8c\xae"),
            (Layout::ENVELOPES, *b"firncatl\x08\0\0\0\xcb\xf8\xc8\x41"),
            (Layout::VAULTS, *b"firncatl\x09\0\0\0\x73\x52\x8d\x9c"),
            (Layout::COPIES, *b"firncatl\x0a\0\0\0\x4a\xdb\xaf\xfe"),
            (Layout::CLASSES, *b"firncatl\x0b\0\0\0\xf2\x71\xea\x23"),
            (Layout::TRAILS, *b"firncatl\x0c\0\0\0\x38\xc9\xea\x3a"),
            (Layout::MANAGED, *b"firncatl\x0d\0\0\0\x80\x63\xaf\xe7"),
            (Layout::LOGINS, *b"firncatl\x0e\0\0\0\xb9\xea\x8d\x85"),
        ] {
            assert_eq!(encode(layout.number().into()), golden);
            assert_eq!(decode(&golden, "catalog").unwrap(), layout);
            for at in 0..golden.len() {
                let mut bad = golden;
                bad[at] ^= 0x04;
                assert!(matches!(decode(&bad, "catalog"), Err(Error::Corrupt { .. })), "byte {at}");
                decode(&golden[..at], "catalog").unwrap_err();
            }
        }
        for (other, supported) in [(0, 14), (3, 14), (6, 14), (15, 14), (260, 14)] {
            let refused = decode(&encode(other), "catalog");
            assert!(
                matches!(refused, Err(Error::Newer { found, supported: known, .. }) if (found, known) == (other, supported))
            );
        }
    }

    #[test]
    fn a_marker_only_grows() {
        let dir = tempfile::tempdir().unwrap();
        let stands = || std::fs::read(dir.path().join("format")).unwrap()[8];
        let mut marker = Marker::check_or_create(dir.path()).unwrap();
        assert_eq!(stands(), 1);
        marker.raise(Layout::FIRST).unwrap();
        assert_eq!(stands(), 1);
        marker.raise(Layout::POLICIES).unwrap();
        assert_eq!(stands(), 2);
        marker.raise(Layout::FIRST).unwrap();
        assert_eq!(stands(), 2);
        marker.raise(Layout::IDENTITIES).unwrap();
        let mut again = Marker::check_or_create(dir.path()).unwrap();
        again.raise(Layout::POLICIES).unwrap();
        assert_eq!(stands(), 4);
    }

    #[test]
    fn a_marker_that_others_raised_meanwhile_is_not_lowered() {
        let dir = tempfile::tempdir().unwrap();
        let (mut ours, mut theirs) =
            (Marker::check_or_create(dir.path()).unwrap(), Marker::check_or_create(dir.path()).unwrap());
        let file = dir.path().join("format");
        theirs.raise(Layout::POLICIES).unwrap();
        ours.raise(Layout::POLICIES).unwrap();
        assert_eq!(std::fs::read(&file).unwrap()[8], 2);
        // By somebody who knows of more than this code: it is no longer for us to write here.
        let mut ours = Marker { layout: Layout::FIRST, ..ours };
        std::fs::write(&file, encode(3)).unwrap();
        let refused = ours.raise(Layout::POLICIES);
        assert!(matches!(refused, Err(Error::Newer { found: 3, .. })), "{refused:?}");
        assert_eq!(std::fs::read(&file).unwrap(), encode(3));
        std::fs::write(&file, b"nonsense").unwrap();
        assert!(matches!(ours.raise(Layout::POLICIES), Err(Error::Corrupt { .. })));
    }
}
