//! A frame's bytes, smaller where that is worth it.
//!
//! ```text
//!   a sample of 64 KiB ──► zstd as it is, as planes of two and of four bytes ──► the best, if it gains enough; else raw
//! ```
//! Weights of a model hardly compress byte after byte: signs and exponents are alike, but lie between mantissas, which are noise. As
//! planes the alike bytes are neighbours. Whether that gains is tried, not guessed from names or types: on a sample of the first
//! frame of an archive, and now and then again. What a sample says is incompressible is not tried in full.

use super::{Codec, FRAME_BYTES};
use engine::codec::chunk::{CHUNK_BYTES, TAG_BYTES};
use engine::{Error, Result};
use std::io;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

/// Bytes of a frame in the pack, at the most.
pub(super) const LENGTH_MAX: usize = FRAME_BYTES + FRAME_BYTES.div_ceil(CHUNK_BYTES) * TAG_BYTES;

/// What is sealed of a frame is filled up with zeros to a multiple of this: so how long an archive was is not told by where its last
/// frame ends, to the byte.
pub(super) const PADDED_TO: usize = 256;

/// How hard zstd tries, by default: docs/benchmarks.md has what each level costs and gains.
pub(super) const LEVEL: i32 = 3;

/// Bytes that are tried.
const SAMPLE_BYTES: usize = 64 << 10;
/// Frames of one archive from one trial to the next.
const FRAMES_A_TRIAL: u32 = 16;
/// What is compressed to no less than this part of it, in 64ths, is kept as it is.
const WORTH_IT: usize = 62;
/// Planes are tried where a sample does not get below this part of it as it is, and taken where they save another 32nd.
const PLANES_FROM: usize = 28;

/// What the last trial of an archive's content said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habit {
    codec: Codec,
    frames: u32,
    /// The frame holds things of several kinds: a sample that does not compress says nothing about the others.
    mixed: bool,
}

impl Habit {
    /// Of one archive's frames.
    pub(super) const fn of_one() -> Self {
        Self { codec: Codec::Zstd, frames: 0, mixed: false }
    }

    /// Of one frame that several archives share.
    pub(super) const fn of_many() -> Self {
        Self { mixed: true, ..Self::of_one() }
    }
}

/// Compresses frames; one for each open pack.
pub(super) struct Squeeze {
    compressor: Compressor<'static>,
    out: Vec<u8>,
    planes: Vec<u8>,
}

impl std::fmt::Debug for Squeeze {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("squeeze")
    }
}

impl Squeeze {
    pub(super) fn new(level: i32) -> Result<Self> {
        let compressor = Compressor::new(level).map_err(|error| refused(&error))?;
        Ok(Self { compressor, out: Vec::new(), planes: Vec::new() })
    }

    /// What is to be sealed for `plain`, and how it was made: [`PADDED_TO`] that.
    pub(super) fn squeeze<'a>(&'a mut self, plain: &'a [u8], habit: &mut Habit) -> Result<(Codec, &'a [u8])> {
        if habit.frames.is_multiple_of(FRAMES_A_TRIAL) {
            habit.codec = match self.trial(plain)? {
                Codec::Raw if habit.mixed => Codec::Zstd,
                found => found,
            };
        }
        habit.frames = habit.frames.wrapping_add(1);
        if habit.codec == Codec::Raw {
            return Ok((Codec::Raw, self.padded(plain)));
        }
        self.compress(habit.codec, plain)?;
        if self.out.len() * 64 >= plain.len() * WORTH_IT {
            return Ok((Codec::Raw, self.padded(plain)));
        }
        self.out.resize(self.out.len().next_multiple_of(PADDED_TO), 0);
        Ok((habit.codec, &self.out))
    }

    /// Filled up; what needs nothing is not copied.
    pub(super) fn padded<'a>(&'a mut self, plain: &'a [u8]) -> &'a [u8] {
        if plain.len().is_multiple_of(PADDED_TO) {
            return plain;
        }
        self.out.clear();
        self.out.extend_from_slice(plain);
        self.out.resize(plain.len().next_multiple_of(PADDED_TO), 0);
        &self.out
    }

    fn trial(&mut self, plain: &[u8]) -> Result<Codec> {
        if plain.len() < SAMPLE_BYTES {
            return Ok(Codec::Zstd);
        }
        // From the middle: a file's head is like no other part of it. At a whole word.
        let start = (plain.len() - SAMPLE_BYTES) / 8 * 4;
        let sample = &plain[start..start + SAMPLE_BYTES];
        let mut best = (Codec::Zstd, self.compress(Codec::Zstd, sample)?);
        if best.1 * 64 >= SAMPLE_BYTES * PLANES_FROM {
            for codec in [Codec::ZstdPlanes2, Codec::ZstdPlanes4] {
                let length = self.compress_planes(codec, sample)?;
                if length + SAMPLE_BYTES / 32 <= best.1 {
                    best = (codec, length);
                }
            }
        }
        Ok(if best.1 * 64 >= SAMPLE_BYTES * WORTH_IT { Codec::Raw } else { best.0 })
    }

    /// How long the planes become. Each by itself, as it is in a whole frame: zstd has one table of symbols for up to 128 KiB, and in a
    /// sample all planes would share it.
    fn compress_planes(&mut self, codec: Codec, sample: &[u8]) -> Result<usize> {
        let mut planes = std::mem::take(&mut self.planes);
        apart(sample, width(codec), &mut planes);
        let lengths =
            planes.chunks(sample.len() / width(codec)).map(|plane| self.compress(Codec::Zstd, plane));
        let length = lengths.sum();
        self.planes = planes;
        length
    }

    /// Compresses into `self.out`, and says how long it became.
    fn compress(&mut self, codec: Codec, plain: &[u8]) -> Result<usize> {
        let source = match width(codec) {
            1 => plain,
            width => {
                apart(plain, width, &mut self.planes);
                &self.planes
            }
        };
        self.out.clear();
        self.out.reserve(zstd::zstd_safe::compress_bound(source.len()));
        self.compressor.compress_to_buffer(source, &mut self.out).map_err(|error| refused(&error))
    }
}

