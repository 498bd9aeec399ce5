//! What an archive is packed with, told by its first bytes, and its unpacking in pieces of a bounded size.
//!
//! # Limits
//! - A piece has at most [`PIECE`] bytes, give or take what [`SLICE`] bytes of gzip become.
//! - zstd's window is at most 2^[`WINDOW_LOG_MAX`] bytes: what all levels up to 19 use.
//! - More than [`RATIO_MAX`] times what came, and more than [`FREE`] bytes, is refused: an archive that is a bomb. So are more than
//!   [`STREAMS_FREE`] members of gzip or frames of zstd, and more than one for each [`STREAM_BYTES`]: beginning one costs as much as
//!   unpacking some KiB.

use super::header::{BLOCK, Header};
use bytes::{Bytes, BytesMut};
use flate2::write::GzDecoder;
use std::io::Write;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// Bytes given out at once.
const PIECE: usize = 128 << 10;
/// Bytes of gzip that are unpacked at once; they become at most 1,032 times as many.
const SLICE: usize = 256;
/// zstd's window, in bits: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
/// Unpacked bytes that any archive may have.
const FREE: u64 = 64 << 20;
/// Times as many bytes as came.
const RATIO_MAX: u64 = 250;

/// Members or frames that any archive may have, and bytes for each further one: zeros that `bgzip` packs take more.
const STREAMS_FREE: u64 = 1_000;
const STREAM_BYTES: u64 = 256;

/// Unpacks an archive.
pub(crate) struct Inflate {
    input: Bytes,
    coding: Coding,
    taken: u64,
    given: u64,
    streams: u64,
}

enum Coding {
    /// Too little has come to tell.
    Unknown(BytesMut),
    Plain,
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Zstd {
        decoder: Box<Decoder<'static>>,
        /// A piece long.
        out: Box<[u8]>,
        in_frame: bool,
        flushing: bool,
    },
}

/// First bytes of what is not unpacked here, and its name.
const OTHERS: [(&[u8], &str); 8] = [
    (b"PK\x03\x04", "a ZIP archive"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ\0", "packed with xz"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x04\x22\x4d\x18", "packed with LZ4"),
    (b"\xff\x06\0\0S2sTwO", "packed with S2"),
    (b"\xff\x06\0\0sNaPpY", "packed with Snappy"),
    (b"\x1f\x9d", "packed with compress"),
];

impl Inflate {
    pub(crate) fn new() -> Self {
        let coding = Coding::Unknown(BytesMut::new());
        Self { input: Bytes::new(), coding, taken: 0, given: 0, streams: 0 }
    }

