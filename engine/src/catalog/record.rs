//! Versioned records: what a row's value holds.
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | of this record's form; a newer one is refused |
//! | 1 | … | fields | in the order that the record's own documentation gives |
//!
//! | field | encoding |
//! |---|---|
//! | `u8`, `u32`, `u64`, `i64` | little-endian |
//! | `count` | LEB128, at most 5 bytes |
//! | `bytes`, `text` | `count`, then the bytes (UTF-8 in `text`) |
//! | `fixed` | the bytes themselves |
//!
//! Values carry no checksum of their own: the catalog below verifies its blocks and its log.

use crate::{Error, Result};
use bytes::Bytes;

/// A value with a version. A changed form gets the next version; decoding keeps reading the older ones.
pub trait Record: Sized {
    /// What it is, for error text.
    const NAME: &'static str;
    /// The newest version; the first is 1.
    const VERSION: u8;
    /// Writes the fields as [`version`](Self::version) has them.
    fn encode(&self, out: &mut RecordWriter);
    /// Reads the fields as `version` (never 0, never above [`VERSION`](Self::VERSION)) wrote them.
    fn decode(version: u8, fields: &mut RecordReader<'_>) -> Result<Self>;

    /// The version that this value is written as: an older one where that says all of it, so that what did not change stays
    /// readable by what wrote it.
    fn version(&self) -> u8 {
        Self::VERSION
    }

    /// Version and fields.
    fn to_bytes(&self) -> Bytes {
        let mut out = RecordWriter(vec![self.version()]);
        self.encode(&mut out);
        out.0.into()
    }

    /// From version and fields, all of them.
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut fields = RecordReader { rest: bytes, what: Self::NAME };
        let version = fields.u8()?;
        if version > Self::VERSION {
            return Err(Error::Newer {
                what: Self::NAME.into(),
                found: version.into(),
                supported: Self::VERSION.into(),
            });
        }
        if version == 0 {
            return Err(fields.corrupt("version 0"));
        }
        let record = Self::decode(version, &mut fields)?;
        fields.end()?;
        Ok(record)
    }
}

/// Writes fields.
#[derive(Debug, Default)]
pub struct RecordWriter(Vec<u8>);

impl RecordWriter {
    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// A number.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.fixed(&value.to_le_bytes())
    }

    /// A number.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.fixed(&value.to_le_bytes())
    }

    /// A number.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.fixed(&value.to_le_bytes())
    }

    /// Bytes whose length the record fixes.
    pub fn fixed(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(value);
        self
    }

    /// A length or count.
    ///
    /// # Panics
    /// Above `u32::MAX`, which no record within the catalog's limits can hold.
    pub fn count(&mut self, value: usize) -> &mut Self {
        assert!(u32::try_from(value).is_ok(), "a length of {value} in a record");
        let mut rest = value;
        while rest >= 0x80 {
            self.0.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.u8(rest.to_le_bytes()[0])
    }

    /// Bytes with their length.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len()).fixed(value)
    }

    /// Text with its length.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }
}

/// Reads fields; what is missing or left over is corrupt.
#[derive(Debug)]
pub struct RecordReader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> RecordReader<'a> {
    /// An error about this record.
    pub fn corrupt(&self, detail: impl Into<String>) -> Error {
        Error::Corrupt { what: self.what.into(), detail: detail.into() }
    }

    /// Bytes of a fixed length.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk().ok_or_else(|| self.corrupt("ends too early"))?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        self.fixed::<1>().map(|[byte]| byte)
    }

    /// A number.
    pub fn u32(&mut self) -> Result<u32> {
        self.fixed().map(u32::from_le_bytes)
    }

    /// A number.
    pub fn u64(&mut self) -> Result<u64> {
        self.fixed().map(u64::from_le_bytes)
    }

    /// A number.
    pub fn i64(&mut self) -> Result<i64> {
        self.fixed().map(i64::from_le_bytes)
    }

    /// A length or count.
    pub fn count(&mut self) -> Result<usize> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                let short = shift == 0 || byte != 0;
                let fits = u32::try_from(value).ok().filter(|_| short);
                return fits.map(|value| value as usize).ok_or_else(|| self.corrupt("a length out of form"));
            }
        }
        Err(self.corrupt("a length out of form"))
    }

    /// Bytes with their length.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.count()?;
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.corrupt("ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    /// Text with its length.
    pub fn text(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt("text that is not UTF-8"))
    }

    fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.corrupt("bytes left over")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Record, RecordReader, RecordWriter};
    use crate::{Error, Result};

    #[derive(Debug, PartialEq)]
    struct Sample {
        number: u64,
        name: String,
        raw: Vec<u8>,
    }

    impl Record for Sample {
        const NAME: &'static str = "sample";
        const VERSION: u8 = 2;
        fn encode(&self, out: &mut RecordWriter) {
            out.u64(self.number).text(&self.name).bytes(&self.raw);
        }
        fn decode(version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
            let number = if version == 1 { fields.u32()?.into() } else { fields.u64()? };
            Ok(Self { number, name: fields.text()?.into(), raw: fields.bytes()?.into() })
        }
    }

    #[test]
    fn golden_bytes_of_both_versions_decode() {
        let sample = Sample { number: 0x0102, name: "é".into(), raw: vec![9; 200] };
        let bytes = sample.to_bytes();
        assert_eq!(&bytes[..14], b"\x02\x02\x01\0\0\0\0\0\0\x02\xc3\xa9\xc8\x01");
        assert_eq!(Sample::from_bytes(&bytes).unwrap(), sample);
        let old = b"\x01\x05\0\0\0\x01a\0";
        assert_eq!(Sample::from_bytes(old).unwrap(), Sample { number: 5, name: "a".into(), raw: Vec::new() });
    }

    #[test]
    fn refuses_newer_truncated_and_trailing() {
        let bytes = Sample { number: 1, name: "ab".into(), raw: vec![1] }.to_bytes();
        for cut in 0..bytes.len() {
            assert!(matches!(Sample::from_bytes(&bytes[..cut]), Err(Error::Corrupt { .. })), "{cut}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(matches!(Sample::from_bytes(&longer), Err(Error::Corrupt { .. })));
        longer[0] = 3;
        assert!(matches!(Sample::from_bytes(&longer), Err(Error::Newer { found: 3, supported: 2, .. })));
        longer[0] = 0;
        assert!(matches!(Sample::from_bytes(&longer), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn lengths_have_one_form() {
        for value in [0, 1, 127, 128, 300, 1 << 20, u32::MAX as usize] {
            let mut out = RecordWriter::default();
            out.count(value);
            assert_eq!(RecordReader { rest: &out.0, what: "count" }.count().unwrap(), value);
        }
        for bad in [&[0x80, 0x00][..], &[0xFF; 5], &[0x80], &[0xFF, 0xFF, 0xFF, 0xFF, 0x10]] {
            RecordReader { rest: bad, what: "count" }.count().unwrap_err();
        }
    }
}
