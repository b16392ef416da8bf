//! Intra prediction: modes by SATD, coded as they are found, since each block predicts from the one before.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::block::{Around, DC_MODE, Here, NO_MODE};
use super::macroblock::{CODING_ORDER, Levels, MOST_PROBABLE};
use super::residual::{QUADRANT, QUADRANT_SHIFT};
use super::tables::HAS_ABOVE_RIGHT;
use crate::kernel::h264::intra::{Available, ChromaNeighbours, Neighbours16};
use crate::kernel::h264::intra_search::{search_4x4, search_8x8};
use crate::kernel::h264::quantise::{dequantise_4x4, dequantise_8x8, quantise_4x4, quantise_8x8};
use crate::kernel::h264::quantiser::{Quantiser, Quantiser8};
use crate::kernel::h264::transform4::{add_4x4, forward_4x4, inverse_4x4, residual_4x4};
use crate::kernel::h264::transform8::{add_8x8, forward_8x8, inverse_8x8, residual_8x8};
use crate::kernel::h264::{Luma, array};

/// Where the macroblock begins in its canvas: neighbours lie left of it, and a row above.
const X: usize = 16;

/// A macroblock's luma with the samples around it, filled in block by block.
pub(super) struct Canvas([[u8; 48]; 17]);

impl Canvas {
    pub(super) fn new(around: &Around) -> Self {
        let mut rows = [[0; 48]; 17];
        rows[0][X - 1] = around.corner;
        rows[0][X..X + 16].copy_from_slice(&around.above);
        rows[0][X + 16..X + 24].copy_from_slice(&around.above_right);
        for (row, left) in rows[1..].iter_mut().zip(around.left) {
            row[X - 1] = left;
        }
        Self(rows)
    }

    pub(super) fn luma(&self) -> Luma {
        array(|y| self.0[y + 1][X..].first_chunk().copied().unwrap_or_default())
    }

    /// The neighbours of an NxN block at (x, y): left ones upwards, the corner, then above and above right.
    #[inline(always)]
    fn neighbours<const N: usize, const COUNT: usize>(&self, x: usize, y: usize, has_right: bool) -> [u8; COUNT] {
        let mut out = [0; COUNT];
        for (k, left) in out[..N].iter_mut().enumerate() {
            *left = self.0[y + N - k][X + x - 1];
        }
        let above = &self.0[y][X + x - 1..X + x + 2 * N];
        out[N..3 * N + 1].copy_from_slice(above);
        if !has_right {
            let last = out[2 * N];
            out[2 * N + 1..].fill(last);
        }
        out
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, x: usize, y: usize, block: &[[u8; N]; N]) {
        for (row, samples) in self.0[y + 1..].iter_mut().zip(block) {
            row[X + x..X + x + N].copy_from_slice(samples);
        }
    }
}

#[inline(always)]
fn source_block<const N: usize>(luma: &Luma, x: usize, y: usize) -> [[u8; N]; N] {
    let mut block = [[0; N]; N];
    for (out, row) in block.iter_mut().zip(&luma[y..y + N]) {
        *out = row[x..].first_chunk().copied().unwrap_or([0; N]);
    }
    block
}

/// Modes of 4x4 blocks with those above and to the left, to predict modes from.
struct Modes([[u8; 5]; 5]);

impl Modes {
    fn new(around: &Around) -> Self {
        let mut modes = [[DC_MODE; 5]; 5];
        modes[0][1..].copy_from_slice(&around.modes_above);
        for (row, mode) in modes[1..].iter_mut().zip(around.modes_left) {
            row[0] = mode;
        }
        Self(modes)
    }

    /// The most probable mode of the block at (x, y) in 4x4 blocks (8.3.1.1).
    fn probable(&self, x: usize, y: usize) -> u8 {
        let (above, left) = (self.0[y][x + 1], self.0[y + 1][x]);
        if above == NO_MODE || left == NO_MODE { DC_MODE } else { above.min(left) }
    }

    fn set(&mut self, x: usize, y: usize, size: usize, mode: u8) {
        for row in &mut self.0[y + 1..y + 1 + size] {
            row[x + 1..x + 1 + size].fill(mode);
        }
    }
}

/// What each mode costs when `probable` is the most probable one, and may not be used beyond `allowed`.
#[inline(always)]
fn mode_costs(probable: u8, lambda: u32, allowed: u16) -> [u16; 16] {
    array(|mode| {
        if allowed >> mode & 1 == 0 {
            u16::MAX / 2
        } else if mode == usize::from(probable) {
            lambda as u16
        } else {
            4 * lambda as u16
        }
    })
}

/// The symbol that codes a mode.
const fn symbol(mode: u8, probable: u8) -> u8 {
    if mode == probable {
        MOST_PROBABLE
    } else if mode > probable {
        mode - 1
    } else {
        mode
    }
}

/// A macroblock coded from its neighbours in small blocks.
pub(super) struct Small {
    pub(super) luma: Luma,
    pub(super) symbols: [u8; 16],
    pub(super) modes_below: [u8; 4],
    pub(super) modes_right: [u8; 4],
    pub(super) mask: u16,
    pub(super) cost: u32,
}

/// All modes of 4x4 and 8x8 blocks; and those that don't look above right.
pub(super) const ALL_MODES: u16 = 0x1FF;
pub(super) const NOT_ABOVE_RIGHT: u16 = ALL_MODES & !(1 << 3 | 1 << 7);

