//! Sealing: zstd inside age, to one X25519 recipient.
//!
//! A sealed file is an ordinary [age v1](https://age-encryption.org/v1) file whose plaintext is one zstd frame, so that
//! `age -d -i recovery.key FILE | zstd -d` opens it without firn.
//!
//! In front of the zstd frame stands a skippable one with the file's name at the target, which decoders pass over: whoever copies a file
//! to another name at the target, with no key, is found out. Files from before names have none.
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | magic | 0x184D2A5F, little-endian: a skippable frame |
//! | 4 | 4 | length | of what follows, little-endian |
//! | 8 | 10 | kind | `firn name ` |
//! | 18 | … | name | UTF-8 |

use crate::{Error, Result};
use age::secrecy::ExposeSecret;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

/// zstd level of sealed files: row data shrinks three- to fivefold at 1, more effort buys a tenth more.
const LEVEL: i32 = 1;
const SKIPPABLE: u32 = 0x184D_2A5F;
const KIND: &[u8] = b"firn name ";
/// Longer ones are none of ours.
const NAMED_MAX: u32 = 1024;

/// The secret half of the recovery key. It is shown once, kept by people, and never stored by firn.
pub struct RecoveryKey(age::x25519::Identity);

/// The public half: what a running appliance seals to.
#[derive(Clone)]
pub struct Recipient(age::x25519::Recipient);

impl RecoveryKey {
    /// A new key, from the operating system's randomness (age takes no other).
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// The text to show once: `AGE-SECRET-KEY-1…`, 74 characters.
    pub fn reveal(&self) -> String {
        self.0.to_string().expose_secret().to_owned()
    }

    /// The public half.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// Opens a sealed stream. The reader fails on the first byte that is not what was sealed, and at the end unless the
    /// whole of it was there.
    pub fn open<R: Read + 'static>(&self, name: &str, sealed: R) -> Result<impl Read + use<R>> {
        Ok(self.open_own(name, sealed)?.ok_or_else(|| sealed_to_another(name))?.plain)
    }

    /// The same; `None` where it is sealed to another key.
    pub(super) fn open_own<R: Read + 'static>(
        &self,
        name: &str,
        sealed: R,
    ) -> Result<Option<Opened<impl Read + use<R>>>> {
        let corrupt = |detail: String| Error::Corrupt { what: format!("backup file {name}"), detail };
        let decryptor = age::Decryptor::new(sealed).map_err(|error| corrupt(error.to_string()))?;
        let identity: &dyn age::Identity = &self.0;
        let mut plain = match decryptor.decrypt(std::iter::once(identity)) {
            Err(age::DecryptError::NoMatchingKeys) => return Ok(None),
            opened => opened.map_err(|error| corrupt(error.to_string()))?,
        };
        let (head, named) = read_name(&mut plain).map_err(|error| corrupt(error.to_string()))?;
        let decoder = zstd::Decoder::new(io::Cursor::new(head).chain(plain));
        decoder.map(|plain| Some(Opened { plain, named })).map_err(|error| corrupt(error.to_string()))
    }
}

/// A sealed file that a key opens.
pub(super) struct Opened<R> {
    pub(super) plain: R,
    /// The name that it was sealed for; `None` in files from before names.
    pub(super) named: Option<String>,
}

/// A skippable frame with a file's name.
fn name_frame(name: &str) -> Vec<u8> {
    let len = u32::try_from(KIND.len() + name.len()).unwrap_or(u32::MAX);
    [&SKIPPABLE.to_le_bytes(), &len.to_le_bytes(), KIND, name.as_bytes()].concat()
}

/// The name in front, if there is one, and all that was read to know.
fn read_name(plain: &mut impl Read) -> io::Result<(Vec<u8>, Option<String>)> {
    let mut head = Vec::new();
    plain.by_ref().take(8).read_to_end(&mut head)?;
    let number = |at: usize| head.get(at..).and_then(<[u8]>::first_chunk).copied().map(u32::from_le_bytes);
    let (Some(SKIPPABLE), Some(len @ ..=NAMED_MAX)) = (number(0), number(4)) else { return Ok((head, None)) };
    plain.by_ref().take(len.into()).read_to_end(&mut head)?;
    let name = head.get(8..).and_then(|text| text.strip_prefix(KIND)).map(<[u8]>::to_vec);
    Ok((head, name.and_then(|name| String::from_utf8(name).ok())))
}

pub(super) fn sealed_to_another(name: &str) -> Error {
    Error::Invalid(format!("open backup file {name}: it is sealed to another recovery key"))
}

impl FromStr for RecoveryKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.trim().parse().map(Self).map_err(|_| {
            Error::Invalid("parse the recovery key: it has the form AGE-SECRET-KEY-1…".to_owned())
        })
    }
}