/// Brings frames back; one for each reader at work.
pub(super) struct Unsqueeze {
    decompressor: Decompressor<'static>,
    planes: Vec<u8>,
}

impl Unsqueeze {
    pub(super) fn new() -> Result<Self> {
        let decompressor = Decompressor::new().map_err(|error| refused(&error))?;
        Ok(Self { decompressor, planes: Vec::new() })
    }

    /// What a frame holds, in `out`, or what is wrong. What was kept as it is comes with what it was filled up with.
    pub(super) fn restore(
        &mut self,
        codec: Codec,
        squeezed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        const WRONG: &str = "what it holds is not what its index says";
        let width = width(codec);
        let target = if width == 1 { &mut *out } else { &mut self.planes };
        target.clear();
        if codec == Codec::Raw {
            if squeezed.len() > FRAME_BYTES {
                return Err(WRONG);
            }
            target.extend_from_slice(squeezed);
        } else {
            // A frame says itself where it ends, and how much it holds: a bomb has no more room than any frame.
            let end = find_frame_compressed_size(squeezed).map_err(|_| WRONG)?;
            let (frame, padding) = squeezed.split_at_checked(end).ok_or(WRONG)?;
            let plain = get_frame_content_size(frame).ok().flatten();
            let plain = plain.and_then(|plain| usize::try_from(plain).ok()).ok_or(WRONG)?;
            if plain > FRAME_BYTES || padding.len() >= PADDED_TO || padding.iter().any(|byte| *byte != 0) {
                return Err(WRONG);
            }
            target.resize(plain, 0);
            let length = self.decompressor.decompress_to_buffer(frame, target.as_mut_slice());
            if length.ok() != Some(plain) {
                return Err(WRONG);
            }
        }
        if width > 1 {
            together(&self.planes, width, out);
        }
        Ok(())
    }
}

const fn width(codec: Codec) -> usize {
    match codec {
        Codec::Raw | Codec::Zstd => 1,
        Codec::ZstdPlanes2 => 2,
        Codec::ZstdPlanes4 => 4,
    }
}

/// The first bytes of all words, then the second ones, and so on; what is left over at the end stays there.
fn apart(plain: &[u8], width: usize, out: &mut Vec<u8>) {
    match width {
        2 => split_apart::<2>(plain, out),
        _ => split_apart::<4>(plain, out),
    }
}

fn split_apart<const N: usize>(plain: &[u8], out: &mut Vec<u8>) {
    let (words, rest) = plain.as_chunks::<N>();
    out.clear();
    out.resize(plain.len(), 0);
    if !words.is_empty() {
        for (plane, bytes) in out.chunks_exact_mut(words.len()).take(N).enumerate() {
            for (byte, word) in bytes.iter_mut().zip(words) {
                *byte = word[plane];
            }
        }
    }
    out[words.len() * N..].copy_from_slice(rest);
}

fn together(planes: &[u8], width: usize, out: &mut Vec<u8>) {
    match width {
        2 => put_together::<2>(planes, out),
        _ => put_together::<4>(planes, out),
    }
}

fn put_together<const N: usize>(planes: &[u8], out: &mut Vec<u8>) {
    let count = planes.len() / N;
    out.clear();
    out.resize(planes.len(), 0);
    let (words, rest) = out.as_chunks_mut::<N>();
    if count > 0 {
        for (plane, bytes) in planes.chunks_exact(count).take(N).enumerate() {
            for (word, byte) in words.iter_mut().zip(bytes) {
                word[plane] = *byte;
            }
        }
    }
    rest.copy_from_slice(&planes[count * N..]);
}

fn refused(error: &io::Error) -> Error {
    Error::Invalid(format!("compress a frame: {error}"))
}
