//! The macroblock at hand: its source, its surroundings, and what was made of it.

use super::mv::Cell;
use super::mv::Mv;
use crate::kernel::h264::{Chroma, Luma};

/// Intra prediction mode DC of 4x4 and 8x8 blocks: what neighbours without such a mode count as.
pub(super) const DC_MODE: u8 = 2;
/// Stands for the mode of a neighbour that isn't there.
pub(super) const NO_MODE: u8 = 255;

/// The macroblock that is being coded.
#[derive(Clone, Debug)]
pub(super) struct Here {
    /// Column.
    pub(super) x: usize,
    /// Row within the slice.
    pub(super) y: usize,
    pub(super) columns: usize,
    /// Source samples.
    pub(super) luma: Luma,
    pub(super) chroma: Chroma,
    /// Quantiser parameter of luma.
    pub(super) qp: u8,
    /// What a bit costs, in units of SATD.
    pub(super) lambda: u32,
    pub(super) around: Around,
}

impl Here {
    /// To be filled in for one macroblock of a row after the other.
    pub(super) fn row(y: usize, columns: usize) -> Self {
        let (luma, chroma) = ([[0; 16]; 16], [[0; 16]; 8]);
        Self { x: 0, y, columns, luma, chroma, qp: 0, lambda: 0, around: Around::default() }
    }

    pub(super) const fn has_left(&self) -> bool {
        self.x > 0
    }

    pub(super) const fn has_above(&self) -> bool {
        self.y > 0
    }

    pub(super) const fn has_above_right(&self) -> bool {
        self.y > 0 && self.x + 1 < self.columns
    }
}

/// Reconstructed samples next to the macroblock, before deblocking, and the intra modes of its neighbours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// Above left of luma and of chroma.
    pub(super) corner: u8,
    pub(super) chroma_corner: [u8; 2],
    /// Above, and above right for luma.
    pub(super) above: [u8; 16],
    pub(super) above_right: [u8; 8],
    pub(super) chroma_above: [u8; 16],
    /// Left, downwards.
    pub(super) left: [u8; 16],
    pub(super) chroma_left: [u8; 16],
    /// Intra modes of the 4x4 blocks above and left.
    pub(super) modes_above: [u8; 4],
    pub(super) modes_left: [u8; 4],
}

/// What became of a macroblock.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) luma: Luma,
    pub(super) chroma: Chroma,
    pub(super) cells: [Cell; 4],
    /// Intra modes of the 4x4 blocks at the bottom and at the right.
    pub(super) modes_below: [u8; 4],
    pub(super) modes_right: [u8; 4],
    /// For deblocking: luma blocks with coefficients.
    pub(super) mask: u16,
    pub(super) transform_8x8: bool,
    pub(super) is_intra: bool,
}

impl Made {
    /// A macroblock predicted by motion, as predicted.
    pub(super) fn inter(luma: Luma, chroma: Chroma, mvs: [Mv; 4]) -> Self {
        Self {
            luma,
            chroma,
            cells: mvs.map(Cell::Inter),
            modes_below: [DC_MODE; 4],
            modes_right: [DC_MODE; 4],
            mask: 0,
            transform_8x8: false,
            is_intra: false,
        }
    }

    /// A macroblock predicted from its neighbours.
    pub(super) fn intra(luma: Luma, chroma: Chroma) -> Self {
        Self { cells: [Cell::Intra; 4], is_intra: true, ..Self::inter(luma, chroma, [Mv::ZERO; 4]) }
    }
}

/// What deblocking needs of a macroblock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trace {
    pub(super) qp: u8,
    pub(super) mask: u16,
    pub(super) transform_8x8: bool,
    pub(super) is_intra: bool,
}
