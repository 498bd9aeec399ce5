//! Which cell belongs to which stripe.
//!
//! A pack below 16 MiB has fewer stripes of 64 cells each, so that its parity stays in proportion.

use super::{BAND_DEPTH, DATA_CELLS_MAX, DEPTH_MAX, PARITY_DEPTH_MAX, STRIPES_MAX};

/// Parity cells of the shortest stripe.
const PARITY_DEPTH_MIN: u32 = 4;

/// How the data cells of a pack are dealt to stripes. All of it follows from their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Stripes: 64, or one for each 64 cells where those are fewer.
    pub const fn stripes(self) -> u32 {
        let stripes = self.data_cells.div_ceil(BAND_DEPTH);
        if stripes < STRIPES_MAX { stripes } else { STRIPES_MAX }
    }

    /// Data cells of the deepest stripe.
    pub const fn depth(self) -> u32 {
        self.data_cells.div_ceil(self.stripes())
    }

    /// Data cells of one stripe.
    pub const fn depth_of(self, stripe: u32) -> u32 {
        (self.data_cells - stripe).div_ceil(self.stripes())
    }

    /// Parity cells of each stripe: 52 for 1,024 of data, and never less than that part, nor than 4.
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
