//! The code itself: Leopard's Reed-Solomon over GF(2^16) at its high rate, with 52 parity cells a stripe, of which a shallow
//! stripe keeps the first few.
//!
//! ```text
//!   stripe   [ 64 cells ][ 64 cells ] … [ 64 cells ]        zeros beyond the last
//!                 │ IFFT      │ IFFT         │ IFFT
//!                 └───── XOR ─┴──── XOR ─────┘ ──── FFT ───► parity
//! ```
//! The sum is all that must be kept of what went by, which is why parity can be made of a stream: one sum a stripe.

use super::{BAND_DEPTH, CELL_BYTES, Geometry, PARITY_DEPTH_MAX};
use reed_solomon_simd::engine::{DefaultEngine, Engine as _, ShardsRefMut};
use reed_solomon_simd::rate::{HighRateDecoder, HighRateEncoder, RateDecoder as _, RateEncoder as _};

/// What the code takes a cell apart into.
type Lane = [u8; 64];

const BAND: usize = BAND_DEPTH as usize;
const LANES: usize = CELL_BYTES / size_of::<Lane>();
/// Lanes that one stripe has in a band.
const SUM: usize = BAND * LANES;

/// Makes the parity of a stream of cells.
pub struct Encoder {
    engine: DefaultEngine,
    work: Vec<Lane>,
    /// One sum a stripe; nothing before the first band.
    sums: Vec<Lane>,
    stripes: usize,
    bands: usize,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "encoder of {} stripes after {} bands", self.stripes, self.bands)
    }
}

impl Encoder {
    /// For that many stripes, which must be those of the geometry that it ends with.
    pub fn new(stripes: u32) -> Self {
        Self {
            engine: DefaultEngine::new(),
            work: Vec::new(),
            sums: Vec::new(),
            stripes: stripes as usize,
            bands: 0,
        }
    }

    /// Bytes of a band: 64 cells of each stripe.
    pub const fn band_bytes(&self) -> usize {
        self.stripes * BAND * CELL_BYTES
    }

    /// Takes the next band. All but the last one are full; the last one ends with a whole cell.
    pub fn add(&mut self, cells: &[u8]) {
        debug_assert!(cells.len() <= self.band_bytes() && cells.len().is_multiple_of(CELL_BYTES));
        if self.sums.is_empty() {
            self.sums = vec![[0; 64]; self.stripes * SUM];
            self.work = vec![[0; 64]; SUM];
        }
        let (lanes, _) = cells.as_chunks::<64>();
        let skew = (self.bands + 1) * BAND;
        for (stripe, sum) in self.sums.chunks_exact_mut(SUM).enumerate() {
            for (place, cell) in self.work.chunks_exact_mut(LANES).enumerate() {
                let from = (place * self.stripes + stripe) * LANES;
                match lanes.get(from..from + LANES) {
                    Some(found) => cell.copy_from_slice(found),
                    None => cell.fill([0; 64]),
                }
            }
            self.engine.ifft(&mut ShardsRefMut::new(BAND, LANES, &mut self.work), 0, BAND, BAND, skew);
            for (sum, new) in sum.as_flattened_mut().iter_mut().zip(self.work.as_flattened()) {
                *sum ^= new;
            }
        }
        self.bands += 1;
    }

    /// Hands the parity cells out in their order.
    pub fn finish<E>(
        mut self,
        geometry: Geometry,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert_eq!(self.stripes, geometry.stripes() as usize);
        let depth = geometry.parity_depth() as usize;
        for sum in self.sums.chunks_exact_mut(SUM) {
            self.engine.fft(&mut ShardsRefMut::new(BAND, LANES, sum), 0, BAND, depth, 0);
        }
        for place in 0..depth {
            for sum in self.sums.chunks_exact(SUM) {
                each(sum[place * LANES..][..LANES].as_flattened())?;
            }
        }
        Ok(())
    }
}

/// One stripe whose lost cells are wanted: give it what is left of it, then ask.
pub struct Stripe {
    decoder: HighRateDecoder<DefaultEngine>,
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stripe")
    }
}

impl Stripe {
    /// A stripe of a pack.
    pub fn of(geometry: Geometry, stripe: u32) -> Option<Self> {
        Self::new(geometry.depth_of(stripe), PARITY_DEPTH_MAX, CELL_BYTES)
    }

    /// A stripe of `depth` cells of data in a code of so many parity cells, of `cell_bytes` each (a multiple of 64). `None`
    /// where the code has no such stripe.
    pub fn new(depth: u32, code_parity: u32, cell_bytes: usize) -> Option<Self> {
        let engine = DefaultEngine::new();
        let (depth, parity) = (depth as usize, code_parity as usize);
        let decoder = HighRateDecoder::new(depth, parity, cell_bytes, engine, None).ok()?;
        Some(Self { decoder })
    }

    /// A cell of data that is good. Each place once.
    pub fn add_data(&mut self, place: u32, cell: &[u8]) {
        // It is refused where it is of no use, and then too few are there at the end.
        let _refused = self.decoder.add_original_shard(place as usize, cell);
    }

    /// A cell of parity that is good.
    pub fn add_parity(&mut self, place: u32, cell: &[u8]) {
        let _refused = self.decoder.add_recovery_shard(place as usize, cell);
    }

    /// The data cells that were not given, by their places; `None` when too few were given. The stripe is empty again then.
    pub fn solve(&mut self) -> Option<Vec<(u32, Vec<u8>)>> {
        let found = self.decoder.decode().ok()?;
        let cells = found.restored_original_iter();
        Some(cells.map(|(place, cell)| (u32::try_from(place).unwrap_or(u32::MAX), cell.to_vec())).collect())
    }
}

/// All parity cells of one stripe that is in memory, in a code of so many, for cells of one length, a multiple of 64. `None` where
/// the code has no such stripe.
pub(crate) fn protect<'a>(
    cells: impl ExactSizeIterator<Item = &'a [u8]>,
    code_parity: u32,
    cell_bytes: usize,
) -> Option<Vec<Vec<u8>>> {
    let engine = DefaultEngine::new();
    let mut encoder =
        HighRateEncoder::new(cells.len(), code_parity as usize, cell_bytes, engine, None).ok()?;
    for cell in cells {
        encoder.add_original_shard(cell).ok()?;
    }
    let parity = encoder.encode().ok()?;
    Some(parity.recovery_iter().map(<[u8]>::to_vec).collect())
}