    /// Gives it the next bytes as they came; all of those before must be taken.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        debug_assert!(self.input.is_empty(), "bytes that nobody looked at");
        self.taken += bytes.len() as u64;
        self.input = bytes;
    }

    /// What it is packed with, for people; once the first block is there.
    pub(crate) const fn name(&self) -> &'static str {
        match self.coding {
            Coding::Unknown(_) | Coding::Plain => "tar",
            Coding::Gzip(_) => "tar+gzip",
            Coding::Zstd { .. } => "tar+zstd",
        }
    }

    /// The next unpacked bytes; `None` before more is pushed. The error says what is there.
    pub(crate) fn piece(&mut self) -> Result<Option<Bytes>, String> {
        if let Coding::Unknown(start) = &mut self.coding {
            start.extend_from_slice(&std::mem::take(&mut self.input));
            if start.len() < BLOCK {
                return Ok(None);
            }
            self.tell()?;
        }
        let (streams, taken_in_all) = (&mut self.streams, self.taken);
        let mut another = || {
            *streams += 1;
            let many = *streams > STREAMS_FREE && *streams > taken_in_all / STREAM_BYTES;
            if many {
                Err("it is packed in more streams than its size would need".to_owned())
            } else {
                Ok(())
            }
        };
        let piece = match &mut self.coding {
            Coding::Unknown(_) => return Ok(None),
            Coding::Plain => std::mem::take(&mut self.input),
            Coding::Gzip(decoder) => {
                while !self.input.is_empty() && decoder.get_ref().len() < PIECE {
                    let slice = &self.input[..SLICE.min(self.input.len())];
                    let mut taken = decoder.write(slice).map_err(|error| broken("gzip", &error))?;
                    if taken == 0 {
                        // One member is over, and the next one begins.
                        decoder.try_finish().map_err(|error| broken("gzip", &error))?;
                        another()?;
                        **decoder = GzDecoder::new(std::mem::take(decoder.get_mut()));
                        taken = decoder.write(slice).map_err(|error| broken("gzip", &error))?;
                    }
                    if taken == 0 {
                        return Err("its gzip stream does not go on".to_owned());
                    }
                    drop(self.input.split_to(taken));
                }
                std::mem::take(decoder.get_mut()).into()
            }
            Coding::Zstd { decoder, out, in_frame, flushing } => {
                let mut made = 0;
                while made < PIECE && (*flushing || !self.input.is_empty()) {
                    let (mut input, mut output) =
                        (InBuffer::around(&self.input), OutBuffer::around(&mut out[made..]));
                    let left =
                        decoder.run(&mut input, &mut output).map_err(|error| broken("zstd", &error))?;
                    let (taken, more) = (input.pos(), output.pos());
                    made += more;
                    drop(self.input.split_to(taken));
                    *in_frame = left > 0;
                    // A full piece may not be all that is there.
                    *flushing = made == PIECE && left > 0;
                    if left == 0 {
                        another()?;
                    } else if taken == 0 && more == 0 {
                        break;
                    }
                }
                Bytes::copy_from_slice(&out[..made])
            }
        };
        self.given += piece.len() as u64;
        if self.given > FREE && self.given / RATIO_MAX > self.taken {
            return Err(format!("it unpacks to more than {RATIO_MAX} times its size"));
        }
        let more = !self.input.is_empty() || matches!(self.coding, Coding::Zstd { flushing: true, .. });
        Ok(if piece.is_empty() && !more { None } else { Some(piece) })
    }

    /// Nothing more is pushed: what is left comes by [`piece`](Self::piece) and, last, by [`close`](Self::close).
    pub(crate) fn end(&mut self) -> Result<(), String> {
        self.tell()
    }

    /// The last bytes, if the packing is whole.
    pub(crate) fn close(&mut self) -> Result<Bytes, String> {
        match &mut self.coding {
            Coding::Gzip(decoder) => {
                decoder.try_finish().map_err(|error| broken("gzip", &error))?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Coding::Zstd { in_frame: true, .. } => Err("its zstd stream is cut off".to_owned()),
            Coding::Unknown(_) | Coding::Plain | Coding::Zstd { .. } => Ok(Bytes::new()),
        }
    }

    /// Finds out what it is packed with.
    fn tell(&mut self) -> Result<(), String> {
        let Coding::Unknown(start) = &mut self.coding else { return Ok(()) };
        let start = std::mem::take(start).freeze();
        // A tar's first bytes are a name, which may be anybody's magic.
        let is_tar = start.first_chunk::<BLOCK>().is_some_and(|block| Header::parse(block).is_some());
        self.coding = if is_tar {
            Coding::Plain
        } else if start.starts_with(b"\x1f\x8b") {
            Coding::Gzip(Box::new(GzDecoder::new(Vec::new())))
        } else if is_zstd(&start) {
            let mut decoder = Decoder::new().map_err(|error| broken("zstd", &error))?;
            decoder
                .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
                .map_err(|error| broken("zstd", &error))?;
            let out = vec![0; PIECE].into();
            Coding::Zstd { decoder: Box::new(decoder), out, in_frame: false, flushing: false }
        } else if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Err(format!("it is {name}: tar is taken as it is, or packed with gzip or zstd"));
        } else {
            Coding::Plain
        };
        self.input = start;
        Ok(())
    }
}

/// A frame, or one that is to be skipped, as pzstd begins with.
fn is_zstd(start: &[u8]) -> bool {
    let skippable = start.get(1..4) == Some(b"\x2a\x4d\x18") && start[0] & 0xf0 == 0x50;
    skippable || start.starts_with(b"\x28\xb5\x2f\xfd")
}

fn broken(coding: &str, error: &std::io::Error) -> String {
    format!("its {coding} stream can't be read: {error}")
}