impl std::fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryKey(secret)")
    }
}

impl Recipient {
    /// Tells keys apart in names at the target: the first 16 hex digits of the BLAKE3 of its text.
    pub(super) fn tag(&self) -> String {
        let hash = blake3::hash(self.to_string().as_bytes());
        hex::encode(&hash.as_bytes()[..8])
    }

    /// A writer that seals what is written to it into `output`; `finish` completes it.
    pub fn seal<W: Write>(&self, output: W) -> io::Result<SealedWriter<W>> {
        self.seal_behind(&[], output)
    }

    fn seal_behind<W: Write>(&self, head: &[u8], output: W) -> io::Result<SealedWriter<W>> {
        let recipient: &dyn age::Recipient = &self.0;
        let encryptor =
            age::Encryptor::with_recipients(std::iter::once(recipient)).map_err(io::Error::other)?;
        let mut plain = encryptor.wrap_output(output)?;
        plain.write_all(head)?;
        Ok(SealedWriter(zstd::Encoder::new(plain, LEVEL)?))
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipient({})", self.0)
    }
}

impl FromStr for Recipient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse()
            .map(Self)
            .map_err(|reason: &str| Error::Invalid(format!("parse the backup recipient: {reason}")))
    }
}

/// Seals what `source` gives, under a name at the target, into a new file at `to`.
pub(super) fn seal_to(mut source: impl Read, (name, to): (&str, &Path), recipient: &Recipient) -> Result<()> {
    let file = fs::File::create(to).map_err(|error| Error::io("create", to, error))?;
    let seal = || -> io::Result<()> {
        let mut writer = recipient.seal_behind(&name_frame(name), io::BufWriter::new(file))?;
        io::copy(&mut source, &mut writer)?;
        writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(())
    };
    seal().map_err(|error| Error::io("seal into", to, error))
}

/// Seals what is written to it.
pub struct SealedWriter<W: Write>(zstd::Encoder<'static, age::stream::StreamWriter<W>>);

impl<W: Write> SealedWriter<W> {
    /// Writes what is still buffered and the end marks; without it the file can't be opened.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()?.finish()
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::{RecoveryKey, name_frame, read_name};
    use std::io::{Cursor, Read, Write};

    fn sealed(key: &RecoveryKey, plain: &[u8]) -> Vec<u8> {
        let mut writer = key.recipient().seal(Vec::new()).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn opened(key: &RecoveryKey, sealed: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut plain = Vec::new();
        key.open("test", Cursor::new(sealed))
            .map_err(|error| error.to_string())?
            .read_to_end(&mut plain)
            .map_err(|error| error.to_string())?;
        Ok(plain)
    }

    #[test]
    fn golden_name_in_front_which_decoders_pass_over() {
        let frame = name_frame("lives/a");
        assert_eq!(frame, b"\x5f\x2a\x4d\x18\x11\0\0\0firn name lives/a");
        let key = RecoveryKey::generate();
        let mut writer = key.recipient().seal_behind(&frame, Vec::new()).unwrap();
        writer.write_all(b"rows").unwrap();
        let file = writer.finish().unwrap();
        assert_eq!(opened(&key, file.clone()).unwrap(), b"rows");
        assert_eq!(key.open_own("x", Cursor::new(file)).unwrap().unwrap().named.unwrap(), "lives/a");
        assert_eq!(key.open_own("x", Cursor::new(sealed(&key, b"rows"))).unwrap().unwrap().named, None);
        // As those find it who know of no names.
        let whole = [&frame[..], &zstd::encode_all(&b"rows"[..], 1).unwrap()].concat();
        assert_eq!(zstd::decode_all(&whole[..]).unwrap(), b"rows");
        for cut in 0..frame.len() {
            assert_eq!(read_name(&mut &frame[..cut]).unwrap().0, frame[..cut], "{cut}");
        }
    }

    #[test]
    fn opens_with_its_key_alone() {
        let key: RecoveryKey = RecoveryKey::generate().reveal().parse().unwrap();
        let file = sealed(&key, b"rows");
        assert_eq!(opened(&key, file.clone()).unwrap(), b"rows");
        assert!(opened(&RecoveryKey::generate(), file).unwrap_err().contains("another recovery key"));
        assert!(!format!("{key:?}").contains("AGE-SECRET"));
    }

    #[test]
    fn refuses_every_flipped_byte_and_every_truncation() {
        let key = RecoveryKey::generate();
        let file = sealed(&key, &[7; 100]);
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1;
            assert_ne!(opened(&key, flipped).ok(), Some(vec![7; 100]), "byte {at}");
            opened(&key, file[..at].to_vec()).unwrap_err();
        }
    }
}
