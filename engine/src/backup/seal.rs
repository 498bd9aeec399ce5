//! Sealing: zstd inside age, to one X25519 recipient.
//!
//! A sealed file is an ordinary [age v1](https://age-encryption.org/v1) file whose plaintext is one zstd frame, so that
//! `age -d -i recovery.key FILE | zstd -d` opens it without firn.

use crate::{Error, Result};
use age::secrecy::ExposeSecret;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

/// zstd level of sealed files: row data shrinks three- to fivefold at 1, more effort buys a tenth more.
const LEVEL: i32 = 1;

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
        self.open_own(name, sealed)?.ok_or_else(|| sealed_to_another(name))
    }

    /// The same; `None` where it is sealed to another key.
    pub(super) fn open_own<R: Read + 'static>(
        &self,
        name: &str,
        sealed: R,
    ) -> Result<Option<impl Read + use<R>>> {
        let corrupt = |detail: String| Error::Corrupt { what: format!("backup file {name}"), detail };
        let decryptor = age::Decryptor::new(sealed).map_err(|error| corrupt(error.to_string()))?;
        let identity: &dyn age::Identity = &self.0;
        let plain = match decryptor.decrypt(std::iter::once(identity)) {
            Err(age::DecryptError::NoMatchingKeys) => return Ok(None),
            opened => opened.map_err(|error| corrupt(error.to_string()))?,
        };
        zstd::Decoder::new(plain).map(Some).map_err(|error| corrupt(error.to_string()))
    }
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
        let recipient: &dyn age::Recipient = &self.0;
        let encryptor =
            age::Encryptor::with_recipients(std::iter::once(recipient)).map_err(io::Error::other)?;
        Ok(SealedWriter(zstd::Encoder::new(encryptor.wrap_output(output)?, LEVEL)?))
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

/// Seals what `source` gives into a new file at `to`.
pub(super) fn seal_to(mut source: impl Read, to: &Path, recipient: &Recipient) -> Result<()> {
    let file = fs::File::create(to).map_err(|error| Error::io("create", to, error))?;
    let seal = || -> io::Result<()> {
        let mut writer = recipient.seal(io::BufWriter::new(file))?;
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
    use super::RecoveryKey;
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
