//! A macroblock as decided: every syntax element of its layer, before an entropy coder writes it (ITU-T H.264 7.3.5).

use crate::kernel::h264::{Chroma, Luma};

/// How a P macroblock is cut for motion compensation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Partition {
    /// P_L0_16x16.
    Whole,
    /// P_L0_L0_16x8: an upper and a lower half.
    Rows,
    /// P_L0_L0_8x16: a left and a right half.
    Columns,
    /// P_8x8 with four sub-macroblocks of 8x8.
    Quarters,
}

impl Partition {
    /// Motion vectors it has.
    pub(super) const fn vectors(self) -> usize {
        match self {
            Self::Whole => 1,
            Self::Rows | Self::Columns => 2,
            Self::Quarters => 4,
        }
    }
}

/// How a macroblock is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// P_Skip.
    Skip,
    /// Motion compensated, from the first picture of list 0.
    Inter(Partition),
    /// Intra_16x16: 0 vertical, 1 horizontal, 2 DC, 3 plane.
    Intra16x16(u8),
    /// Intra_4x4.
    Intra4x4,
    /// Intra_8x8.
    Intra8x8,
    /// I_PCM: samples as they are.
    Pcm,
}

/// Stands in `Macroblock::intra_symbols` for the most probable mode.
pub(super) const MOST_PROBABLE: u8 = 8;

/// One macroblock's syntax elements.
#[derive(Clone, Debug)]
pub(super) struct Macroblock {
    pub(super) kind: Kind,
    /// For Intra4x4 16 symbols in coding order (6.4.3), for Intra8x8 four: `MOST_PROBABLE`, or rem_intra_pred_mode 0..=7.
    pub(super) intra_symbols: [u8; 16],
    /// intra_chroma_pred_mode: 0 DC, 1 horizontal, 2 vertical, 3 plane.
    pub(super) chroma_mode: u8,
    /// Motion vector differences, x then y, in quarter samples, one for each partition in its order.
    pub(super) mvd: [[i16; 2]; 4],
    /// transform_size_8x8_flag: luma is in `levels.luma8`.
    pub(super) transform_8x8: bool,
    /// coded_block_pattern: bits 0..=3 luma quadrants in raster order, bits 4 and 5 chroma (0, 1 = DC only, 2 = DC and AC). For
    /// Intra16x16 luma is 0 or 15.
    pub(super) cbp: u8,
    /// mb_qp_delta, written where the syntax has it.
    pub(super) qp_delta: i8,
    pub(super) levels: Levels,
    /// Samples of I_PCM.
    pub(super) pcm: Box<(Luma, Chroma)>,
}

/// Quantised transform coefficients in zigzag order. Blocks are numbered in raster order within their macroblock (not in coding
/// order). What a mask or the coded block pattern leaves out holds leftovers and isn't read.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// Intra16x16DCLevel, in zigzag order of the 4x4 blocks' positions.
    pub(super) luma_dc: [i16; 16],
    /// 4x4 blocks. Of Intra16x16 elements 1..=15 are the AC levels, and element 0 isn't read.
    pub(super) luma: [[i16; 16]; 16],
    /// 8x8 blocks.
    pub(super) luma8: [[i16; 64]; 4],
    /// Chroma DC of Cb and Cr, in raster order of the blocks.
    pub(super) chroma_dc: [[i16; 4]; 2],
    /// Chroma AC of Cb's and Cr's four blocks; element 0 isn't read.
    pub(super) chroma_ac: [[[i16; 16]; 4]; 2],
    /// Bit b: 4x4 block b of luma (raster) has levels that aren't zero (of Intra16x16: AC levels). With 8x8 transforms all four
    /// bits of a quadrant are alike.
    pub(super) luma_mask: u16,
    /// Whether any of `luma_dc` isn't zero.
    pub(super) luma_dc_coded: bool,
    /// For each of Cb and Cr, bit b: block b has AC levels that aren't zero.
    pub(super) chroma_mask: [u8; 2],
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            luma_dc: [0; 16],
            luma: [[0; 16]; 16],
            luma8: [[0; 64]; 4],
            chroma_dc: [[0; 4]; 2],
            chroma_ac: [[[0; 16]; 4]; 2],
            luma_mask: 0,
            luma_dc_coded: false,
            chroma_mask: [0; 2],
        }
    }
}

impl Default for Macroblock {
    fn default() -> Self {
        Self {
            kind: Kind::Skip,
            intra_symbols: [MOST_PROBABLE; 16],
            chroma_mode: 0,
            mvd: [[0; 2]; 4],
            transform_8x8: false,
            cbp: 0,
            qp_delta: 0,
            levels: Levels::default(),
            pcm: Box::default(),
        }
    }
}

/// Raster index of the 4x4 block that is coded k-th (6.4.3).
pub(super) const CODING_ORDER: [u8; 16] = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15];
