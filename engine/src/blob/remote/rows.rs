//! What the queues of a remote pool say. See docs/formats/blob-rows.md.

use crate::Result;
use crate::catalog::record::{Record, RecordReader, RecordWriter};
use crate::clock::Timestamp;
use crate::pool::ZoneId;

/// A blob that is to be uploaded. Fields: `queued_ms` (`i64`), `bytes` (`u64`), `again` (`u8`: 0, 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UploadRow {
    /// Since when.
    pub(crate) queued: Timestamp,
    /// Bytes of its object.
    pub(crate) bytes: u64,
    /// The object that it has is damaged.
    pub(crate) again: bool,
}

impl Record for UploadRow {
    const NAME: &'static str = "upload row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.queued.as_millis()).u64(self.bytes).u8(self.again.into());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let (queued, bytes) = (Timestamp::from_millis(fields.i64()?), fields.u64()?);
        match fields.u8()? {
            again @ (0 | 1) => Ok(Self { queued, bytes, again: again == 1 }),
            _ => Err(fields.corrupt("impossible flag")),
        }
    }
}

/// An object that no row names any more. Fields: `zone` (`fixed` 2), `bytes` (`u64`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DoomedRow {
    pub(crate) zone: ZoneId,
    pub(crate) bytes: u64,
}

impl Record for DoomedRow {
    const NAME: &'static str = "doomed row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.zone.to_bytes()).u64(self.bytes);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self { zone: ZoneId::from_bytes(fields.fixed()?), bytes: fields.u64()? })
    }
}

/// An upload in parts that has begun. Fields: `zone` (`fixed` 2), `upload` (`text`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartsRow {
    pub(crate) zone: ZoneId,
    /// The store's name for it.
    pub(crate) upload: String,
}

impl Record for PartsRow {
    const NAME: &'static str = "parts row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.zone.to_bytes()).text(&self.upload);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self { zone: ZoneId::from_bytes(fields.fixed()?), upload: fields.text()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::{DoomedRow, PartsRow, UploadRow};
    use crate::catalog::record::Record;
    use crate::clock::Timestamp;
    use crate::pool::ZoneId;

    fn golden<R: Record + PartialEq + std::fmt::Debug>(row: &R, bytes: &[u8]) {
        assert_eq!(*row.to_bytes(), *bytes);
        assert_eq!(R::from_bytes(bytes).unwrap(), *row);
        R::from_bytes(&bytes[..bytes.len() - 1]).unwrap_err();
        R::from_bytes(&[bytes, b"x"].concat()).unwrap_err();
        R::from_bytes(&[b"\x02", &bytes[1..]].concat()).unwrap_err();
    }

    #[test]
    fn golden_rows_of_the_queues() {
        let queued = Timestamp::from_millis(0x0102_0304);
        golden(
            &UploadRow { queued, bytes: 5, again: true },
            b"\x01\x04\x03\x02\x01\0\0\0\0\x05\0\0\0\0\0\0\0\x01",
        );
        UploadRow::from_bytes(b"\x01\x04\x03\x02\x01\0\0\0\0\x05\0\0\0\0\0\0\0\x02").unwrap_err();
        let zone = ZoneId::from_bytes([1, 2]);
        golden(&DoomedRow { zone, bytes: 5 }, b"\x01\x01\x02\x05\0\0\0\0\0\0\0");
        golden(&PartsRow { zone, upload: "id".to_owned() }, b"\x01\x01\x02\x02id");
    }
}