/// Codes luma as Intra_4x4, giving up once it costs more than `limit`.
#[simd]
pub(super) fn code_4x4<S: Simd>(
    simd: S,
    here: &Here,
    quantiser: &Quantiser,
    lambda: u32,
    allowed: u16,
    limit: u32,
    levels: &mut Levels,
) -> Option<Small> {
    let mut canvas = Canvas::new(&here.around);
    let mut modes = Modes::new(&here.around);
    let mut small = Small {
        luma: [[0; 16]; 16],
        symbols: [MOST_PROBABLE; 16],
        modes_below: [DC_MODE; 4],
        modes_right: [DC_MODE; 4],
        mask: 0,
        cost: 0,
    };
    for (k, block) in CODING_ORDER.into_iter().enumerate() {
        let (x, y) = (usize::from(block & 3), usize::from(block >> 2));
        let has_right = match block {
            3 => here.has_above_right(),
            0..3 => here.has_above(),
            _ => HAS_ABOVE_RIGHT >> block & 1 != 0,
        };
        let (left, above) = (x > 0 || here.has_left(), y > 0 || here.has_above());
        let available = Available { left, above, corner: left && above };
        let neighbours: [u8; 13] = canvas.neighbours::<4, 13>(4 * x, 4 * y, has_right);
        let probable = modes.probable(x, y);
        let source = source_block::<4>(&here.luma, 4 * x, 4 * y);
        let costs = mode_costs(probable, lambda, allowed);
        let (mode, cost, prediction) = search_4x4(simd, &source, &neighbours, available, &costs);
        small.cost += cost;
        if small.cost > limit {
            return None;
        }
        modes.set(x, y, 1, mode);
        small.symbols[k] = symbol(mode, probable);
        let raster = usize::from(block);
        let mut coefficients = residual_4x4(simd, &source, &prediction);
        forward_4x4(simd, &mut coefficients);
        let made = if quantise_4x4(simd, &coefficients, quantiser, &mut levels.luma[raster]) {
            small.mask |= 1 << block;
            let mut scaled = dequantise_4x4(simd, &levels.luma[raster], quantiser);
            inverse_4x4(simd, &mut scaled);
            add_4x4(simd, &prediction, &scaled)
        } else {
            prediction
        };
        canvas.put(4 * x, 4 * y, &made);
    }
    small.luma = canvas.luma();
    small.modes_below.copy_from_slice(&modes.0[4][1..]);
    small.modes_right = array(|k| modes.0[k + 1][4]);
    levels.luma_mask = small.mask;
    Some(small)
}

/// Codes luma as Intra_8x8, giving up once it costs more than `limit`.
#[simd]
pub(super) fn code_8x8<S: Simd>(
    simd: S,
    here: &Here,
    quantiser: &Quantiser8,
    lambda: u32,
    allowed: u16,
    limit: u32,
    levels: &mut Levels,
) -> Option<Small> {
    let mut canvas = Canvas::new(&here.around);
    let mut modes = Modes::new(&here.around);
    let mut small = Small {
        luma: [[0; 16]; 16],
        symbols: [MOST_PROBABLE; 16],
        modes_below: [DC_MODE; 4],
        modes_right: [DC_MODE; 4],
        mask: 0,
        cost: 0,
    };
    for (quadrant, shift) in QUADRANT_SHIFT.into_iter().enumerate() {
        let (x, y) = (quadrant & 1, quadrant >> 1);
        let has_right = match quadrant {
            0 => here.has_above(),
            1 => here.has_above_right(),
            2 => true,
            _ => false,
        };
        let (left, above) = (x > 0 || here.has_left(), y > 0 || here.has_above());
        let available = Available { left, above, corner: left && above };
        let neighbours: [u8; 25] = canvas.neighbours::<8, 25>(8 * x, 8 * y, has_right);
        let probable = modes.probable(2 * x, 2 * y);
        let source = source_block::<8>(&here.luma, 8 * x, 8 * y);
        let costs = mode_costs(probable, lambda, allowed);
        let (mode, cost, prediction) = search_8x8(simd, &source, &neighbours, available, &costs);
        small.cost += cost;
        if small.cost > limit {
            return None;
        }
        modes.set(2 * x, 2 * y, 2, mode);
        small.symbols[quadrant] = symbol(mode, probable);
        let mut coefficients = residual_8x8(simd, &source, &prediction);
        forward_8x8(simd, &mut coefficients);
        let made = if quantise_8x8(simd, &coefficients, quantiser, &mut levels.luma8[quadrant]) {
            small.mask |= QUADRANT << shift;
            let mut scaled = dequantise_8x8(simd, &levels.luma8[quadrant], quantiser);
            inverse_8x8(simd, &mut scaled);
            add_8x8(simd, &prediction, &scaled)
        } else {
            prediction
        };
        canvas.put(8 * x, 8 * y, &made);
    }
    small.luma = canvas.luma();
    small.modes_below.copy_from_slice(&modes.0[4][1..]);
    small.modes_right = array(|k| modes.0[k + 1][4]);
    levels.luma_mask = small.mask;
    Some(small)
}

/// The macroblock's neighbours as Intra_16x16 sees them.
pub(super) fn neighbours_16x16(here: &Here) -> Neighbours16 {
    Neighbours16 {
        above: here.has_above().then_some(here.around.above),
        left: here.has_left().then_some(here.around.left),
        corner: here.around.corner,
    }
}

/// The macroblock's neighbours as chroma prediction sees them.
pub(super) fn neighbours_chroma(here: &Here) -> ChromaNeighbours {
    ChromaNeighbours {
        above: here.has_above().then_some(here.around.chroma_above),
        left: here.has_left().then_some(here.around.chroma_left),
        corner: here.around.chroma_corner,
    }
}
