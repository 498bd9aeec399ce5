//! Order-preserving keys: a table's key as components over the catalog's bytes.
//!
//! | component | encoding | order |
//! |---|---|---|
//! | `u8`, `u32`, `u64` | big-endian | numeric |
//! | `u64_desc` | big-endian of the complement | newest first |
//! | `fixed` | the bytes themselves, of a length that the table fixes | bytewise |
//! | `bytes` | each 0x00 becomes 0x00 0xFF, then 0x00 0x01 ends it | bytewise, a prefix before what it starts |
//! | `tail` | the bytes themselves, last component only | bytewise |
//!
//! Keys of the same components compare as their tuples do (test `keys_sort_as_their_tuples_do`).

use crate::{Error, Result};
use bytes::Bytes;

/// Builds a key, component by component.
#[derive(Clone, Debug, Default)]
pub struct KeyWriter(Vec<u8>);

impl KeyWriter {
    /// An empty key.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One byte.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// A number, in ascending order.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.fixed(&value.to_be_bytes())
    }

    /// A number, in ascending order.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.fixed(&value.to_be_bytes())
    }

    /// A number, in descending order.
    #[must_use]
    pub fn u64_desc(self, value: u64) -> Self {
        self.u64(!value)
    }

    /// Bytes whose length the table fixes, as those of an id.
    #[must_use]
    pub fn fixed(mut self, value: &[u8]) -> Self {
        self.0.extend_from_slice(value);
        self
    }

    /// Bytes of any length, ended so that what follows does not run into them.
    #[must_use]
    pub fn bytes(self, value: &[u8]) -> Self {
        self.bytes_prefix(value).fixed(&[0x00, 0x01])
    }

    /// The beginning of a [`bytes`](Self::bytes) component, for a scan over all that start with `value`.
    #[must_use]
    pub fn bytes_prefix(mut self, value: &[u8]) -> Self {
        for &byte in value {
            self.0.push(byte);
            if byte == 0x00 {
                self.0.push(0xFF);
            }
        }
        self
    }

    /// The last component as it is.
    #[must_use]
    pub fn tail(self, value: &[u8]) -> Self {
        self.fixed(value)
    }

    /// The key.
    pub fn finish(self) -> Bytes {
        self.0.into()
    }
}

/// Reads a key, component by component. What does not fit is corrupt: keys are written by this code only.
#[derive(Clone, Copy, Debug)]
pub struct KeyReader<'a> {
    rest: &'a [u8],
}

impl<'a> KeyReader<'a> {
    /// From the start of `key`.
    pub const fn new(key: &'a [u8]) -> Self {
        Self { rest: key }
    }

    fn corrupt(&self) -> Error {
        Error::Corrupt { what: "row key".into(), detail: format!("{} bytes that don't fit", self.rest.len()) }
    }

    /// Bytes of a fixed length.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk().ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        self.fixed::<1>().map(|[byte]| byte)
    }

    /// A number.
    pub fn u32(&mut self) -> Result<u32> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// A number.
    pub fn u64(&mut self) -> Result<u64> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// A number written in descending order.
    pub fn u64_desc(&mut self) -> Result<u64> {
        self.u64().map(|value| !value)
    }

    /// Bytes of any length.
    pub fn bytes(&mut self) -> Result<Vec<u8>> {
        let mut value = Vec::with_capacity(self.rest.len());
        loop {
            match *self.rest {
                [0x00, 0x01, ..] => {
                    self.rest = &self.rest[2..];
                    return Ok(value);
                }
                [0x00, 0xFF, ..] => {
                    value.push(0x00);
                    self.rest = &self.rest[2..];
                }
                [0x00, ..] | [] => return Err(self.corrupt()),
                [byte, ..] => {
                    value.push(byte);
                    self.rest = &self.rest[1..];
                }
            }
        }
    }

    /// All that is left.
    pub fn tail(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.corrupt()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyReader, KeyWriter};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn write(key: &(Vec<u8>, u64, u32, Vec<u8>)) -> Vec<u8> {
        KeyWriter::new().bytes(&key.0).u64(key.1).u32(key.2).tail(&key.3).finish().to_vec()
    }

    #[test]
    fn golden_key() {
        let key = KeyWriter::new()
            .u8(7)
            .u32(0x0102_0304)
            .u64(5)
            .u64_desc(1)
            .fixed(b"id")
            .bytes(b"a\0b")
            .tail(b"z\0")
            .finish();
        assert_eq!(
            &key[..],
            b"\x07\x01\x02\x03\x04\0\0\0\0\0\0\0\x05\xff\xff\xff\xff\xff\xff\xff\xfeida\0\xffb\0\x01z\0"
        );
        let mut reader = KeyReader::new(&key);
        assert_eq!(reader.u8().unwrap(), 7);
        assert_eq!(reader.u32().unwrap(), 0x0102_0304);
        assert_eq!(reader.u64().unwrap(), 5);
        assert_eq!(reader.u64_desc().unwrap(), 1);
        assert_eq!(&reader.fixed::<2>().unwrap(), b"id");
        assert_eq!(reader.bytes().unwrap(), b"a\0b");
        assert_eq!(reader.tail(), b"z\0");
        reader.end().unwrap();
    }

    #[test]
    fn what_does_not_fit_is_corrupt() {
        for bad in [&b"abc"[..], b"a\0", b"a\0\x02", b""] {
            KeyReader::new(bad).bytes().unwrap_err();
        }
        KeyReader::new(b"1234567").u64().unwrap_err();
        KeyReader::new(b"x").end().unwrap_err();
    }

    proptest! {
        #[test]
        fn keys_sort_as_their_tuples_do(
            a in any::<(Vec<u8>, u64, u32, Vec<u8>)>(), b in any::<(Vec<u8>, u64, u32, Vec<u8>)>(),
            zeros in 0..4usize,
        ) {
            let mut a = a;
            a.0.extend(vec![0; zeros]);
            prop_assert_eq!(write(&a).cmp(&write(&b)), a.cmp(&b));
            let mut longer = a.clone();
            longer.0.push(0);
            prop_assert_eq!(write(&a).cmp(&write(&longer)), a.cmp(&longer));
            let written = write(&a);
            let mut reader = KeyReader::new(&written);
            prop_assert_eq!(reader.bytes().unwrap(), a.0);
            prop_assert_eq!(reader.u64().unwrap(), a.1);
            prop_assert_eq!(reader.u32().unwrap(), a.2);
            prop_assert_eq!(reader.tail(), a.3);
        }
    }
}
