//! The format marker: what this directory is, and from which form on it can't be read.
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `firncatl` |
//! | 8 | 4 | version | of the directory's layout, little-endian |
//! | 12 | 4 | checksum | CRC-32C of bytes 0–11, little-endian |

use crate::catalog::log::frame::crc32c;
use crate::{Error, Result, file};
use std::io::ErrorKind;
use std::path::Path;

/// The newest layout that this code reads and the one it writes.
pub(super) const FORMAT: u32 = 1;
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

fn decode(bytes: &[u8], what: &str) -> Result<u32> {
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
    if found > FORMAT {
        return Err(Error::Newer { what: what.into(), found, supported: FORMAT });
    }
    Ok(found)
}

/// Refuses a directory that is newer or not a catalog; marks one that is new.
pub(super) fn check_or_create(dir: &Path) -> Result<()> {
    let what = format!("catalog {}", dir.display());
    match std::fs::read(dir.join(NAME)) {
        Ok(bytes) => decode(&bytes, &what).map(drop),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if dir.join("rows").exists() {
                let detail = "it has rows but no format marker".into();
                return Err(Error::Corrupt { what, detail });
            }
            create(dir)
        }
        Err(error) => Err(Error::io("read", dir.join(NAME), error)),
    }
}

/// Writes the marker, durably.
pub(super) fn create(dir: &Path) -> Result<()> {
    file::replace(&dir.join(NAME), &encode(FORMAT))
}

#[cfg(test)]
mod tests {
    use super::{FORMAT, decode, encode};
    use crate::Error;

    #[test]
    fn golden_marker_its_flipped_bytes_and_a_newer_one() {
        let golden = encode(FORMAT);
        assert_eq!(golden, *b"firncatl\x01\0\0\0\x95\x31\xc9\x6a");
        assert_eq!(decode(&golden, "catalog").unwrap(), FORMAT);
        for at in 0..golden.len() {
            let mut bad = golden;
            bad[at] ^= 0x04;
            assert!(matches!(decode(&bad, "catalog"), Err(Error::Corrupt { .. })), "byte {at}");
            decode(&golden[..at], "catalog").unwrap_err();
        }
        assert!(matches!(decode(&encode(2), "catalog"), Err(Error::Newer { found: 2, supported: 1, .. })));
    }
}
