//! Which cell belongs to which stripe.
//!
//! A pack below 16 MiB is in memory as a whole until it is sealed, so it has fewer and deeper stripes: the deeper a stripe, the better it
//! stands flips that fall where they like. From 16 MiB on stripes are 64, whatever comes.

use super::{BAND_DEPTH, DATA_CELLS_MAX, DEPTH_MAX, PARITY_DEPTH_MAX, STRIPES_MAX};

/// Parity cells of the shortest stripe.
const PARITY_DEPTH_MIN: u32 = 8;
/// Data cells of a stripe, at the most, of a pack that ends within the first band.
const SHORT_DEPTH: u32 = 256;
/// Data cells of the first band.
const BAND_CELLS: u32 = BAND_DEPTH * STRIPES_MAX;

/// How the data cells of a pack are dealt to stripes. All of it follows from their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    data_cells: u32,
}

impl Geometry {
    /// For that many data cells; `None` for none and for more than [`DATA_CELLS_MAX`].
    pub fn of(data_cells: u32) -> Option<Self> {
        (1..=DATA_CELLS_MAX).contains(&data_cells).then_some(Self { data_cells })
    }

    /// Data cells in all.
    pub const fn data_cells(self) -> u32 {
        self.data_cells
    }

    /// Stripes: 64, or one for each 256 cells below 4,096.
    pub const fn stripes(self) -> u32 {
        if self.data_cells < BAND_CELLS { self.data_cells.div_ceil(SHORT_DEPTH) } else { STRIPES_MAX }
    }

    /// Data cells of the deepest stripe.
    pub const fn depth(self) -> u32 {
        self.data_cells.div_ceil(self.stripes())
    }

    /// Data cells of one stripe.
    pub const fn depth_of(self, stripe: u32) -> u32 {
        (self.data_cells - stripe).div_ceil(self.stripes())
    }

    /// Parity cells of each stripe: 52 for 1,024 of data, and never less than that part, nor than 8.
    pub const fn parity_depth(self) -> u32 {
        let share = (self.depth() * PARITY_DEPTH_MAX).div_ceil(DEPTH_MAX);
        if share > PARITY_DEPTH_MIN { share } else { PARITY_DEPTH_MIN }
    }

    /// Parity cells in all, dealt to stripes as data cells are.
    pub const fn parity_cells(self) -> u32 {
        self.stripes() * self.parity_depth()
    }

    /// The stripe of a cell of data or of parity, and its place there.
    pub const fn place_of(self, cell: u32) -> (u32, u32) {
        (cell % self.stripes(), cell / self.stripes())
    }

    /// The cell at a place of a stripe.
    pub const fn cell_at(self, stripe: u32, place: u32) -> u32 {
        place * self.stripes() + stripe
    }

    /// The stripes that have lost more cells, of data and of parity, than they stand.
    pub fn beyond_repair(self, data: &[u32], parity: &[u32]) -> Vec<u32> {
        let mut lost = vec![0; self.stripes() as usize];
        for cell in data.iter().chain(parity) {
            lost[self.place_of(*cell).0 as usize] += 1;
        }
        (0..).zip(lost).filter(|(_, lost)| *lost > self.parity_depth()).map(|(stripe, _)| stripe).collect()
    }
}
